/* resize_task.h - the geometry of a Resize whose sizes, scales and region are constant. */
#ifndef HN_RESIZE_TASK_H
#define HN_RESIZE_TASK_H
#include "device/cpu/cpu.h"
#include "op/resample.h"

static inline const hn_tensor *hn_resize_constant(const hn_task *t, uint32_t i) {
  return i < t->node->n_main && t->in[i].present ? t->in[i].constant : NULL;
}

/* false: they are not, or make no sense. */
static inline bool hn_resize_resolve(const hn_task *t, hn_resample *r) {
  for (uint32_t i = 1; i < t->node->n_main; i++)
    if (t->in[i].present && !t->in[i].constant) return false;
  return hn_resample_resolve(t->cx, t->node, t->in[0].rank, t->in[0].dims, hn_resize_constant(t, 1), hn_resize_constant(t, 2),
                             hn_resize_constant(t, 3), r) == HONE_OK;
}
#endif
