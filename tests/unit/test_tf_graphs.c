/* test_tf_graphs.c - the graphs of tests/tensorflow/graphs against what numpy computed for them: read as they are, optimized, and
   written for TensorFlow and as ONNX and read again, where the graph keeps the names of its tensors. */
#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "harness.h"
#include "hone.h"

enum { MAX_TENSORS = 256 };
#define GRAPHS HONE_SOURCE_DIR "/tests/tensorflow/graphs"

typedef struct tensor {
  char name[128];
  hone_dtype dtype;
  uint32_t rank;
  int64_t dims[HONE_MAX_RANK];
  size_t count, bytes;
  const unsigned char *data;
} tensor;

typedef struct expected {
  tensor in[MAX_TENSORS], out[MAX_TENSORS];
  uint32_t n_in, n_out;
  bool unwritable; /* it has what TensorFlow's operators do not spell: loops, conditions */
  bool no_onnx;    /* or ONNX' */
  unsigned char *data;
} expected;

static hone_dtype dtype_of(const char *name) {
  return strcmp(name, "float32") == 0 ? HONE_DTYPE_F32 : strcmp(name, "int32") == 0 ? HONE_DTYPE_I32 : strcmp(name, "int64") == 0 ? HONE_DTYPE_I64
         : strcmp(name, "uint8") == 0 ? HONE_DTYPE_U8 : strcmp(name, "bool") == 0 ? HONE_DTYPE_BOOL : HONE_DTYPE_UNDEFINED;
}

static bool read_expected(const char *base, expected *e) {
  char path[512], kind[16], form[128];
  size_t total = 0;
  memset(e, 0, sizeof *e);
  snprintf(path, sizeof path, "%s.txt", base);
  FILE *f = fopen(path, "r");
  if (!f) return false;
  tensor t;
  while (memset(&t, 0, sizeof t), fscanf(f, "%15s %127s %127s", kind, t.name, form) == 3) {
    if (strcmp(kind, "option") == 0) {
      e->unwritable = e->unwritable || strcmp(t.name, "unwritable") == 0;
      e->no_onnx = e->no_onnx || strcmp(t.name, "no-onnx") == 0;
      continue;
    }
    char *colon = strchr(form, ':');
    *colon = 0;
    t.dtype = dtype_of(form);
    t.count = 1;
    for (char *d = strtok(colon + 1, "x"); d; d = strtok(NULL, "x")) t.count *= (size_t)(t.dims[t.rank++] = atoll(d));
    t.bytes = t.count * hone_dtype_size(t.dtype);
    t.data = (const unsigned char *)total; /* an offset until the data is there */
    total += t.bytes;
    if (strcmp(kind, "input") == 0) e->in[e->n_in++] = t;
    else e->out[e->n_out++] = t;
  }
  fclose(f);
  snprintf(path, sizeof path, "%s.bin", base);
  f = fopen(path, "rb");
  e->data = malloc(total + 1);
  bool ok = f && fread(e->data, 1, total, f) == total;
  if (f) fclose(f);
  for (uint32_t i = 0; i < e->n_in; i++) e->in[i].data = e->data + (size_t)e->in[i].data;
  for (uint32_t i = 0; i < e->n_out; i++) e->out[i].data = e->data + (size_t)e->out[i].data;
  return ok && e->n_out;
}

/* The expected arrays follow one another in a file and are not aligned. */
static double number(const tensor *t, const void *data, size_t i) {
  union { float f; int32_t i; int64_t l; unsigned char b; } x;
  size_t size = hone_dtype_size(t->dtype);
  memcpy(&x, (const char *)data + i * size, size);
  switch (t->dtype) {
    case HONE_DTYPE_F32: return (double)x.f;
    case HONE_DTYPE_I32: return x.i;
    case HONE_DTYPE_I64: return (double)x.l;
    default: return x.b;
  }
}

static void check_output(const char *what, const hone_session *s, uint32_t i, const expected *e) {
  hone_tensor_info info;
  const void *data;
  size_t bytes, k = 0, bad = 0;
  double worst = 0;
  REQUIRE(hone_session_output(s, i, &info, &data, &bytes) == HONE_OK);
  while (k < e->n_out && strcmp(e->out[k].name, info.name) != 0) k++;
  const tensor *w = &e->out[k];
  CHECK_MSG(k < e->n_out, "%s: there is an output '%s'", what, info.name);
  if (k == e->n_out) return;
  bool same = info.rank == (int32_t)w->rank && info.dtype == w->dtype && bytes == w->bytes;
  for (uint32_t d = 0; same && d < w->rank; d++) same = info.dims[d] == w->dims[d];
  CHECK_MSG(same, "%s: %s has another shape or type: rank %d not %u, type %s, %zu bytes not %zu", what, w->name, info.rank, w->rank, hone_dtype_name(info.dtype), bytes, w->bytes);
  for (size_t n = 0; same && n < w->count; n++) {
    double want = number(w, w->data, n), d = fabs(number(w, data, n) - want) / (1 + fabs(want));
    if (!(d <= worst)) worst = d, bad = n;
  }
  CHECK_MSG(worst < 2e-5, "%s: %s: element %zu is %g, not %g", what, w->name, bad, number(w, data, bad), number(w, w->data, bad));
}

