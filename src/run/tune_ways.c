/* tune_ways.c - the ways in which layers can be done, with the layouts that each reads and leaves; what each takes
   without the changes of layout around it, and what those take. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/str.h"
#include "device/cpu/move/strided_copy.h"
#include "plan/schedule.h"
#include "run/tuner.h"

static bool reads(const hn_plan *plan, const hn_planned *s, uint32_t i, hn_id v) {
  return v != HN_NONE && s->in[i] != HN_NONE && s->task.in[i].present && !s->task.in[i].unused && !hn_const(plan->g, v);
}

static const hn_id *operands_of(const hn_planned *s) {
  return s->task.chain ? s->task.operands : s->task.node->in;
}

/* A step that is one way to do a layer; filling what is left of a Concat is priced by its parts. */
static bool is_way(const hn_planned *s) {
  return s->node != HN_NONE && s->task.node && s->task.kernel != &hn_fill_kernel;
}

/* "conv_planes plain>nhwc" */
static const char *way_text(tuner *t, const hn_plan *plan, const hn_planned *s) {
  hn_str x = {0};
  const char *between = " ";
  hn_str_add(&x, hn_planned_tactic(s));
  for (uint32_t i = 0; i < s->task.n_in; i++) {
    if (!reads(plan, s, i, operands_of(s)[i])) continue;
    hn_str_printf(&x, "%s%s", between, hn_layout_name(s->task.in[i].layout));
    between = ",";
  }
  between = ">";
  for (uint32_t i = 0; i < s->task.n_out; i++) {
    if (!s->task.out[i].present) continue;
    hn_str_printf(&x, "%s%s", between, hn_layout_name(s->task.out[i].layout));
    between = ",";
  }
  const char *text = x.failed ? NULL : hn_arena_strdup(t->texts, x.p);
  hn_str_free(&x);
  return text;
}

static bool same_chain(const hn_way *w, const hn_planned *s) {
  if (w->n_chain != (s->task.chain ? s->task.n_chain : 0)) return false;
  return !w->n_chain || memcmp(w->chain, s->task.chain, w->n_chain * sizeof *w->chain) == 0;
}

static hone_status new_way(tuner *t, const hn_plan *plan, const hn_planned *s, const char *text) {
  uint32_t n = s->task.n_in, m = s->task.n_out;
  hn_way w = {
      .node = s->node, .text = text, .n_in = n, .n_out = m, .tactic = hn_arena_strdup(t->texts, hn_planned_tactic(s))};
  w.operands = hn_arena_memdup(t->texts, operands_of(s), n * sizeof *w.operands);
  w.in = hn_arena_alloc(t->texts, (n + 1) * sizeof *w.in);
  w.out = hn_arena_alloc(t->texts, (m + 1) * sizeof *w.out);
  w.n_chain = s->task.chain ? s->task.n_chain : 0;
  w.chain = hn_arena_memdup(t->texts, s->task.chain, w.n_chain * sizeof *w.chain);
  if (!w.tactic || (n && !w.operands) || !w.in || !w.out || (w.n_chain && !w.chain)) return hn_nomem(t->g->cx);
  for (uint32_t i = 0; i < n; i++)
    w.in[i] = (hn_reading){.reads = reads(plan, s, i, w.operands[i]), .layout = s->task.in[i].layout};
  for (uint32_t i = 0; i < m; i++) w.out[i] = s->task.out[i].layout;
  return hn_push(&t->ways, w) ? HONE_OK : hn_nomem(t->g->cx);
}

hn_way *hn_tuner_way(tuner *t, const hn_plan *plan, const hn_planned *s) {
  const char *text = is_way(s) ? way_text(t, plan, s) : NULL;
  for (size_t i = 0; text && i < t->ways.n; i++) {
    hn_way *w = &t->ways.p[i];
    if (w->node == s->node && same_chain(w, s) && strcmp(w->text, text) == 0) return w;
  }
  return NULL;
}

