/* test_cuda_session.c - sessions on the emulated CUDA device: recorded runs give what the first gave, for changing inputs; lanes
   beside each other; a device that is lost between runs stays lost, and says so. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "hone.h"

enum { PIXELS = 28 * 28, CLASSES = 10 };

static hone_context *cx;

static hone_session *open_session(const char *device) {
  hone_model *m;
  hone_session_options o;
  hone_session *s = NULL;
  hone_session_options_init(&o);
  o.devices = device;
  hone_optimize_options p;
  hone_optimize_options_init(&p);
  if (hone_model_load(cx, HONE_SOURCE_DIR "/models/digits.onnx", &m) || hone_model_optimize(m, &p) ||
      hone_session_create(m, &o, &s))
    printf("%s\n", hone_context_error(cx));
  hone_model_destroy(&m);
  if (s && hone_session_set_input_shape(s, 0, 4, (const int64_t[]){1, 1, 28, 28})) printf("%s\n", hone_context_error(cx));
  return s;
}

static void fill(float *image, unsigned seed) {
  for (int i = 0; i < PIXELS; i++) {
    seed = seed * 1664525u + 1013904223u;
    image[i] = (float)(seed >> 8 & 0xffff) / 65536.0f;
  }
}

static hone_status run(hone_session *s, const float *image, float *logits) {
  const void *data;
  size_t bytes;
  hone_status st = hone_session_set_input(s, 0, image, sizeof *image * PIXELS);
  if (!st) st = hone_session_run(s);
  if (!st) st = hone_session_output(s, 0, NULL, &data, &bytes);
  if (!st) memcpy(logits, data, bytes < sizeof(float) * CLASSES ? bytes : sizeof(float) * CLASSES);
  return st;
}

TEST(recorded_runs_compute_what_single_steps_do) {
  float image[PIXELS], once[CLASSES], again[CLASSES], other[CLASSES];
  REQUIRE(!hone_context_create(&cx));
  hone_session *recorded = open_session("cuda"), *single = open_session("cuda:graphs=0");
  if (!recorded || !single) exit(77);
  for (unsigned r = 0; r < 4; r++) {
    fill(image, r);
    REQUIRE(!run(recorded, image, again));
    REQUIRE(!run(single, image, other));
    CHECK(memcmp(again, other, sizeof again) == 0);
    if (!r) memcpy(once, again, sizeof once);
  }
  fill(image, 0);
  REQUIRE(!run(recorded, image, again));
  CHECK(memcmp(once, again, sizeof once) == 0);
  hone_session_destroy(&recorded);
  hone_session_destroy(&single);
  hone_context_destroy(&cx);
}

/* Last: the device is lost for the rest of the process. */
TEST(a_lost_device_stays_lost) {
  float image[PIXELS], logits[CLASSES];
  REQUIRE(!hone_context_create(&cx));
  hone_session *s = open_session("cuda");
  REQUIRE(s);
  fill(image, 1);
  hone_status st = HONE_OK;
  int runs = 0;
  for (; runs < 1000 && !st; runs++) st = run(s, image, logits);
  CHECK_MSG(st == HONE_DEVICE && runs > 1, "after %d runs: %s", runs, hone_context_error(cx));
  CHECK_MSG(strstr(hone_context_error(cx), "is lost") && strstr(hone_context_error(cx), "layer '"), "%s", hone_context_error(cx));
  st = run(s, image, logits);
  CHECK_MSG(st == HONE_DEVICE && strstr(hone_context_error(cx), "was lost before"), "%s", hone_context_error(cx));
  hone_session_destroy(&s);
  hone_context_destroy(&cx);
}
