/* session.c - the public face of programs. */
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "engine/engine.h"
#include "op/infer.h"
#include "run/model.h"
#include "run/place_auto.h"
#include "run/profile.h"
#include "run/program.h"
#include "run/session.h"
#include "run/tune.h"
#include "run/options.h"

struct hone_session {
  hone_context *cx;
  hn_graph *g;
  hn_plan_options options;
  hn_program *program;    /* NULL until prepared; one of those kept */
  hn_program **kept;      /* plans for the shapes of late, most recent first */
  uint32_t n_kept, max_kept;
  uint64_t planned;       /* how often plans were made */
  hn_view *inputs;        /* data lent by the caller; rank -1: shape not set */
  hn_view *outputs;
  void **copies;          /* of outputs that are inputs handed through */
  bool ran, profile;
  hone_profile *recorder; /* NULL: runs are not recorded */
  hn_place *place;        /* NULL: all on the CPU */
  uint32_t min_segment;
  hn_place_estimate estimate;
  hn_arena *strings;      /* of step_info */
};

enum { MOST_SHAPE_PLANS = 1024, SHAPE_PLANS = 4 };

/* What the options say, or else the model. */
static uint32_t shape_plans(const hone_model *model, const hone_session_options *o) {
  const char *said = hn_meta_get(model->g, HONE_META_SHAPE_PLANS);
  long n = o->shape_plans ? o->shape_plans : said ? strtol(said, NULL, 10) : SHAPE_PLANS;
  return n < 1 || n > MOST_SHAPE_PLANS ? SHAPE_PLANS : (uint32_t)n;
}

void hone_session_options_init(hone_session_options *options) {
  *options = (hone_session_options){.size = sizeof *options, .winograd_error = HN_WINOGRAD_ERROR};
}

static hone_status read_options(hone_context *cx, const hone_session_options *given, hone_session_options *o) {
  HN_TRY(HN_OPTIONS(cx, hone_session_options, given, o));
  if (o->threads < 0 || o->threads > 1024)
    return hn_fail(cx, HONE_BAD_ARG, "%d threads; choose 1 to 1024, or 0 for all processors", o->threads);
  if (o->shape_plans < 0 || o->shape_plans > MOST_SHAPE_PLANS)
    return hn_fail(cx, HONE_BAD_ARG, "plans for %d shapes; choose 1 to %d, or 0 for what the model says", o->shape_plans, MOST_SHAPE_PLANS);
  if (!(o->winograd_error >= 0)) return hn_fail(cx, HONE_BAD_ARG, "winograd_error must not be negative");
  return HONE_OK;
}

/* "hone,onednn" and the like as a set of bits. */
static hone_status read_sources(hone_context *cx, const char *text, uint32_t *set) {
  *set = 0;
  for (const char *p = text; p && *p;) {
    size_t n = strcspn(p, ",");
    int s = 0;
    while (s < HN_ORIGIN_COUNT && (strlen(hn_origin_name((hn_origin)s)) != n || strncmp(p, hn_origin_name((hn_origin)s), n) != 0)) s++;
    if (s == HN_ORIGIN_COUNT)
      return hn_fail(cx, HONE_BAD_ARG, "no kernels come from '%.*s'; there are hone, onednn and bf16x3", (int)n, p);
    *set |= 1U << s;
    p += n + (p[n] == ',');
  }
  if (text && !*set) return hn_fail(cx, HONE_BAD_ARG, "no source of kernels is named; there are hone, onednn and bf16x3");
  return HONE_OK;
}

static bool shape_known(const hn_graph *g, uint32_t i, hn_view *v) {
  const hn_value *val = hn_value_at(g, g->inputs.p[i]);
  v->dtype = val->dtype;
  v->rank = -1;
  if (!hn_shape_fixed(&val->shape) || !hn_shape_count(&val->shape, &v->count)) return false;
  v->rank = val->shape.rank;
  memcpy(v->dims, val->shape.d, sizeof v->dims);
  return true;
}

