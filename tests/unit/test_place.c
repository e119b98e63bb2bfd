/* test_place.c - placement on the null device: results stay right, copies are what they must be, errors say what is wrong. */
#include <jansson.h>
#include <math.h>

#include "harness.h"
#include "plan/place.h"
#include "run/model.h"
#include "run/profile.h"

/* As a detector ends: boxes and scores, suppression, and what is left is gathered. */
static const char detector[] =
    "graph \"detector\" {\n"
    "  input %x : f32[1, 3, 32, 32]\n"
    "  const %w : f32[16, 3, 3, 3] = digest:1\n  const %wb : f32[4, 16, 1, 1] = digest:2\n  const %ws : f32[2, 16, 1, 1] = digest:3\n"
    "  const %sb : i64[3] = {1, -1, 4}\n  const %ss : i64[3] = {1, 2, -1}\n"
    "  const %most : i64[] = {5}\n  const %iou : f32[] = {0.5}\n  const %least : f32[] = {0.1}\n  const %two : i64[] = {2}\n"
    "  %f = Conv(%x, %w) {pads=[1, 1, 1, 1] strides=[2, 2]} : f32[1, 16, 16, 16]  # backbone\n"
    "  %r = Relu(%f) : f32[1, 16, 16, 16]  # relu\n"
    "  %b0 = Conv(%r, %wb) : f32[1, 4, 16, 16]  # box\n"
    "  %s0 = Conv(%r, %ws) : f32[1, 2, 16, 16]  # score\n"
    "  %b1 = Transpose(%b0) {perm=[0, 2, 3, 1]} : f32[1, 16, 16, 4]  # turn\n"
    "  %b2 = Reshape(%b1, %sb) : f32[1, 256, 4]  # flat\n"
    "  %b = Sigmoid(%b2) : f32[1, 256, 4]  # decode\n"
    "  %s1 = Reshape(%s0, %ss) : f32[1, 2, 256]  # rows\n"
    "  %s = Sigmoid(%s1) : f32[1, 2, 256]  # confidence\n"
    "  %n = NonMaxSuppression(%b, %s, %most, %iou, %least) : i64[?, 3]  # nms\n"
    "  %i = Gather(%n, %two) {axis=1} : i64[?]  # pick\n"
    "  %o = Gather(%b, %i) {axis=1} : f32[1, ?, 4]  # take\n"
    "  output \"boxes\" = %o\n  output \"chosen\" = %n\n}\n";

static hone_context *cx;
static hone_model *model;

static bool open_text(const char *text) {
  hn_graph *g;
  if (hone_context_create(&cx)) return false;
  if (hn_graph_parse(cx, text, &g) || hn_model_wrap(cx, g, &model)) {
    printf("%s\n", hone_context_error(cx));
    return false;
  }
  return true;
}

static bool open_detector(void) { return open_text(detector); }

static bool open_digits(void) {
  return !hone_context_create(&cx) && !hone_model_load(cx, HONE_SOURCE_DIR "/models/digits.onnx", &model);
}

static void close_model(void) {
  hone_model_destroy(&model);
  hone_context_destroy(&cx);
}

static float data[4 * 3 * 32 * 32];

static hone_status open_session(const char *devices, const char *const *rules, uint32_t n, hone_session **s) {
  hone_session_options o;
  hone_session_options_init(&o);
  o.threads = 1;
  o.devices = devices;
  o.place = rules;
  o.place_count = n;
  hone_status st = hone_session_create(model, &o, s);
  if (st) return st;
  hone_tensor_info info;
  int64_t dims[4], count = 1;
  hone_model_input_info(model, 0, &info);
  for (int k = 0; k < 4; k++) count *= dims[k] = info.dims[k] < 0 ? 2 : info.dims[k];
  for (int64_t k = 0; k < count; k++) data[k] = (float)((k * 7919) % 251) / 125 - 1;
  st = hone_session_set_input_shape(*s, 0, 4, dims);
  return st ? st : hone_session_set_input(*s, 0, data, (size_t)count * sizeof *data);
}

/* Copies of the second run, and the figures of it. */
typedef struct copies {
  char text[512]; /* "x>null b<null", in the order of the plan */
  hone_profile_totals totals;
  double steps_ms;
} copies;

