/* test_tf_bundle.c - SavedModels with variables in a checkpoint: read, chosen from, and damaged in every way that matters. */
#include <sys/stat.h>
#include <unistd.h>

#include "../tf_build.h"
#include "base/crc32c.h"

typedef struct bytes {
  uint8_t p[8192];
  size_t n;
} bytes;

static void put(bytes *b, const void *p, size_t n) {
  memcpy(b->p + b->n, p, n);
  b->n += n;
}
static void put_varint(bytes *b, uint64_t v) {
  for (; v > 127; v >>= 7) b->p[b->n++] = (uint8_t)(v | 128);
  b->p[b->n++] = (uint8_t)v;
}
static void put_u32(bytes *b, uint32_t v) { put(b, (uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)}, 4); }

static void put_entry(bytes *b, const char *key, const void *value, size_t n) {
  put_varint(b, 0);
  put_varint(b, strlen(key));
  put_varint(b, n);
  put(b, key, strlen(key));
  put(b, value, n);
}

/* Ends a block: one restart point, the byte for "not compressed", the checksum; its handle goes to `handle`. */
static void end_block(bytes *file, const bytes *block, bytes *handle) {
  size_t start = file->n;
  put(file, block->p, block->n);
  put_u32(file, 0);
  put_u32(file, 1);
  size_t size = file->n - start;
  put(file, "", 1);
  put_u32(file, hn_crc32c_mask(hn_crc32c(0, file->p + start, size + 1)));
  put_varint(handle, start);
  put_varint(handle, size);
}

/* The file of one data block, which the index names `times`. */
static void make_table(bytes *file, const bytes *block, int times) {
  static bytes empty, index, handle, footer;
  index.n = handle.n = footer.n = file->n = 0;
  end_block(file, block, &handle);
  for (int i = 0; i < times; i++) put_entry(&index, "z", handle.p, handle.n);
  end_block(file, &empty, &footer); /* meta data */
  end_block(file, &index, &footer);
  while (footer.n < 40) footer.p[footer.n++] = 0;
  put(&footer, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
  put(file, footer.p, footer.n);
}

static void put_header(bytes *block) {
  uint8_t packed[256];
  Tensorflow__BundleHeaderProto h;
  tensorflow__bundle_header_proto__init(&h);
  h.num_shards = 1;
  put_entry(block, "", packed, tensorflow__bundle_header_proto__pack(&h, packed));
}

static void make_index(bytes *file, const char *key, const float *data, uint32_t n, uint32_t crc_change) {
  static bytes block;
  uint8_t packed[256];
  Tensorflow__BundleEntryProto e;
  char dims[16];
  block.n = 0;
  put_header(&block);
  tensorflow__bundle_entry_proto__init(&e);
  snprintf(dims, sizeof dims, "%u", n);
  e.dtype = 1, e.shape = tf_shape(tf_copy(dims, strlen(dims)), "x"), e.size = 4 * n;
  e.crc32c = hn_crc32c_mask(hn_crc32c(0, data, 4 * n)) + crc_change;
  put_entry(&block, key, packed, tensorflow__bundle_entry_proto__pack(&e, packed));
  make_table(file, &block, 1);
}

static char folder[64];

static void write_file(const char *name, const void *data, size_t n) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  CHECK(f && fwrite(data, 1, n, f) == n);
  if (f) fclose(f);
}

static void add_signature(Tensorflow__MetaGraphDef *m, const char *key, const char *output) {
  Tensorflow__SignatureDefEntry *e = m->signature_def[m->n_signature_def++] = tf_take(sizeof *e);
  tensorflow__signature_def_entry__init(e);
  e->key = tf_copy(key, strlen(key));
  e->value = tf_take(sizeof *e->value);
  tensorflow__signature_def__init(e->value);
  e->value->method_name = tf_copy("tensorflow/serving/predict", 26);
  for (int k = 0; k < 2; k++) {
    const char *name = k ? output : "x:0";
    Tensorflow__TensorInfoEntry *t = tf_take(sizeof *t), **list = tf_take(sizeof *list);
    tensorflow__tensor_info_entry__init(t);
    t->key = tf_copy(k ? "result" : "value", k ? 6 : 5);
    t->value = tf_take(sizeof *t->value);
    tensorflow__tensor_info__init(t->value);
    t->value->encoding_case = TENSORFLOW__TENSOR_INFO__ENCODING_NAME;
    t->value->name = tf_copy(name, strlen(name));
    t->value->dtype = 1;
    *list = t;
    if (k) e->value->outputs = list, e->value->n_outputs = 1;
    else e->value->inputs = list, e->value->n_inputs = 1;
  }
}

