/* window_ref.c - convolution and pooling over any number of spatial dimensions, summed in double. */
#include <math.h>
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "device/cpu/ref/quantized.h"
#include "op/infer.h"

typedef struct geometry {
  hn_window w;
  int64_t in[HN_MAX_RANK], out[HN_MAX_RANK], in_size, out_size, taps;
} geometry;

static hone_status resolve(hn_exec *x, const hn_view *in, const int64_t *kernel, bool transposed, geometry *g) {
  hone_status st = hn_window_resolve(x->cx, x->task->g->dims, hn_xnode(x), in->rank - 2, in->dims + 2, kernel, transposed, &g->w);
  if (st) return hn_fail_within(x->cx, st, "node '%s' (%s)", hn_xnode(x)->name, hn_op_name(hn_xnode(x)->op));
  g->in_size = g->out_size = g->taps = 1;
  for (int32_t i = 0; i < g->w.n; i++) {
    g->in[i] = in->dims[2 + i];
    g->out[i] = g->w.out[i];
    g->in_size *= g->in[i];
    g->out_size *= g->out[i];
    g->taps *= g->w.kernel[i];
  }
  return HONE_OK;
}

static void coordinates(int64_t index, const int64_t *dims, int32_t n, int64_t *at) {
  for (int32_t i = n - 1; i >= 0; i--) {
    at[i] = index % dims[i];
    index /= dims[i];
  }
}

/* Offset in the input of tap `t` of the window at `at`; -1 in the padding. */
static int64_t tap_offset(const geometry *g, const int64_t *at, int64_t t) {
  int64_t k[HN_MAX_RANK], offset = 0;
  coordinates(t, g->w.kernel, g->w.n, k);
  for (int32_t i = 0; i < g->w.n; i++) {
    int64_t p = at[i] * g->w.stride[i] - g->w.pad_begin[i] + k[i] * g->w.dilation[i];
    if (p < 0 || p >= g->in[i]) return -1;
    offset = offset * g->in[i] + p;
  }
  return offset;
}

/* Offset in the output that tap `t` of a transposed convolution's input at `at` adds to; -1 outside. */
static int64_t reached(const geometry *g, const int64_t *at, int64_t t) {
  int64_t k[HN_MAX_RANK], offset = 0;
  coordinates(t, g->w.kernel, g->w.n, k);
  for (int32_t i = 0; i < g->w.n; i++) {
    int64_t p = at[i] * g->w.stride[i] - g->w.pad_begin[i] + k[i] * g->w.dilation[i];
    if (p < 0 || p >= g->out[i]) return -1;
    offset = offset * g->out[i] + p;
  }
  return offset;
}

static void output_dims(const hn_view *in, const geometry *g, int64_t channels, int64_t *dims) {
  dims[0] = in->dims[0];
  dims[1] = channels;
  memcpy(dims + 2, g->out, sizeof *dims * (size_t)g->w.n);
}

/* What distinguishes Conv from its integer relatives: where the operands are, what is taken off them, and what is
   done with the sum for output channel o. Padding counts as the zero point, that is nothing. */
typedef struct convolution {
  const hn_view *in, *w;
  double zero_in;
  const hn_quantized *zero_w; /* NULL: nothing to take off */
  hn_dtype out;
  double (*finish)(const hn_exec *x, const void *arg, int64_t o, double sum);
  const void *arg;
} convolution;