static void limit_devices(const hn_place *place, uint64_t workspace) {
  hn_device *devices[HN_MAX_DEVICES];
  uint32_t n = hn_place_devices(place, devices);
  for (uint32_t d = 1; d < n && workspace; d++)
    if (devices[d]->kind->limit) devices[d]->kind->limit(devices[d], workspace);
}

static hone_status create(hone_context *cx, const hone_model *model, const hone_session_options *o, hone_session *s) {
  uint32_t sources;
  HN_TRY(read_sources(cx, o->sources, &sources));
  s->cx = cx;
  s->g = hn_graph_clone_for(model->g, cx);
  s->strings = hn_arena_create();
  s->max_kept = shape_plans(model, o);
  s->kept = hn_calloc(s->max_kept, sizeof(hn_program *));
  s->inputs = hn_calloc(model->g->inputs.n, sizeof *s->inputs);
  s->outputs = hn_calloc(model->g->outputs.n, sizeof *s->outputs);
  s->copies = hn_calloc(model->g->outputs.n, sizeof *s->copies);
  s->options = (hn_plan_options){.threads = o->threads ? o->threads : hn_cpu_count(), .reference = o->reference,
                                 .keep_all = o->keep_all, .sources = sources};
  if (!s->g || !s->strings || !s->kept || !s->inputs || !s->outputs || !s->copies) return hn_nomem(cx);
  if (!o->reference) {
    HN_TRY(hn_cpu_create(cx, hn_isa_best(), &s->options.device));
    s->options.device->winograd_error = o->winograd_error;
    int threads = s->options.threads;
    if (threads > 1 && !(s->options.pool = hn_pool_create(threads)))
      return hn_fail(cx, HONE_NOMEM, "the system gives no %d threads", threads);
  }
  s->min_segment = o->min_segment;
  if (o->devices || o->place_count) {
    HN_TRY(hn_place_create(cx, o->devices, o->place, o->place_count, &s->place));
    s->options.place = s->place;
    limit_devices(s->place, o->workspace);
    HN_TRY(hn_place_check(s->place, s->g));
  }
  for (uint32_t i = 0; i < s->g->inputs.n; i++) shape_known(s->g, i, &s->inputs[i]);
  return HONE_OK;
}

hone_status hone_session_create(const hone_model *model, const hone_session_options *options, hone_session **session) {
  hone_session_options o;
  bool has_context = options && options->size >= offsetof(hone_session_options, context) + sizeof options->context;
  hone_context *cx = has_context && options->context ? options->context : model->cx;
  HN_TRY(read_options(cx, options, &o));
  hone_session *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(cx);
  hone_status st = create(cx, model, &o, s);
  if (st) hone_session_destroy(&s);
  else *session = s;
  return st;
}

/* The shapes changed: the plan may still be good for others. */
static void leave_program(hone_session *s) {
  s->program = NULL;
  s->ran = false;
  for (size_t i = 0; s->copies && i < s->g->outputs.n; i++) {
    hn_free_aligned(s->copies[i]);
    s->copies[i] = NULL;
  }
}

/* The plan for the shapes set, if there still is one, moved to the front. */
static hn_program *find_program(hone_session *s) {
  uint32_t i = 0;
  while (i < s->n_kept && !hn_program_fits(s->kept[i], s->inputs, (uint32_t)s->g->inputs.n)) i++;
  if (i == s->n_kept) return NULL;
  hn_program *p = s->kept[i];
  memmove(s->kept + 1, s->kept, sizeof(hn_program *) * i);
  return s->kept[0] = p;
}

static void keep_program(hone_session *s, hn_program *p) {
  if (s->n_kept == s->max_kept) hn_program_destroy(s->kept[--s->n_kept]);
  memmove(s->kept + 1, s->kept, sizeof(hn_program *) * s->n_kept++);
  s->kept[0] = p;
}