static bool run_and_list(hone_session *s, copies *c) {
  hone_profile *p;
  hone_profile_layer l;
  c->text[0] = 0;
  c->steps_ms = 0;
  bool ok = !hone_profile_create(cx, &p) && !hone_session_record(s, p) && !hone_profile_set_phase(p, HONE_PROFILE_WARMUP) &&
            !hone_session_run(s) && !hone_profile_set_phase(p, HONE_PROFILE_TIMED) && !hone_session_run(s) &&
            !hone_profile_totals_get(p, &c->totals);
  if (!ok) printf("%s\n", hone_context_error(cx));
  for (uint32_t i = 0; ok && i < hone_profile_layer_count(p); i++) {
    ok = !hone_profile_layer_at(p, i, &l);
    c->steps_ms += l.total_ms;
    if (l.kind != HONE_SLICE_TRANSFER || !l.calls) continue;
    size_t n = strlen(c->text);
    snprintf(c->text + n, sizeof c->text - n, "%s%s%c%s", n ? " " : "", l.name, strcmp(l.kernel, "copy in") == 0 ? '>' : '<', l.device);
  }
  hone_session_record(s, NULL);
  hone_profile_destroy(&p);
  return ok;
}

static bool same_outputs(hone_session *a, hone_session *b) {
  for (uint32_t i = 0; i < hone_model_output_count(model); i++) {
    hone_tensor_info x, y;
    const void *p, *q;
    size_t n, m;
    if (hone_session_output(a, i, &x, &p, &n) || hone_session_output(b, i, &y, &q, &m) || n != m) return false;
    for (size_t k = 0; x.dtype == HONE_DTYPE_F32 && k < n / sizeof(float); k++)
      if (!(fabsf(((const float *)p)[k] - ((const float *)q)[k]) <= 1e-5f)) return false;
    if (x.dtype != HONE_DTYPE_F32 && memcmp(p, q, n) != 0) return false;
  }
  return true;
}

/* The copies under these rules; the results are those of the CPU. */
static void expect_copies(const char *devices, const char *const *rules, uint32_t n, const char *expected) {
  hone_session *placed, *cpu;
  copies c;
  hone_status st = open_session(devices, rules, n, &placed);
  if (st) printf("%s\n", hone_context_error(cx));
  REQUIRE(!st && !open_session(NULL, NULL, 0, &cpu));
  REQUIRE(!hone_session_run(cpu) && run_and_list(placed, &c));
  CHECK_STR(c.text, expected);
  CHECK(same_outputs(placed, cpu));
  hone_session_destroy(&placed);
  hone_session_destroy(&cpu);
}

TEST(all_on_the_device_copies_input_and_outputs) {
  REQUIRE(open_detector());
  expect_copies("null", NULL, 0, "x>null n<null o<null");
  close_model();
}

TEST(suppression_on_the_cpu_changes_the_copies) {
  static const char *const nms[] = {"NonMaxSuppression=cpu"};
  static const char *const tail[] = {"NonMaxSuppression=cpu", "pick|take=cpu"};
  static const char *const back[] = {".*=cpu", "backbone=null"};
  REQUIRE(open_detector());
  expect_copies("null", nms, 1, "x>null b<null s<null n>null o<null");
  expect_copies("null", tail, 2, "x>null b<null s<null");
  expect_copies("null", back, 2, "x>null f<null");
  close_model();
}

TEST(what_the_device_does_not_run_is_named) {
  hone_session *s;
  const char *name, *op;
  REQUIRE(open_detector());
  expect_copies("null:without=NonMaxSuppression", NULL, 0, "x>null b<null s<null n>null o<null");
  REQUIRE(!open_session("null:without=NonMaxSuppression+Relu", NULL, 0, &s) && !hone_session_run(s));
  CHECK(hone_session_fallback_at(s, 0, &name, &op) && strcmp(name, "relu") == 0 && strcmp(op, "Relu") == 0);
  CHECK(hone_session_fallback_at(s, 1, &name, &op) && strcmp(op, "NonMaxSuppression") == 0);
  CHECK(!hone_session_fallback_at(s, 2, &name, &op));
  hone_session_destroy(&s);
  close_model();
}

/* auto weighs a slow suppression on the device against copies and a faster one on the CPU. */
TEST(the_choice_follows_the_costs) {
  static const char *const automatic[] = {"auto"};
  static const char *const pinned[] = {"auto", "NonMaxSuppression=null"};
  REQUIRE(open_detector());
  hone_session *s;
  copies c;
  double cpu, device, placed;
  const struct { const char *device; const char *const *rules; uint32_t n; const char *nms_on; } cases[] = {
      {"null:serial=0.000001,latency=1,launch=0.01", automatic, 1, "cpu"},  /* seconds for a suppression */
      {"null:serial=1000000,latency=0,launch=0,speed=1000000,membw=1000000,bandwidth=1000000", automatic, 1, "null"},
      {"null:serial=0.000001,latency=1,launch=0.01", pinned, 2, "null"}};   /* a rule stands above the choice */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    hone_step_info step;
    REQUIRE(!open_session(cases[i].device, cases[i].rules, cases[i].n, &s) && run_and_list(s, &c));
    REQUIRE(hone_session_place_estimate(s, &cpu, &device, &placed));
    for (uint32_t k = 0; k < hone_session_step_count(s) && !hone_session_step_info(s, k, &step); k++)
      if (strcmp(step.op, "NonMaxSuppression") == 0) CHECK_MSG(strcmp(step.device, cases[i].nms_on) == 0, "case %zu: on %s", i, step.device);
    if (i < 2) CHECK_MSG(placed <= cpu && placed <= device, "%g of %g and %g", placed, cpu, device);
    hone_session_destroy(&s);
  }
  /* copies that take a second each are never worth it */
  REQUIRE(!open_session("null:latency=1000000", automatic, 1, &s) && run_and_list(s, &c));
  CHECK_STR(c.text, "");
  hone_session_destroy(&s);
  close_model();
}