static hone_status convolve(hn_exec *x, const convolution *c) {
  const hn_view *in = c->in, *w = c->w;
  int64_t group = hn_attr_i(hn_xnode(x), "group", 1), dims[HN_MAX_RANK];
  geometry g;
  if (in->rank < 3 || w->rank != in->rank || group < 1 || w->dims[0] % group || in->dims[1] != w->dims[1] * group)
    return hn_xfail(x, HONE_BAD_GRAPH, "the weights do not fit the input");
  HN_TRY(resolve(x, in, w->dims + 2, false, &g));
  output_dims(in, &g, w->dims[0], dims);
  HN_TRY(hn_xout(x, 0, c->out, in->rank, dims));
  int64_t per_group = w->dims[1], outs = w->dims[0] / group;
  int64_t *offsets = hn_calloc((size_t)g.taps, sizeof *offsets);
  if (!offsets) return hn_nomem(x->cx);
  for (int64_t n = 0; n < dims[0]; n++)
    for (int64_t s = 0; s < g.out_size; s++) {
      int64_t at[HN_MAX_RANK];
      coordinates(s, g.out, g.w.n, at);
      for (int64_t t = 0; t < g.taps; t++) offsets[t] = tap_offset(&g, at, t);
      for (int64_t o = 0; o < dims[1]; o++) {
        double sum = 0, zero_w = c->zero_w ? hn_zero_of(c->zero_w, o) : 0;
        for (int64_t k = 0; k < per_group; k++) {
          int64_t base = (n * in->dims[1] + o / outs * per_group + k) * g.in_size, wbase = (o * per_group + k) * g.taps;
          for (int64_t t = 0; t < g.taps; t++)
            if (offsets[t] >= 0)
              sum += (hn_load_f64(in->dtype, in->data, (size_t)(base + offsets[t])) - c->zero_in) *
                     (hn_load_f64(w->dtype, w->data, (size_t)(wbase + t)) - zero_w);
        }
        hn_store_f64(c->out, x->out[0].data, (size_t)((n * dims[1] + o) * g.out_size + s), c->finish(x, c->arg, o, sum));
      }
    }
  hn_free(offsets);
  return HONE_OK;
}

static double with_bias(const hn_exec *x, const void *arg, int64_t o, double sum) {
  const hn_view *bias = arg;
  (void)x;
  return bias ? sum + hn_load_f64(bias->dtype, bias->data, (size_t)o) : sum;
}

hone_status hk_conv_ref(hn_exec *x) {
  const hn_view *bias = hn_xhas(x, 2) && hn_xnode(x)->n_main > 2 ? &x->in[2] : NULL;
  if (!hn_is_float(x->in[0].dtype)) return hn_xbad_dtype(x, x->in[0].dtype);
  return convolve(x, &(convolution){.in = &x->in[0], .w = &x->in[1], .out = x->in[0].dtype, .finish = with_bias, .arg = bias});
}

hone_status hk_conv_integer_ref(hn_exec *x) {
  hn_quantized in, w;
  HN_TRY(hn_open_quantized(x, 0, HN_NONE, 2, 1, &in));
  HN_TRY(hn_open_quantized(x, 1, HN_NONE, 3, x->in[1].rank ? x->in[1].dims[0] : 1, &w));
  return convolve(x, &(convolution){.in = in.v, .w = w.v, .zero_in = hn_zero_of(&in, 0), .zero_w = &w, .out = HONE_DTYPE_I32,
                                    .finish = with_bias, .arg = NULL});
}

typedef struct requantization {
  hn_quantized in, w, out;
  const hn_view *bias;
} requantization;

static double requantized(const hn_exec *x, const void *arg, int64_t o, double sum) {
  const requantization *q = arg;
  return hn_requantize(&q->out, with_bias(x, q->bias, o, sum) * hn_scale_of(&q->in, 0) * hn_scale_of(&q->w, o), 0);
}

hone_status hk_qlinear_conv_ref(hn_exec *x) {
  requantization q = {.bias = hn_xhas(x, 8) && hn_xnode(x)->n_main > 8 ? &x->in[8] : NULL};
  HN_TRY(hn_open_quantized(x, 0, 1, 2, 1, &q.in));
  HN_TRY(hn_open_quantized(x, 3, 4, 5, x->in[3].rank ? x->in[3].dims[0] : 1, &q.w));
  HN_TRY(hn_open_quantized(x, HN_NONE, 6, 7, 1, &q.out));
  if (q.bias && q.bias->count != x->in[3].dims[0]) return hn_xfail(x, HONE_BAD_GRAPH, "the bias does not have one value per output channel");
  return convolve(x, &(convolution){.in = q.in.v, .w = q.w.v, .zero_in = hn_zero_of(&q.in, 0), .zero_w = &q.w, .out = q.out.dtype,
                                    .finish = requantized, .arg = &q});
}

