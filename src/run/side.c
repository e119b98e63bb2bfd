#include "run/side.h"

#include "base/alloc.h"
#include "base/parallel.h"

typedef struct running {
  const hn_side *side;
  const hn_fork *fork;
  hn_side_step step;
  void *program;
  hone_status *status; /* by lane */
} running;

static void run_lanes(void *arg, int64_t begin, int64_t end) {
  const running *r = arg;
  const hn_side *s = r->side;
  for (int64_t lane = begin; lane < end; lane++)
    for (uint32_t i = 0; i < r->fork->n && !r->status[lane]; i++) {
      uint32_t step = r->fork->first + i;
      if (r->fork->lane[i] != lane) continue;
      s->begin[step] = hn_now();
      r->status[lane] = r->step(r->program, step);
      s->end[step] = hn_now();
    }
}

hone_status hn_side_run(const hn_side *s, const hn_fork *f, hn_side_step step, void *program) {
  hone_status status[HN_MAX_LANES] = {HONE_OK};
  running r = {s, f, step, program, status};
  hn_parallel_for((int)f->lanes, f->lanes, 1, run_lanes, &r);
  for (uint32_t i = 0; i < f->lanes; i++)
    if (status[i]) return hn_fail(s->cx, status[i], "%s", s->branches[i].error);
  return HONE_OK;
}

hone_status hn_side_create(const hn_plan *p, hn_side *out) {
  uint32_t lanes = 0;
  for (size_t i = 0; i < p->forks.n; i++)
    if (p->forks.p[i].lanes > lanes) lanes = p->forks.p[i].lanes;
  *out = (hn_side){.cx = p->g->cx};
  if (!lanes) return HONE_OK;
  out->branches = hn_calloc(lanes, sizeof *out->branches);
  out->begin = hn_calloc(p->steps.n, sizeof *out->begin);
  out->end = hn_calloc(p->steps.n, sizeof *out->end);
  return out->branches && out->begin && out->end ? HONE_OK : hn_nomem(p->g->cx);
}

void hn_side_destroy(hn_side *s) {
  hn_free(s->branches);
  hn_free(s->begin);
  hn_free(s->end);
}

hone_context *hn_side_context(const hn_side *s, const hn_plan *p, uint32_t step) {
  for (size_t i = 0; i < p->forks.n; i++) {
    const hn_fork *f = &p->forks.p[i];
    if (step >= f->first && step < f->first + f->n) return &s->branches[f->lane[step - f->first]];
  }
  return s->cx;
}
