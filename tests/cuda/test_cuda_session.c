/* test_cuda_session.c - sessions on the emulated CUDA device: recorded runs give what the first gave, for changing inputs; lanes
   beside each other; what cannot be allocated or launched is an error that leaves the rest usable; a device that is lost
   between runs stays lost, and says so. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "hone.h"

enum { PIXELS = 28 * 28, CLASSES = 10 };

static hone_context *cx;

/* Of the emulated run time, which is loaded with the device. */
static long (*count)(const char *calls);
static void (*fail)(const char *calls, long after, long n);

static bool is_emulated(void) {
  void *library = dlopen("libhone-emulated.so", RTLD_NOW | RTLD_NOLOAD);
  if (!library) return false;
  *(void **)&count = dlsym(library, "hn_emulated_count");
  *(void **)&fail = dlsym(library, "hn_emulated_fail");
  dlclose(library);
  return count && fail;
}

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
  REQUIRE(is_emulated());
  long before = count("replays"), each = 0;
  for (unsigned r = 0; r < 4; r++) {
    fill(image, r);
    REQUIRE(!run(recorded, image, again));
    long replays = count("replays") - before;
    if (r == 1) each = replays;
    CHECK_MSG(replays == each * r && (!r || each > 0), "%ld replays after run %u", replays, r);
    before -= count("replays");
    REQUIRE(!run(single, image, other));
    before += count("replays");
    CHECK_MSG(count("replays") - before == replays, "single steps are replayed");
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

/* Does the session begin and run with these calls refused? Whatever happens, the message is one line. */
static hone_status try_with(const char *calls, long after, long n, bool *reached) {
  float image[PIXELS], logits[CLASSES];
  long before = count(calls);
  fill(image, 3);
  fail(calls, after, n);
  hone_session *s = open_session("cuda");
  hone_status st = s ? HONE_OK : HONE_DEVICE;
  for (int r = 0; r < 3 && !st; r++) st = run(s, image, logits);
  hone_session_destroy(&s);
  *reached = count(calls) - before > after;
  fail(calls, 0, 0);
  if (st) CHECK_MSG(!strchr(hone_context_error(cx), '\n') && strstr(hone_context_error(cx), "device 'cuda:0'"), "%s", hone_context_error(cx));
  return st;
}

/* The n-th allocation alone, then all from it on. One that failed alone may be made up for by a smaller plan. */
TEST(memory_that_is_not_to_be_had) {
  int made_up = 0, errors = 0;
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(is_emulated());
  for (int all = 0; all < 2; all++) {
    bool reached = true;
    for (long at = 0; reached; at++) {
      REQUIRE(at < 1000);
      hone_status st = try_with("allocations", at, all ? 1000000 : 1, &reached);
      if (st) CHECK_MSG(strstr(hone_context_error(cx), "out of memory"), "allocation %ld: %s", at, hone_context_error(cx));
      CHECK_MSG(!all || !reached || st, "allocation %ld and all behind it fail, and nobody says so", at);
      errors += st != HONE_OK;
      made_up += reached && !st;
    }
  }
  CHECK_MSG(made_up > 0 && errors > 0, "%d made up for, %d errors", made_up, errors);
  hone_context_destroy(&cx);
}

/* A step that cannot be started is an error that names its node; one that cannot be recorded is done by itself. */
TEST(steps_that_cannot_be_started) {
  int named = 0, steps = 0;
  bool reached = true;
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(is_emulated());
  for (long at = 0; reached; at++) {
    REQUIRE(at < 1000);
    hone_status st = try_with("launches", at, 1, &reached);
    if (st) named += strstr(hone_context_error(cx), "node '") && strstr(hone_context_error(cx), "(");
    steps += reached;
  }
  CHECK_MSG(named > 0 && named < steps, "%d errors of %d steps", named, steps);
  hone_context_destroy(&cx);
}

/* A recording that the device does not take is an error that names its steps; a session opened after it works. */
TEST(a_replay_that_is_refused) {
  bool reached;
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(is_emulated());
  hone_status st = try_with("replays", 0, 1, &reached);
  CHECK_MSG(reached && st == HONE_DEVICE, "a refused replay: %d", (int)st);
  CHECK_MSG(strstr(hone_context_error(cx), "replaying steps") && strstr(hone_context_error(cx), "recorded steps from layer '"), "%s", hone_context_error(cx));
  CHECK(!try_with("replays", 1000, 1, &reached));
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
