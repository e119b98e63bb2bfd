/* quantize_ref.c - QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "device/cpu/ref/broadcast.h"

/* Where the scale and zero point of an element are: one for all, one a position on the axis, or one a block of it. */
typedef struct scales {
  const hn_view *scale, *zero; /* zero NULL: absent */
  int64_t n, inner, block, blocks; /* of the axis: its size, elements an index, indices a block, blocks */
} scales;

static hone_status find_scales(const hn_exec *x, scales *s) {
  const hn_node *node = hn_xnode(x);
  const hn_view *in = &x->in[0];
  *s = (scales){&x->in[1], hn_xhas(x, 2) ? &x->in[2] : NULL, 1, in->count > 0 ? in->count : 1, 1, 1};
  if (!hn_is_float(s->scale->dtype) && s->scale->dtype != HONE_DTYPE_I32) return hn_xbad_dtype(x, s->scale->dtype);
  if (s->zero && s->zero->count != s->scale->count)
    return hn_xfail(x, HONE_BAD_GRAPH, "%lld zero points for %lld scales", (long long)s->zero->count,
                    (long long)s->scale->count);
  if (s->scale->count == 1) return HONE_OK;
  int32_t axis;
  int64_t block = hn_attr_i(node, "block_size", 0);
  HN_TRY(hn_xaxis(x, 0, hn_attr_i(node, "axis", 1), &axis));
  hn_axis_split split = hn_split_at(in, axis);
  s->n = split.n;
  s->inner = split.inner;
  s->block = block > 0 ? block : 1;
  s->blocks = split.n / s->block + (split.n % s->block != 0);
  if (s->scale->count != (block > 0 ? split.outer * split.inner : 1) * s->blocks)
    return hn_xfail(x, HONE_BAD_GRAPH, "%lld scales do not fit axis %d", (long long)s->scale->count, axis);
  if (block <= 0) s->block = 0; /* along the axis only */
  return HONE_OK;
}

/* Index of the scale for run r (outer index * n + axis index), first element; *step: distance for the next element. */
static int64_t scale_index(const scales *s, int64_t r, int64_t *step) {
  *step = 0;
  if (s->scale->count == 1) return 0;
  if (!s->block) return r % s->n;
  *step = 1;
  return ((r / s->n) * s->blocks + (r % s->n) / s->block) * s->inner;
}

typedef struct limits {
  double lo, hi;
} limits;

static bool integer_limits(hn_dtype t, limits *l) {
  switch (t) {
    case HONE_DTYPE_U8: *l = (limits){0, 255}; return true;
    case HONE_DTYPE_I8: *l = (limits){-128, 127}; return true;
    case HONE_DTYPE_U16: *l = (limits){0, 65535}; return true;
    case HONE_DTYPE_I16: *l = (limits){-32768, 32767}; return true;
    case HONE_DTYPE_U4: *l = (limits){0, 15}; return true;
    case HONE_DTYPE_I4: *l = (limits){-8, 7}; return true;
    default: return false;
  }
}

static bool is_f8(hn_dtype t) { return t >= HONE_DTYPE_F8E4M3FN && t <= HONE_DTYPE_F8E5M2FNUZ; }

typedef struct target {
  hn_dtype dtype, precision; /* precision: of the division */
  bool integer, saturate;
  limits l;
} target;

static void quantize_one(const target *t, double q, double zero, void *out, size_t at) {
  q = hn_round_to(t->precision, q);
  if (!t->integer) {
    ((uint8_t *)out)[at] = hn_f32_to_f8((hn_f8)((int)t->dtype - (int)HONE_DTYPE_F8E4M3FN), (float)(q + zero), t->saturate);
    return;
  }
  double v = isnan(q) ? zero : rint(q) + zero;
  hn_store_f64(t->dtype, out, at, v < t->l.lo ? t->l.lo : v > t->l.hi ? t->l.hi : v);
}

