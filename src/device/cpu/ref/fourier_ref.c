/* fourier_ref.c - DFT and STFT by a recursive transform that splits off prime factors, in double. */
#include <math.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "device/cpu/ref/broadcast.h"

typedef struct cplx {
  double re, im;
} cplx;

/* Buffers of a transform of length n; w[k] = exp(-+2 pi i k / n). */
typedef struct transform {
  int64_t n;
  cplx *w, *in, *out, *scratch;
} transform;

static hone_status transform_create(hn_exec *x, int64_t n, bool inverse, transform *t) {
  if (n < 1) return hn_xfail(x, HONE_BAD_GRAPH, "transform of length %lld", (long long)n);
  size_t bytes;
  if (!hn_mul_size((size_t)n, 4 * sizeof(cplx), &bytes)) return hn_nomem(x->cx);
  cplx *p = hn_malloc(bytes);
  if (!p) return hn_nomem(x->cx);
  *t = (transform){n, p, p + n, p + 2 * n, p + 3 * n};
  for (int64_t k = 0; k < n; k++) {
    double a = (inverse ? 2 : -2) * 3.14159265358979323846 * (double)k / (double)n;
    p[k] = (cplx){cos(a), sin(a)};
  }
  return HONE_OK;
}

static cplx add_product(cplx acc, cplx a, cplx b) {
  return (cplx){acc.re + a.re * b.re - a.im * b.im, acc.im + a.re * b.im + a.im * b.re};
}

static int64_t smallest_factor(int64_t n) {
  for (int64_t p = 2; p * p <= n; p++)
    if (n % p == 0) return p;
  return n;
}

/* out[0..n) = transform of in[0], in[step], ...; whose roots of unity are every step-th of t->w. scratch has n elements.
   With n = p*m: p transforms of length m, then for each k their sum with the roots w^(j*k). */
static void fft(const transform *t, const cplx *in, int64_t step, int64_t n, cplx *out, cplx *scratch) {
  if (n == 1) {
    out[0] = in[0];
    return;
  }
  int64_t p = smallest_factor(n), m = n / p;
  for (int64_t j = 0; j < p; j++) fft(t, in + j * step, step * p, m, scratch + j * m, out + j * m);
  for (int64_t k = 0; k < n; k++) {
    cplx sum = {0, 0};
    for (int64_t j = 0; j < p; j++) sum = add_product(sum, scratch[j * m + k % m], t->w[(j * k) % n * step]);
    out[k] = sum;
  }
}

static void transform_run(transform *t) { fft(t, t->in, 1, t->n, t->out, t->scratch); }

/* Element i of a real (parts 1) or complex (parts 2) array. */
static cplx load(const hn_view *v, int64_t i, int64_t parts) {
  double re = hn_load_f64(v->dtype, v->data, (size_t)(i * parts));
  return (cplx){re, parts == 2 ? hn_load_f64(v->dtype, v->data, (size_t)(i * parts + 1)) : 0};
}

/* The axis and length of a DFT. */
typedef struct plan {
  int32_t axis;
  int64_t n_in, n, n_out; /* elements along the axis: given, transformed, returned */
  int64_t parts_in, parts_out;
  bool inverse, onesided;
} plan;

static hone_status plan_dft(const hn_exec *x, plan *p) {
  const hn_node *node = hn_xnode(x);
  const hn_view *in = &x->in[0];
  int64_t axis = -2;
  *p = (plan){.inverse = hn_attr_i(node, "inverse", 0) != 0, .onesided = hn_attr_i(node, "onesided", 0) != 0};
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  if (hn_xhas(x, 2)) HN_TRY(hn_xscalar_i(x, 2, &axis));
  HN_TRY(hn_xaxis(x, 0, axis, &p->axis));
  p->parts_in = in->dims[in->rank - 1];
  if (p->axis == in->rank - 1 || p->parts_in < 1 || p->parts_in > 2)
    return hn_xfail(x, HONE_BAD_GRAPH, "the last dimension holds real and imaginary parts: size 1 or 2, and not the axis");
  if (p->onesided && p->inverse != (p->parts_in == 2))
    return hn_xfail(x, HONE_BAD_GRAPH, "onesided takes a %s input", p->inverse ? "complex" : "real");
  p->n_in = in->dims[p->axis];
  p->n = p->onesided && p->inverse ? 2 * (p->n_in - 1) : p->n_in;
  if (hn_xhas(x, 1)) HN_TRY(hn_xscalar_i(x, 1, &p->n));
  p->n_out = p->onesided && !p->inverse ? p->n / 2 + 1 : p->n;
  p->parts_out = p->onesided && p->inverse ? 1 : 2;
  return HONE_OK;
}

