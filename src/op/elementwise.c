/* elementwise.c - inference of element-wise operators, with shape arithmetic: where a small tensor's elements are
   known as dimensions, so are those of the sum, product, ... of it. */
#include <math.h>

#include "base/checked.h"
#include "op/infer.h"

/* An element of a small tensor: a dimension, or a negative number, which a hn_dim cannot say. */
typedef struct elem {
  bool negative;
  int64_t v; /* a hn_dim, or the negative number */
} elem;
enum { MAX_ELEMS = 64 };

static bool known(const elem *e) { return e->negative || hn_dim_fixed(e->v); }
static elem number(int64_t v) { return (elem){v < 0, v}; }
static elem dimension(hn_dim d) { return (elem){false, d}; }

/* Elements of input i; false: not known. Whole numbers in a float constant count, as exporters scale sizes so. */
static bool elements(const hn_infer *x, uint32_t i, elem *e, uint32_t *n) {
  const hn_tensor *t = hn_iconst(x, i);
  if (t) {
    if (t->rank > 1 || t->count > MAX_ELEMS || !(hn_is_int(t->dtype) || hn_is_float(t->dtype))) return false;
    for (uint32_t k = 0; k < t->count; k++) {
      if (hn_is_float(t->dtype)) {
        double v = hn_tensor_f(t, k);
        if (!(fabs(v) < 1e15) || v != rint(v)) return false;
      }
      e[k] = number(hn_tensor_i(t, k));
    }
    *n = (uint32_t)t->count;
    return true;
  }
  const hn_dim *d;
  if (!hn_isym(x, i, &d, n) || *n > MAX_ELEMS) return false;
  for (uint32_t k = 0; k < *n; k++) e[k] = dimension(d[k]);
  return true;
}

static void set_elements(hn_infer *x, const elem *e, uint32_t n) {
  hn_dim d[MAX_ELEMS];
  for (uint32_t k = 0; k < n; k++) {
    if (e[k].negative || e[k].v == HN_DIM_BAD) return;
    d[k] = e[k].v;
  }
  hn_osym(x, 0, d, n);
}

/* ---- arithmetic of two elements; false: the result has no name */
static bool fixed_pair(hn_op op, int64_t a, int64_t b, bool whole, elem *r) {
  int64_t v;
  switch (op) {
    case HN_Add:
    case HN_Sum: if (!hn_add_i64(a, b, &v)) return false; break;
    case HN_Sub: if (!hn_sub_i64(a, b, &v)) return false; break;
    case HN_Mul: if (!hn_mul_i64(a, b, &v)) return false; break;
    case HN_Div:
      if (b == 0 || (b == -1 && a == INT64_MIN) || (!whole && a % b)) return false;
      v = a / b;
      break;
    case HN_Mod:
      if (b <= 0 || a < 0) return false;
      v = a % b;
      break;
    case HN_Max: v = a > b ? a : b; break;
    case HN_Min: v = a < b ? a : b; break;
    case HN_Equal: v = a == b; break;
    case HN_Greater: v = a > b; break;
    case HN_GreaterOrEqual: v = a >= b; break;
    case HN_Less: v = a < b; break;
    case HN_LessOrEqual: v = a <= b; break;
    case HN_And: v = a && b; break;
    case HN_Or: v = a || b; break;
    default: return false;
  }
  *r = number(v);
  return true;
}

/* One of them is negative, the other is a dimension that is not fixed: still at least 0, unless it is a stand-in for
   an element nothing is known of, such as the -1 of a Reshape. */
static bool negative_pair(hn_dims *t, hn_op op, elem a, elem b, elem *r) {
  elem d = a.negative ? b : a;
  int64_t v = a.negative ? a.v : b.v;
  if (v == INT64_MIN) return false;
  switch (op) {
    case HN_Add:
    case HN_Sum: *r = dimension(hn_dim_sub(t, d.v, -v)); return true;
    case HN_Sub:
      if (a.negative) return false;
      *r = dimension(hn_dim_add(t, d.v, -v));
      return true;
    default: break;
  }
  if (hn_dim_anonymous(t, d.v)) return false;
  switch (op) {
    case HN_Max: *r = d; return true;
    case HN_Min: *r = number(v); return true;
    case HN_Equal: *r = number(0); return true;
    case HN_Greater:
    case HN_GreaterOrEqual: *r = number(b.negative); return true;
    case HN_Less:
    case HN_LessOrEqual: *r = number(a.negative); return true;
    default: return false;
  }
}

