/* test_profile.c - what a profile records, and that its trace is JSON that says so. */
#include <jansson.h>
#include <unistd.h>

#include "harness.h"
#include "run/profile.h"

static hone_context *cx;
static hone_model *model;
static hone_session *session;
static hone_profile *profile;
static float *input;

static bool open_digits(void) {
  const int64_t dims[] = {4, 1, 28, 28};
  size_t n = 4 * 28 * 28;
  input = calloc(n, sizeof *input);
  for (size_t i = 0; input && i < n; i++) input[i] = (float)(i % 13) / 13;
  hone_session_options o;
  hone_session_options_init(&o);
  o.threads = 2;
  return input && !hone_context_create(&cx) && !hone_model_load(cx, HONE_SOURCE_DIR "/models/digits.onnx", &model) &&
         !hone_session_create(model, &o, &session) && !hone_session_set_input_shape(session, 0, 4, dims) &&
         !hone_session_set_input(session, 0, input, n * sizeof *input) && !hone_profile_create(cx, &profile) &&
         !hone_session_record(session, profile);
}

static void close_all(void) {
  hone_session_destroy(&session);
  hone_profile_destroy(&profile);
  hone_model_destroy(&model);
  hone_context_destroy(&cx);
  free(input);
}

static bool runs(hone_profile_phase phase, int n) {
  bool ok = !hone_profile_set_phase(profile, phase);
  while (ok && n-- > 0) ok = !hone_session_run(session);
  return ok;
}

static const char *text_of(json_t *e, const char *key) {
  const char *s = json_string_value(json_object_get(e, key));
  return s ? s : "";
}

static json_t *trace(void) {
  char *text;
  json_error_t error;
  if (hone_profile_trace(profile, &text)) return NULL;
  json_t *j = json_loads(text, 0, &error);
  if (!j) printf("line %d: %s\n", error.line, error.text);
  hone_text_free(&text);
  return j;
}

TEST(figures_are_of_the_timed_runs) {
  hone_profile_totals t;
  hone_profile_layer l;
  REQUIRE(open_digits());
  REQUIRE(runs(HONE_PROFILE_WARMUP, 2) && runs(HONE_PROFILE_TIMED, 3) && runs(HONE_PROFILE_PAUSED, 4));
  REQUIRE(!hone_profile_totals_get(profile, &t));
  CHECK(t.runs == 3 && t.warmups == 2 && t.counted == 0 && t.dropped == 0 && t.transfers == 0);
  CHECK(hone_profile_layer_count(profile) == hone_session_step_count(session));
  double sum = 0;
  bool convolution = false;
  for (uint32_t i = 0; i < hone_profile_layer_count(profile); i++) {
    uint32_t from;
    REQUIRE(!hone_profile_layer_at(profile, i, &l));
    CHECK(l.calls == 3 || l.calls == 0); /* 0: what depends on constants alone runs once */
    CHECK(l.min_ms <= l.mean_ms && l.mean_ms <= l.max_ms && l.bytes > 0);
    CHECK(!hone_profile_layer_from(profile, i, 0, &from) || from < i);
    convolution |= strncmp(l.op, "Conv", 4) == 0 && l.flops > 1e5 && strstr(l.inputs, "f32[4,1,28,28]") && *l.source;
    sum += l.total_ms;
  }
  CHECK(convolution);
  CHECK(sum / 3 <= t.run_ms && t.layers_ms + t.reorders_ms + t.between_ms > 0.999 * t.run_ms);
  CHECK(hone_profile_layer_at(profile, 1000000, &l) == HONE_BAD_ARG);
  close_all();
}

TEST(the_trace_holds_every_slice) {
  int slices = 0, warm = 0, run = 0, ranges = 0, memory = 0;
  REQUIRE(open_digits());
  REQUIRE(!hone_profile_range_push(profile, "out\"er\n") && !hone_profile_range_push(profile, "inner"));
  REQUIRE(runs(HONE_PROFILE_WARMUP, 1) && runs(HONE_PROFILE_TIMED, 2));
  REQUIRE(!hone_profile_range_pop(profile) && !hone_profile_range_pop(profile));
  CHECK(hone_profile_range_pop(profile) == HONE_BAD_ARG);
  json_t *j = trace(), *e;
  REQUIRE(j);
  size_t i;
  double inner = 0, outer = 0;
  json_array_foreach(json_object_get(j, "traceEvents"), i, e) {
    const char *phase = text_of(e, "ph"), *category = text_of(e, "cat");
    CHECK(json_is_number(json_object_get(e, "ts")) && json_is_integer(json_object_get(e, "pid")));
    memory += strcmp(phase, "C") == 0;
    if (strcmp(phase, "X") != 0) continue;
    double took = json_number_value(json_object_get(e, "dur"));
    CHECK(took >= 0);
    if (strncmp(category, "layer", 5) == 0) {
      json_t *args = json_object_get(e, "args");
      slices++;
      warm += strstr(category, "warm-up") != NULL;
      CHECK(*text_of(args, "operator") && *text_of(args, "tactic") && *text_of(args, "outputs") && *text_of(args, "dtype"));
    }
    run += strncmp(category, "run", 3) == 0;
    ranges += strcmp(category, "range") == 0;
    if (strcmp(text_of(e, "name"), "inner") == 0) inner = took;
    if (strcmp(text_of(e, "name"), "out\"er\n") == 0) outer = took;
  }
  uint32_t layers = 0;
  hone_profile_layer l;
  for (uint32_t k = 0; k < hone_profile_layer_count(profile) && !hone_profile_layer_at(profile, k, &l); k++)
    layers += l.kind == HONE_SLICE_LAYER;
  CHECK_MSG(slices == (int)layers * 3 && warm == (int)layers, "%d and %d slices of %u layers", slices, warm, layers);
  CHECK(run == 3 && ranges == 2 && memory >= slices && outer >= inner && inner > 0);
  json_decref(j);
  close_all();
}

TEST(counting_works_or_says_why) {
  REQUIRE(open_digits());
  const char *name, *reason;
  hone_status st = hone_profile_set_phase(profile, HONE_PROFILE_COUNTED);
  hone_profile_layer l;
  if (st) {
    CHECK(st == HONE_UNSUPPORTED && strstr(hone_context_error(cx), "counted"));
  } else {
    REQUIRE(!hone_session_run(session) && !hone_profile_layer_at(profile, 0, &l));
    for (uint32_t i = 0; hone_profile_counter_at(profile, i, &name, &reason); i++)
      CHECK_MSG(*reason ? l.counters[i] < 0 : l.counters[i] >= 0, "%s: %g", name, l.counters[i]);
  }
  close_all();
}

TEST(ranges_do_not_nest_without_end) {
  REQUIRE(open_digits());
  for (int i = 0; i < HN_PROFILE_DEPTH; i++) REQUIRE(!hone_profile_range_push(profile, "r"));
  CHECK(hone_profile_range_push(profile, "r") == HONE_BAD_ARG);
  close_all();
}

TEST(a_trace_is_written_whole) {
  char path[] = "test_profile_XXXXXX";
  REQUIRE(open_digits() && runs(HONE_PROFILE_TIMED, 1));
  int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  close(fd);
  CHECK(!hone_profile_save(profile, path));
  json_t *j = json_load_file(path, 0, NULL);
  CHECK(j && json_array_size(json_object_get(j, "traceEvents")) > 10);
  json_decref(j);
  unlink(path);
  CHECK(hone_profile_save(profile, "/nowhere/at/all.json") == HONE_IO);
  close_all();
}
