/* test_keras.c - small Keras models of every kind of layer, in all three forms, against what tests/keras/reference.py
   computed; before and after optimization. */
#include <dirent.h>
#include <math.h>

#include "harness.h"
#include "hone.h"

enum { MAX_PORTS = 128 };
#define MODELS HONE_SOURCE_DIR "/tests/keras/models"

typedef struct port {
  char name[128];
  uint32_t rank;
  int64_t dims[HONE_MAX_RANK];
  size_t count;
  const float *data;
} port;

typedef struct expected {
  port in[MAX_PORTS], out[MAX_PORTS];
  uint32_t n_in, n_out;
  float *data;
} expected;

static bool read_expected(const char *base, expected *e) {
  char path[512], kind[16], dims[128];
  size_t total = 0;
  *e = (expected){.n_in = 0};
  snprintf(path, sizeof path, "%s.txt", base);
  FILE *f = fopen(path, "r");
  if (!f) return false;
  port p;
  while (memset(&p, 0, sizeof p), fscanf(f, "%15s %127s %127s", kind, p.name, dims) == 3) {
    p.count = 1;
    for (char *d = strtok(dims, "x"); d; d = strtok(NULL, "x")) p.count *= (size_t)(p.dims[p.rank++] = atoll(d));
    p.data = (float *)(total * sizeof(float)); /* an offset until the data is there */
    total += p.count;
    if (strcmp(kind, "input") == 0) e->in[e->n_in++] = p;
    else e->out[e->n_out++] = p;
  }
  fclose(f);
  snprintf(path, sizeof path, "%s.bin", base);
  f = fopen(path, "rb");
  e->data = malloc(total * sizeof(float) + 1);
  bool ok = f && fread(e->data, sizeof(float), total, f) == total;
  if (f) fclose(f);
  for (uint32_t i = 0; i < e->n_in; i++) e->in[i].data = e->data + (size_t)e->in[i].data / sizeof(float);
  for (uint32_t i = 0; i < e->n_out; i++) e->out[i].data = e->data + (size_t)e->out[i].data / sizeof(float);
  return ok;
}

static void check_output(const char *model, const hone_session *s, uint32_t i, const port *want) {
  hone_tensor_info info;
  const void *data;
  const float *got;
  double worst = 0;
  REQUIRE(hone_session_output(s, i, &info, &data, NULL) == HONE_OK);
  CHECK_STR(info.name, want->name);
  CHECK_MSG(info.dtype == HONE_DTYPE_F32 && info.rank == (int32_t)want->rank, "%s: %s has rank %d", model, want->name, info.rank);
  for (uint32_t k = 0; k < want->rank && info.rank == (int32_t)want->rank; k++)
    if (info.dims[k] != want->dims[k]) {
      CHECK_MSG(false, "%s: dimension %u of %s is %lld, not %lld", model, k, want->name, (long long)info.dims[k], (long long)want->dims[k]);
      return;
    }
  if (info.dtype != HONE_DTYPE_F32 || info.rank != (int32_t)want->rank) return;
  got = data;
  for (size_t k = 0; k < want->count; k++) {
    double d = fabs((double)got[k] - (double)want->data[k]) / (1 + fabs((double)want->data[k]));
    if (!(d <= worst)) worst = d;
  }
  CHECK_MSG(worst < 2e-5, "%s: %s is off by %g", model, want->name, worst);
}

static void run_and_check(const char *name, hone_context *cx, hone_model *m, const expected *e) {
  hone_session *s = NULL;
  hone_session_options o;
  hone_session_options_init(&o);
  o.threads = 1;
  hone_status st = hone_session_create(m, &o, &s);
  CHECK_MSG(!st && hone_model_input_count(m) == e->n_in && hone_model_output_count(m) == e->n_out, "%s: %s", name, hone_context_error(cx));
  for (uint32_t i = 0; !st && i < e->n_in; i++) {
    hone_tensor_info info;
    hone_model_input_info(m, i, &info);
    CHECK_STR(info.name, e->in[i].name);
    st = hone_session_set_input_shape(s, i, e->in[i].rank, e->in[i].dims);
    if (!st) st = hone_session_set_input(s, i, e->in[i].data, e->in[i].count * sizeof(float));
  }
  if (!st) st = hone_session_run(s);
  CHECK_MSG(!st, "%s: %s", name, hone_context_error(cx));
  for (uint32_t i = 0; !st && i < e->n_out && i < hone_model_output_count(m); i++) check_output(name, s, i, &e->out[i]);
  hone_session_destroy(&s);
}