static bool pair(hn_dims *t, hn_op op, elem a, elem b, bool whole, elem *r) {
  if (known(&a) && known(&b)) return fixed_pair(op, a.v, b.v, whole, r);
  if (a.negative || b.negative) return negative_pair(t, op, a, b, r);
  hn_dim d;
  switch (op) {
    case HN_Add:
    case HN_Sum: d = hn_dim_add(t, a.v, b.v); break;
    case HN_Sub: d = hn_dim_sub(t, a.v, b.v); break;
    case HN_Mul: d = hn_dim_mul(t, a.v, b.v); break;
    case HN_Div:
      if (b.v == 0 || (!whole && b.v != 1)) return false;
      d = hn_dim_div(t, a.v, b.v);
      break;
    case HN_Mod:
      if (b.v == 0) return false;
      d = hn_dim_sub(t, a.v, hn_dim_mul(t, hn_dim_div(t, a.v, b.v), b.v));
      break;
    case HN_Max: d = hn_dim_max(t, a.v, b.v); break;
    case HN_Min: d = hn_dim_min(t, a.v, b.v); break;
    case HN_Equal:
    case HN_GreaterOrEqual:
    case HN_LessOrEqual:
      if (a.v != b.v) return false;
      d = 1;
      break;
    default: return false;
  }
  *r = dimension(d);
  return true;
}

/* All elements of `op` over the first n inputs, left to right, with broadcasting of single elements. */
static void fold_elements(hn_infer *x, hn_op op, uint32_t n) {
  elem a[MAX_ELEMS], b[MAX_ELEMS];
  uint32_t na, nb;
  bool whole = !hn_is_float(hn_idtype(x, 0)) && hn_idtype(x, 0) != HONE_DTYPE_UNDEFINED;
  if (!elements(x, 0, a, &na)) return;
  for (uint32_t i = 1; i < n; i++) {
    if (!elements(x, i, b, &nb) || (na != nb && na != 1 && nb != 1)) return;
    uint32_t m = na == 1 ? nb : na;
    for (uint32_t k = m; k-- > 0;) /* backwards: a[0] is read by all when na is 1 */
      if (!pair(x->g->dims, op, a[na == 1 ? 0 : k], b[nb == 1 ? 0 : k], whole, &a[k])) return;
    na = m;
  }
  set_elements(x, a, na);
}

static void keep_elements(hn_infer *x) {
  elem e[MAX_ELEMS];
  uint32_t n;
  if (elements(x, 0, e, &n)) set_elements(x, e, n);
}

/* ---- shapes */
static hone_status broadcast_inputs(hn_infer *x, uint32_t n, hn_shape *out) {
  *out = hn_ishape(x, 0);
  for (uint32_t i = 1; i < n; i++) {
    hn_shape a = *out, b = hn_ishape(x, i);
    if (hn_broadcast(x->g->dims, &a, &b, out)) continue;
    hn_str sa = {0}, sb = {0};
    hn_shape_text(x->g->dims, &a, &sa);
    hn_shape_text(x->g->dims, &b, &sb);
    hone_status st = hn_ierror(x, "shapes %s and %s cannot be broadcast together", sa.p ? sa.p : "", sb.p ? sb.p : "");
    hn_str_free(&sa);
    hn_str_free(&sb);
    return st;
  }
  return HONE_OK;
}

/* The type that inputs [from, to) have in common. */
static hone_status common_dtype(const hn_infer *x, uint32_t from, uint32_t to, hn_dtype *out) {
  *out = HONE_DTYPE_UNDEFINED;
  for (uint32_t i = from; i < to; i++) {
    hn_dtype t = hn_idtype(x, i);
    if (!t) continue;
    if (*out && *out != t)
      return hn_ierror(x, "input %u is %s where %s is needed", i, hone_dtype_name(t), hone_dtype_name(*out));
    *out = t;
  }
  return HONE_OK;
}

hone_status hn_infer_unary(hn_infer *x) {
  HN_TRY(hn_oset(x, 0, hn_idtype(x, 0), hn_ishape(x, 0)));
  hn_op op = hn_ino(x)->op;
  if (op == HN_Identity || op == HN_Floor || op == HN_Ceil || op == HN_Round || op == HN_Abs || op == HN_Relu) {
    elem e[MAX_ELEMS];
    uint32_t n;
    if (!elements(x, 0, e, &n)) return HONE_OK;
    for (uint32_t k = 0; k < n; k++) /* whole numbers: only their sign can change */
      if (e[k].negative && e[k].v != INT64_MIN && op == HN_Abs) e[k] = number(-e[k].v);
      else if (e[k].negative && op == HN_Relu) e[k] = number(0);
    set_elements(x, e, n);
  }
  return HONE_OK;
}

hone_status hn_infer_predicate(hn_infer *x) { return hn_oset(x, 0, HONE_DTYPE_BOOL, hn_ishape(x, 0)); }

