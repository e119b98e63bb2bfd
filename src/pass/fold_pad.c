/* fold_pad.c - zeros that a layer of its own puts around an image become the padding of the layer behind it. */
#include <string.h>

#include "pass/pass.h"

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }

/* Pads of the Pad in slot 3 by dimension, begins then ends; false unless constant zeros around spatial dimensions. */
static bool spatial_zeros(const hn_match *m, int64_t pads[2 * HN_MAX_RANK], int32_t *rank) {
  const hn_node *n = hn_node_at(m->g, m->node[3]);
  int64_t given[2 * HN_MAX_RANK], axes[HN_MAX_RANK];
  uint32_t count, n_axes = 0;
  double value = 0;
  *rank = hn_rank_of(m->g, m->value[1]);
  if (*rank < 3 || strcmp(hn_attr_s(n, "mode", "constant"), "constant") != 0) return false;
  if (hn_in(n, 2) != HN_NONE && (!hn_scalar_of(m->g, hn_in(n, 2), &value) || value != 0)) return false;
  if (!hn_ints_of(m->g, hn_in(n, 1), given, 2 * HN_MAX_RANK, &count)) return false;
  if (hn_in(n, 3) != HN_NONE && !hn_ints_of(m->g, hn_in(n, 3), axes, HN_MAX_RANK, &n_axes)) return false;
  if (hn_in(n, 3) == HN_NONE)
    for (n_axes = 0; n_axes < (uint32_t)*rank; n_axes++) axes[n_axes] = n_axes;
  if (count != 2 * n_axes) return false;
  memset(pads, 0, sizeof(int64_t) * 2 * HN_MAX_RANK);
  for (uint32_t i = 0; i < n_axes; i++) {
    int64_t a = axes[i] < 0 ? axes[i] + *rank : axes[i];
    if (a < 0 || a >= *rank || given[i] < 0 || given[i + n_axes] < 0) return false;
    if (a < 2 && (given[i] || given[i + n_axes])) return false;
    pads[a] = given[i];
    pads[a + *rank] = given[i + n_axes];
  }
  return true;
}

/* Into m->ints: the root's pads with those of the Pad added. */
static bool sums(hn_match *m, bool *had_own) {
  int64_t pads[2 * HN_MAX_RANK];
  const int64_t *own;
  int32_t rank;
  const char *mode = hn_attr_s(root(m), "auto_pad", "NOTSET");
  if (!spatial_zeros(m, pads, &rank) || (strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0)) return false;
  int32_t nd = rank - 2;
  uint32_t n_own = strcmp(mode, "VALID") == 0 ? 0 : hn_attr_ints(root(m), "pads", &own);
  if (n_own && n_own != (uint32_t)nd * 2) return false;
  *had_own = false;
  for (int32_t i = 0; i < nd; i++) {
    m->ints[i] = pads[2 + i] + (n_own ? own[i] : 0);
    m->ints[nd + i] = pads[rank + 2 + i] + (n_own ? own[nd + i] : 0);
    *had_own = *had_own || (n_own && (own[i] || own[nd + i]));
  }
  m->num[0] = 2 * nd;
  return true;
}

static bool conv_takes(hn_match *m) {
  bool own;
  return sums(m, &own);
}

/* The zeros of the Pad count in the mean, so the pool's own padding must count too, or not be there. */
static bool pool_takes(hn_match *m) {
  bool own;
  return sums(m, &own) && (!own || hn_attr_i(root(m), "count_include_pad", 0)) && !hn_attr_i(root(m), "ceil_mode", 0);
}

static hn_id take_pads(hn_match *m) {
  hn_id copy = hn_emit_copy(m, m->root);
  if (copy == HN_NONE) return HN_NONE;
  hn_set_input(m->g, copy, 0, m->value[1]);
  hn_attr_remove(m->g, copy, "auto_pad");
  hn_set_ints(m->g, copy, "pads", m->ints, (size_t)m->num[0]);
  if (hn_node_at(m->g, copy)->op == HN_AveragePool) hn_set_i(m->g, copy, "count_include_pad", 1);
  return hn_first(m, copy);
}

#define PAD P_OP(3, Pad, P_ANY(1), P_ANY(4), P_MAYBE(5), P_MAYBE(6))

const hn_rule hn_rules_fold_pad[] = {
    {"pad-conv", "zeros around the image of a convolution", true,
     P_FLAGS(HN_PATTERN_POST, 0, Conv, PAD, P_ANY(7), P_MAYBE(8)), conv_takes, take_pads},
    {"pad-average", "zeros around the image of an average pooling", true, P_OP(0, AveragePool, PAD), pool_takes, take_pads},
};
const uint32_t hn_rules_fold_pad_count = sizeof hn_rules_fold_pad / sizeof *hn_rules_fold_pad;
