/* test_tf_saved.c - SavedModels written again as a whole: all MetaGraphs and signatures, of each graph what hone takes
   optimized and the rest as it was. What is written is read back with the same choices and computes the same. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tf_build.h"

static char from[64], to[64];

static void make_folder(char *name, const char *what) {
  snprintf(name, 64, "tf_saved_%ld_%s", (long)getpid(), what);
  mkdir(name, 0777);
}

static void remove_all(const char *folder) {
  DIR *d = opendir(folder);
  for (struct dirent *e; d && (e = readdir(d));) {
    char path[512];
    if (*e->d_name == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (remove(path) != 0) remove_all(path);
  }
  if (d) closedir(d);
  remove(folder);
}

static void write_bytes(const char *name, const void *data, size_t n) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", from, name);
  FILE *f = fopen(path, "wb");
  CHECK(f && fwrite(data, 1, n, f) == n);
  if (f) fclose(f);
}

static Tensorflow__TensorInfoEntry *tensor_entry(char *text) { /* key=tensor/type/shape */
  Tensorflow__TensorInfoEntry *t = tf_take(sizeof *t);
  tensorflow__tensor_info_entry__init(t);
  t->key = tf_piece(&text, "=");
  t->value = tf_take(sizeof *t->value);
  tensorflow__tensor_info__init(t->value);
  t->value->encoding_case = TENSORFLOW__TENSOR_INFO__ENCODING_NAME;
  t->value->name = tf_piece(&text, "|");
  t->value->dtype = (Tensorflow__DataType)strtol(tf_piece(&text, "|"), NULL, 10);
  t->value->tensor_shape = tf_shape(text, ",");
  return t;
}

static void tensor_entries(const char *text, Tensorflow__TensorInfoEntry ***list, size_t *n) {
  *list = tf_take(4 * sizeof **list);
  for (char *p = tf_copy(text, strlen(text)); *p;) (*list)[(*n)++] = tensor_entry(tf_piece(&p, " "));
}

static void add_signature(Tensorflow__MetaGraphDef *m, const char *key, const char *in, const char *out) {
  Tensorflow__SignatureDefEntry *e = m->signature_def[m->n_signature_def++] = tf_take(sizeof *e);
  tensorflow__signature_def_entry__init(e);
  e->key = tf_copy(key, strlen(key));
  e->value = tf_take(sizeof *e->value);
  tensorflow__signature_def__init(e->value);
  e->value->method_name = tf_copy("tensorflow/serving/predict", 26);
  tensor_entries(in, &e->value->inputs, &e->value->n_inputs);
  tensor_entries(out, &e->value->outputs, &e->value->n_outputs);
}

static Tensorflow__MetaGraphDef *meta_of(Tensorflow__GraphDef *g, const char *tag) {
  Tensorflow__MetaGraphDef *m = tf_take(sizeof *m);
  tensorflow__meta_graph_def__init(m);
  m->meta_info_def = tf_take(sizeof *m->meta_info_def);
  tensorflow__meta_graph_def__meta_info_def__init(m->meta_info_def);
  m->meta_info_def->tags = tf_take(sizeof(char *)), m->meta_info_def->n_tags = 1;
  m->meta_info_def->tags[0] = tf_copy(tag, strlen(tag));
  m->graph_def = g;
  m->signature_def = tf_take(8 * sizeof *m->signature_def);
  return m;
}

static Tensorflow__GraphDef *another_graph(const char *text) { /* tf_graph() begins anew */
  Tensorflow__GraphDef *g = tf_take(sizeof *g);
  tensorflow__graph_def__init(g);
  g->node = tf_nodes(text, &g->n_node);
  return g;
}

static void write_model(Tensorflow__MetaGraphDef **metas, size_t n) {
  Tensorflow__SavedModel s;
  tensorflow__saved_model__init(&s);
  s.saved_model_schema_version = 1, s.n_meta_graphs = n, s.meta_graphs = metas;
  write_bytes("saved_model.pb", tf_bytes, tensorflow__saved_model__pack(&s, tf_bytes));
}

/* A dense layer of 8x9 that two signatures share, words looked up in a table, a counter, a parser of examples; and a second
   MetaGraph that trains. */
