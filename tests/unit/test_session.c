/* test_session.c - shapes that alternate, and several threads that run one model. */
#include <pthread.h>

#include "harness.h"
#include "hone.h"

enum { LARGEST = 5, CLASSES = 10, PIXELS = 784, STREAMS = 4 };
static float images[LARGEST * PIXELS];

static hone_model *open_model(hone_context *cx) {
  hone_model *m = NULL;
  for (int i = 0; i < LARGEST * PIXELS; i++) images[i] = (float)(i % 31) / 31;
  hone_status st = hone_model_load(cx, HONE_SOURCE_DIR "/models/digits.onnx", &m);
  if (!st) st = hone_model_optimize(m, NULL);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  return m;
}

static hone_status run_batch(hone_session *s, int64_t n, float *out) {
  const void *data;
  size_t bytes;
  hone_status st = hone_session_set_input_shape(s, 0, 4, (int64_t[]){n, 1, 28, 28});
  if (!st) st = hone_session_set_input(s, 0, images, sizeof *images * PIXELS * (size_t)n);
  if (!st) st = hone_session_run(s);
  if (!st) st = hone_session_output(s, 0, NULL, &data, &bytes);
  if (!st && bytes != sizeof *out * CLASSES * (size_t)n) st = HONE_BAD_GRAPH;
  if (!st) memcpy(out, data, bytes);
  return st;
}

static void alternate(hone_context *cx, const hone_model *m, int32_t plans, const int *batches, int n, uint32_t kept, uint64_t made) {
  hone_session *s = NULL;
  hone_session_options o;
  float first[LARGEST + 1][LARGEST * CLASSES], out[LARGEST * CLASSES];
  bool seen[LARGEST + 1] = {false};
  hone_session_options_init(&o);
  o.threads = 1;
  o.shape_plans = plans;
  REQUIRE(!hone_session_create(m, &o, &s));
  for (int i = 0; i < n; i++) {
    int b = batches[i];
    hone_status st = run_batch(s, b, out);
    CHECK_MSG(!st, "%s", hone_context_error(cx));
    if (!seen[b]) memcpy(first[b], out, sizeof out);
    else CHECK(memcmp(first[b], out, sizeof *out * CLASSES * (size_t)b) == 0);
    seen[b] = true;
  }
  uint32_t k;
  uint64_t p;
  CHECK(!hone_session_plans(s, &k, &p));
  CHECK_MSG(k == kept && p == made, "%u plans kept, %llu made", k, (unsigned long long)p);
  hone_session_destroy(&s);
}

TEST(shapes_that_alternate_are_planned_once) {
  hone_context *cx;
  hone_session *s = NULL;
  hone_session_options o;
  REQUIRE(!hone_context_create(&cx));
  hone_model *m = open_model(cx);
  REQUIRE(m);
  alternate(cx, m, 4, (const int[]){1, 3, 1, 3, 3, 1, 2, 1, 3}, 9, 3, 3);
  alternate(cx, m, 1, (const int[]){1, 3, 1, 1}, 4, 1, 3);
  alternate(cx, m, 2, (const int[]){1, 2, 1, 3, 1, 2}, 6, 2, 4); /* 3 takes the place of 2, which was used least lately */
  CHECK(!hone_model_set_metadata(m, HONE_META_SHAPE_PLANS, "2"));
  alternate(cx, m, 0, (const int[]){1, 2, 1, 3, 1, 2}, 6, 2, 4); /* as the model says */
  hone_session_options_init(&o);
  o.shape_plans = -1;
  CHECK(hone_session_create(m, &o, &s) == HONE_BAD_ARG && strstr(hone_context_error(cx), "plans for -1"));
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

typedef struct stream {
  const hone_model *m;
  float out[LARGEST * CLASSES];
  bool same;
  hone_status st;
} stream;

static void *run_stream(void *arg) {
  stream *t = arg;
  hone_context *cx = NULL;
  hone_session *s = NULL;
  hone_session_options o;
  float out[LARGEST * CLASSES];
  hone_session_options_init(&o);
  o.threads = 1;
  t->same = true;
  t->st = hone_context_create(&cx);
  o.context = cx;
  if (!t->st) t->st = hone_session_create(t->m, &o, &s);
  for (int i = 0; i < 20 && !t->st; i++) {
    int64_t n = i % 3 + 1;
    t->st = run_batch(s, n, out);
    t->same = t->same && memcmp(out, t->out, sizeof *out * CLASSES) == 0;
  }
  if (!t->st && hone_session_set_input(s, 9, out, 1) != HONE_BAD_ARG) t->st = HONE_BAD_GRAPH;
  if (!t->st && !strstr(hone_context_error(cx), "no input 9")) t->st = HONE_BAD_GRAPH; /* said in this stream's context */
  hone_session_destroy(&s);
  hone_context_destroy(&cx);
  return NULL;
}

TEST(streams) {
  hone_context *cx;
  stream streams[STREAMS];
  pthread_t threads[STREAMS];
  hone_session *s = NULL;
  hone_session_options o;
  REQUIRE(!hone_context_create(&cx));
  hone_model *m = open_model(cx);
  REQUIRE(m);
  hone_session_options_init(&o);
  o.threads = 1;
  REQUIRE(!hone_session_create(m, &o, &s) && !run_batch(s, 1, streams[0].out));
  hone_session_destroy(&s); /* each stream may be the first to pack the weights */
  for (int i = 0; i < STREAMS; i++) {
    memcpy(streams[i].out, streams[0].out, sizeof streams[0].out);
    streams[i].m = m;
    REQUIRE(!pthread_create(&threads[i], NULL, run_stream, &streams[i]));
  }
  for (int i = 0; i < STREAMS; i++) {
    pthread_join(threads[i], NULL);
    CHECK_MSG(!streams[i].st && streams[i].same, "stream %d: %s", i, hone_status_name(streams[i].st));
  }
  CHECK_STR(hone_context_error(cx), "");
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}
