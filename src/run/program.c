#include "run/program.h"

#include <string.h>

#include "base/checked.h"
#include "base/parallel.h"
#include "base/str.h"
#include "device/cpu/conv/before.h"
#include "device/cpu/cpu.h"
#include "op/infer.h"
#include "pass/pass.h"
#include "plan/place.h"
#include "quant/absorb.h"
#include "quant/open_sums.h"
#include "quant/release.h"
#include "quant/short_floats.h"
#include "run/eval.h"
#include "run/replay.h"
#include "run/side.h"
#include "run/sites.h"
#include "run/timeline.h"

/* What fixed shapes make possible. */
#define HN_SPECIALIZE_PASSES "fold-constants,inline-control,dead"

/* A buffer for a tensor whose shape is known only when it is computed; kept and grown between runs. */
typedef struct dynamic {
  hn_view view;
  size_t capacity;
  hn_device *device; /* whose memory it is; NULL: the host's */
} dynamic;

/* The program of a nested graph, for the shapes of its last call. */
typedef struct nested {
  const hn_graph *g;
  hn_program *program;
  struct nested *next;
} nested;

typedef struct prepared_step {
  hn_exec exec;
  hn_program *program;
  const hn_planned *planned;
  double seconds;
} prepared_step;

struct hn_program {
  hone_context *cx;
  hn_graph *g;
  hn_plan *plan;
  hn_plan_options options;
  unsigned char *memory[HN_MAX_DEVICES];
  hn_device *pinned_by;    /* whose memory of the host memory[HN_HOST] is; NULL: nobody's */
  hn_placement placement;  /* with of_node owned; n 0: all on the CPU */
  hn_id *fallbacks;        /* nodes that a device does not run, as far as it was asked */
  uint32_t n_fallbacks;
  hn_timeline *timeline;   /* NULL: all on the CPU */
  hn_replay *replay;       /* likewise */
  hn_side side;            /* for the plan's forks */
  uint32_t first_lane;     /* of the recorder: the timeline's lanes */
  double modelled;         /* time of the last run where a device models it */
  dynamic *dynamics;
  prepared_step *steps;
  const hn_view *inputs; /* of the run in progress */
  nested *nested;
  hn_pool *pool; /* NULL: OpenMP */
  bool ran_once, profile;
  hone_profile *recorder; /* NULL: nobody records */
  uint32_t first_site;
};

const hn_plan *hn_program_plan(const hn_program *p) { return p->plan; }
const hn_graph *hn_program_graph(const hn_program *p) { return p->g; }
double hn_program_step_seconds(const hn_program *p, uint32_t step) { return p->steps[step].seconds; }
void hn_program_profile(hn_program *p, bool on) { p->profile = on; }

bool hn_program_device(const hn_program *p, uint32_t d, const char **name, size_t *bytes) {
  if (d == HN_HOST || d >= p->placement.n) return false;
  *name = p->placement.devices[d]->name;
  *bytes = p->plan->device_bytes[d];
  for (size_t i = 0; i < p->plan->steps.n; i++)
    if (p->plan->steps.p[i].device == d) *bytes += p->plan->steps.p[i].task.packed;
  return true;
}

double hn_program_modelled(const hn_program *p, uint32_t *lane) {
  *lane = hn_timeline_modelled(p->timeline) ? p->first_lane : HN_LANE_HOST;
  return p->modelled;
}

uint32_t hn_program_fallbacks(const hn_program *p, const hn_id **nodes) {
  *nodes = p->fallbacks;
  return p->n_fallbacks;
}