static void write_rich_model(void) {
  char path[160];
  make_folder(from, "in");
  Tensorflow__GraphDef *g = tf_graph(
      "x Placeholder - dtype=t:1 shape=S:-1,8\nw Const - value=F:0.5/8x9\nd MatMul x,w\nb Const - value=F:1\nscore Add d,b\nhalf Const - value=F:0.5\n"
      "low Mul score,half\nprob PartitionedCall x,w f=n:dense\n"
      "text Placeholder - dtype=t:7 shape=S:-1\ntable HashTableV2 - key_dtype=t:7 value_dtype=t:9\nkeys Const - value=X:a,b/2 dtype=t:7\nnone Const - value=I:7\n"
      "ids LookupTableFindV2 table,text,none Tin=t:7 Tout=t:3\ndoubled Add ids,ids\nfill LookupTableImportV2 table,keys,none\ninit NoOp ^fill\n"
      "v VariableV2 - dtype=t:1 shape=S:\none Const - value=F:1\nup AssignAdd v,one\nread Identity v\nafter Relu x,^up\n");
  tf_function(g, "dense", "a k", "r=s:y:0", "m MatMul a,k\ns Sigmoid m:product:0\n");
  Tensorflow__MetaGraphDef *m[2] = {meta_of(g, "serve"), NULL};
  m[0]->saver_def = tf_take(sizeof *m[0]->saver_def);
  tensorflow__saver_def__init(m[0]->saver_def);
  m[0]->saver_def->restore_op_name = tf_copy("init", 4), m[0]->saver_def->filename_tensor_name = tf_copy("keys:0", 6), m[0]->saver_def->save_tensor_name = tf_copy("keys:0", 6);
  add_signature(m[0], "serving_default", "x=x:0|1|-1,8", "score=score:0|1|-1,9 low=low:0|1|-1,9");
  add_signature(m[0], "probabilities", "input=x:0|1|-1,8", "p=prob:0|1|-1,9");
  add_signature(m[0], "words", "text=text:0|7|-1", "ids=doubled:0|3|-1");
  add_signature(m[0], "count", "", "n=up:0|1|?");
  add_signature(m[0], "counter", "", "n=read:0|1|?");
  add_signature(m[0], "counted", "x=x:0|1|-1,8", "y=after:0|1|-1,8");
  add_signature(m[0], "__saved_model_init_op", "", "__saved_model_init_op=init|0|?");
  m[1] = meta_of(another_graph("x Placeholder - dtype=t:1 shape=S:-1\nt Const - value=F:3\ny Mul x,t\nz Neg y\n"), "train");
  add_signature(m[1], "step", "x=x:0|1|-1", "z=z:0|1|-1");
  write_model(m, 2);
  snprintf(path, sizeof path, "%s/variables", from);
  mkdir(path, 0777);
  write_bytes("variables/variables.index", "not looked at", 13);
}

static void convert(hone_context *cx, int32_t minimum, hone_conversion **k) {
  hone_conversion_options o;
  hone_conversion_options_init(&o);
  o.minimum_segment_size = minimum;
  hone_status st = hone_conversion_open(cx, from, &o, k);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  for (uint32_t i = 0; *k && i < hone_conversion_segment_count(*k); i++) {
    st = hone_model_optimize(hone_conversion_segment(*k, i, NULL), NULL);
    CHECK_MSG(!st, "%s", hone_context_error(cx));
  }
  snprintf(to, sizeof to, "tf_saved_%ld_out", (long)getpid());
  st = *k ? hone_conversion_save(*k, to) : HONE_OK;
  CHECK_MSG(!st, "%s", hone_context_error(cx));
}

static bool left_because(const hone_conversion *k, const char *name, const char *why) {
  hone_left_node row;
  for (uint32_t i = 0; hone_conversion_left_at(k, i, &row); i++)
    if (strcmp(row.name, name) == 0) return strstr(row.why, why) != NULL;
  return false;
}

