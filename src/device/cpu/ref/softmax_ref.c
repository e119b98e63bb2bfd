/* softmax_ref.c - operators that normalize each lane along one axis: Softmax, LogSoftmax, Hardmax, LpNormalization. */
#include <math.h>

#include "device/cpu/ref/broadcast.h"

typedef struct lane {
  const hn_view *in;
  hn_view *out;
  int64_t at, n, step;
} lane;

/* What a first pass over the lane finds. */
typedef struct found {
  double largest, sum; /* sum: of exponentials relative to the largest, or of powers of magnitudes */
  int64_t where;       /* of the first largest */
} found;

static double largest_of(const lane *l, int64_t *where) {
  double v[HN_RUN], best = -INFINITY;
  *where = 0;
  HN_CHUNKS(l->n, c, m) {
    hn_read_f64(l->in->dtype, l->in->data, l->at + c * l->step, l->step, m, v);
    for (int64_t i = 0; i < m; i++)
      if (v[i] > best || (isnan(v[i]) && !isnan(best))) best = v[i], *where = c + i;
  }
  return best;
}

static double sum_of(const lane *l, hn_op op, double largest, int64_t p) {
  double v[HN_RUN], sum = 0;
  HN_CHUNKS(l->n, c, m) {
    hn_read_f64(l->in->dtype, l->in->data, l->at + c * l->step, l->step, m, v);
    for (int64_t i = 0; i < m; i++)
      sum += op != HN_LpNormalization ? exp(v[i] - largest) : p == 1 ? fabs(v[i]) : v[i] * v[i];
  }
  return sum;
}

static void write_lane(const lane *l, hn_op op, const found *f) {
  double v[HN_RUN], log_sum = log(f->sum);
  HN_CHUNKS(l->n, c, m) {
    hn_read_f64(l->in->dtype, l->in->data, l->at + c * l->step, l->step, m, v);
    for (int64_t i = 0; i < m; i++) switch (op) {
        case HN_Softmax: v[i] = exp(v[i] - f->largest) / f->sum; break;
        case HN_LogSoftmax: v[i] = v[i] - f->largest - log_sum; break;
        case HN_Hardmax: v[i] = c + i == f->where; break;
        default: v[i] = f->sum == 0 ? 0 : v[i] / f->sum; break;
      }
    hn_write_f64(l->out->dtype, l->out->data, l->at + c * l->step, l->step, m, v);
  }
}

hone_status hk_softmax_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0];
  int32_t axis;
  int64_t p = hn_attr_i(n, "p", 2);
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (p != 1 && p != 2) return hn_xfail(x, HONE_BAD_GRAPH, "p is %lld; takes 1 or 2", (long long)p);
  HN_TRY(hn_xaxis(x, 0, hn_attr_i(n, "axis", -1), &axis));
  HN_TRY(hn_xout_like(x, 0, in));
  hn_axis_split s = hn_split_at(in, axis);
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t i = 0; i < s.inner; i++) {
      lane l = {in, &x->out[0], o * s.n * s.inner + i, s.n, s.inner};
      found f = {0};
      if (n->op != HN_LpNormalization) f.largest = largest_of(&l, &f.where);
      if (n->op != HN_Hardmax) f.sum = sum_of(&l, n->op, f.largest, p);
      if (n->op == HN_LpNormalization && p == 2) f.sum = sqrt(f.sum);
      write_lane(&l, n->op, &f);
    }
  return HONE_OK;
}
