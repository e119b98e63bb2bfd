/* pads.h - what a Pad with constant pads adds in front of each axis; false: its pads or axes are not constant, or do not fit. */
#ifndef HN_PADS_H
#define HN_PADS_H
#include <string.h>

#include "device/cpu/cpu.h"

static inline bool hn_pads_of(const hn_task *t, int64_t before[HN_MAX_RANK]) {
  const hn_tensor *pads = t->in[1].constant, *axes = t->node->n_main > 3 && t->in[3].present ? t->in[3].constant : NULL;
  bool some = t->node->n_main > 3 && t->in[3].present;
  int64_t n = axes ? axes->count : t->in[0].rank;
  if (!pads || (some && !axes) || pads->count != 2 * n || n > HN_MAX_RANK) return false;
  memset(before, 0, sizeof *before * HN_MAX_RANK);
  for (int64_t i = 0; i < n; i++) {
    int64_t a = axes ? hn_tensor_i(axes, (size_t)i) : i;
    if (a < 0) a += t->in[0].rank;
    if (a < 0 || a >= t->in[0].rank) return false;
    before[a] = hn_tensor_i(pads, (size_t)i);
  }
  return true;
}
#endif