hone_status hn_infer_cast(hn_infer *x) {
  int64_t to = hn_attr_i(hn_ino(x), "to", 0);
  if (!hn_dtype_known(to)) return hn_ierror(x, "attribute to=%lld is not an element type", (long long)to);
  HN_TRY(hn_oset(x, 0, (hn_dtype)to, hn_ishape(x, 0)));
  /* A type that holds every dimension as it is. */
  hn_dtype t = (hn_dtype)to;
  if (t == HONE_DTYPE_I64 || t == HONE_DTYPE_I32 || t == HONE_DTYPE_U64 || t == HONE_DTYPE_U32 || t == HONE_DTYPE_F32 ||
      t == HONE_DTYPE_F64)
    keep_elements(x);
  return HONE_OK;
}

hone_status hn_infer_cast_like(hn_infer *x) { return hn_oset(x, 0, hn_idtype(x, 1), hn_ishape(x, 0)); }

hone_status hn_infer_clip(hn_infer *x) {
  hn_dtype t;
  HN_TRY(common_dtype(x, 0, 3, &t));
  return hn_oset(x, 0, t, hn_ishape(x, 0));
}

hone_status hn_infer_binary(hn_infer *x) {
  hn_dtype t;
  hn_shape s;
  HN_TRY(common_dtype(x, 0, 2, &t));
  HN_TRY(broadcast_inputs(x, 2, &s));
  HN_TRY(hn_oset(x, 0, t, s));
  fold_elements(x, hn_ino(x)->op, 2);
  return HONE_OK;
}

hone_status hn_infer_pow(hn_infer *x) { /* the exponent's type is its own */
  hn_shape s;
  HN_TRY(broadcast_inputs(x, 2, &s));
  return hn_oset(x, 0, hn_idtype(x, 0), s);
}

hone_status hn_infer_prelu(hn_infer *x) {
  hn_dtype t;
  HN_TRY(common_dtype(x, 0, 2, &t));
  hn_shape a = hn_ishape(x, 0), b = hn_ishape(x, 1), s;
  if (a.rank >= 0 && b.rank >= 0 && (b.rank > a.rank || !hn_broadcast(x->g->dims, &a, &b, &s)))
    return hn_ierror(x, "the slope cannot be broadcast to the input");
  return hn_oset(x, 0, t, a);
}

hone_status hn_infer_compare(hn_infer *x) {
  hn_dtype t;
  hn_shape s;
  HN_TRY(common_dtype(x, 0, 2, &t));
  HN_TRY(broadcast_inputs(x, 2, &s));
  HN_TRY(hn_oset(x, 0, HONE_DTYPE_BOOL, s));
  fold_elements(x, hn_ino(x)->op, 2);
  return HONE_OK;
}

hone_status hn_infer_variadic(hn_infer *x) {
  uint32_t n = hn_ino(x)->n_main;
  for (uint32_t i = 0; i < n; i++)
    if (!hn_ihas(x, i)) return hn_ierror(x, "input %u is missing", i);
  hn_dtype t;
  hn_shape s;
  HN_TRY(common_dtype(x, 0, n, &t));
  HN_TRY(broadcast_inputs(x, n, &s));
  HN_TRY(hn_oset(x, 0, t, s));
  if (hn_ino(x)->op != HN_Mean) fold_elements(x, hn_ino(x)->op, n);
  return HONE_OK;
}

hone_status hn_infer_where(hn_infer *x) {
  hn_dtype t;
  hn_shape s;
  HN_TRY(common_dtype(x, 1, 3, &t));
  HN_TRY(broadcast_inputs(x, 3, &s));
  HN_TRY(hn_oset(x, 0, t, s));
  elem c[MAX_ELEMS], a[MAX_ELEMS], b[MAX_ELEMS], r[MAX_ELEMS];
  uint32_t nc, na, nb, n = 0;
  if (!elements(x, 1, a, &na) || !elements(x, 2, b, &nb)) return HONE_OK;
  bool chosen = elements(x, 0, c, &nc);
  if (!chosen) nc = 1; /* still known where both sides are the same */
  for (uint32_t k = 0; k < 3; k++) {
    uint32_t m = k == 0 ? nc : k == 1 ? na : nb;
    if (n > 1 && m > 1 && m != n) return HONE_OK;
    if (k == 0 || m != 1) n = m;
  }
  for (uint32_t k = 0; k < n; k++) {
    elem ak = a[na == 1 ? 0 : k], bk = b[nb == 1 ? 0 : k];
    if (!chosen && ak.v != bk.v) return HONE_OK;
    const elem *ck = &c[nc == 1 ? 0 : k];
    if (chosen && !known(ck)) return HONE_OK;
    r[k] = !chosen || ck->v ? ak : bk;
  }
  if (chosen || hn_ishape(x, 0).rank == 0) set_elements(x, r, n);
  return HONE_OK;
}
