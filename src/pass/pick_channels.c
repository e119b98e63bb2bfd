/* pick_channels.c - channel shuffles, spelled as a reshape, a transpose and a reshape, are a selection of channels; a slice of a
   selection is a smaller one. What the next layer needs is then picked once, in whatever layout the image lies. */
#include "pass/pass.h"

enum { MAX_PICKED = 4096 };

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }
static hn_id root_out(const hn_match *m) { return hn_out(root(m), 0); }

static hn_id pick(hn_match *m, hn_id x, int64_t axis, const int64_t *from, size_t n) {
  hn_id in[2] = {x, hn_emit_ints(m, from, n)};
  hn_id node = in[1] == HN_NONE ? HN_NONE : hn_emit(m, HN_Gather, in, 2);
  if (node == HN_NONE) return HN_NONE;
  hn_set_i(m->g, node, "axis", axis);
  return hn_first(m, node);
}

/* x as [N, groups, channels of a group, ...], the two exchanged, as x again. */
static bool is_shuffle(hn_match *m) {
  hn_shape x = hn_shape_of_value(m->g, m->value[1]), split = hn_shape_of_value(m->g, hn_out(hn_node_at(m->g, m->node[3]), 0));
  hn_shape out = hn_shape_of_value(m->g, root_out(m));
  int64_t perm[HN_MAX_RANK];
  if (x.rank < 3 || split.rank != x.rank + 1 || !hn_shape_equal(&x, &out) || x.d[0] != split.d[0]) return false;
  hn_transpose_perm(hn_node_at(m->g, m->node[2]), split.rank, perm);
  for (int32_t i = 0; i < split.rank; i++) {
    if (perm[i] != (i == 1 ? 2 : i == 2 ? 1 : i)) return false;
    if (i > 2 && split.d[i] != x.d[i - 1]) return false;
  }
  if (!hn_dim_fixed(x.d[1]) || !hn_dim_fixed(split.d[1]) || !hn_dim_fixed(split.d[2]) || x.d[1] < 1 || x.d[1] > MAX_PICKED) return false;
  m->ints[0] = split.d[1];
  m->ints[1] = split.d[2];
  return m->ints[0] * m->ints[1] == x.d[1];
}

static hn_id as_selection(hn_match *m) {
  int64_t from[MAX_PICKED], groups = m->ints[0], each = m->ints[1];
  for (int64_t i = 0; i < groups * each; i++) from[i] = i % groups * each + i / groups;
  return pick(m, m->value[1], 1, from, (size_t)(groups * each));
}

/* Which of the selection's n elements the slice takes; false if that is not known. */
static bool taken(const hn_match *m, int64_t n, int64_t axis, int64_t *first, int64_t *step, int64_t *count) {
  int64_t start, end, along = 0, by = 1;
  uint32_t k;
  if (!hn_ints_of(m->g, hn_in(root(m), 1), &start, 1, &k) || k != 1 || !hn_ints_of(m->g, hn_in(root(m), 2), &end, 1, &k) || k != 1) return false;
  if (hn_in(root(m), 3) != HN_NONE && (!hn_ints_of(m->g, hn_in(root(m), 3), &along, 1, &k) || k != 1)) return false;
  if (hn_in(root(m), 4) != HN_NONE && (!hn_ints_of(m->g, hn_in(root(m), 4), &by, 1, &k) || k != 1)) return false;
  if (along < 0) along += hn_rank_of(m->g, root_out(m));
  if (along != axis || by < 1) return false;
  start = start < 0 ? start + n : start;
  end = end < 0 ? end + n : end;
  start = start < 0 ? 0 : start > n ? n : start;
  end = end < start ? start : end > n ? n : end;
  *first = start, *step = by, *count = (end - start + by - 1) / by;
  return true;
}

static bool selection(const hn_match *m, int64_t from[MAX_PICKED], uint32_t *n, int64_t *axis) {
  int32_t rank = hn_rank_of(m->g, m->value[1]);
  if (rank < 1 || hn_rank_of(m->g, m->value[3]) != 1 || !hn_ints_of(m->g, m->value[3], from, MAX_PICKED, n)) return false;
  *axis = hn_axis_of(hn_node_at(m->g, m->node[2]), 0, rank);
  return *axis >= 0;
}

static bool is_part(hn_match *m) {
  int64_t from[MAX_PICKED], axis, first, step, count;
  uint32_t n;
  return selection(m, from, &n, &axis) && taken(m, n, axis, &first, &step, &count);
}

static hn_id as_part(hn_match *m) {
  int64_t from[MAX_PICKED], axis, first, step, count;
  uint32_t n;
  if (!selection(m, from, &n, &axis) || !taken(m, n, axis, &first, &step, &count)) return HN_NONE;
  for (int64_t i = 0; i < count; i++) from[i] = from[first + i * step]; /* never behind what is yet to be read */
  return pick(m, m->value[1], axis, from, (size_t)count);
}

const hn_rule hn_rules_pick_channels[] = {
    {"shuffle", "a reshape, transpose and reshape that reorder channels", true,
     P_OP(0, Reshape, P_OP(2, Transpose, P_OP(3, Reshape, P_ANY(1), P_ANY(4))), P_ANY(5)), is_shuffle, as_selection},
    {"part", "a slice of selected elements", true, P_OP(0, Slice, P_SHARED(2, Gather, P_ANY(1), P_CONST(3)), P_ANY(4), P_ANY(5), P_MAYBE(6), P_MAYBE(7)), is_part, as_part},
};
const uint32_t hn_rules_pick_channels_count = sizeof hn_rules_pick_channels / sizeof *hn_rules_pick_channels;