/* Both list the same choices. */
static void same_choices(hone_context *cx) {
  hone_catalog *a = NULL, *b = NULL;
  hone_catalog_row x, y;
  uint32_t i = 0;
  REQUIRE(!hone_catalog_open(cx, from, &a) && !hone_catalog_open(cx, to, &b));
  for (; hone_catalog_row_at(a, i, &x); i++) {
    bool there = hone_catalog_row_at(b, i, &y);
    CHECK(there && x.kind == y.kind && x.info.rank == y.info.rank && x.info.dtype == y.info.dtype);
    if (!there) break;
    CHECK_STR(x.name, y.name);
    CHECK_STR(x.tensor, y.tensor);
    CHECK_STR(x.detail, y.detail);
    CHECK_STR(x.type, y.type);
    for (int32_t d = 0; d < x.info.rank; d++) CHECK(x.info.dims[d] == y.info.dims[d]);
  }
  CHECK(i > 0 && !hone_catalog_row_at(b, i, &y));
  hone_catalog_destroy(&a);
  hone_catalog_destroy(&b);
}

/* The first output of a signature for rows of 8 numbers (or as many as there are). */
static size_t result(hone_context *cx, const char *path, const char *tags, const char *key, const float *x, const int64_t *dims, uint32_t rank, float *out) {
  hone_load_options o;
  hone_model *m = NULL;
  hone_session *s = NULL;
  const void *data;
  size_t bytes = 0, count = 1;
  hone_load_options_init(&o);
  o.tag_set = tags, o.signature = key;
  for (uint32_t i = 0; i < rank; i++) count *= (size_t)dims[i];
  hone_status st = hone_model_load_with(cx, path, &o, &m);
  if (!st) st = hone_session_create(m, NULL, &s);
  if (!st) st = hone_session_set_input_shape(s, 0, rank, dims);
  if (!st) st = hone_session_set_input(s, 0, x, count * sizeof *x);
  if (!st) st = hone_session_run(s);
  if (!st) st = hone_session_output(s, 0, NULL, &data, &bytes);
  CHECK_MSG(!st, "%s: %s", key, hone_context_error(cx));
  if (!st) memcpy(out, data, bytes);
  hone_session_destroy(&s);
  hone_model_destroy(&m);
  return bytes / sizeof *out;
}

static void same_result(hone_context *cx, const char *tags, const char *key, const int64_t *dims, uint32_t rank, float first) {
  static const float x[16] = {1, 2, 3, 4, -5, 6, 7, 0.25f, 1, 1, 1, 1, 1, -9, 1, 1};
  float a[64], b[64];
  size_t n = result(cx, from, tags, key, x, dims, rank, a), k = result(cx, to, tags, key, x, dims, rank, b);
  CHECK_MSG(n > 0 && n == k, "%s: %zu numbers, then %zu", key, n, k);
  for (size_t i = 0; i < n && n == k; i++) CHECK_MSG(a[i] - b[i] < 1e-5f && b[i] - a[i] < 1e-5f, "%s: %g, then %g", key, (double)a[i], (double)b[i]);
  CHECK_MSG(a[0] - first < 1e-4f && first - a[0] < 1e-4f, "%s: %g, not %g", key, (double)a[0], (double)first);
}

static Tensorflow__SavedModel *read_written(void) {
  char path[512];
  snprintf(path, sizeof path, "%s/saved_model.pb", to);
  FILE *f = fopen(path, "rb");
  size_t n = f ? fread(tf_bytes, 1, sizeof tf_bytes, f) : 0;
  if (f) fclose(f);
  return tensorflow__saved_model__unpack(NULL, n, tf_bytes);
}

static const Tensorflow__NodeDef *node_named(const Tensorflow__GraphDef *g, const char *name) {
  for (size_t i = 0; i < g->n_node; i++)
    if (strcmp(g->node[i]->name, name) == 0) return g->node[i];
  return NULL;
}