/* On the CPU the Concat has no step: its inputs write their parts of it. */
static const char branches[] =
    "graph \"branches\" {\n"
    "  input %x : f32[1, 3, 32, 32]\n"
    "  const %w : f32[16, 3, 3, 3] = digest:1\n  const %wa : f32[16, 16, 1, 1] = digest:2\n"
    "  const %wb : f32[16, 16, 3, 3] = digest:3\n  const %wc : f32[4, 32, 1, 1] = digest:4\n"
    "  %f = Conv(%x, %w) {pads=[1, 1, 1, 1]} : f32[1, 16, 32, 32]  # stem\n"
    "  %a = Conv(%f, %wa) : f32[1, 16, 32, 32]  # narrow\n"
    "  %b = Conv(%f, %wb) {pads=[1, 1, 1, 1]} : f32[1, 16, 32, 32]  # wide\n"
    "  %c = Concat(%a, %b) {axis=1} : f32[1, 32, 32, 32]  # join\n"
    "  %o = Conv(%c, %wc) : f32[1, 4, 32, 32]  # head\n"
    "  output \"out\" = %o\n}\n";

/* Copies go on beside steps in what is expected and in the run: alike where the model of the device is all there is. */
static void expect_length(const char *text, const char *copied, double hidden) {
  static const char *const whole[] = {"auto", ".*=null"};
  hone_session *s;
  copies c;
  double cpu, device, placed;
  REQUIRE(open_text(text));
  REQUIRE(!open_session("null:latency=1000,bandwidth=1000000,launch=2000,speed=1000000,membw=1000000,serial=1000000", whole, 2, &s));
  REQUIRE(run_and_list(s, &c) && hone_session_place_estimate(s, &cpu, &device, &placed));
  CHECK_STR(c.text, copied);
  CHECK_MSG(fabs(c.totals.run_ms - placed) < 0.01, "%g, expected %g", c.totals.run_ms, placed);
  CHECK_MSG(fabs(c.steps_ms - placed - hidden) < 0.01, "%g added up, expected %g", c.steps_ms, placed);
  hone_session_destroy(&s);
  close_model();
}

TEST(a_run_takes_what_was_expected) { expect_length(detector, "x>null n<null o<null", 1); }
TEST(what_is_in_place_on_the_cpu_counts_on_the_device) { expect_length(branches, "x>null o<null", 0); }

TEST(every_placement_computes_the_same) {
  REQUIRE(open_digits());
  hone_session *cpu, *s;
  uint32_t n = hone_model_layer_count(model), seed = 7;
  REQUIRE(!open_session(NULL, NULL, 0, &cpu) && !hone_session_run(cpu));
  for (int round = 0; round < 12; round++) {
    char *text[64];
    const char *rules[64];
    uint32_t used = 0;
    for (uint32_t i = 0; i < n && used < 64; i++) {
      hone_layer_info l;
      seed = seed * 1664525 + 1013904223;
      if (hone_model_layer_info(model, i, &l) || !*l.name || seed >> 31) continue;
      text[used] = malloc(strlen(l.name) + 8);
      sprintf(text[used], "%s=cpu", l.name);
      for (char *c = text[used]; *c; c++) /* names are no patterns */
        if (strchr("[](){}.*+?|^$\\", *c)) *c = '.';
      rules[used] = text[used];
      used++;
    }
    hone_status st = open_session("null", rules, used, &s);
    if (!st) st = hone_session_run(s);
    if (!st) st = hone_session_run(s);
    CHECK_MSG(!st, "%s", hone_context_error(cx));
    CHECK(st || same_outputs(s, cpu));
    if (!st || s) hone_session_destroy(&s);
    while (used) free(text[--used]);
  }
  hone_session_destroy(&cpu);
  close_model();
}