hone_status hn_program_record(hn_program *p, hone_profile *recorder) {
  if (recorder == p->recorder) return HONE_OK;
  if (recorder) HN_TRY(hn_sites_add(recorder, p->plan, &p->first_site));
  if (recorder && p->timeline) HN_TRY(hn_timeline_lanes(p->timeline, recorder, p->first_site, &p->first_lane));
  p->recorder = recorder;
  for (nested *e = p->nested; e; e = e->next)
    if (e->program) HN_TRY(hn_program_record(e->program, recorder));
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------ views of slots */

static hn_view slot_view(const hn_program *p, uint32_t slot) {
  hn_view v = {.data = NULL};
  if (slot == HN_NONE) return v;
  const hn_slot *s = &p->plan->slots.p[slot];
  if (s->kind == HN_SLOT_DYNAMIC) return p->dynamics[s->index].view;
  v.dtype = s->dtype;
  v.rank = s->rank;
  v.count = s->count;
  memcpy(v.dims, s->dims, sizeof v.dims);
  if (s->kind == HN_SLOT_CONST) v.data = s->constant->data;
  else if (s->kind == HN_SLOT_BLOCK) v.data = p->memory[s->device] + p->plan->blocks.p[s->index].offset;
  else if (s->kind == HN_SLOT_INPUT) v.data = p->inputs ? p->inputs[s->index].data : NULL;
  if (s->offset && v.data) v.data = (unsigned char *)v.data + s->offset;
  return v;
}

hn_view hn_program_slot(const hn_program *p, uint32_t slot) { return slot_view(p, slot); }

/* From channels last or in blocks to row-major. */
static void straighten(const float *x, hn_layout l, int32_t rank, const int64_t *dims, float *to) {
  int64_t inner = 1, channels = dims[1], block = l == HN_LAYOUT_C8 ? 8 : l == HN_LAYOUT_C16 ? 16 : channels, blocks = (channels + block - 1) / block;
  for (int32_t i = 2; i < rank; i++) inner *= dims[i];
  for (int64_t n = 0; n < dims[0]; n++)
    for (int64_t c = 0; c < channels; c++) {
      const float *from = x + (n * blocks + c / block) * inner * block + c % block;
      for (int64_t i = 0; i < inner; i++) *to++ = from[i * block];
    }
}

hone_status hn_program_value(const hn_program *p, hn_id value, float **plain, hn_view *out, bool *there) {
  uint32_t slot = value < p->g->values.n ? p->plan->value_slot[value] : HN_NONE;
  *there = false;
  if (slot == HN_NONE) return HONE_OK;
  *out = slot_view(p, slot);
  const hn_slot *s = &p->plan->slots.p[slot];
  if (s->pitch || !out->data) return HONE_OK; /* a pitch cannot be with keep_all */
  *there = true;
  if (s->layout == HN_LAYOUT_PLAIN || s->dtype != HONE_DTYPE_F32 || !out->count) return HONE_OK;
  float *room = hn_realloc(*plain, (size_t)out->count * sizeof *room);
  if (!room) return hn_nomem(p->g->cx);
  *plain = room;
  straighten(out->data, s->layout, s->rank, s->dims, room);
  out->data = room;
  return HONE_OK;
}

static void release(hn_device *d, void *data) {
  if (d) d->kind->release(d, data);
  else hn_free_aligned(data);
}

static hone_status give_output(hn_exec *x, uint32_t i, hn_dtype dtype, int32_t rank, const int64_t *dims) {
  prepared_step *s = x->user;
  hn_program *p = s->program;
  uint32_t slot = i < x->n_out ? s->planned->out[i] : HN_NONE;
  if (slot == HN_NONE) return hn_xfail(x, HONE_BAD_GRAPH, "has no output %u", i);
  const hn_slot *planned = &p->plan->slots.p[slot];
  if (planned->kind != HN_SLOT_DYNAMIC) {
    if (planned->dtype != dtype || planned->rank != rank || (rank && memcmp(planned->dims, dims, sizeof *dims * (size_t)rank) != 0))
      return hn_xfail(x, HONE_BAD_GRAPH, "output %u came out with another type or shape than inferred", i);
    return HONE_OK;
  }
  dynamic *d = &p->dynamics[planned->index];
  int64_t n = 1;
  size_t bytes;
  if (rank < 0 || rank > HN_MAX_RANK) return hn_xfail(x, HONE_BAD_GRAPH, "output %u has rank %d", i, rank);
  for (int32_t k = 0; k < rank; k++)
    if (dims[k] < 0 || !hn_mul_i64(n, dims[k], &n)) return hn_xfail(x, HONE_BAD_GRAPH, "output %u is too large", i);
  if (!hn_dtype_bytes(dtype, (uint64_t)n, &bytes)) return hn_xfail(x, HONE_BAD_GRAPH, "output %u is too large", i);
  if (!d->view.data || bytes > d->capacity) {
    release(d->device, d->view.data);
    d->view.data = NULL;
    if (d->device) HN_TRY(d->device->kind->alloc(d->device, bytes, &d->view.data));
    else d->view.data = hn_malloc_aligned(bytes);
    d->capacity = d->view.data ? bytes : 0;
    if (!d->view.data) return hn_xfail(x, HONE_NOMEM, "out of memory: output %u needs %zu bytes", i, bytes);
  }
  d->view.dtype = dtype;
  d->view.rank = rank;
  d->view.count = n;
  if (rank) memcpy(d->view.dims, dims, sizeof *dims * (size_t)rank);
  x->out[i] = d->view;
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------- nested graphs */

static hone_status program_of(hn_program *p, const hn_graph *g, const hn_view *in, uint32_t n, hn_program **out) {
  nested *e = p->nested;
  while (e && e->g != g) e = e->next;
  if (!e) {
    e = hn_calloc(1, sizeof *e);
    if (!e) return hn_nomem(p->cx);
    e->g = g;
    e->next = p->nested;
    p->nested = e;
  }
  if (e->program && !hn_program_fits(e->program, in, n)) {
    hn_program_destroy(e->program);
    e->program = NULL;
  }
  if (!e->program) {
    HN_TRY(hn_program_create(g, in, &p->options, &e->program));
    HN_TRY(hn_program_record(e->program, p->recorder));
  }
  *out = e->program;
  return HONE_OK;
}

void hn_release_results(hn_exec *x, hn_view *out, uint32_t n) {
  (void)x;
  for (uint32_t i = 0; i < n; i++) {
    hn_free_aligned(out[i].data);
    out[i].data = NULL;
  }
}

hone_status hn_program_call(hn_program *p, const hn_view *in, hn_view *out, uint32_t n_out) {
  hone_status st = hn_program_run(p, in, out);
  for (uint32_t i = 0; i < n_out; i++) {
    size_t bytes = 0;
    void *copy = NULL;
    if (!st && hn_dtype_bytes(out[i].dtype, (uint64_t)out[i].count, &bytes) && !(copy = hn_malloc_aligned(bytes)))
      st = hn_nomem(p->cx);
    if (copy && bytes) memcpy(copy, out[i].data, bytes);
    out[i].data = copy;
  }
  if (st) hn_release_results(NULL, out, n_out);
  return st;
}

hone_status hn_check_call(const hn_exec *x, const hn_graph *sub, uint32_t n, uint32_t n_out) {
  if (n == sub->inputs.n && n_out == sub->outputs.n) return HONE_OK;
  return hn_xfail(x, HONE_BAD_GRAPH, "nested graph '%s' takes %zu inputs and gives %zu outputs, not %u and %u", sub->name,
                  sub->inputs.n, sub->outputs.n, n, n_out);
}

static hone_status call_nested(hn_exec *x, const hn_graph *sub, const hn_view *in, uint32_t n, hn_view *out,
                               uint32_t n_out) {
  prepared_step *s = x->user;
  hn_program *q = NULL;
  HN_TRY(hn_check_call(x, sub, n, n_out));
  HN_TRY(program_of(s->program, sub, in, n, &q));
  return hn_program_call(q, in, out, n_out);
}

/* ------------------------------------------------------------------------------------------ creation */

/* Branches that are decided bring in more that can be folded, and that may decide others. */
static hone_status apply_shapes(hn_graph *g) {
  enum { MOST = 8 };
  hone_optimize_options o;
  hone_optimize_options_init(&o);
  o.passes = HN_SPECIALIZE_PASSES;
  o.fold_limit = UINT64_MAX; /* it would have to be computed in each run */
  bool again = true;
  hone_status st = HONE_OK;
  for (int round = 0; round < MOST && again && !st; round++) {
    hn_report r = {0};
    st = hn_passes_run(g, &o, hn_eval_constant, &r);
    again = false;
    for (size_t i = 0; i < r.n; i++) again |= strcmp(r.p[i].pass, "inline-control") == 0;
    hn_report_free(&r);
  }
  return st;
}

static bool takes_node(const void *options, const hn_graph *g, hn_id node) { return hn_plan_takes(options, g, node); }

/* Integers have no other plan in which all of them are floats. */
static bool takes_integers(const void *options, const hn_graph *g, hn_id node) {
  hn_plan_options o = *(const hn_plan_options *)options;
  o.widen = false;
  return hn_plan_takes(&o, g, node);
}

static hone_status specialize(hn_program *p, const hn_view *in) {
  hn_graph *g = p->g;
  for (size_t i = 0; i < g->inputs.n; i++) {
    hn_value *v = hn_value_at(g, g->inputs.p[i]);
    if (v->dtype && v->dtype != in[i].dtype)
      return hn_fail(p->cx, HONE_BAD_ARG, "input '%s' is %s, not %s", v->name, hone_dtype_name(v->dtype),
                     hone_dtype_name(in[i].dtype));
    hn_shape fixed = hn_shape_of(in[i].rank, in[i].dims);
    HN_TRY(hn_bind_input(g, g->inputs.p[i], &fixed));
    v->dtype = in[i].dtype;
  }
  HN_TRY(hn_infer_again(g));
  if (p->options.reference) return HONE_OK;
  hone_status st = apply_shapes(g);
  if (!st && !p->options.keep_all) st = hn_quant_absorb(g, hn_eval_constant);
  if (!st && !p->options.place) st = hn_quant_widen(g, takes_node, &p->options, NULL);
  if (!st && !p->options.place) st = hn_quant_release(g, takes_integers, &p->options, NULL);
  if (!st && !p->options.place && !p->options.keep_all) st = hn_quant_open_sums(g, takes_integers, &p->options);
  return st ? st : hn_quant_open_constants(g, hn_eval_constant);
}

static hone_status prepare_steps(hn_program *p) {
  hn_arena *a = p->plan->arena;
  HN_TRY(hn_side_create(p->plan, &p->side));
  for (size_t i = 0; i < p->plan->steps.n; i++) {
    const hn_planned *s = &p->plan->steps.p[i];
    prepared_step *q = &p->steps[i];
    *q = (prepared_step){.program = p, .planned = s};
    q->exec = (hn_exec){.cx = hn_side_context(&p->side, p->plan, (uint32_t)i), .task = &s->task, .n_in = s->task.n_in, .n_out = s->task.n_out,
                        .threads = s->task.threads, .output = give_output, .call = call_nested,
                        .release_results = hn_release_results, .user = q};
    q->exec.in = hn_arena_alloc(a, sizeof(hn_view) * s->task.n_in);
    q->exec.out = hn_arena_alloc(a, sizeof(hn_view) * s->task.n_out);
    if (!q->exec.in || !q->exec.out) return hn_nomem(p->cx);
    if (p->plan->schedule) q->exec.lane = (p->plan->schedule->lane[i] + HN_LANE_KINDS - 1) % HN_LANE_KINDS;
    if (s->scratch != HN_NONE) q->exec.scratch = p->memory[s->device] + p->plan->blocks.p[s->scratch].offset;
  }
  return HONE_OK;
}

/* What the CPU runs computes in floats that it has kernels for; a device with kernels of its own takes them as they are. */
static hone_status widen_on_host(hn_program *p) {
  size_t n = p->g->nodes.n;
  bool *elsewhere = p->options.reference ? NULL : hn_calloc(n, sizeof *elsewhere);
  if (!elsewhere) return p->options.reference ? HONE_OK : hn_nomem(p->cx);
  for (size_t i = 0; i < n; i++) {
    const hn_device *d = p->placement.devices[p->placement.of_node[i]];
    elsewhere[i] = d && d->kind->kernel_at;
  }
  hone_status st = hn_quant_widen(p->g, takes_node, &p->options, elsewhere);
  if (!st) st = hn_quant_release(p->g, takes_integers, &p->options, elsewhere);
  if (!st) st = hn_quant_open_constants(p->g, hn_eval_constant);
  hn_free(elsewhere);
  return st;
}

/* Where nodes go; what a device does not run stays on the CPU, and the plan is made anew without it. */
static hone_status plan_placed(hn_program *p, const hn_place *place) {
  size_t n = p->g->nodes.n;
  uint8_t *of_node = hn_calloc(n, 1);
  p->fallbacks = hn_calloc(n, sizeof *p->fallbacks);
  if (!of_node || !p->fallbacks) {
    hn_free(of_node);
    return hn_nomem(p->cx);
  }
  p->placement.of_node = of_node;
  p->placement.n_nodes = (uint32_t)n;
  p->placement.n = hn_place_devices(place, p->placement.devices);
  hn_place_nodes(place, p->g, of_node);
  HN_TRY(widen_on_host(p));
  p->options.placement = &p->placement;
  for (;;) {
    HN_TRY(hn_plan_create(p->g, &p->options, &p->plan));
    if (!p->plan->fallbacks.n) break;
    for (size_t i = 0; i < p->plan->fallbacks.n; i++) {
      of_node[p->plan->fallbacks.p[i]] = HN_HOST;
      p->fallbacks[p->n_fallbacks++] = p->plan->fallbacks.p[i];
    }
    hn_plan_destroy(p->plan);
    p->plan = NULL;
  }
  HN_TRY(hn_timeline_create(p->plan, &p->placement, &p->timeline));
  return hn_replay_create(p->plan, &p->placement, &p->replay);
}

static void leave_plan(hn_program *p) {
  for (uint32_t d = 1; d < p->placement.n; d++) {
    if (p->memory[d]) p->placement.devices[d]->kind->release(p->placement.devices[d], p->memory[d]);
    p->memory[d] = NULL;
  }
  hn_replay_destroy(p->replay);
  hn_timeline_destroy(p->timeline);
  hn_plan_destroy(p->plan);
  hn_free((void *)(uintptr_t)p->placement.of_node);
  hn_free(p->fallbacks);
  p->replay = NULL;
  p->timeline = NULL;
  p->plan = NULL;
  p->placement.of_node = NULL;
  p->fallbacks = NULL;
  p->n_fallbacks = 0;
}

/* The step at which most of a device's memory is in use. */
static const hn_node *heaviest(const hn_program *p, uint32_t device, size_t *bytes) {
  const hn_node *found = NULL;
  *bytes = 0;
  for (uint32_t i = 0; i < p->plan->steps.n; i++) {
    size_t sum = 0;
    const hn_planned *s = &p->plan->steps.p[i];
    for (size_t k = 0; k < p->plan->blocks.n; k++) {
      const hn_block *b = &p->plan->blocks.p[k];
      if (b->device == device && b->first <= i && b->last >= i) sum += b->bytes;
    }
    if (s->device != device || !s->task.node || sum <= *bytes) continue;
    *bytes = sum;
    found = s->task.node;
  }
  return found;
}

static hone_status get_device_memory(hn_program *p) {
  for (uint32_t d = 1; d < p->placement.n; d++) {
    hn_device *device = p->placement.devices[d];
    void *data = NULL;
    hone_status st = device->kind->alloc(device, p->plan->device_bytes[d], &data);
    size_t bytes;
    const hn_node *n = st ? heaviest(p, d, &bytes) : NULL;
    if (n) return hn_fail_within(p->cx, st, "layer '%s' (%s), at which %zu bytes are in use", n->name, hn_op_name(n->op), bytes);
    HN_TRY(st);
    p->memory[d] = data;
  }
  return HONE_OK;
}

/* On devices; where one has too little memory, again with kernels that take less of it. */
static hone_status plan_on_devices(hn_program *p, const hn_place *place) {
  for (;;) {
    hone_status st = plan_placed(p, place);
    if (!st) st = get_device_memory(p);
    if (st != HONE_DEVICE) return st;
    bool smaller = false;
    for (uint32_t d = 1; d < p->placement.n; d++) {
      const hn_device_kind *k = p->placement.devices[d]->kind;
      if (k->shrink && k->shrink(p->placement.devices[d])) smaller = true;
    }
    if (!smaller) return st;
    leave_plan(p);
  }
}

static hone_status get_memory(hn_program *p) {
  for (uint32_t d = 1; d < p->placement.n && !p->pinned_by; d++)
    if (p->placement.devices[d]->kind->host_alloc) p->pinned_by = p->placement.devices[d];
  void *pinned = NULL;
  if (p->pinned_by) HN_TRY(p->pinned_by->kind->host_alloc(p->pinned_by, p->plan->arena_bytes, &pinned));
  if (p->pinned_by) p->memory[HN_HOST] = pinned;
  else p->memory[HN_HOST] = hn_malloc_aligned(p->plan->arena_bytes);
  if (!p->memory[HN_HOST]) return hn_fail(p->cx, HONE_NOMEM, "out of memory: %zu bytes for activations", p->plan->arena_bytes);
  p->dynamics = hn_calloc(p->plan->n_dynamic, sizeof *p->dynamics);
  p->steps = hn_calloc(p->plan->steps.n, sizeof *p->steps);
  if (!p->dynamics || !p->steps) return hn_nomem(p->cx);
  for (size_t i = 0; i < p->plan->slots.n; i++) {
    const hn_slot *s = &p->plan->slots.p[i];
    if (s->kind == HN_SLOT_DYNAMIC && s->device) p->dynamics[s->index].device = p->placement.devices[s->device];
  }
  return HONE_OK;
}

/* The threads of a pool and OpenMP's, which oneDNN uses, would be awake at once and in each other's way: with a pool oneDNN
   gets one thread. That suits where it has little to do: our kernels do nearly all of the arithmetic. */
static bool suits_pool(const hn_plan *plan) {
  uint64_t all = 0, others = 0;
  bool symbolic = false;
  for (size_t i = 0; i < plan->steps.n; i++) {
    const hn_planned *s = &plan->steps.p[i];
    uint64_t macs = hn_planned_sum(plan->g, s, hn_node_macs, &symbolic);
    all += macs;
    if (s->task.kernel && hn_kernel_origin(s->task.kernel) == HN_ORIGIN_ONEDNN) others += macs;
  }
  return others <= all / 20;
}

static void use_threads(const hn_program *p) { hn_use_threads(p->pool ? 1 : p->options.threads); }

hone_status hn_program_create(const hn_graph *g, const hn_view *inputs, const hn_plan_options *o, hn_program **out) {
  hn_program *p = hn_calloc(1, sizeof *p);
  if (!p) return hn_nomem(g->cx);
  p->cx = g->cx;
  p->options = *o;
  p->g = hn_graph_clone(g);
  hone_status st = p->g ? specialize(p, inputs) : hn_nomem(g->cx);
  p->options.place = NULL; /* nested graphs stay on the CPU */
  p->pool = o->place || o->untuned ? NULL : o->pool;
  use_threads(p);
  if (!st) st = o->place ? plan_on_devices(p, o->place) : hn_plan_create(p->g, o, &p->plan);
  if (!st && p->pool && !suits_pool(p->plan)) { /* oneDNN divides its work when a kernel is made */
    leave_plan(p);
    p->pool = NULL;
    use_threads(p);
    st = hn_plan_create(p->g, o, &p->plan);
  }
  p->options.placement = NULL;
  if (!st) st = get_memory(p);
  if (!st) st = prepare_steps(p);
  if (st) {
    hn_program_destroy(p);
    return st;
  }
  *out = p;
  return HONE_OK;
}

void hn_program_destroy(hn_program *p) {
  if (!p) return;
  for (nested *e = p->nested; e;) {
    nested *next = e->next;
    hn_program_destroy(e->program);
    hn_free(e);
    e = next;
  }
  for (uint32_t i = 0; p->dynamics && i < p->plan->n_dynamic; i++)
    release(p->dynamics[i].device, p->dynamics[i].view.data);
  hn_free(p->dynamics);
  hn_free(p->steps);
  hn_side_destroy(&p->side);
  if (p->pinned_by) p->pinned_by->kind->host_release(p->pinned_by, p->memory[HN_HOST]);
  else hn_free_aligned(p->memory[HN_HOST]);
  leave_plan(p);
  hn_graph_destroy(p->g);
  hn_free(p);
}

bool hn_program_fits(const hn_program *p, const hn_view *in, uint32_t n) {
  if (n != p->g->inputs.n) return false;
  for (uint32_t i = 0; i < n; i++) {
    const hn_value *v = hn_value_at(p->g, p->g->inputs.p[i]);
    if (v->dtype != in[i].dtype || v->shape.rank != in[i].rank ||
        memcmp(v->shape.d, in[i].dims, sizeof *in[i].dims * (size_t)in[i].rank) != 0)
      return false;
  }
  return true;
}

/* --------------------------------------------------------------------------------------------- running */

static hone_status run_step(prepared_step *s) {
  hn_exec *x = &s->exec;
  const hn_planned *planned = s->planned;
  for (uint32_t i = 0; i < x->n_in; i++) x->in[i] = slot_view(s->program, planned->in[i]);
  for (uint32_t i = 0; i < x->n_out; i++) x->out[i] = slot_view(s->program, planned->out[i]);
  HN_TRY(planned->task.kernel->run(x));
  const hn_node *n = planned->task.node;
  const hn_device *d = planned->task.on;
  if (n && d && d->kind->kernel_at) return planned->task.fused < n->n_post ? d->kind->epilogue(x) : HONE_OK;
  if (planned->tail) hn_chain_run(planned->tail, x);
  else if (n && planned->task.fused < n->n_post) return hn_apply_epilogue_ref(x);
  return HONE_OK;
}

static size_t transfer_bytes(const prepared_step *s) {
  size_t bytes = 0;
  if (!hn_is_transfer(s->planned)) return 0;
  if (!s->planned->task.in[0].dynamic) return hn_step_bytes(&s->planned->task) / 2; /* read once, written once */
  return hn_dtype_bytes(s->exec.in[0].dtype, (uint64_t)s->exec.in[0].count, &bytes) ? bytes : 0;
}

/* A step of a plan over several devices, given to its lane. */
static hone_status run_placed(hn_program *p, uint32_t i, bool recording) {
  prepared_step *s = &p->steps[i];
  hn_timeline *t = p->timeline;
  double begin = hn_now();
  bool here = recording && !hn_timeline_modelled(t) && !p->plan->schedule->lane[i];
  HN_TRY(hn_timeline_before(t, i));
  if (here) hn_profile_enter(p->recorder, p->first_site + i);
  hone_status st = run_step(s);
  if (here) hn_profile_leave(p->recorder);
  return st ? st : hn_timeline_after(t, i, hn_now() - begin, (double)transfer_bytes(s));
}

static hone_status give_step(void *program, uint32_t i) { return run_step(&((hn_program *)program)->steps[i]); }

/* When the run is over: what each step took by its device's clock or model. */
static void note_times(hn_program *p, bool recording) {
  const hn_timeline *t = p->timeline;
  bool modelled = hn_timeline_modelled(t);
  double from, to, zero = recording && modelled ? hn_profile_modelled_begin(p->recorder) : hn_timeline_begun(t);
  for (uint32_t i = 0; i < p->plan->steps.n; i++) {
    prepared_step *s = &p->steps[i];
    if (!hn_timeline_step(t, i, &from, &to)) continue;
    s->seconds = to - from;
    if (!recording) continue;
    hn_site *site = &p->recorder->sites.p[p->first_site + i];
    if (hn_is_transfer(s->planned)) site->is.bytes = transfer_bytes(s);
    if (!modelled && !p->plan->schedule->lane[i]) continue; /* noted when it ran */
    hn_profile_enter(p->recorder, p->first_site + i);
    hn_profile_leave_at(p->recorder, site->lane, zero + from, zero + to);
  }
}

/* An error that comes when work is waited for is some step's before. */
static hone_status name_suspects(const hn_program *p, hone_status st) {
  uint32_t from, to;
  if (st != HONE_DEVICE || !hn_timeline_suspects(p->timeline, &from, &to)) return st;
  const hn_node *a = p->plan->steps.p[from].task.node, *b = p->plan->steps.p[to].task.node;
  const char *first = a ? a->name : "a change of layout", *last = b ? b->name : "a change of layout";
  if (from == to) return hn_fail_within(p->cx, st, "layer '%s'", first);
  return hn_fail_within(p->cx, st, "one of %u steps from layer '%s' to '%s'", to - from + 1, first, last);
}

static hone_status run_all_placed(hn_program *p) {
  bool recording = hn_recording(p->recorder);
  bool timed = recording || p->profile, whole = p->ran_once && !timed;
  HN_TRY(hn_timeline_begin_run(p->timeline, timed));
  for (uint32_t i = 0, n; i < p->plan->steps.n; i += n) {
    n = 0;
    if (p->steps[i].planned->once && p->ran_once) n = 1;
    else if (whole) HN_TRY(hn_replay_from(p->replay, p->timeline, i, give_step, p, &n));
    if (n) continue;
    n = 1;
    HN_TRY(run_placed(p, i, recording));
  }
  hone_status st = hn_timeline_end_run(p->timeline, &p->modelled);
  if (st) return name_suspects(p, st);
  if (timed) note_times(p, recording);
  return HONE_OK;
}

static hone_status run_here(hn_program *p, uint32_t i, bool recording) {
  prepared_step *s = &p->steps[i];
  double begin = p->profile ? hn_now() : 0;
  if (recording) hn_profile_enter(p->recorder, p->first_site + i);
  hone_status st = run_step(s);
  if (recording) hn_profile_leave(p->recorder);
  if (p->profile) s->seconds = hn_now() - begin;
  return st;
}

/* Side by side; a step's time is then its part of the whole fork's, so that all add up to the run's. */
static hone_status run_fork(hn_program *p, const hn_fork *f, bool recording) {
  double begin = hn_now(), sum = 0;
  HN_TRY(hn_side_run(&p->side, f, give_step, p));
  double whole = hn_now() - begin;
  for (uint32_t i = f->first; i < f->first + f->n; i++) sum += p->side.end[i] - p->side.begin[i];
  for (uint32_t i = f->first; i < f->first + f->n; i++) {
    p->steps[i].seconds = sum > 0 ? whole * (p->side.end[i] - p->side.begin[i]) / sum : 0;
    if (!recording) continue;
    uint32_t lane = f->lane[i - f->first];
    hn_profile_enter(p->recorder, p->first_site + i);
    hn_profile_leave_at(p->recorder, lane < p->recorder->n_workers ? lane : HN_LANE_HOST, p->side.begin[i], p->side.end[i]);
  }
  return HONE_OK;
}

static hone_status run_steps(hn_program *p) {
  bool recording = hn_recording(p->recorder), counted = recording && p->recorder->phase == HONE_PROFILE_COUNTED;
  const hn_plan *plan = p->plan;
  size_t next = 0; /* fork */
  if (p->timeline) return run_all_placed(p);
  for (uint32_t i = 0; i < p->plan->steps.n; i++) {
    const hn_fork *fork = next < plan->forks.n && plan->forks.p[next].first == i ? &plan->forks.p[next++] : NULL;
    if (fork && !counted) { /* what the processor counts is of one thread */
      HN_TRY(run_fork(p, fork, recording));
      i += fork->n - 1;
    } else if (!p->steps[i].planned->once || !p->ran_once) {
      HN_TRY(run_here(p, i, recording));
    }
  }
  return HONE_OK;
}

hone_status hn_program_run(hn_program *p, const hn_view *inputs, hn_view *outputs) {
  p->inputs = inputs;
  use_threads(p);
  hn_pool *before = hn_parallel_on(p->pool);
  hone_status st = run_steps(p);
  hn_parallel_on(before);
  if (st) return st;
  p->ran_once = true;
  for (size_t i = 0; i < p->g->outputs.n; i++) outputs[i] = slot_view(p, p->plan->outputs[i]);
  return HONE_OK;
}

bool hn_program_step_layer(const hn_program *p, uint32_t step, uint32_t index, const char **name, uint64_t *macs) {
  const hn_task *t = &p->plan->steps.p[step].task;
  if (index >= (t->chain ? t->n_chain : t->node ? 1 : 0)) return false;
  const hn_node *n = t->chain ? hn_node_at(p->g, t->chain[index]) : t->node;
  bool symbolic = false;
  if (name) *name = n->name;
  if (macs) *macs = hn_node_macs(p->g, n, &symbolic);
  return true;
}

hone_status hn_program_step_info(const hn_program *p, uint32_t step, hn_arena *texts, hone_step_info *info) {
  const hn_planned *s = &p->plan->steps.p[step];
  const hn_node *n = s->task.node;
  hn_str kind = {0};
  bool symbolic = false;
  hn_planned_kind(p->g, s, &kind);
  hone_step_info r = {.name = n ? n->name : "", .op = hn_arena_strdup(texts, kind.p), .kernel = hn_planned_tactic(s),
                      .layout = s->task.n_out ? hn_layout_name(s->task.out[0].layout) : "",
                      .macs = hn_planned_sum(p->g, s, hn_node_macs, &symbolic),
                      .device = s->device ? p->placement.devices[s->device]->name : "cpu",
                      .last_ms = p->profile ? p->steps[step].seconds * 1e3 : 0};
  hn_str_free(&kind);
  if (!r.op) return hn_nomem(p->cx);
  *info = r;
  return HONE_OK;
}
