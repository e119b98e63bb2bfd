/* test_h5.c - HDF5 files that tests/keras/make_h5.py wrote: every form that is read, and every byte damaged. */
#include <string.h>

#include "base/file.h"
#include "format/keras/h5_file.h"
#include "harness.h"
#include "hone.h"

#define FOLDER HONE_SOURCE_DIR "/tests/keras/h5/"

static hone_context *cx;
static hn_h5 *h;
static unsigned char *bytes;
static size_t size;

static void read_file(const char *name) {
  char path[512];
  snprintf(path, sizeof path, FOLDER "%s", name);
  FILE *f = fopen(path, "rb");
  REQUIRE(f != NULL);
  bytes = malloc(1 << 20);
  size = fread(bytes, 1, 1 << 20, f);
  fclose(f);
  REQUIRE(size > 0 && size < 1 << 20);
}

static void open_bytes(void) {
  REQUIRE(!hone_context_create(&cx));
  hone_status st = hn_h5_open(cx, "file.h5", bytes, size, &h);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
}

static void close_all(void) {
  hn_h5_close(&h);
  hone_context_destroy(&cx);
  free(bytes);
}

static hone_status join(void *user, const char *text) {
  if (strlen(user) + strlen(text) < 250) strcat(strcat(user, text), "|");
  return HONE_OK;
}

static void has_texts(const char *attr, const char *want) {
  char got[256] = "";
  hone_status st = hn_h5_texts(h, "/", attr, join, got);
  CHECK_MSG(!st && strcmp(got, want) == 0, "%s: \"%s\": %s", attr, got, hone_context_error(cx));
}

static void has_numbers(const char *path, hn_dtype type) {
  hn_tensor *t = NULL;
  hone_status st = hn_h5_tensor(h, path, &t);
  CHECK_MSG(!st && t->dtype == type && t->rank == 3 && t->count == 60, "%s: %s", path, hone_context_error(cx));
  for (int64_t i = 0; !st && i < t->count; i++) {
    double want = type == HONE_DTYPE_BOOL ? (double)(i % 2) : (double)i;
    CHECK_MSG(hn_load_f64(type, t->data, (size_t)i) == want, "%s: element %d is %g", path, (int)i, hn_load_f64(type, t->data, (size_t)i));
  }
  if (!st) hn_tensor_unref(t);
}

static void refused(const char *path, hone_status want, const char *part) {
  hn_tensor *t = NULL;
  hone_status st = hn_h5_tensor(h, path, &t);
  CHECK_MSG(st == want && strstr(hone_context_error(cx), part), "%s: %s: %s", path, hone_status_name(st), hone_context_error(cx));
  if (!st) hn_tensor_unref(t);
}

TEST(h5_forms_are_read) {
  static const struct {
    const char *path;
    hn_dtype type;
  } arrays[] = {{"g/f2", HONE_DTYPE_F16},  {"g/f4", HONE_DTYPE_F32},      {"g/>f8", HONE_DTYPE_F64},    {"g/i1", HONE_DTYPE_I8},      {"g/>i2", HONE_DTYPE_I16},
                {"g/i4", HONE_DTYPE_I32},  {"g/i8", HONE_DTYPE_I64},      {"g/u1", HONE_DTYPE_U8},      {"g/u2", HONE_DTYPE_U16},     {"g/u4", HONE_DTYPE_U32},
                {"g/u8", HONE_DTYPE_U64},  {"g/bool", HONE_DTYPE_BOOL},   {"g/chunks", HONE_DTYPE_F32}, {"/g/packed", HONE_DTYPE_F32}, {"g//summed", HONE_DTYPE_I16},
                {"g/compact", HONE_DTYPE_F32}};
  uint64_t n;
  char *text;
  read_file("earliest.h5");
  open_bytes();
  has_texts("text", "hello wörld|");
  has_texts("fixed", "one|three|");
  has_texts("list", "x||yy|");
  has_texts("spread", "p|q|r|");
  has_texts("absent", "");
  CHECK(!hn_h5_text(h, "/g", "absent", &text) && !text);
  CHECK(hn_h5_text(h, "/", "number", &text) == HONE_BAD_FORMAT);
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) has_numbers(arrays[i].path, arrays[i].type);
  CHECK(!hn_h5_count(h, "/g/sub/deep", &n) && n == 40);
  CHECK(hn_h5_has(h, "/g/sub/deep/w39") && !hn_h5_has(h, "/g/sub/deep/w40") && !hn_h5_has(h, "/g/f4/x"));
  refused("g/absent", HONE_BAD_FORMAT, "dataset 'g/absent' is not there");
  refused("g", HONE_BAD_FORMAT, "is not there");
  refused("g/nowhere", HONE_BAD_FORMAT, "has no content");
  close_all();
}

TEST(h5_newer_headers_are_read_and_heaps_refused) {
  read_file("latest.h5");
  open_bytes();
  has_texts("text", "hello wörld|");
  has_numbers("g/f4", HONE_DTYPE_F32);
  refused("many/w1", HONE_UNSUPPORTED, "fractal heap");
  close_all();
}

/* What fuzzing found in a library that was used before: a text that claims to be longer than its heap. */
TEST(h5_texts_do_not_reach_beyond_their_heap) {
  char *text = NULL;
  read_file("earliest.h5");
  for (size_t i = 0; i + 32 < size; i++)
    if (memcmp(bytes + i, "GCOL", 4) == 0) bytes[i + 31] = 0x2d;
  open_bytes();
  CHECK(hn_h5_text(h, "/", "text", &text) == HONE_BAD_FORMAT);
  CHECK_MSG(strstr(hone_context_error(cx), "text attribute cannot be read"), "%s", hone_context_error(cx));
  close_all();
}

/* Nothing but an answer or a line: what is read outside of the file, or without end, the sanitizers and the clock would tell. */
static void read_all(void) {
  static const char *const paths[] = {"g/f4", "g/packed", "g/compact", "g/sub/deep/w7"};
  uint64_t n;
  REQUIRE(!hone_context_create(&cx));
  if (!hn_h5_open(cx, "file.h5", bytes, size, &h)) {
    char got[1 << 12] = "";
    hn_tensor *t;
    (void)hn_h5_texts(h, "/", "spread", join, got);
    (void)hn_h5_count(h, "/g/sub", &n);
    for (size_t i = 0; i < 4; i++)
      if (!hn_h5_tensor(h, paths[i], &t)) hn_tensor_unref(t);
    hn_h5_close(&h);
  }
  hone_context_destroy(&cx);
}

TEST(h5_damage_is_answered) {
  read_file("earliest.h5");
  for (size_t i = 512; i < size; i += 3) {
    unsigned char kept = bytes[i];
    bytes[i] = (unsigned char)(kept ^ (i % 2 ? 0xff : 0x11));
    read_all();
    bytes[i] = kept;
  }
  size_t whole = size;
  for (size = 0; size < whole; size += 97) read_all();
  h = NULL, cx = NULL;
  free(bytes);
}
