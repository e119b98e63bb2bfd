/* test_tf_checkpoint.c - checkpoints of TensorFlow's first format, which tests/tensorflow/make_checkpoints.py wrote: read, and damaged. */
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "hone.h"

#define CHECKPOINTS HONE_SOURCE_DIR "/tests/tensorflow/checkpoints"

static char folder[64];
static unsigned char bytes[8192];

static size_t read_bytes(const char *path) {
  FILE *f = fopen(path, "rb");
  size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
  if (f) fclose(f);
  return n;
}

static void write_bytes(const char *name, size_t n) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  CHECK(f && fwrite(bytes, 1, n, f) == n);
  if (f) fclose(f);
}

static const char *const names[] = {"checkpoint", "model-7.meta", "model-7-00000-of-00002", "model-7-00001-of-00002"};

/* A copy of the sharded checkpoint, to be damaged. */
static void fresh(void) {
  snprintf(folder, sizeof folder, "tf_checkpoint_%ld", (long)getpid());
  mkdir(folder, 0777);
  for (size_t i = 0; i < 4; i++) {
    char path[512];
    snprintf(path, sizeof path, CHECKPOINTS "/sharded/%s", names[i]);
    size_t n = read_bytes(path);
    REQUIRE(n > 0);
    write_bytes(names[i], n);
  }
}

static void clean(void) {
  for (size_t i = 0; i < 4; i++) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    remove(path);
  }
  rmdir(folder);
}

static hone_status load(hone_context *cx, const char *path, const char *outputs, hone_model **m) {
  hone_load_options o;
  hone_load_options_init(&o);
  o.outputs = outputs;
  return hone_model_load_with(cx, path, &o, m);
}

static void computes(const char *path, const float *x, int64_t rank, const int64_t *dims, const float *want, int n) {
  hone_context *cx;
  hone_model *m = NULL;
  hone_session *s = NULL;
  const void *data;
  size_t size = sizeof *x, bytes_out;
  for (int64_t i = 0; i < rank; i++) size *= (size_t)dims[i];
  REQUIRE(!hone_context_create(&cx));
  hone_status st = load(cx, path, "y", &m);
  if (!st) st = hone_session_create(m, NULL, &s);
  if (!st) st = hone_session_set_input_shape(s, 0, (uint32_t)rank, dims);
  if (!st) st = hone_session_set_input(s, 0, x, size);
  if (!st) st = hone_session_run(s);
  if (!st) st = hone_session_output(s, 0, NULL, &data, &bytes_out);
  CHECK_MSG(!st && bytes_out == (size_t)n * sizeof *want, "%s: %s", path, hone_context_error(cx));
  for (int i = 0; i < n && !st; i++) CHECK_MSG(((const float *)data)[i] == want[i], "%s: element %d is %g, not %g", path, i, (double)((const float *)data)[i], (double)want[i]);
  hone_session_destroy(&s);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

static void refused(const char *path, const char *outputs, hone_status want, const char *part) {
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = load(cx, path, outputs, &m);
  CHECK_MSG(st == want, "%s: %s", hone_status_name(st), hone_context_error(cx));
  CHECK_MSG(strstr(hone_context_error(cx), part), "\"%s\" does not say \"%s\"", hone_context_error(cx), part);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

TEST(shards_and_partitions_of_the_first_format) {
  static const float x[8] = {1, 1, 1, 1, 0, 0, 0, 1}; /* y = (x w + b) * -3, w[i][j] = (3 i + j) / 2, b = 1, -2, 3 */
  static const float want[6] = {-30, -27, -48, -16.5f, -9, -25.5f};
  computes(CHECKPOINTS "/sharded", x, 2, (const int64_t[]){2, 4}, want, 6);
  computes(CHECKPOINTS "/sharded/model-7.meta", x, 2, (const int64_t[]){2, 4}, want, 6);
}

TEST(one_file_of_the_first_format_with_compressed_blocks) {
  float x[20], want[20];
  for (int i = 0; i < 20; i++) x[i] = (float)-i / 4, want[i] = x[i] + 2 + (float)i;
  computes(CHECKPOINTS "/single", x, 1, (const int64_t[]){20}, want, 20);
  computes(CHECKPOINTS "/single/model.ckpt.meta", x, 1, (const int64_t[]){20}, want, 20);
}

TEST(values_without_their_graph) {
  refused(CHECKPOINTS "/single/model.ckpt", NULL, HONE_BAD_FORMAT, "a TensorFlow checkpoint: give its folder, or the .meta beside it");
}

TEST(damage_to_the_first_format_is_named) {
  char path[512];
  fresh();
  snprintf(path, sizeof path, "%s/model-7-00001-of-00002", folder);
  size_t n = read_bytes(path);
  write_bytes("model-7-00001-of-00002", n - 1);
  refused(folder, "y", HONE_BAD_FORMAT, "model-7-00001-of-00002: damaged table: it does not end as one does");
  int unnoticed = 0;
  for (size_t i = 0; i + 48 < n; i += 7) {
    bytes[i] ^= 0x10;
    write_bytes("model-7-00001-of-00002", n);
    bytes[i] ^= 0x10;
    hone_context *cx;
    hone_model *m = NULL;
    REQUIRE(!hone_context_create(&cx));
    hone_status st = load(cx, folder, "y", &m);
    CHECK_MSG(st == HONE_OK || (st == HONE_BAD_FORMAT && strstr(hone_context_error(cx), "model-7-00001")), "byte %zu: %s", i, hone_context_error(cx));
    unnoticed += !st;
    hone_model_destroy(&m);
    hone_context_destroy(&cx);
  }
  CHECK(unnoticed <= 2); /* an empty block of 13 bytes that nothing reads */
  remove(path);
  refused(folder, "y", HONE_IO, "model-7-00001-of-00002");
  snprintf(path, sizeof path, "%s/model-7-00000-of-00002", folder);
  write_bytes("model-7-00001-of-00002", read_bytes(path)); /* the other half of w is not there, nor is b */
  refused(folder, "w/part_1/read", HONE_BAD_FORMAT, "slices of 'w' overlap");
  refused(folder, "b/read", HONE_BAD_FORMAT, "there is no variable 'b' in the checkpoint; it has 3: w, scale, labels");
  clean();
}
