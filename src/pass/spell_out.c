/* spell_out.c - operators that are others put together, where those have fast kernels and fuse with what is around. */
#include <float.h>
#include <string.h>

#include "pass/pass.h"

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }
static hn_id input(const hn_match *m) { return hn_in(root(m), 0); }
static hn_id root_out(const hn_match *m) { return hn_out(root(m), 0); }
static bool is_float(const hn_match *m) { return hn_is_float(hn_dtype_of(m->g, input(m))); }

/* ---- Mean of several tensors */

static bool several_floats(hn_match *m) { return is_float(m) && !root(m)->n_post; }

static hn_id sum_and_factor(hn_match *m) {
  uint32_t n = root(m)->n_main;
  hn_id in[64];
  if (n < 1 || n > 64) return HN_NONE;
  memcpy(in, root(m)->in, sizeof *in * n);
  hn_id sum = n == 1 ? in[0] : hn_first(m, hn_emit(m, HN_Sum, in, n));
  return hn_emit2(m, HN_Mul, sum, hn_emit_scalar(m, hn_dtype_of(m->g, in[0]), 1 / (double)n));
}

/* ---- CenterCropPad to a known size: a Pad, below zero where it crops */

static bool known_crop(hn_match *m) {
  hn_shape in = hn_shape_of_value(m->g, input(m)), out = hn_shape_of_value(m->g, root_out(m));
  if (in.rank < 1 || out.rank != in.rank) return false;
  for (int32_t i = 0; i < in.rank; i++)
    if (in.d[i] != out.d[i] && (!hn_dim_fixed(in.d[i]) || !hn_dim_fixed(out.d[i]))) return false;
  return true;
}

static hn_id as_pad(hn_match *m) {
  hn_shape in = hn_shape_of_value(m->g, input(m)), out = hn_shape_of_value(m->g, root_out(m));
  int64_t pads[2 * HN_MAX_RANK] = {0};
  for (int32_t i = 0; i < in.rank; i++) {
    if (in.d[i] == out.d[i]) continue;
    int64_t before = (out.d[i] - in.d[i]) / 2; /* towards zero: the odd one goes to the end */
    pads[i] = before;
    pads[in.rank + i] = out.d[i] - in.d[i] - before;
  }
  return hn_emit2(m, HN_Pad, input(m), hn_emit_ints(m, pads, 2 * (size_t)in.rank));
}

/* ---- norms: LpPool and LpNormalization with p of 1 or 2 */

static bool first_or_second(hn_match *m) {
  m->ints[0] = hn_attr_i(root(m), "p", 2);
  return is_float(m) && (m->ints[0] == 1 || m->ints[0] == 2);
}

static hn_id powers(hn_match *m) { return m->ints[0] == 1 ? hn_emit1(m, HN_Abs, input(m)) : hn_emit2(m, HN_Mul, input(m), input(m)); }

static bool plain_window(hn_match *m) {
  const int64_t *k;
  hn_shape in = hn_shape_of_value(m->g, input(m));
  uint32_t n = hn_attr_ints(root(m), "kernel_shape", &k);
  if (!first_or_second(m) || in.rank < 3 || (int32_t)n != in.rank - 2 || hn_attr_i(root(m), "ceil_mode", 0)) return false;
  m->ints[1] = 1;
  for (uint32_t i = 0; i < n; i++) {
    if (k[i] < 1 || k[i] > 1 << 10) return false;
    m->ints[1] *= k[i];
  }
  return m->ints[1] < 1 << 24;
}

/* An average that counts what was padded, times the size of the window, is the sum. */
static hn_id as_average(hn_match *m) {
  hn_dtype t = hn_dtype_of(m->g, input(m));
  hn_id x = powers(m);
  if (x == HN_NONE) return HN_NONE;
  hn_id n = hn_emit(m, HN_AveragePool, &x, 1);
  if (n == HN_NONE) return HN_NONE;
  hn_attr_copy_all(m->g, n, root(m));
  hn_attr_remove(m->g, n, "p");
  hn_set_i(m->g, n, "count_include_pad", 1);
  hn_id sum = hn_emit2(m, HN_Mul, hn_first(m, n), hn_emit_scalar(m, t, (double)m->ints[1]));
  return m->ints[0] == 1 ? sum : hn_emit1(m, HN_Sqrt, sum);
}

static hn_id reduced(hn_match *m, hn_op op, hn_id x, const int64_t *axes, size_t n) {
  if (x == HN_NONE) return HN_NONE;
  hn_id in[2] = {x, hn_emit_ints(m, axes, n)}, node = hn_emit(m, op, in, 2);
  if (node != HN_NONE) hn_set_i(m->g, node, "keepdims", 1);
  return hn_first(m, node);
}

static bool of_floats_32(hn_match *m) {
  m->ints[1] = hn_axis_of(root(m), -1, hn_rank_of(m->g, input(m)));
  return first_or_second(m) && m->ints[1] >= 0 && hn_dtype_of(m->g, input(m)) == HONE_DTYPE_F32;
}

/* Where the norm is zero all numbers are, and zeros are to be left: divided by the smallest number there is they stay. */
static hn_id over_norm(hn_match *m) {
  hn_id norm = reduced(m, m->ints[0] == 1 ? HN_ReduceL1 : HN_ReduceL2, input(m), &m->ints[1], 1);
  return hn_emit2(m, HN_Div, input(m), hn_emit2(m, HN_Max, norm, hn_emit_scalar(m, HONE_DTYPE_F32, (double)FLT_TRUE_MIN)));
}

/* ---- MeanVarianceNormalization: (x - mean) / (deviation + 1e-9) */

static bool known_rank(hn_match *m) { return is_float(m) && hn_rank_of(m->g, input(m)) > 0; }

static hn_id over_deviation(hn_match *m) {
  const int64_t *axes = (const int64_t[]){0, 2, 3};
  int64_t own[HN_MAX_RANK];
  uint32_t n = 3;
  if (hn_attr_find(root(m), "axes")) n = hn_attr_ints(root(m), "axes", &axes);
  if (!n || n > HN_MAX_RANK) return HN_NONE;
  memcpy(own, axes, sizeof *own * n);
  hn_dtype t = hn_dtype_of(m->g, input(m));
  hn_id d = hn_emit2(m, HN_Sub, input(m), reduced(m, HN_ReduceMean, input(m), own, n));
  hn_id deviation = hn_emit1(m, HN_Sqrt, reduced(m, HN_ReduceMean, hn_emit2(m, HN_Mul, d, d), own, n));
  return hn_emit2(m, HN_Div, d, hn_emit2(m, HN_Add, deviation, hn_emit_scalar(m, t, 1e-9)));
}

const hn_rule hn_rules_spell_out[] = {
    {"mean", "the mean of several tensors: their sum and a factor", false, P_NODE(0, 0, Mean), several_floats, sum_and_factor},
    {"center-crop-pad", "cropping or padding to a known size: a Pad", true, P_NODE(0, 0, CenterCropPad), known_crop, as_pad},
    {"lp-pool", "LpPool by 1 or 2: an average of magnitudes or squares", false, P_NODE(0, 0, LpPool), plain_window, as_average},
    {"lp-normalization", "LpNormalization: a quotient by the norm", false, P_NODE(0, 0, LpNormalization), of_floats_32, over_norm},
    {"mean-variance", "MeanVarianceNormalization: by mean and deviation", false, P_NODE(0, 0, MeanVarianceNormalization), known_rank, over_deviation},
};
const uint32_t hn_rules_spell_out_count = sizeof hn_rules_spell_out / sizeof *hn_rules_spell_out;
