/* test_engine.c - the engine file: what is used of it, what is checked when, and that it can always be made anew. */
#define _GNU_SOURCE
#include <unistd.h>

#include "base/map.h"
#include "device/kernel.h"
#include "engine/container.h"
#include "engine/engine.h"
#include "harness.h"
#include "run/model.h"

enum { OUTPUTS = 10 };
static char path[64], other[64];
static hone_context *cx;

static bool begin(void) {
  snprintf(path, sizeof path, "/tmp/hone-test-%d.hone", (int)getpid());
  snprintf(other, sizeof other, "/tmp/hone-test-%d-other.hone", (int)getpid());
  return hone_context_create(&cx) == HONE_OK;
}

static void end(void) {
  unlink(path);
  unlink(other);
  hone_context_destroy(&cx);
}

static hone_status open_session(const hone_model *m, hone_session **s) {
  static float image[784];
  for (int i = 0; i < 784; i++) image[i] = (float)(i % 29) / 29;
  hone_session_options o;
  hone_session_options_init(&o);
  o.threads = 1;
  hone_status st = hone_session_create(m, &o, s);
  if (!st) st = hone_session_set_input_shape(*s, 0, 4, (int64_t[]){1, 1, 28, 28});
  return st ? st : hone_session_set_input(*s, 0, image, sizeof image);
}

/* The outputs of a model for an image. */
static hone_status outputs(const hone_model *m, float out[OUTPUTS]) {
  hone_session *s = NULL;
  const void *data;
  size_t bytes;
  hone_status st = open_session(m, &s);
  if (!st) st = hone_session_run(s);
  if (!st) st = hone_session_output(s, 0, NULL, &data, &bytes);
  if (!st) memcpy(out, data, sizeof *out * OUTPUTS);
  hone_session_destroy(&s);
  return st;
}

static hone_status outputs_of(const char *file, float out[OUTPUTS]) {
  hone_model *m = NULL;
  hone_status st = hone_model_load(cx, file, &m);
  if (!st) st = outputs(m, out);
  hone_model_destroy(&m);
  return st;
}

static unsigned char *slurp(const char *file, size_t *n) {
  FILE *f = fopen(file, "rb");
  if (!f) return NULL;
  fseek(f, 0, SEEK_END);
  *n = (size_t)ftell(f);
  rewind(f);
  unsigned char *p = malloc(*n + 1);
  if (p && fread(p, 1, *n, f) != *n) *n = 0;
  fclose(f);
  return p;
}

static void spit(const char *file, const void *p, size_t n) {
  FILE *f = fopen(file, "wb");
  if (f) fwrite(p, 1, n, f), fclose(f);
}

static uint64_t u64_at(const unsigned char *p) {
  uint64_t v = 0;
  for (int i = 0; i < 8; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}
static void set_u64(unsigned char *p, uint64_t v) {
  for (int i = 0; i < 8; i++) p[i] = (unsigned char)(v >> (8 * i));
}

/* models/digits.onnx optimized, with its packed weights, in `path`. */
static bool make_engine(float out[OUTPUTS]) {
  hone_model *m = NULL;
  hone_session *s = NULL;
  hone_status st = hone_model_load(cx, HONE_SOURCE_DIR "/models/digits.onnx", &m);
  if (!st) st = hone_model_optimize(m, NULL);
  if (!st) st = open_session(m, &s);
  if (!st) st = hone_session_save(s, path);
  if (!st) st = outputs(m, out);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  hone_session_destroy(&s);
  hone_model_destroy(&m);
  return !st;
}

TEST(packed_weights_are_used_from_the_file) {
  float want[OUTPUTS], got[OUTPUTS];
  hone_model *m = NULL;
  size_t n;
  REQUIRE(begin() && make_engine(want));
  CHECK_MSG(!outputs_of(path, got), "%s", hone_context_error(cx));
  CHECK(memcmp(want, got, sizeof want) == 0);
  unsigned char *file = slurp(path, &n);
  REQUIRE(file);
  /* Packs are the last of the data: other numbers there change the outputs, other portable weights do not. */
  uint64_t plan = u64_at(file + 48);
  for (uint64_t i = plan / 4 * 4 - 4000; i + 4 <= plan; i += 4) memcpy(file + i, &(float){3}, 4);
  spit(other, file, n);
  CHECK(!outputs_of(other, got) && memcmp(want, got, sizeof want) != 0);
  REQUIRE(!hone_model_load(cx, other, &m));
  CHECK(hone_model_check(m, NULL, NULL) == HONE_BAD_FORMAT && strstr(hone_context_error(cx), "packed weights"));
  /* Saved without a plan it is whole again: packed weights are made of the portable ones. */
  CHECK(!hone_model_save(m, other));
  hone_model_destroy(&m);
  CHECK(!outputs_of(other, got) && memcmp(want, got, sizeof want) == 0);
  REQUIRE(!hone_model_load(cx, other, &m));
  uint64_t weights = 0, packs = 1;
  CHECK(!hone_model_check(m, &weights, &packs) && weights > 600000 && packs == 0);
  CHECK(!hone_model_metadata(m, HN_META_PACKS));
  hone_model_destroy(&m);
  free(file);
  end();
}

TEST(damaged_weights_are_found_when_asked) {
  float want[OUTPUTS];
  size_t n;
  hone_model *m = NULL;
  REQUIRE(begin() && make_engine(want));
  unsigned char *file = slurp(path, &n);
  REQUIRE(file);
  file[HN_ENGINE_HEADER + 100] ^= 4;
  spit(other, file, n);
  REQUIRE(!hone_model_load(cx, other, &m));
  CHECK(hone_model_check(m, NULL, NULL) == HONE_BAD_FORMAT && strstr(hone_context_error(cx), "weights of '"));
  hone_model_destroy(&m);
  free(file);
  end();
}

/* A machine or build for which the packs are not: they are left alone, the portable weights do. */
TEST(made_elsewhere) {
  static const char *const fields[] = {hn_kernels_id, "avx512", "avx2", "portable"};
  float want[OUTPUTS], got[OUTPUTS];
  size_t n;
  REQUIRE(begin() && make_engine(want));
  unsigned char *file = slurp(path, &n);
  REQUIRE(file);
  uint64_t plan = u64_at(file + 48);
  uint32_t size = (uint32_t)u64_at(file + 12);
  int tried = 0;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    unsigned char *p = memmem(file + plan, size, fields[i], strlen(fields[i]));
    hone_model *m = NULL;
    if (!p) continue;
    tried++;
    p[1] ^= 1;
    set_u64(file + 56, hn_hash(file + plan, size, HN_ENGINE_VERSION));
    spit(other, file, n);
    p[1] ^= 1;
    hone_status st = hone_model_load(cx, other, &m);
    CHECK_MSG(!st && strstr(hone_model_metadata(m, HN_META_PACKS), "not used"), "%s", st ? hone_context_error(cx) : fields[i]);
    if (!st) CHECK(!outputs(m, got) && memcmp(want, got, sizeof want) == 0);
    hone_model_destroy(&m);
  }
  CHECK(tried == 2);
  free(file);
  end();
}