hone_status hn_tuner_look(tuner *t, const hn_plan *plan) {
  for (size_t i = 0; t->assigns && i < plan->steps.n; i++) {
    const hn_planned *s = &plan->steps.p[i];
    if (!is_way(s)) continue;
    hn_way *w = hn_tuner_way(t, plan, s);
    if (!w) {
      const char *text = way_text(t, plan, s);
      HN_TRY(text ? new_way(t, plan, s, text) : hn_nomem(t->g->cx));
      w = &t->ways.p[t->ways.n - 1];
    }
    for (uint32_t k = 0; k < w->n_in; k++)
      if (w->in[k].reads && plan->slots.p[s->in[k]].pitch) w->in[k].gaps = true;
    if (w->n_out && s->out[0] != HN_NONE && plan->slots.p[s->out[0]].pitch) w->gaps_out = true;
  }
  return HONE_OK;
}

/* --------------------------------------------------------------------------------------------- times */

static const char *reorder_text(tuner *t, const hn_slot *s) {
  hn_str x = {0};
  hn_str_printf(&x, "Reorder %s[", hone_dtype_name(s->dtype));
  for (int32_t i = 0; i < s->rank; i++) hn_str_printf(&x, "%s%lld", i ? "," : "", (long long)s->dims[i]);
  hn_str_add(&x, "]");
  const char *text = x.failed ? NULL : hn_arena_strdup(t->texts, x.p);
  hn_str_free(&x);
  return text;
}

static const char *reorder_way(tuner *t, const hn_slot *from, const hn_slot *to) {
  return hn_arena_printf(t->texts, "%s%s>%s%s", hn_layout_name(from->layout), from->pitch ? " gaps" : "",
                         hn_layout_name(to->layout), to->pitch ? " gaps" : "");
}

/* The row of a step: what is timed, and how. false: it has none. */
static bool row_of(tuner *t, const hn_plan *plan, const hn_planned *s, const char **text, const char **way) {
  uint32_t id = hn_tuner_layer(t, s);
  if (s->node == HN_NONE && !hn_is_transfer(s) && !s->once) {
    *text = reorder_text(t, &plan->slots.p[s->in[0]]);
    *way = reorder_way(t, &plan->slots.p[s->in[0]], &plan->slots.p[s->out[0]]);
  } else {
    if (id == HN_NONE || !is_way(s)) return false;
    const hn_way *w = hn_tuner_way(t, plan, s);
    *text = t->layers[id].text;
    *way = w ? w->text : NULL;
  }
  return *text && *way;
}

bool hn_tuner_ways_known(tuner *t, const hn_plan *plan) {
  const char *text, *way;
  double unused;
  for (size_t i = 0; t->assigns && i < plan->steps.n; i++)
    if (row_of(t, plan, &plan->steps.p[i], &text, &way) &&
        !hn_timing_cache_get(t->cache, t->machine, text, way, &unused))
      return false;
  return true;
}

hone_status hn_tuner_remember_ways(tuner *t, const hn_plan *plan, const double *seconds) {
  size_t n = plan->steps.n;
  const char **text = hn_calloc(n, sizeof *text), **way = hn_calloc(n, sizeof *way);
  hone_status st = text && way ? HONE_OK : hn_nomem(t->g->cx);
  for (size_t i = 0; t->assigns && i < n && !st; i++)
    if (!row_of(t, plan, &plan->steps.p[i], &text[i], &way[i])) text[i] = NULL;
  for (size_t i = 0; i < n && !st; i++) {
    double known, sum = 0;
    uint32_t alike = 0;
    if (!text[i] || hn_timing_cache_get(t->cache, t->machine, text[i], way[i], &known)) continue;
    for (size_t k = i; k < n; k++)
      if (text[k] && strcmp(text[k], text[i]) == 0 && strcmp(way[k], way[i]) == 0) sum += seconds[k], alike++;
    st = hn_timing_cache_put(t->cache, t->machine, text[i], way[i], sum / alike);
    t->result.measured++;
  }
  hn_free(text);
  hn_free(way);
  return st;
}

double hn_tuner_way_seconds(tuner *t, const hn_way *w) {
  uint32_t n = (uint32_t)t->g->nodes.n, id = w->node >= n ? HN_NONE : w->n_chain ? n + w->node : w->node;
  double seconds = 0; /* what specialization has appended is not timed, and there is no choice about it */
  if (id == HN_NONE || !t->layers[id].text) return 0;
  return hn_timing_cache_get(t->cache, t->machine, t->layers[id].text, w->text, &seconds) ? seconds : INFINITY;
}