void hone_session_destroy(hone_session **session) {
  if (!session || !*session) return;
  hone_session *s = *session;
  if (s->g) leave_program(s);
  while (s->n_kept) hn_program_destroy(s->kept[--s->n_kept]);
  hn_free(s->kept);
  hn_place_destroy(s->place);
  hn_cpu_destroy(s->options.device);
  hn_pool_destroy(s->options.pool);
  hn_free(s->inputs);
  hn_free(s->outputs);
  hn_free(s->copies);
  hn_arena_destroy(s->strings);
  hn_graph_destroy(s->g);
  hn_free(s);
  *session = NULL;
}

static hone_status check_input(const hone_session *s, uint32_t input) {
  if (input < s->g->inputs.n) return HONE_OK;
  return hn_fail(s->cx, HONE_BAD_ARG, "there is no input %u; the model has %zu", input, s->g->inputs.n);
}

hone_status hone_session_set_input_shape(hone_session *s, uint32_t input, uint32_t rank, const int64_t *dims) {
  HN_TRY(check_input(s, input));
  const hn_value *v = hn_value_at(s->g, s->g->inputs.p[input]);
  if (rank > HN_MAX_RANK) return hn_fail(s->cx, HONE_BAD_ARG, "input '%s': %u dimensions; at most %d", v->name, rank, HN_MAX_RANK);
  if (v->shape.rank >= 0 && (int32_t)rank != v->shape.rank)
    return hn_fail(s->cx, HONE_BAD_ARG, "input '%s' has %d dimensions, not %u", v->name, v->shape.rank, rank);
  hn_view *in = &s->inputs[input];
  for (uint32_t k = 0; k < rank; k++) {
    if (dims[k] < 0) return hn_fail(s->cx, HONE_BAD_ARG, "input '%s': dimension %u is negative", v->name, k);
    if (v->shape.rank >= 0 && hn_dim_fixed(v->shape.d[k]) && v->shape.d[k] != dims[k])
      return hn_fail(s->cx, HONE_BAD_ARG, "input '%s': dimension %u is fixed at %lld, it cannot be %lld", v->name, k,
                     (long long)v->shape.d[k], (long long)dims[k]);
  }
  hn_shape shape = hn_shape_of((int32_t)rank, dims);
  int64_t count;
  if (!hn_shape_count(&shape, &count)) return hn_fail(s->cx, HONE_BAD_ARG, "input '%s': the shape is too large", v->name);
  if (in->rank == (int32_t)rank && memcmp(in->dims, dims, sizeof *dims * rank) == 0) return HONE_OK;
  in->rank = (int32_t)rank;
  in->count = count;
  in->data = NULL;
  if (rank) memcpy(in->dims, dims, sizeof *dims * rank);
  leave_program(s);
  return HONE_OK;
}

hone_status hone_session_prepare(hone_session *s) {
  if (s->program) return HONE_OK;
  for (uint32_t i = 0; i < s->g->inputs.n; i++)
    if (s->inputs[i].rank < 0)
      return hn_fail(s->cx, HONE_BAD_ARG, "input '%s' has a dynamic shape: give it a fixed one first",
                     hn_value_at(s->g, s->g->inputs.p[i])->name);
  s->program = find_program(s);
  if (!s->program) {
    if (s->place && hn_place_automatic(s->place))
      HN_TRY(hn_place_auto(s->g, s->inputs, &s->options, s->place, s->min_segment, &s->estimate));
    HN_TRY(hn_program_create(s->g, s->inputs, &s->options, &s->program));
    keep_program(s, s->program);
    s->planned++;
  }
  hn_program_profile(s->program, s->profile);
  hn_store_prefetch(s->g->store);
  return hn_program_record(s->program, s->recorder);
}