/* y = x * v, where v is restored from the key "weights/v". */
static void write_model(void) {
  Tensorflow__GraphDef *g = tf_graph("x Placeholder - dtype=t:1 shape=S:-1\nv VarHandleOp - dtype=t:1 shape=S:2\nr ReadVariableOp v\ny Mul x,r\nz Neg y\n"
                                     "names Const - value=X:weights/v/1\nslices Const - value=X:/1\nfile Const - value=X:f\n"
                                     "restore RestoreV2 file,names,slices\ni Identity restore\nassign AssignVariableOp v,i\nbad AssignAddVariableOp v,x\n"
                                     "counted Relu x,^bad\nrestored Relu x,^assign\n");
  Tensorflow__MetaGraphDef *m = tf_take(sizeof *m), *list[1] = {m};
  Tensorflow__SavedModel s;
  tensorflow__saved_model__init(&s);
  tensorflow__meta_graph_def__init(m);
  m->meta_info_def = tf_take(sizeof *m->meta_info_def);
  tensorflow__meta_graph_def__meta_info_def__init(m->meta_info_def);
  char *tags[1] = {tf_copy("serve", 5)};
  m->meta_info_def->tags = tags, m->meta_info_def->n_tags = 1;
  m->graph_def = g;
  m->signature_def = tf_take(4 * sizeof *m->signature_def);
  add_signature(m, "serving_default", "y:0");
  add_signature(m, "negative", "z:0");
  s.saved_model_schema_version = 1, s.n_meta_graphs = 1, s.meta_graphs = list;
  write_file("saved_model.pb", tf_bytes, tensorflow__saved_model__pack(&s, tf_bytes));
}

static const float weights[2] = {2, 3};

static void fresh(void) {
  static bytes index;
  char path[256];
  snprintf(folder, sizeof folder, "tf_bundle_%ld", (long)getpid());
  snprintf(path, sizeof path, "%s/variables", folder);
  mkdir(folder, 0777), mkdir(path, 0777);
  write_model();
  make_index(&index, "weights/v", weights, 2, 0);
  write_file("variables/variables.index", index.p, index.n);
  write_file("variables/variables.data-00000-of-00001", weights, sizeof weights);
}

static void clean(void) {
  static const char *const names[] = {"saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001", "variables", ""};
  for (int i = 0; i < 5; i++) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    remove(path);
  }
}