static void check_model(const char *path, const char *base) {
  hone_context *cx;
  hone_model *m = NULL;
  expected e;
  REQUIRE(read_expected(base, &e));
  REQUIRE(hone_context_create(&cx) == HONE_OK);
  hone_status st = hone_model_load(cx, path, &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (!st) {
    run_and_check(path, cx, m, &e);
    hone_optimize_options o;
    hone_optimize_options_init(&o);
    o.verify = true;
    st = hone_model_optimize(m, &o);
    CHECK_MSG(!st, "%s: %s", path, hone_context_error(cx));
    if (!st) run_and_check(path, cx, m, &e);
  }
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
  free(e.data);
}

TEST(models_compute_what_the_reference_says) {
  static const char *const forms[] = {".h5", ".keras", "/model.json"};
  DIR *d = opendir(MODELS);
  int n = 0;
  REQUIRE(d != NULL);
  for (struct dirent *f; (f = readdir(d));) {
    char base[512], path[600];
    size_t len = strlen(f->d_name);
    if (len < 5 || strcmp(f->d_name + len - 4, ".txt") != 0) continue;
    snprintf(base, sizeof base, MODELS "/%.*s", (int)len - 4, f->d_name);
    for (size_t i = 0; i < 3; i++) {
      snprintf(path, sizeof path, "%s%s", base, forms[i]);
      FILE *there = fopen(path, "rb");
      if (!there) continue;
      fclose(there);
      check_model(path, base);
      n++;
    }
  }
  closedir(d);
  CHECK(n >= 20);
}

/* ---- stateful layers: as the others, with a warning */

static void count_warning(void *user, hone_log_level level, const char *message) {
  if (level == HONE_LOG_WARNING && strstr(message, "stateful=True: each run begins at a state of zeros")) ++*(int *)user;
}

static void check_stateful(const char *base, int want) {
  static const char from[] = "\"stateful\": false", to[] = "\"stateful\": true ";
  static char bytes[1 << 20];
  char path[512];
  int warnings = 0, changed = 0;
  hone_context *cx;
  hone_model *m = NULL;
  expected e;
  REQUIRE(read_expected(base, &e) && hone_context_create(&cx) == HONE_OK);
  snprintf(path, sizeof path, "%s.h5", base);
  FILE *f = fopen(path, "rb");
  REQUIRE(f != NULL);
  size_t n = fread(bytes, 1, sizeof bytes, f);
  fclose(f);
  REQUIRE(n > sizeof from && n < sizeof bytes);
  for (size_t i = 0; i + sizeof from <= n; i++)
    if (memcmp(bytes + i, from, sizeof from - 1) == 0) memcpy(bytes + i, to, sizeof to - 1), changed++;
  hone_context_set_log(cx, count_warning, &warnings);
  hone_status st = hone_model_load_memory(cx, bytes, n, &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (!st) run_and_check(path, cx, m, &e);
  CHECK_MSG(changed == want && warnings == want, "%d layers made stateful, %d warnings, not %d", changed, warnings, want);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
  free(e.data);
}

TEST(stateful_layers_begin_at_zero) {
  check_stateful(MODELS "/recurrent", 15);
  check_stateful(MODELS "/conv_lstm", 4);
}

/* ---- what must be refused, with one line that says why */

static void check_refused(const char *name, hone_status want, const char *const *words) {
  char path[512];
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(hone_context_create(&cx) == HONE_OK);
  snprintf(path, sizeof path, MODELS "/bad/%s", name);
  hone_status st = hone_model_load(cx, path, &m);
  CHECK_MSG(st == want, "%s: %s: %s", name, hone_status_name(st), st ? hone_context_error(cx) : "was read");
  for (; st && *words; words++) CHECK_MSG(strstr(hone_context_error(cx), *words), "%s: '%s' is not in: %s", name, *words, hone_context_error(cx));
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

#define REFUSED(name, status, ...) check_refused(name, status, (const char *const[]){__VA_ARGS__, NULL})

TEST(bad_models_are_refused) {
  REFUSED("missing_weights.h5", HONE_BAD_GRAPH, "one/kernel", "one/bias", "two/kernel", "two/bias");
  REFUSED("missing_dataset.h5", HONE_BAD_FORMAT, "two/two/kernel:0");
  REFUSED("wrong_shape.h5", HONE_BAD_GRAPH, "'one'", "kernel", "4x3", "4x5");
  REFUSED("weights_only.h5", HONE_BAD_FORMAT, "model_config");
  REFUSED("not_json.h5", HONE_BAD_FORMAT, "JSON");
  REFUSED("no_layers.h5", HONE_BAD_FORMAT, "no layers");
  REFUSED("subclass.h5", HONE_UNSUPPORTED, "MyModel");
  REFUSED("huge_dataset.h5", HONE_BAD_FORMAT, "large");
  REFUSED("vast_dataset.h5", HONE_BAD_FORMAT, "larger than the file");
  REFUSED("external_link.h5", HONE_BAD_FORMAT, "kernel");
  REFUSED("external_storage.h5", HONE_BAD_FORMAT, "another file");
  REFUSED("text_weight.h5", HONE_BAD_FORMAT, "not of numbers");
  REFUSED("unknown_layers.h5", HONE_UNSUPPORTED, "Lambda", "Python", "MyLayer", "ThinLayer");
  REFUSED("cycle.h5", HONE_BAD_GRAPH, "cycle");
  REFUSED("mask.h5", HONE_UNSUPPORTED, "softmax", "mask");
  REFUSED("unheeded.h5", HONE_UNSUPPORTED, "re_lu", "'scale'");
  REFUSED("deep.h5", HONE_BAD_FORMAT, "nested");
  REFUSED("truncated.h5", HONE_BAD_FORMAT, "truncated");
  REFUSED("header_only.h5", HONE_BAD_FORMAT, "truncated");
  REFUSED("truncated.keras", HONE_BAD_FORMAT, "not a model");
  REFUSED("bomb.keras", HONE_BAD_FORMAT, "model.weights.h5", "unpack");
  REFUSED("no_weights.keras", HONE_BAD_FORMAT, "model.weights.h5");
  REFUSED("checksum.keras", HONE_BAD_FORMAT, "damaged");
  REFUSED("tfjs_outside/model.json", HONE_BAD_FORMAT, "outside");
  REFUSED("tfjs_absolute/model.json", HONE_BAD_FORMAT, "outside");
  REFUSED("tfjs_short/model.json", HONE_BAD_FORMAT, "cut short");
  REFUSED("tfjs_huge/model.json", HONE_BAD_FORMAT, "impossible");
  REFUSED("tfjs_graph/model.json", HONE_UNSUPPORTED, "graph-model");
}