TEST(times_are_those_of_the_settings) {
  hone_session *s;
  copies c;
  REQUIRE(open_detector());
  /* 3 copies of 1 ms, 12 steps of which one is a view and one follows it: launches of 2 ms; the rest takes no time */
  REQUIRE(!open_session("null:latency=1000,bandwidth=1000000,launch=2000,speed=1000000,membw=1000000,serial=1000000", NULL, 0, &s));
  REQUIRE(run_and_list(s, &c));
  CHECK(c.totals.transfers == 3 && c.totals.transfer_bytes > 3 * 32 * 32 * 4);
  CHECK_MSG(fabs(c.totals.transfers_ms - 3) < 0.01, "%g", c.totals.transfers_ms);
  double launches = c.totals.layers_ms + c.totals.reorders_ms;
  CHECK_MSG(fabs(launches / 2 - nearbyint(launches / 2)) < 0.01 && launches > 10, "%g", launches);
  /* the copy of n out goes on beside the steps after it: the run is shorter than the sum */
  CHECK_MSG(c.totals.run_ms < c.steps_ms - 0.9, "%g of %g", c.totals.run_ms, c.steps_ms);
  CHECK(c.totals.run_ms > launches);
  hone_session_destroy(&s);
  close_model();
}

TEST(the_trace_has_arrows_between_lanes) {
  hone_session *s;
  hone_profile *p;
  char *text;
  REQUIRE(open_detector());
  REQUIRE(!open_session("null", NULL, 0, &s) && !hone_profile_create(cx, &p) && !hone_session_record(s, p));
  REQUIRE(!hone_session_run(s) && !hone_session_run(s) && !hone_profile_trace(p, &text));
  json_t *j = json_loads(text, 0, NULL), *e;
  REQUIRE(j);
  size_t i, begun = 0, ended = 0, transfers = 0, lanes = 0;
  json_array_foreach(json_object_get(j, "traceEvents"), i, e) {
    const char *phase = json_string_value(json_object_get(e, "ph")), *category = json_string_value(json_object_get(e, "cat"));
    begun += strcmp(phase, "s") == 0;
    ended += strcmp(phase, "f") == 0;
    transfers += category && strcmp(category, "transfer") == 0;
    lanes += strcmp(phase, "M") == 0 && strcmp(json_string_value(json_object_get(e, "name")), "thread_name") == 0;
  }
  CHECK_MSG(begun == ended && begun >= 8, "%zu and %zu", begun, ended);
  CHECK_MSG(transfers >= 6 && lanes == 5, "%zu transfers, %zu lanes", transfers, lanes);
  json_decref(j);
  hone_text_free(&text);
  hone_session_destroy(&s);
  hone_profile_destroy(&p);
  close_model();
}

static void expect_error(const char *devices, const char *rule, hone_status status, const char *part) {
  hone_session *s = NULL;
  hone_status st = open_session(devices, &rule, rule ? 1 : 0, &s);
  if (!st) st = hone_session_run(s);
  CHECK_MSG(st == status && strstr(hone_context_error(cx), part), "%s: %s", hone_status_name(st), hone_context_error(cx));
  hone_session_destroy(&s);
}

TEST(errors_say_what_to_do) {
  REQUIRE(open_detector());
  expect_error("null", "NonMaxSupression=cpu", HONE_BAD_ARG, "'NonMaxSuppression'");
  expect_error("null", "bakbone=cpu", HONE_BAD_ARG, "'backbone'");
  expect_error("null", "nms=gpu", HONE_BAD_ARG, "cpu, null");
  expect_error("null", "nms", HONE_BAD_ARG, "REGEX=DEVICE");
  expect_error("null", "(nms=cpu", HONE_BAD_ARG, "(nms=cpu");
  expect_error(NULL, "nms=null", HONE_BAD_ARG, "it has cpu");
  expect_error("nul", NULL, HONE_BAD_ARG, "null");
  expect_error("null:sped=2", NULL, HONE_BAD_ARG, "speed");
  expect_error("null:speed=fast", NULL, HONE_BAD_ARG, "speed");
  expect_error("null:speed=0", NULL, HONE_BAD_ARG, "more than 0");
  expect_error("null:1", NULL, HONE_DEVICE, "no number 1");
  expect_error("null:memory=0.01", NULL, HONE_DEVICE, "out of memory");
  close_model();
}

TEST(devices_are_listed) {
  hone_device_info d;
  bool cpu = false, null = false, cuda = false;
  for (uint32_t i = 0; hone_device_at(i, &d); i++) {
    CHECK(*d.name && *d.description && d.available == !*d.reason);
    cpu |= strcmp(d.name, "cpu") == 0 && d.available && d.memory;
    null |= strcmp(d.name, "null") == 0 && d.available;
    cuda |= strncmp(d.name, "cuda", 4) == 0;
  }
  CHECK(cpu && null && cuda);
}
