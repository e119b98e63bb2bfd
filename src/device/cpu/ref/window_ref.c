/* window_ref.c - convolution and pooling over any number of spatial dimensions, summed in double. */
#include <math.h>
#include <string.h>

#include "device/cpu/cpu.h"
#include "op/infer.h"

typedef struct geometry {
  hn_window w;
  int64_t in[HN_MAX_RANK], out[HN_MAX_RANK], in_size, out_size, taps;
} geometry;

static hone_status resolve(hn_exec *x, const hn_view *in, const int64_t *kernel, geometry *g) {
  hone_status st = hn_window_resolve(x->cx, x->task->g->dims, hn_xnode(x), in->rank - 2, in->dims + 2, kernel, false, &g->w);
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

static void output_dims(const hn_view *in, const geometry *g, int64_t channels, int64_t *dims) {
  dims[0] = in->dims[0];
  dims[1] = channels;
  memcpy(dims + 2, g->out, sizeof *dims * (size_t)g->w.n);
}

hone_status hk_conv_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *w = &x->in[1];
  const bool bias = hn_xhas(x, 2) && hn_xnode(x)->n_main > 2;
  int64_t group = hn_attr_i(hn_xnode(x), "group", 1), dims[HN_MAX_RANK];
  geometry g;
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (in->rank < 3 || w->rank != in->rank || group < 1 || w->dims[0] % group || in->dims[1] != w->dims[1] * group)
    return hn_xfail(x, HONE_BAD_GRAPH, "the weights do not fit the input");
  HN_TRY(resolve(x, in, w->dims + 2, &g));
  output_dims(in, &g, w->dims[0], dims);
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  int64_t per_group = w->dims[1], outs = w->dims[0] / group;
  int64_t *offsets = hn_calloc((size_t)g.taps, sizeof *offsets);
  if (!offsets) return hn_nomem(x->cx);
  for (int64_t n = 0; n < dims[0]; n++)
    for (int64_t s = 0; s < g.out_size; s++) {
      int64_t at[HN_MAX_RANK];
      coordinates(s, g.out, g.w.n, at);
      for (int64_t t = 0; t < g.taps; t++) offsets[t] = tap_offset(&g, at, t);
      for (int64_t o = 0; o < dims[1]; o++) {
        double sum = bias ? hn_load_f64(x->in[2].dtype, x->in[2].data, (size_t)o) : 0;
        for (int64_t c = 0; c < per_group; c++) {
          int64_t base = (n * in->dims[1] + o / outs * per_group + c) * g.in_size, wbase = (o * per_group + c) * g.taps;
          for (int64_t t = 0; t < g.taps; t++)
            if (offsets[t] >= 0)
              sum += hn_load_f64(in->dtype, in->data, (size_t)(base + offsets[t])) * hn_load_f64(w->dtype, w->data, (size_t)(wbase + t));
        }
        hn_store_f64(in->dtype, x->out[0].data, (size_t)((n * dims[1] + o) * g.out_size + s), sum);
      }
    }
  hn_free(offsets);
  return HONE_OK;
}

/* The window's value: its largest element, or the mean (counting padding that lies within the padded input). */
static double pool_window(const hn_exec *x, const geometry *g, const int64_t *at, int64_t base, bool max, bool count_pad) {
  double best = -INFINITY, sum = 0;
  int64_t met = 0, counted = 0;
  for (int64_t t = 0; t < g->taps; t++) {
    int64_t k[HN_MAX_RANK], offset = tap_offset(g, at, t);
    coordinates(t, g->w.kernel, g->w.n, k);
    bool in_padded = true;
    for (int32_t i = 0; i < g->w.n; i++) {
      int64_t p = at[i] * g->w.stride[i] + k[i] * g->w.dilation[i];
      in_padded = in_padded && p < g->in[i] + g->w.pad_begin[i] + g->w.pad_end[i];
    }
    counted += in_padded;
    if (offset < 0) continue;
    double v = hn_load_f64(x->in[0].dtype, x->in[0].data, (size_t)(base + offset));
    if (v > best || v != v) best = v;
    sum += v;
    met++;
  }
  int64_t divisor = count_pad ? counted : met;
  return max ? best : divisor ? sum / (double)divisor : 0;
}

static hone_status pool(hn_exec *x, bool max) {
  const hn_view *in = &x->in[0];
  int64_t dims[HN_MAX_RANK];
  geometry g;
  if (in->rank < 3) return hn_xfail(x, HONE_BAD_GRAPH, "its input has too few dimensions");
  if (hn_xnode(x)->n_out > 1 && hn_xnode(x)->out[1] != HN_NONE && hn_value_at(x->task->g, hn_xnode(x)->out[1])->n_users)
    return hn_xfail(x, HONE_UNSUPPORTED, "the indices output is not supported");
  HN_TRY(resolve(x, in, NULL, &g));
  output_dims(in, &g, in->dims[1], dims);
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  bool count_pad = hn_attr_i(hn_xnode(x), "count_include_pad", 0) != 0;
  for (int64_t p = 0; p < dims[0] * dims[1]; p++)
    for (int64_t s = 0; s < g.out_size; s++) {
      int64_t at[HN_MAX_RANK];
      coordinates(s, g.out, g.w.n, at);
      hn_store_f64(in->dtype, x->out[0].data, (size_t)(p * g.out_size + s), pool_window(x, &g, at, p * g.in_size, max, count_pad));
    }
  return HONE_OK;
}

hone_status hk_max_pool_ref(hn_exec *x) { return pool(x, true); }
hone_status hk_average_pool_ref(hn_exec *x) { return pool(x, false); }

static hone_status global_pool(hn_exec *x, bool max) {
  const hn_view *in = &x->in[0];
  int64_t dims[HN_MAX_RANK] = {0}, size = 1;
  for (int32_t i = 0; i < in->rank; i++) {
    dims[i] = i < 2 ? in->dims[i] : 1;
    if (i >= 2) size *= in->dims[i];
  }
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  for (int64_t p = 0; p < x->out[0].count; p++) {
    double best = -INFINITY, sum = 0;
    for (int64_t s = 0; s < size; s++) {
      double v = hn_load_f64(in->dtype, in->data, (size_t)(p * size + s));
      sum += v;
      if (v > best || v != v) best = v;
    }
    hn_store_f64(in->dtype, x->out[0].data, (size_t)p, max ? best : sum / (double)size);
  }
  return HONE_OK;
}

hone_status hk_global_max_pool_ref(hn_exec *x) { return global_pool(x, true); }
hone_status hk_global_average_pool_ref(hn_exec *x) { return global_pool(x, false); }