static void refused(const hone_load_options *o, hone_status want, const char *part) {
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = hone_model_load_with(cx, folder, o, &m);
  CHECK_MSG(st == want, "%s: %s", hone_status_name(st), hone_context_error(cx));
  CHECK_MSG(strstr(hone_context_error(cx), part), "\"%s\" does not say \"%s\"", hone_context_error(cx), part);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

static void computes(const char *signature, const float *want) {
  hone_context *cx;
  hone_model *m = NULL;
  hone_session *s = NULL;
  hone_load_options o;
  const void *data;
  static const float x[2] = {5, 7};
  REQUIRE(!hone_context_create(&cx));
  hone_load_options_init(&o);
  o.signature = signature;
  hone_status st = hone_model_load_with(cx, folder, &o, &m);
  if (!st) CHECK_STR(hone_model_metadata(m, "tf.output.result"), signature ? "z:0" : "y:0");
  if (!st) st = hone_session_create(m, NULL, &s);
  if (!st) st = hone_session_set_input_shape(s, 0, 1, (int64_t[]){2});
  if (!st) st = hone_session_set_input(s, 0, x, sizeof x);
  if (!st) st = hone_session_run(s);
  if (!st) st = hone_session_output(s, 0, NULL, &data, NULL);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  for (int i = 0; i < 2 && !st; i++) CHECK(((const float *)data)[i] == want[i]);
  hone_session_destroy(&s);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

TEST(tf_variables_come_from_the_checkpoint) {
  fresh();
  computes(NULL, (const float[]){10, 21});
  computes("negative", (const float[]){-10, -21});
  clean();
}

TEST(tf_catalog_lists_what_can_be_chosen) {
  hone_context *cx;
  hone_catalog *k = NULL;
  hone_catalog_row r;
  fresh();
  REQUIRE(!hone_context_create(&cx) && !hone_catalog_open(cx, folder, &k));
  REQUIRE(hone_catalog_row_at(k, 0, &r));
  CHECK(r.kind == HONE_CATALOG_TAG_SET);
  CHECK_STR(r.name, "serve");
  REQUIRE(hone_catalog_row_at(k, 1, &r));
  CHECK_STR(r.name, "negative");
  CHECK_STR(r.detail, "tensorflow/serving/predict");
  REQUIRE(hone_catalog_row_at(k, 3, &r));
  CHECK(r.kind == HONE_CATALOG_OUTPUT);
  CHECK_STR(r.tensor, "z:0");
  CHECK_STR(r.type, "DT_FLOAT");
  CHECK(!hone_catalog_row_at(k, 7, &r));
  hone_catalog_destroy(&k);
  hone_context_destroy(&cx);
  clean();
}

TEST(tf_wrong_choices_name_the_right_ones) {
  hone_load_options o;
  fresh();
  hone_load_options_init(&o), o.tag_set = "train";
  refused(&o, HONE_BAD_ARG, "there are 'serve'");
  hone_load_options_init(&o), o.signature = "nothing";
  refused(&o, HONE_BAD_ARG, "there are 'serving_default', 'negative'");
  hone_load_options_init(&o), o.outputs = "nothing:0";
  refused(&o, HONE_BAD_ARG, "no tensor 'nothing:0'");
  hone_load_options_init(&o), o.outputs = "bad";
  refused(&o, HONE_UNSUPPORTED, "updates the variable 'v'");
  hone_load_options_init(&o), o.outputs = "counted";
  refused(&o, HONE_UNSUPPORTED, "'bad' (AssignAddVariableOp): it updates the variable 'v' whenever");
  clean();
}

static void count_warning(void *user, hone_log_level level, const char *message) {
  if (level == HONE_LOG_WARNING && strstr(message, "'assign' (AssignVariableOp): the variable 'v' is not initialized anew")) ++*(int *)user;
}

TEST(tf_restoring_before_the_outputs_is_a_warning) { /* it gives what the variable has anyway */
  hone_context *cx;
  hone_model *m = NULL;
  hone_load_options o;
  int warnings = 0;
  fresh();
  REQUIRE(!hone_context_create(&cx));
  hone_context_set_log(cx, count_warning, &warnings);
  hone_load_options_init(&o), o.outputs = "restored";
  hone_status st = hone_model_load_with(cx, folder, &o, &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  CHECK(warnings == 1);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
  clean();
}

/* Small tables that would be read for long, or into much memory. */
TEST(tf_checkpoints_that_make_much_of_little_are_refused) {
  static bytes block, file;
  static char key[4001];
  memset(key, 'k', sizeof key - 1);
  fresh();
  put_header(&block);
  make_table(&file, &block, 2);
  write_file("variables/variables.index", file.p, file.n);
  refused(NULL, HONE_BAD_FORMAT, "variables.index: damaged table: its blocks overlap");
  put_header(&block);
  make_table(&file, &block, 1);
  write_file("variables/variables.index", file.p, file.n);
  refused(NULL, HONE_BAD_FORMAT, "it has two headers");
  block.n = 0;
  put_header(&block);
  put_entry(&block, key, "", 0);
  for (int i = 0; i < 300; i++) put_varint(&block, sizeof key - 1), put_varint(&block, 0), put_varint(&block, 0);
  make_table(&file, &block, 1);
  write_file("variables/variables.index", file.p, file.n);
  refused(NULL, HONE_BAD_FORMAT, "its keys are too long for its size");
  clean();
}

TEST(tf_a_saved_model_without_nodes_is_still_one) {
  static const unsigned char nothing[] = {8, 1, 0x12, 13, 10, 7, 0x22, 5, 's', 'e', 'r', 'v', 'e', 0x12, 2, 0x22, 0};
  fresh();
  write_file("saved_model.pb", nothing, sizeof nothing);
  refused(NULL, HONE_BAD_GRAPH, "the graph computes nothing");
  write_file("saved_model.pb", "\x0a\xff\xff", 3);
  refused(NULL, HONE_BAD_FORMAT, "saved_model.pb: not a readable TensorFlow model: it is truncated or damaged");
  clean();
}

TEST(tf_damaged_checkpoints_are_named) {
  static bytes index;
  fresh();
  write_file("variables/variables.data-00000-of-00001", weights, 7);
  refused(NULL, HONE_BAD_FORMAT, "cut short: variable 'weights/v' needs bytes 0 to 8 of 7");
  write_file("variables/variables.data-00000-of-00001", (const float[]){2, 4}, 8);
  refused(NULL, HONE_BAD_FORMAT, "the checksum of variable 'weights/v' does not match");
  make_index(&index, "other", weights, 2, 0);
  write_file("variables/variables.index", index.p, index.n);
  refused(NULL, HONE_BAD_FORMAT, "there is no variable 'v' in the checkpoint; it has 1: other");
  make_index(&index, "weights/v", weights, 2, 0);
  index.p[20] ^= 1;
  write_file("variables/variables.index", index.p, index.n);
  refused(NULL, HONE_BAD_FORMAT, "the checksum of a block does not match");
  write_file("variables/variables.index", index.p, index.n - 1);
  refused(NULL, HONE_BAD_FORMAT, "does not end as one does");
  clean();
  fresh();
  char path[256];
  snprintf(path, sizeof path, "%s/variables/variables.index", folder);
  remove(path);
  refused(NULL, HONE_IO, "variable 'v'");
  clean();
}