hone_status hk_quantize_linear_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  const hn_view *in = &x->in[0];
  scales s;
  HN_TRY(find_scales(x, &s));
  hn_dtype type = s.zero ? s.zero->dtype : (hn_dtype)hn_attr_i(n, "output_dtype", 0);
  if (!type) type = HONE_DTYPE_U8;
  hn_dtype precision = (hn_dtype)hn_attr_i(n, "precision", 0);
  if (!precision) precision = hn_is_float(s.scale->dtype) ? s.scale->dtype : HONE_DTYPE_F32;
  target t = {.dtype = type, .precision = precision, .saturate = hn_attr_i(n, "saturate", 1) != 0};
  t.integer = integer_limits(type, &t.l);
  if (!t.integer && !is_f8(type)) return hn_xbad_dtype(x, type);
  if (!hn_is_float(precision)) return hn_xbad_dtype(x, precision);
  if (!hn_is_float(in->dtype) && in->dtype != HONE_DTYPE_I32) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(hn_xout(x, 0, type, in->rank, in->dims));
  double v[HN_RUN];
  for (int64_t r = 0; r * s.inner < in->count; r++) {
    int64_t step, k = scale_index(&s, r, &step);
    HN_CHUNKS(s.inner, c, m) {
      hn_read_f64(in->dtype, in->data, r * s.inner + c, 1, m, v);
      for (int64_t i = 0; i < m; i++) {
        size_t at = (size_t)(k + (c + i) * step);
        double scale = hn_load_f64(s.scale->dtype, s.scale->data, at);
        double zero = s.zero ? hn_load_f64(s.zero->dtype, s.zero->data, at) : 0;
        quantize_one(&t, v[i] / scale, zero, x->out[0].data, (size_t)(r * s.inner + c + i));
      }
    }
  }
  return HONE_OK;
}

hone_status hk_dequantize_linear_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  scales s;
  limits l;
  HN_TRY(find_scales(x, &s));
  hn_dtype type = (hn_dtype)hn_attr_i(hn_xnode(x), "output_dtype", 0);
  if (!type) type = s.scale->dtype;
  if (!hn_is_float(type)) return hn_xbad_dtype(x, type);
  if (!integer_limits(in->dtype, &l) && !is_f8(in->dtype) && in->dtype != HONE_DTYPE_I32)
    return hn_xbad_dtype(x, in->dtype);
  HN_TRY(hn_xout(x, 0, type, in->rank, in->dims));
  double v[HN_RUN];
  for (int64_t r = 0; r * s.inner < in->count; r++) {
    int64_t step, k = scale_index(&s, r, &step);
    HN_CHUNKS(s.inner, c, m) {
      hn_read_f64(in->dtype, in->data, r * s.inner + c, 1, m, v);
      for (int64_t i = 0; i < m; i++) {
        size_t at = (size_t)(k + (c + i) * step);
        if (s.zero) v[i] -= hn_load_f64(s.zero->dtype, s.zero->data, at);
        v[i] *= hn_load_f64(s.scale->dtype, s.scale->data, at);
      }
      hn_write_f64(type, x->out[0].data, r * s.inner + c, 1, m, v);
    }
  }
  return HONE_OK;
}

/* All in single precision, as the definition is. */
static void quantize_by_range(const float *v, int64_t n, uint8_t *y, float *scale, uint8_t *zero_point) {
  const target t = {HONE_DTYPE_U8, HONE_DTYPE_F32, true, true, {0, 255}};
  float lo = 0, hi = 0;
  for (int64_t i = 0; i < n; i++) {
    if (v[i] < lo) lo = v[i];
    if (v[i] > hi) hi = v[i];
  }
  *scale = hi > lo ? (hi - lo) / 255.0f : 1.0f;
  float zero = rintf(-lo / *scale);
  zero = zero < 0 ? 0 : zero > 255 ? 255 : zero;
  for (int64_t i = 0; i < n; i++) quantize_one(&t, (double)(v[i] / *scale), (double)zero, y, (size_t)i);
  *zero_point = (uint8_t)zero;
}

hone_status hk_dynamic_quantize_linear_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  bool by_rows = hn_attr_i(hn_xnode(x), "by_rows", 0) != 0;
  int64_t dims[HN_MAX_RANK] = {0}, n = in->count;
  if (in->dtype != HONE_DTYPE_F32) return hn_xbad_dtype(x, in->dtype);
  if (by_rows) {
    memcpy(dims, in->dims, sizeof dims);
    n = in->dims[in->rank - 1];
    dims[in->rank - 1] = 1;
  }
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_U8, in->rank, in->dims));
  HN_TRY(hn_xout(x, 1, HONE_DTYPE_F32, by_rows ? in->rank : 0, dims));
  HN_TRY(hn_xout(x, 2, HONE_DTYPE_U8, by_rows ? in->rank : 0, dims));
  for (int64_t i = 0; i < x->out[1].count; i++)
    quantize_by_range((const float *)in->data + i * n, n, (uint8_t *)x->out[0].data + i * n, (float *)x->out[1].data + i, (uint8_t *)x->out[2].data + i);
  return HONE_OK;
}