/* The argument and room for it. */
static hone_status lend(tuner *t, const hn_slot *s, hn_arg *a, hn_view *v) {
  size_t bytes;
  *a = (hn_arg){.present = true,
                .dtype = s->dtype,
                .rank = s->rank,
                .layout = s->layout,
                .pitch = s->pitch,
                .pitch_in = s->layout};
  memcpy(a->dims, s->dims, sizeof a->dims);
  *v = (hn_view){.dtype = s->dtype, .rank = s->rank, .count = s->count};
  memcpy(v->dims, s->dims, sizeof v->dims);
  if (!hn_layout_bytes(s->layout, s->dtype, s->rank, s->dims, &bytes)) return HONE_UNSUPPORTED;
  if (s->pitch) bytes = bytes / (size_t)hn_layout_run(s->layout, s->rank, s->dims) * (size_t)s->pitch;
  v->data = hn_malloc_aligned(bytes);
  if (!v->data) return hn_nomem(t->g->cx);
  memset(v->data, 0, bytes);
  return HONE_OK;
}

static hone_status run_reorder(tuner *t, hn_task *task, hn_view *in, hn_view *out, double *least) {
  enum { RUNS = 7 };
  hn_exec x = {.cx = t->g->cx, .task = task, .n_in = 1, .n_out = 1, .in = in, .out = out, .threads = task->threads};
  hone_status st = HONE_OK;
  hn_use_threads(t->plan.pool ? 1 : t->plan.threads);
  hn_pool *before = hn_parallel_on(t->plan.pool);
  for (int r = 0; r <= RUNS && !st; r++) { /* the first warms up */
    double begin = hn_now();
    st = task->kernel->run(&x);
    double now = hn_now() - begin;
    if (r == 1 || (r && now < *least)) *least = now;
  }
  hn_parallel_on(before);
  return st;
}

static hone_status time_reorder(tuner *t, const hn_slot *from, const hn_slot *to, double *seconds) {
  hn_arg in, out;
  hn_view a = {.data = NULL}, b = {.data = NULL};
  hn_task task = {.cx = t->g->cx,
                  .g = t->g,
                  .n_in = 1,
                  .n_out = 1,
                  .in = &in,
                  .out = &out,
                  .threads = t->plan.threads,
                  .device = t->plan.device,
                  .inplace = -1,
                  .kernel = hn_reorder_kernel(from->dtype, from->layout, to->layout)};
  hone_status st = lend(t, from, &in, &a);
  if (!st) st = lend(t, to, &out, &b);
  if (!st) st = task.kernel->plan(&task);
  if (!st) st = run_reorder(t, &task, &a, &b, seconds);
  if (task.kernel->destroy) task.kernel->destroy(&task);
  hn_task_unpack(&task);
  hn_free_aligned(a.data);
  hn_free_aligned(b.data);
  return st;
}

hone_status hn_tuner_reorder(tuner *t, const hn_value *v, hn_layout from, bool from_gaps, hn_layout to, bool to_gaps,
                             double *seconds) {
  hn_slot a = {.dtype = v->dtype, .rank = v->shape.rank, .layout = from}, b;
  *seconds = INFINITY;
  if (!hn_shape_fixed(&v->shape) || !hn_element_size(v->dtype) || !hn_shape_count(&v->shape, &a.count)) return HONE_OK;
  memcpy(a.dims, v->shape.d, sizeof a.dims);
  b = a;
  b.layout = to;
  if (from_gaps) a.pitch = 2 * hn_layout_run(from, a.rank, a.dims);
  if (to_gaps) b.pitch = 2 * hn_layout_run(to, b.rank, b.dims);
  const char *text = reorder_text(t, &a), *way = reorder_way(t, &a, &b);
  if (!text || !way) return hn_nomem(t->g->cx);
  if (hn_timing_cache_get(t->cache, t->machine, text, way, seconds)) return HONE_OK;
  hone_status st = time_reorder(t, &a, &b, seconds);
  if (st == HONE_UNSUPPORTED) return *seconds = INFINITY, HONE_OK;
  if (!st) st = hn_timing_cache_put(t->cache, t->machine, text, way, *seconds);
  t->result.measured++;
  if (!st) hn_timing_cache_get(t->cache, t->machine, text, way, seconds);
  return st;
}
