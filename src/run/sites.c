#include "run/sites.h"

#include <string.h>

#include "op/infer.h"
#include "plan/schedule.h"

typedef struct describer {
  hone_profile *p;
  const hn_plan *plan;
  uint32_t *block_writer, *dynamic_writer; /* the step that wrote it last, or HN_NONE */
  uint32_t first;
  bool failed;
} describer;

static const char *keep(describer *d, const char *text) {
  const char *kept = hn_arena_strdup(d->p->texts, text ? text : "");
  if (!kept) d->failed = true;
  return kept ? kept : "";
}

static const char *keep_str(describer *d, hn_str *s) {
  if (s->failed) d->failed = true;
  const char *kept = keep(d, s->p);
  hn_str_free(s);
  return kept;
}

static void add_arg(hn_str *s, const hn_arg *a) {
  if (!a->present) return;
  hn_str_printf(s, "%s%s", s->n ? ", " : "", hone_dtype_name(a->dtype));
  if (a->dynamic) {
    hn_str_add(s, "[?]");
    return;
  }
  hn_str_add(s, "[");
  for (int32_t k = 0; k < a->rank; k++) hn_str_printf(s, "%s%lld", k ? "," : "", (long long)a->dims[k]);
  hn_str_add(s, "]");
}

static const char *args_text(describer *d, const hn_arg *a, uint32_t n) {
  hn_str s = {0};
  for (uint32_t i = 0; i < n; i++) add_arg(&s, &a[i]);
  return keep_str(d, &s);
}

static uint64_t arg_bytes(const hn_arg *a) {
  size_t bytes;
  if (!a->present || a->dynamic || !hn_layout_bytes(a->layout, a->dtype, a->rank, a->dims, &bytes)) return 0;
  return bytes;
}

/* What a step reads and writes; weights it has packed count as packed. */
uint64_t hn_step_bytes(const hn_task *t) {
  uint64_t sum = t->packed;
  for (uint32_t i = 0; i < t->n_in; i++)
    if (!t->in[i].unused || !t->packed) sum += arg_bytes(&t->in[i]);
  for (uint32_t i = 0; i < t->n_out; i++) sum += arg_bytes(&t->out[i]);
  return sum;
}

static uint64_t live_bytes(const hn_plan *plan, uint32_t step) {
  uint64_t sum = 0;
  for (size_t i = 0; i < plan->blocks.n; i++)
    if (plan->blocks.p[i].device == plan->steps.p[step].device && plan->blocks.p[i].first <= step && step <= plan->blocks.p[i].last) sum += plan->blocks.p[i].bytes;
  return sum;
}

static uint32_t *writer_of(describer *d, uint32_t slot) {
  if (slot == HN_NONE) return NULL;
  const hn_slot *s = &d->plan->slots.p[slot];
  if (s->kind == HN_SLOT_BLOCK) return &d->block_writer[s->index];
  return s->kind == HN_SLOT_DYNAMIC ? &d->dynamic_writer[s->index] : NULL;
}

static void link_step(describer *d, uint32_t step, hn_site *site) {
  const hn_planned *s = &d->plan->steps.p[step];
  site->from = hn_arena_alloc(d->p->texts, sizeof *site->from * (s->task.n_in + 1));
  if (!site->from) {
    d->failed = true;
    return;
  }
  for (uint32_t i = 0; i < s->task.n_in; i++) {
    const uint32_t *w = writer_of(d, s->in[i]);
    if (w && *w != HN_NONE) site->from[site->n_from++] = d->first + *w;
  }
  for (uint32_t i = 0; i < s->task.n_out; i++) {
    uint32_t *w = writer_of(d, s->out[i]);
    if (w) *w = step;
  }
}

static void describe(describer *d, uint32_t step, hn_site *site) {
  const hn_planned *s = &d->plan->steps.p[step];
  const hn_task *t = &s->task;
  const hn_node *n = t->node;
  hone_profile_layer *is = &site->is;
  hn_str kind = {0};
  bool symbolic = false;
  bool transfer = hn_is_transfer(s);
  hn_planned_kind(d->plan->g, s, &kind);
  is->op = keep_str(d, &kind);
  is->kind = n ? HONE_SLICE_LAYER : transfer ? HONE_SLICE_TRANSFER : HONE_SLICE_REORDER;
  is->name = keep(d, n ? n->name : hn_value_at(d->plan->g, d->plan->slots.p[s->out[0]].value)->name);
  is->source = n ? keep(d, n->source ? n->source : n->name) : "";
  is->kernel = transfer ? (t->on ? "copy in" : "copy out") : keep(d, hn_planned_tactic(s));
  is->layout = t->n_out ? hn_layout_name(t->out[0].layout) : "";
  is->device = t->on ? keep(d, t->on->name) : t->from && transfer ? keep(d, t->from->name) : "cpu";
  is->inputs = args_text(d, t->in, t->n_in);
  is->outputs = args_text(d, t->out, t->n_out);
  is->dtype = t->n_out ? t->out[0].dtype : HONE_DTYPE_UNDEFINED;
  is->flops = (double)hn_planned_sum(d->plan->g, s, hn_node_flops, &symbolic);
  is->arithmetic = hn_planned_arithmetic(d->plan->g, s);
  is->bytes = transfer ? arg_bytes(&t->out[0]) : hn_step_bytes(t);
  is->live_bytes = live_bytes(d->plan, step);
  link_step(d, step, site);
}

hone_status hn_sites_add(hone_profile *p, const hn_plan *plan, uint32_t *first) {
  describer d = {.p = p, .plan = plan};
  d.block_writer = hn_calloc(plan->blocks.n, sizeof *d.block_writer);
  d.dynamic_writer = hn_calloc(plan->n_dynamic, sizeof *d.dynamic_writer);
  hone_status st = d.block_writer && d.dynamic_writer ? hn_profile_add_sites(p, (uint32_t)plan->steps.n, &d.first) : hn_nomem(p->cx);
  if (!st) {
    memset(d.block_writer, 0xff, plan->blocks.n * sizeof *d.block_writer);
    memset(d.dynamic_writer, 0xff, plan->n_dynamic * sizeof *d.dynamic_writer);
    for (uint32_t i = 0; i < plan->steps.n; i++) describe(&d, i, &p->sites.p[d.first + i]);
    if (d.failed) st = hn_nomem(p->cx);
  }
  hn_free(d.block_writer);
  hn_free(d.dynamic_writer);
  if (!st) *first = d.first;
  return st;
}