static void dft_lane(const plan *p, transform *t, const hn_view *in, hn_view *out, int64_t from, int64_t to, int64_t step) {
  int64_t given = p->onesided && p->inverse ? p->n / 2 + 1 : p->n;
  if (given > p->n_in) given = p->n_in;
  for (int64_t k = 0; k < p->n; k++) t->in[k] = k < given ? load(in, from + k * step, p->parts_in) : (cplx){0, 0};
  for (int64_t k = 1; p->onesided && p->inverse && 2 * k < p->n; k++) /* the half that is not given is conjugate */
    t->in[p->n - k] = (cplx){t->in[k].re, -t->in[k].im};
  transform_run(t);
  double scale = p->inverse ? 1 / (double)p->n : 1;
  for (int64_t k = 0; k < p->n_out; k++) {
    size_t at = (size_t)((to + k * step) * p->parts_out);
    hn_store_f64(out->dtype, out->data, at, t->out[k].re * scale);
    if (p->parts_out == 2) hn_store_f64(out->dtype, out->data, at + 1, t->out[k].im * scale);
  }
}

hone_status hk_dft_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  plan p;
  transform t;
  int64_t dims[HN_MAX_RANK];
  HN_TRY(plan_dft(x, &p));
  for (int32_t i = 0; i < in->rank; i++) dims[i] = i == p.axis ? p.n_out : i == in->rank - 1 ? p.parts_out : in->dims[i];
  HN_TRY(transform_create(x, p.n, p.inverse, &t));
  hone_status st = hn_xout(x, 0, in->dtype, in->rank, dims);
  hn_axis_split s = hn_split_at(in, p.axis);
  s.inner /= p.parts_in;
  for (int64_t o = 0; o < s.outer && !st; o++)
    for (int64_t i = 0; i < s.inner; i++)
      dft_lane(&p, &t, in, &x->out[0], o * p.n_in * s.inner + i, o * p.n_out * s.inner + i, s.inner);
  hn_free(t.w);
  return st;
}

hone_status hk_stft_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *window = hn_xhas(x, 2) ? &x->in[2] : NULL;
  int64_t step, n = window ? window->count : 0;
  bool onesided = hn_attr_i(hn_xnode(x), "onesided", 1) != 0;
  transform t;
  if (!hn_is_float(in->dtype)) return hn_xbad_dtype(x, in->dtype);
  HN_TRY(hn_xscalar_i(x, 1, &step));
  if (hn_xhas(x, 3)) HN_TRY(hn_xscalar_i(x, 3, &n));
  int64_t parts = in->rank == 3 ? in->dims[2] : 1;
  if (in->rank < 2 || in->rank > 3 || parts < 1 || parts > 2)
    return hn_xfail(x, HONE_BAD_GRAPH, "takes a signal of shape [batch, length, 1 or 2]");
  if (step < 1 || n < 1 || n > in->dims[1] || (window && window->count != n))
    return hn_xfail(x, HONE_BAD_GRAPH, "frames of %lld, step %lld, do not fit the signal or window", (long long)n,
                    (long long)step);
  int64_t frames = (in->dims[1] - n) / step + 1, bins = onesided ? n / 2 + 1 : n;
  HN_TRY(transform_create(x, n, false, &t));
  hone_status st = hn_xout(x, 0, in->dtype, 4, (int64_t[]){in->dims[0], frames, bins, 2});
  for (int64_t f = 0; f < in->dims[0] * frames && !st; f++) {
    int64_t from = f / frames * in->dims[1] + f % frames * step;
    for (int64_t k = 0; k < n; k++) {
      double w = window ? hn_load_f64(window->dtype, window->data, (size_t)k) : 1;
      cplx v = load(in, from + k, parts);
      t.in[k] = (cplx){v.re * w, v.im * w};
    }
    transform_run(&t);
    for (int64_t k = 0; k < bins; k++) {
      hn_store_f64(in->dtype, x->out[0].data, (size_t)((f * bins + k) * 2), t.out[k].re);
      hn_store_f64(in->dtype, x->out[0].data, (size_t)((f * bins + k) * 2 + 1), t.out[k].im);
    }
  }
  hn_free(t.w);
  return st;
}