/* What the plan came to, on the layers themselves. */
static void note_layouts(hn_graph *g, const hn_plan *p) {
  bool tuned = hn_meta_get(g, "tuned") != NULL;
  for (hn_id id = 0; id < g->nodes.n; id++) {
    hn_node *n = hn_node_at(g, id);
    uint32_t slot = n->dead || n->out[0] == HN_NONE ? HN_NONE : p->value_slot[n->out[0]];
    if (slot == HN_NONE || (n->op != HN_Concat && n->op != HN_Split && n->op != HN_Slice)) continue;
    n->tactic_layout = hn_layout_name(p->slots.p[slot].layout);
    if (tuned) n->tactic = "in_place"; /* unless there is a step for it */
  }
  for (size_t i = 0; i < p->steps.n; i++) {
    const hn_planned *s = &p->steps.p[i];
    if (s->node >= g->nodes.n || !s->task.n_out) continue;
    hn_node *n = hn_node_at(g, s->node);
    n->tactic_layout = hn_layout_name(s->task.out[0].layout);
    if (hn_streq(n->tactic, "in_place")) n->tactic = s->task.kernel->name;
  }
}

hone_status hone_session_save(hone_session *s, const char *path) {
  if (!s->options.device) return hn_fail(s->cx, HONE_BAD_ARG, "a session of reference kernels packs no weights");
  HN_TRY(hone_session_prepare(s));
  note_layouts(s->g, hn_program_plan(s->program));
  return hn_engine_write_plan(s->g, hn_program_plan(s->program), s->options.device->isa, (uint32_t)s->options.threads, path);
}

hone_status hone_session_set_input(hone_session *s, uint32_t input, const void *data, size_t bytes) {
  HN_TRY(check_input(s, input));
  hn_view *v = &s->inputs[input];
  const char *name = hn_value_at(s->g, s->g->inputs.p[input])->name;
  size_t want;
  if (v->rank < 0) return hn_fail(s->cx, HONE_BAD_ARG, "input '%s' has a dynamic shape: give it a fixed one first", name);
  if (!hn_dtype_bytes(v->dtype, (uint64_t)v->count, &want) || bytes != want)
    return hn_fail(s->cx, HONE_BAD_ARG, "input '%s' takes %zu bytes, not %zu", name, want, bytes);
  v->data = (void *)(uintptr_t)data; /* only read */
  return HONE_OK;
}

/* An output that is an input handed through must outlive the caller's buffer. */
static hone_status own_passed_through(hone_session *s) {
  const hn_plan *plan = hn_program_plan(s->program);
  for (size_t i = 0; i < s->g->outputs.n; i++) {
    size_t bytes;
    if (plan->slots.p[plan->outputs[i]].kind != HN_SLOT_INPUT) continue;
    if (!hn_dtype_bytes(s->outputs[i].dtype, (uint64_t)s->outputs[i].count, &bytes)) return hn_nomem(s->cx);
    if (!s->copies[i] && !(s->copies[i] = hn_malloc_aligned(bytes))) return hn_nomem(s->cx);
    memcpy(s->copies[i], s->outputs[i].data, bytes);
    s->outputs[i].data = s->copies[i];
  }
  return HONE_OK;
}

static hone_status check_data(const hone_session *s) {
  for (uint32_t i = 0; i < s->g->inputs.n; i++)
    if (!s->inputs[i].data)
      return hn_fail(s->cx, HONE_BAD_ARG, "input '%s' has no data: set it before running",
                     hn_value_at(s->g, s->g->inputs.p[i])->name);
  return HONE_OK;
}

hone_status hone_session_run(hone_session *s) {
  HN_TRY(check_data(s));
  HN_TRY(hone_session_prepare(s));
  s->ran = false;
  bool recording = hn_recording(s->recorder);
  if (recording) HN_TRY(hn_profile_begin_run(s->recorder));
  hone_status st = hn_program_run(s->program, s->inputs, s->outputs);
  uint32_t lane;
  double modelled = hn_program_modelled(s->program, &lane);
  if (recording) hn_profile_end_run(s->recorder, st != HONE_OK, lane, modelled);
  if (st) return st;
  HN_TRY(own_passed_through(s));
  s->ran = true;
  return HONE_OK;
}