TEST(tf_all_signatures_and_meta_graphs_are_written) {
  hone_context *cx;
  hone_conversion *k = NULL;
  write_rich_model();
  REQUIRE(!hone_context_create(&cx));
  convert(cx, 1, &k);
  REQUIRE(k != NULL);
  CHECK(!hone_conversion_is_plain(k));
  CHECK(left_because(k, "ids", "hone has no such operator"));
  CHECK(left_because(k, "up", "it updates a variable"));
  CHECK(left_because(k, "read", "it reads the variable 'v', which changes"));
  CHECK(left_because(k, "after", "it waits for 'up', which updates variables"));
  hone_conversion_destroy(&k);
  same_choices(cx);
  same_result(cx, "serve", "serving_default", (int64_t[]){2, 8}, 2, 0.5f * (0.5f * 18.25f + 1)); /* "low" is first by name */
  same_result(cx, "serve", "probabilities", (int64_t[]){2, 8}, 2, 0.99989f);
  same_result(cx, "train", "step", (int64_t[]){3}, 1, -3);
  char path[512];
  snprintf(path, sizeof path, "%s/variables/variables.index", to);
  CHECK(access(path, R_OK) == 0);
  Tensorflow__SavedModel *s = read_written();
  REQUIRE(s && s->n_meta_graphs == 2);
  const Tensorflow__GraphDef *g = s->meta_graphs[0]->graph_def;
  uint32_t weights = 0;
  static const char *const kept[] = {"x", "text", "table", "ids", "fill", "init", "v", "up", "after", "score", "low", "prob", "doubled"};
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) CHECK_MSG(node_named(g, kept[i]) != NULL, "there is no node '%s'", kept[i]);
  for (size_t i = 0; i < g->n_node; i++) { /* one copy of the weights; all that is read is there */
    for (size_t a = 0; a < g->node[i]->n_attr; a++)
      weights += strcmp(g->node[i]->op, "Const") == 0 && strcmp(g->node[i]->attr[a]->key, "value") == 0 && g->node[i]->attr[a]->value->tensor->tensor_content.len == 8 * 9 * 4;
    for (size_t j = 0; j < g->node[i]->n_input; j++) {
      char name[64];
      const char *in = g->node[i]->input[j] + (*g->node[i]->input[j] == '^');
      snprintf(name, sizeof name, "%.*s", (int)strcspn(in, ":"), in);
      CHECK_MSG(node_named(g, name) != NULL, "'%s' reads '%s'", g->node[i]->name, name);
    }
  }
  CHECK_MSG(weights == 1, "%u copies of the weights", weights);
  tensorflow__saved_model__free_unpacked(s, NULL);
  hone_context_destroy(&cx);
  remove_all(from);
  remove_all(to);
}

TEST(tf_segments_that_are_too_small_are_left) {
  hone_context *cx;
  hone_conversion *k = NULL;
  hone_segment_info info;
  write_rich_model();
  REQUIRE(!hone_context_create(&cx));
  convert(cx, 3, &k);
  REQUIRE(k != NULL);
  CHECK(left_because(k, "doubled", "its segment has 1 node, fewer than 3"));
  CHECK(left_because(k, "prob", "its segment has 2 nodes, fewer than 3"));
  CHECK(hone_conversion_segment_count(k) == 1 && hone_conversion_segment(k, 0, &info) && info.nodes == 3);
  CHECK(hone_conversion_segment(k, 1, &info) == NULL);
  hone_conversion_destroy(&k);
  same_choices(cx);
  same_result(cx, "serve", "probabilities", (int64_t[]){2, 8}, 2, 0.99989f);
  CHECK(hone_conversion_open(cx, "nowhere.pb", NULL, &k) == HONE_IO);
  hone_context_destroy(&cx);
  remove_all(from);
  remove_all(to);
}