/* Every input element is added to the outputs it reaches: output = input * stride - pad + tap * dilation. */
hone_status hk_conv_transpose_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *w = &x->in[1];
  const bool bias = hn_xhas(x, 2) && hn_xnode(x)->n_main > 2;
  int64_t group = hn_attr_i(hn_xnode(x), "group", 1), dims[HN_MAX_RANK];
  geometry g;
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (in->rank < 3 || w->rank != in->rank || group < 1 || w->dims[0] % group || in->dims[1] != w->dims[0])
    return hn_xfail(x, HONE_BAD_GRAPH, "the weights do not fit the input");
  HN_TRY(resolve(x, in, w->dims + 2, true, &g));
  int64_t ins = in->dims[1] / group, outs = w->dims[1];
  output_dims(in, &g, outs * group, dims);
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  double *sum = hn_calloc((size_t)g.out_size + 1, sizeof *sum);
  if (!sum) return hn_nomem(x->cx);
  for (int64_t p = 0; p < dims[0] * dims[1]; p++) {
    int64_t n = p / dims[1], o = p % dims[1], first = o / outs * ins;
    for (int64_t s = 0; s < g.out_size; s++) sum[s] = bias ? hn_load_f64(x->in[2].dtype, x->in[2].data, (size_t)o) : 0;
    for (int64_t c = 0; c < ins; c++)
      for (int64_t s = 0; s < g.in_size; s++) {
        double v = hn_load_f64(in->dtype, in->data, (size_t)((n * in->dims[1] + first + c) * g.in_size + s));
        int64_t at[HN_MAX_RANK];
        coordinates(s, g.in, g.w.n, at);
        for (int64_t t = 0; t < g.taps; t++) {
          int64_t to = reached(&g, at, t);
          if (to >= 0) sum[to] += v * hn_load_f64(w->dtype, w->data, (size_t)(((first + c) * outs + o % outs) * g.taps + t));
        }
      }
    for (int64_t s = 0; s < g.out_size; s++) hn_store_f64(in->dtype, x->out[0].data, (size_t)(p * g.out_size + s), sum[s]);
  }
  hn_free(sum);
  return HONE_OK;
}

typedef enum pooling { POOL_MAX, POOL_AVERAGE, POOL_NORM } pooling;

typedef struct window_value {
  double value;
  int64_t where; /* of the largest, in the input plane */
} window_value;

/* The largest element of a window, its mean (counting padding that lies within the padded input), or its p-norm. */
static window_value pool_window(const hn_exec *x, const geometry *g, const int64_t *at, int64_t base, pooling kind, double p) {
  bool count_pad = hn_attr_i(hn_xnode(x), "count_include_pad", 0) != 0;
  window_value best = {-INFINITY, -1};
  double sum = 0;
  int64_t met = 0, counted = 0;
  for (int64_t t = 0; t < g->taps; t++) {
    int64_t k[HN_MAX_RANK], offset = 0;
    bool inside = true, in_padded = true;
    coordinates(t, g->w.kernel, g->w.n, k);
    for (int32_t i = 0; i < g->w.n; i++) {
      int64_t q = at[i] * g->w.stride[i] + k[i] * g->w.dilation[i] - g->w.pad_begin[i];
      in_padded = in_padded && q < g->in[i] + g->w.pad_end[i];
      inside = inside && q >= 0 && q < g->in[i];
      offset = offset * g->in[i] + q;
    }
    counted += in_padded;
    if (!inside) continue;
    double v = hn_load_f64(x->in[0].dtype, x->in[0].data, (size_t)(base + offset));
    if (best.where < 0 || v > best.value || (v != v && best.value == best.value)) best = (window_value){v, offset};
    sum += kind == POOL_NORM ? pow(fabs(v), p) : v;
    met++;
  }
  int64_t divisor = count_pad ? counted : met;
  if (kind == POOL_AVERAGE) best.value = divisor ? sum / (double)divisor : 0;
  if (kind == POOL_NORM) best.value = pow(sum, 1 / p);
  return best;
}

