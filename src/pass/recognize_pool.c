/* recognize_pool.c - poolings over everything, however they are spelled. After recognize-norm: a mean over the last
   dimension may be part of a normalization. */
#include "pass/pass.h"

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }
static hn_id root_out(const hn_match *m) { return hn_out(root(m), 0); }

static bool spatial_mean(hn_match *m) {
  bool axes[HN_MAX_RANK], keep;
  int32_t rank = hn_rank_of(m->g, hn_in(root(m), 0));
  if (rank < 3 || !hn_is_float(hn_dtype_of(m->g, hn_in(root(m), 0)))) return false;
  if (!hn_reduced_axes(m->g, root(m), axes, &keep) || axes[0] || axes[1]) return false;
  for (int32_t i = 2; i < rank; i++)
    if (!axes[i]) return false;
  m->ints[0] = keep;
  m->ints[1] = rank;
  return true;
}

static hn_id pooled(hn_match *m, hn_op op) {
  hn_id v = hn_emit1(m, op, root(m)->in[0]);
  if (m->ints[0] || v == HN_NONE) return v;
  hn_id n = hn_emit(m, HN_Flatten, &v, 1);
  hn_set_i(m->g, n, "axis", 1);
  if (m->ints[1] < 3) return HN_NONE;
  return hn_first(m, n);
}
static hn_id as_global_average(hn_match *m) { return pooled(m, HN_GlobalAveragePool); }
static hn_id as_global_max(hn_match *m) { return pooled(m, HN_GlobalMaxPool); }

/* A window over the whole plane. */
static bool whole_plane(hn_match *m) {
  const int64_t *k, *p;
  hn_shape in = hn_shape_of_value(m->g, hn_in(root(m), 0)), out = hn_shape_of_value(m->g, root_out(m));
  if (in.rank < 3 || root(m)->n_out != 1 || hn_attr_ints(root(m), "kernel_shape", &k) != (uint32_t)in.rank - 2) return false;
  for (uint32_t i = 0, n = hn_attr_ints(root(m), "pads", &p); i < n; i++)
    if (p[i]) return false;
  if (hn_attr_ints(root(m), "dilations", &p)) {
    for (int32_t i = 0; i < in.rank - 2; i++)
      if (p[i] != 1) return false;
  }
  for (int32_t i = 2; i < in.rank; i++)
    if (in.d[i] != k[i - 2] || out.d[i] != 1) return false;
  m->ints[0] = 1;
  return true;
}

const hn_rule hn_rules_recognize_pool[] = {
    {"global-average", "the mean over all spatial dimensions", false, P_NODE(0, 0, ReduceMean), spatial_mean, as_global_average},
    {"global-max", "the largest over all spatial dimensions", true, P_NODE(0, 0, ReduceMax), spatial_mean, as_global_max},
    {"global-average-pool", "an average pooling with one window over all", false, P_NODE(0, 0, AveragePool), whole_plane,
     as_global_average},
    {"global-max-pool", "a maximum pooling with one window over all", true, P_NODE(0, 0, MaxPool), whole_plane, as_global_max},
};
const uint32_t hn_rules_recognize_pool_count = sizeof hn_rules_recognize_pool / sizeof *hn_rules_recognize_pool;