hone_status hone_session_output(const hone_session *s, uint32_t output, hone_tensor_info *info, const void **data,
                                size_t *bytes) {
  if (output >= s->g->outputs.n)
    return hn_fail(s->cx, HONE_BAD_ARG, "there is no output %u; the model has %zu", output, s->g->outputs.n);
  if (!s->ran) return hn_fail(s->cx, HONE_BAD_ARG, "there are no outputs before a successful run");
  const hn_view *v = &s->outputs[output];
  size_t n;
  if (!hn_dtype_bytes(v->dtype, (uint64_t)v->count, &n)) return hn_nomem(s->cx);
  if (info) {
    *info = (hone_tensor_info){.name = s->g->outputs.p[output].name, .dtype = v->dtype, .rank = v->rank};
    for (int32_t k = 0; k < v->rank; k++) {
      info->dims[k] = v->dims[k];
      info->dim_names[k] = "";
    }
  }
  if (data) *data = v->data;
  if (bytes) *bytes = n;
  return HONE_OK;
}

hone_status hone_session_memory(const hone_session *s, size_t *arena, size_t *weights) {
  if (!s->program) return hn_fail(s->cx, HONE_BAD_ARG, "the session is not prepared yet");
  const hn_plan *p = hn_program_plan(s->program);
  if (arena) *arena = p->arena_bytes;
  if (weights) *weights = p->packed_bytes;
  return HONE_OK;
}

hone_status hone_session_device_memory(const hone_session *s, uint32_t index, const char **device, size_t *bytes) {
  if (!s->program) return hn_fail(s->cx, HONE_BAD_ARG, "the session is not prepared yet");
  if (hn_program_device(s->program, index + 1, device, bytes)) return HONE_OK;
  return hn_fail(s->cx, HONE_BAD_ARG, "the session has no device %u but the CPU", index);
}

hone_status hone_session_memory_bound(const hone_session *s, size_t *bytes) {
  if (!s->program) return hn_fail(s->cx, HONE_BAD_ARG, "the session is not prepared yet");
  *bytes = hn_program_plan(s->program)->lower_bound;
  return HONE_OK;
}

static uint64_t value_bytes(const hn_graph *g, hn_id v) {
  const hn_value *val = v == HN_NONE ? NULL : hn_value_at(g, v);
  int64_t count;
  size_t bytes;
  if (!val || !hn_shape_count(&val->shape, &count) || !hn_dtype_bytes(val->dtype, (uint64_t)count, &bytes)) return 0;
  return bytes + (val->quant && val->quant->scales ? (uint64_t)val->quant->scales->count * sizeof(float) : 0);
}

hone_status hone_session_work(const hone_session *s, uint64_t flops[HONE_ARITHMETICS], uint64_t *bytes) {
  if (!s->program) return hn_fail(s->cx, HONE_BAD_ARG, "the session is not prepared yet");
  const hn_graph *g = hn_program_graph(s->program);
  const hn_plan *p = hn_program_plan(s->program);
  uint64_t sum[HONE_ARITHMETICS] = {0}, moved = 0;
  bool symbolic = false;
  for (size_t i = 0; i < p->steps.n; i++)
    sum[hn_planned_arithmetic(g, &p->steps.p[i])] += hn_planned_sum(g, &p->steps.p[i], hn_node_flops, &symbolic);
  for (size_t v = 0; v < g->values.n; v++)
    if ((g->values.p[v].data && g->values.p[v].n_users) || g->values.p[v].is_input) moved += value_bytes(g, (hn_id)v);
  for (size_t i = 0; i < g->outputs.n; i++) moved += value_bytes(g, g->outputs.p[i].value);
  if (flops) memcpy(flops, sum, sizeof sum);
  if (bytes) *bytes = moved;
  return HONE_OK;
}

hone_status hone_session_plans(const hone_session *s, uint32_t *kept, uint64_t *made) {
  if (kept) *kept = s->n_kept;
  if (made) *made = s->planned;
  return HONE_OK;
}

uint32_t hone_session_step_count(const hone_session *s) {
  return s->program ? (uint32_t)hn_program_plan(s->program)->steps.n : 0;
}