/* An index into the whole input tensor; storage_order 1 counts each plane's columns first. */
static int64_t flat_index(const geometry *g, int64_t plane, int64_t where, bool column_major) {
  if (!column_major) return plane * g->in_size + where;
  int64_t at[HN_MAX_RANK], flat = 0;
  coordinates(where, g->in, g->w.n, at);
  for (int32_t i = g->w.n - 1; i >= 0; i--) flat = flat * g->in[i] + at[i];
  return plane * g->in_size + flat;
}

static hone_status pool(hn_exec *x, pooling kind) {
  const hn_view *in = &x->in[0];
  int64_t dims[HN_MAX_RANK];
  geometry g;
  if (in->rank < 3) return hn_xfail(x, HONE_BAD_GRAPH, "its input has too few dimensions");
  HN_TRY(resolve(x, in, NULL, false, &g));
  output_dims(in, &g, in->dims[1], dims);
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  bool indices = kind == POOL_MAX && hn_xwants(x, 1), columns = hn_attr_i(hn_xnode(x), "storage_order", 0) != 0;
  double p = (double)hn_attr_i(hn_xnode(x), "p", 2);
  if (indices) HN_TRY(hn_xout(x, 1, HONE_DTYPE_I64, in->rank, dims));
  for (int64_t q = 0; q < dims[0] * dims[1]; q++)
    for (int64_t s = 0; s < g.out_size; s++) {
      int64_t at[HN_MAX_RANK];
      coordinates(s, g.out, g.w.n, at);
      window_value v = pool_window(x, &g, at, q * g.in_size, kind, p);
      hn_store_f64(in->dtype, x->out[0].data, (size_t)(q * g.out_size + s), v.value);
      if (indices) hn_store_i64(HONE_DTYPE_I64, x->out[1].data, (size_t)(q * g.out_size + s), flat_index(&g, q, v.where, columns));
    }
  return HONE_OK;
}

hone_status hk_max_pool_ref(hn_exec *x) { return pool(x, POOL_MAX); }
hone_status hk_average_pool_ref(hn_exec *x) { return pool(x, POOL_AVERAGE); }
hone_status hk_lp_pool_ref(hn_exec *x) { return pool(x, POOL_NORM); }

static hone_status global_pool(hn_exec *x, pooling kind) {
  const hn_view *in = &x->in[0];
  int64_t dims[HN_MAX_RANK] = {0}, size = 1;
  double p = (double)hn_attr_i(hn_xnode(x), "p", 2);
  for (int32_t i = 0; i < in->rank; i++) {
    dims[i] = i < 2 ? in->dims[i] : 1;
    if (i >= 2) size *= in->dims[i];
  }
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  for (int64_t q = 0; q < x->out[0].count; q++) {
    double best = -INFINITY, sum = 0;
    for (int64_t s = 0; s < size; s++) {
      double v = hn_load_f64(in->dtype, in->data, (size_t)(q * size + s));
      sum += kind == POOL_NORM ? pow(fabs(v), p) : v;
      if (v > best || v != v) best = v;
    }
    hn_store_f64(in->dtype, x->out[0].data, (size_t)q,
                 kind == POOL_MAX ? best : kind == POOL_NORM ? pow(sum, 1 / p) : sum / (double)size);
  }
  return HONE_OK;
}

hone_status hk_global_max_pool_ref(hn_exec *x) { return global_pool(x, POOL_MAX); }
hone_status hk_global_average_pool_ref(hn_exec *x) { return global_pool(x, POOL_AVERAGE); }
hone_status hk_global_lp_pool_ref(hn_exec *x) { return global_pool(x, POOL_NORM); }