TEST(versions) {
  float want[OUTPUTS];
  size_t n;
  hone_model *m = NULL;
  REQUIRE(begin() && make_engine(want));
  unsigned char *file = slurp(path, &n);
  REQUIRE(file);
  file[8] = 99;
  spit(other, file, n);
  CHECK(hone_model_load(cx, other, &m) == HONE_UNSUPPORTED && strstr(hone_context_error(cx), "version 99"));
  free(file);
  /* A file of version 2, as that version wrote it: read, and made anew from itself. */
  REQUIRE(!hone_model_load(cx, HONE_SOURCE_DIR "/tests/data/version2.hone", &m));
  hone_session *s = NULL;
  float in[192], old[16], new[16];
  const void *data;
  size_t bytes;
  for (int i = 0; i < 192; i++) in[i] = (float)(i % 7);
  for (int k = 0; k < 2; k++) {
    hone_status st = hone_session_create(m, NULL, &s);
    if (!st) st = hone_session_set_input(s, 0, in, sizeof in);
    if (!st) st = hone_session_run(s);
    if (!st) st = hone_session_output(s, 0, NULL, &data, &bytes);
    if (!st && !k) st = hone_session_save(s, path);
    CHECK_MSG(!st && bytes == sizeof old, "%s", hone_context_error(cx));
    if (!st) memcpy(k ? new : old, data, sizeof old);
    hone_session_destroy(&s);
    hone_model_destroy(&m);
    if (!k) REQUIRE(!hone_model_load(cx, path, &m));
  }
  CHECK(memcmp(old, new, sizeof old) == 0);
  file = slurp(path, &n);
  CHECK(file && file[8] == HN_ENGINE_VERSION);
  free(file);
  end();
}

/* Any byte of header and sections changed, and any cut: refused, or read as what it was. */
TEST(damage_is_refused) {
  float want[OUTPUTS];
  size_t n;
  hone_model *m = NULL;
  REQUIRE(begin() && make_engine(want));
  unsigned char *file = slurp(path, &n);
  REQUIRE(file);
  uint64_t plan = u64_at(file + 48), graph = u64_at(file + 16);
  uint32_t plan_n = (uint32_t)u64_at(file + 12);
  int read = 0;
  for (size_t i = 0; i < n; i += i < 80 ? 1 : i < plan ? plan - i : 41) {
    bool section = i < HN_ENGINE_HEADER || (i >= plan && i < plan + plan_n) || i >= graph;
    file[i] ^= 0x21;
    spit(other, file, n);
    file[i] ^= 0x21;
    if (hone_model_load(cx, other, &m) != HONE_OK) continue;
    read += section;
    hone_model_destroy(&m);
  }
  CHECK_MSG(read == 0, "%d damaged files were read", read);
  for (size_t i = 0; i < n; i += n / 97) {
    spit(other, file, i);
    CHECK(hone_model_load(cx, other, &m) != HONE_OK);
  }
  free(file);
  end();
}