static void run_and_check(const char *what, hone_context *cx, const hone_model *m, const expected *e, bool reference) {
  hone_session *s = NULL;
  hone_session_options o;
  hone_session_options_init(&o);
  o.threads = 1;
  o.reference = reference;
  hone_status st = hone_session_create(m, &o, &s);
  CHECK_MSG(!st && hone_model_input_count(m) == e->n_in && hone_model_output_count(m) == e->n_out, "%s: %u inputs, %u outputs: %s", what, hone_model_input_count(m),
            hone_model_output_count(m), hone_context_error(cx));
  for (uint32_t i = 0; !st && i < hone_model_input_count(m); i++) {
    hone_tensor_info info;
    uint32_t k = 0;
    hone_model_input_info(m, i, &info);
    while (k < e->n_in && strcmp(e->in[k].name, info.name) != 0) k++;
    CHECK_MSG(k < e->n_in && e->in[k].dtype == info.dtype, "%s: input '%s'", what, info.name);
    if (k == e->n_in) break;
    st = hone_session_set_input_shape(s, i, e->in[k].rank, e->in[k].dims);
    if (!st) st = hone_session_set_input(s, i, e->in[k].data, e->in[k].bytes);
  }
  if (!st) st = hone_session_run(s);
  CHECK_MSG(!st, "%s: %s", what, hone_context_error(cx));
  for (uint32_t i = 0; !st && i < e->n_out && i < hone_model_output_count(m); i++) check_output(what, s, i, e);
  hone_session_destroy(&s);
}

/* Written and read again. */
static void check_written(const char *name, hone_context *cx, const hone_model *m, const expected *e, const char *format) {
  char path[128], what[256];
  bool onnx = strcmp(format, "onnx") == 0, refused = onnx ? e->no_onnx : e->unwritable;
  hone_model *again = NULL;
  snprintf(path, sizeof path, "tf_graphs_%ld.%s", (long)getpid(), format);
  snprintf(what, sizeof what, "%s as %s", name, format);
  hone_status st = hone_model_save_as(m, path, format);
  CHECK_MSG(!st == !refused, "%s: %s", what, hone_context_error(cx));
  if (refused) CHECK_MSG(strstr(hone_context_error(cx), onnx ? "ONNX" : "TensorFlow"), "%s: %s", what, hone_context_error(cx));
  if (!st) st = hone_model_load(cx, path, &again);
  CHECK_MSG(refused || !st, "%s: %s", what, hone_context_error(cx));
  if (again) run_and_check(what, cx, again, e, false);
  for (uint32_t i = 0; again && !onnx && i < hone_model_output_count(again); i++) { /* the tensors are called as before */
    hone_tensor_info info;
    char key[256];
    hone_model_output_info(m, i, &info);
    snprintf(key, sizeof key, "tf.output.%s", info.name);
    const char *before = hone_model_metadata(m, key), *after = hone_model_metadata(again, key);
    CHECK_MSG(before && after && strncmp(before, after, strcspn(before, ":")) == 0, "%s: output '%s' was the tensor '%s', is '%s'", what, info.name, before ? before : "", after ? after : "");
  }
  hone_model_destroy(&again);
  char graph[160];
  snprintf(graph, sizeof graph, "%s/saved_model.pb", path);
  unlink(graph);
  remove(path);
}

static void check_graph(const char *name) {
  char path[600], base[512];
  hone_context *cx;
  hone_model *m = NULL;
  expected e;
  snprintf(base, sizeof base, GRAPHS "/%s", name);
  snprintf(path, sizeof path, "%s.pb", base);
  REQUIRE(read_expected(base, &e));
  REQUIRE(hone_context_create(&cx) == HONE_OK);
  hone_status st = hone_model_load(cx, path, &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (!st) {
    hone_optimize_options o;
    run_and_check(name, cx, m, &e, true);
    run_and_check(name, cx, m, &e, false);
    check_written(name, cx, m, &e, "graphdef");
    hone_optimize_options_init(&o);
    o.verify = true;
    st = hone_model_optimize(m, &o);
    CHECK_MSG(!st, "%s: %s", name, hone_context_error(cx));
    if (!st) run_and_check(name, cx, m, &e, false);
    if (!st) check_written(name, cx, m, &e, "graphdef");
    if (!st) check_written(name, cx, m, &e, "savedmodel");
    if (!st) check_written(name, cx, m, &e, "onnx");
  }
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
  free(e.data);
}

TEST(graphs_compute_what_the_reference_says) {
  DIR *d = opendir(GRAPHS);
  const char *only = getenv("HONE_TF_GRAPH");
  int n = 0;
  REQUIRE(d != NULL);
  for (struct dirent *f; (f = readdir(d));) {
    char name[128], *dot;
    snprintf(name, sizeof name, "%.100s", f->d_name);
    if (!(dot = strstr(name, ".txt")) || (only && strncmp(name, only, strlen(only)) != 0)) continue;
    *dot = 0;
    check_graph(name);
    n++;
  }
  closedir(d);
  CHECK(n >= (only ? 1 : 9));
}