/* What stands in the way within a function is cut out of it; loops are taken or left as a whole. */
TEST(tf_calls_are_written_out_around_what_is_left) {
  hone_context *cx;
  hone_conversion *k = NULL;
  make_folder(from, "in");
  Tensorflow__GraphDef *g = tf_graph(
      "x Placeholder - dtype=t:1 shape=S:-1\ny StatefulPartitionedCall x f=n:outer Tout=L:\n"
      "zero Const - value=I:0\nthree Const - value=I:3\ntwo Const - value=F:2\ne0 Enter zero frame_name=s:loop\ne1 Enter x frame_name=s:loop\n"
      "en Enter three frame_name=s:loop is_constant=b:1\nm0 Merge e0,n0\nm1 Merge e1,n1\nless Less m0,en\nlc LoopCond less\ns0 Switch m0,lc\ns1 Switch m1,lc\n"
      "one Const ^i0 value=I:1\ni0 Identity s0:1\ni1 Identity s1:1\na0 Add i0,one\nf0 Frobnicate i1 T=t:1\nn0 NextIteration a0\nn1 NextIteration f0\nlast Exit s1\nend Neg last T=t:1\n");
  tf_function(g, "outer", "a", "r=q:output:0", "b AddV2 a,a\nq PartitionedCall b:z:0 f=n:inner\n");
  tf_function(g, "inner", "a", "r=n:y:0", "m Mul a,a T=t:1\nf Frobnicate m:z:0 T=t:1\nn Neg f:z:0\n");
  for (int i = 0; i < 2; i++) g->library->function[i]->signature->output_arg[0]->type = 1;
  Tensorflow__MetaGraphDef *m[1] = {meta_of(g, "serve")};
  add_signature(m[0], "serving_default", "x=x:0|1|-1", "y=y:0|1|-1");
  add_signature(m[0], "loop", "x=x:0|1|-1", "y=end:0|1|-1");
  write_model(m, 1);
  REQUIRE(!hone_context_create(&cx));
  convert(cx, 1, &k);
  REQUIRE(k != NULL);
  CHECK(left_because(k, "y/q/f", "hone has no such operator"));
  CHECK(left_because(k, "f0", "hone has no such operator"));
  CHECK(left_because(k, "a0", "its loop or condition has"));
  CHECK(left_because(k, "last", "its loop or condition has"));
  hone_conversion_destroy(&k);
  same_choices(cx);
  Tensorflow__SavedModel *s = read_written();
  REQUIRE(s && s->n_meta_graphs == 1);
  g = s->meta_graphs[0]->graph_def;
  CHECK(g->library == NULL && node_named(g, "y/q/f") && node_named(g, "y") && node_named(g, "f0") && node_named(g, "last") && node_named(g, "end"));
  if (node_named(g, "y/q/f")) CHECK_STR(node_named(g, "y/q/f")->input[0], "y/q/m");
  tensorflow__saved_model__free_unpacked(s, NULL);
  hone_context_destroy(&cx);
  remove_all(from);
  remove_all(to);
}

TEST(tf_faults_of_saved_models_are_named) {
  hone_context *cx;
  hone_conversion *k = NULL;
  hone_conversion_options o;
  write_rich_model();
  REQUIRE(!hone_context_create(&cx));
  hone_conversion_options_init(&o);
  o.tag_set = "gpu";
  CHECK(hone_conversion_open(cx, from, &o, &k) == HONE_BAD_ARG && strstr(hone_context_error(cx), "there are 'serve', 'train'"));
  o.tag_set = NULL, o.minimum_segment_size = 0;
  CHECK(hone_conversion_open(cx, from, &o, &k) == HONE_BAD_ARG);
  Tensorflow__GraphDef *g = tf_graph("x Placeholder - dtype=t:1 shape=S:-1\ny PartitionedCall x f=n:a\n");
  tf_function(g, "a", "v", "r=c:output:0", "c PartitionedCall v f=n:b\n");
  tf_function(g, "b", "v", "r=c:output:0", "c PartitionedCall v f=n:a\n");
  Tensorflow__MetaGraphDef *m[1] = {meta_of(g, "serve")};
  add_signature(m[0], "serving_default", "x=x:0|1|-1", "y=y:0|1|-1");
  write_model(m, 1);
  CHECK(hone_conversion_open(cx, from, NULL, &k) == HONE_UNSUPPORTED && strstr(hone_context_error(cx), "calls itself"));
  m[0] = meta_of(tf_graph("x Placeholder - dtype=t:1 shape=S:-1\n"), "serve");
  add_signature(m[0], "serving_default", "x=x:0|1|-1", "y=y:0|1|-1");
  write_model(m, 1);
  CHECK(hone_conversion_open(cx, from, NULL, &k) == HONE_BAD_GRAPH && strstr(hone_context_error(cx), "'y:0'"));
  hone_context_destroy(&cx);
  remove_all(from);
}