hone_status hone_session_step_info(const hone_session *s, uint32_t index, hone_step_info *info) {
  if (index >= hone_session_step_count(s)) return hn_fail(s->cx, HONE_BAD_ARG, "there is no step %u", index);
  return hn_program_step_info(s->program, index, s->strings, info);
}

bool hone_session_step_layer(const hone_session *s, uint32_t step, uint32_t index, const char **name, uint64_t *macs) {
  return step < hone_session_step_count(s) && hn_program_step_layer(s->program, step, index, name, macs);
}

bool hone_session_fallback_at(const hone_session *s, uint32_t index, const char **name, const char **op) {
  const hn_id *nodes = NULL;
  if (!s->program || index >= hn_program_fallbacks(s->program, &nodes)) return false;
  const hn_node *n = hn_node_at(hn_program_graph(s->program), nodes[index]);
  *name = n->name;
  *op = hn_op_name(n->op);
  return true;
}

bool hone_session_place_estimate(const hone_session *s, double *cpu_ms, double *device_ms, double *placed_ms) {
  if (!s->place || !hn_place_automatic(s->place) || !s->program) return false;
  *cpu_ms = s->estimate.cpu * 1e3;
  *device_ms = s->estimate.device * 1e3;
  *placed_ms = s->estimate.placed * 1e3;
  return true;
}

void hone_session_set_profile(hone_session *s, bool on) {
  s->profile = on;
  if (s->program) hn_program_profile(s->program, on);
}

hone_status hone_session_record(hone_session *s, hone_profile *profile) {
  if (profile) HN_TRY(hn_profile_threads(profile, s->options.threads));
  for (uint32_t i = 0; i < s->n_kept; i++) HN_TRY(hn_program_record(s->kept[i], NULL));
  if (s->program) HN_TRY(hn_program_record(s->program, profile));
  s->recorder = profile;
  return HONE_OK;
}

const hn_program *hn_session_kept(const hone_session *s) { return s->ran && s->options.keep_all ? s->program : NULL; }

void hone_tune_options_init(hone_tune_options *options) {
  *options = (hone_tune_options){.size = sizeof *options, .effort = 1, .runs = 5};
}

/* Is the session's graph still a copy of the model's? */
static bool same_layers(const hn_graph *a, const hn_graph *b) {
  bool same = a->nodes.n == b->nodes.n && a->inputs.n == b->inputs.n && a->outputs.n == b->outputs.n;
  for (size_t i = 0; i < a->nodes.n && same; i++)
    same = a->nodes.p[i].op == b->nodes.p[i].op && a->nodes.p[i].dead == b->nodes.p[i].dead &&
           a->nodes.p[i].n_post == b->nodes.p[i].n_post;
  return same;
}

hone_status hone_session_tune(hone_session *s, hone_model *m, const hone_tune_options *options, hone_tune_result *result) {
  hone_tune_options o;
  hone_tune_result r = {0};
  HN_TRY(HN_OPTIONS(s->cx, hone_tune_options, options, &o));
  if (o.effort < 1 || o.effort > 2 || o.runs < 1)
    return hn_fail(s->cx, HONE_BAD_ARG, "tuning with effort %d and %d runs; choose effort 1 or 2, at least 1 run", o.effort, o.runs);
  if (!same_layers(s->g, m->g)) return hn_fail(s->cx, HONE_BAD_ARG, "the session was not created from this model as it is now");
  if (s->options.reference) return hn_fail(s->cx, HONE_BAD_ARG, "a session of reference kernels has nothing to choose from");
  HN_TRY(check_data(s));
  hn_plan_options here = s->options;
  if (s->place && hn_place_automatic(s->place)) here.place = NULL; /* devices are chosen afterwards, by the times on all of them */
  HN_TRY(hn_tune(m->g, s->inputs, &here, &o, &r));
  hn_model_changed(m);
  if (result) *result = r;
  return HONE_OK;
}
