/* movement.c - inference of operators that only move elements. */
#include "op/infer.h"

#define FAMILY(name)                          \
  hone_status hn_infer_##name(hn_infer *x);   \
  hone_status hn_infer_##name(hn_infer *x)

/* Same elements, another rank: known elements stay known. */
static void pass_elements(hn_infer *x) {
  const hn_dim *d;
  uint32_t n;
  if (hn_isym(x, 0, &d, &n)) hn_osym(x, 0, d, n);
}

static hone_status unknown_output(hn_infer *x) { return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown()); }

/* The one dimension of the target that is not known (a computed -1, for one) follows from all the others. */
static void solve_open(hn_dims *t, const hn_shape *in, hn_shape *out) {
  int32_t open = -1;
  hn_dim rest = 1;
  for (int32_t i = 0; i < out->rank; i++) {
    if (!hn_dim_fixed(out->d[i]) && hn_dim_is_symbol(t, out->d[i]) && hn_dim_anonymous(t, out->d[i])) {
      if (open >= 0) return;
      open = i;
    } else {
      rest = hn_dim_mul(t, rest, out->d[i]);
    }
  }
  if (open < 0 || in->rank < 0 || rest == 0 || hn_dim_anonymous(t, rest)) return;
  out->d[open] = hn_dim_div(t, hn_shape_product(t, in, 0, in->rank), rest);
}

FAMILY(reshape) {
  hn_shape in = hn_ishape(x, 0), out;
  hn_dims *t = x->g->dims;
  const int64_t *v = NULL;
  const hn_dim *d = NULL;
  uint32_t n = 0;
  bool ints = hn_iints(x, 1, &v, &n), syms = !ints && hn_isym(x, 1, &d, &n);
  if (!ints && !syms) {
    hn_shape target = hn_ishape(x, 1);
    if (target.rank != 1 || !hn_dim_fixed(target.d[0]) || target.d[0] > HN_MAX_RANK) return unknown_output(x);
    out.rank = (int32_t)target.d[0];
    for (int32_t i = 0; i < out.rank; i++) out.d[i] = hn_dim_unknown(t);
    return hn_oset(x, 0, hn_idtype(x, 0), out);
  }
  if (n > HN_MAX_RANK) return hn_ierror(x, "a shape of %u dimensions; at most %d", n, HN_MAX_RANK);
  out.rank = (int32_t)n;
  int32_t open = -1;
  hn_dim rest = 1;
  bool keep_zero = hn_attr_i(hn_ino(x), "allowzero", 0) != 0;
  for (int32_t i = 0; i < out.rank; i++) {
    hn_dim e = ints ? v[i] : d[i];
    out.d[i] = e;
    if (ints && e == -1) {
      if (open >= 0) return hn_ierror(x, "two dimensions of the shape are -1");
      open = i;
      continue;
    }
    if (ints && e < -1) return hn_ierror(x, "dimension %d of the shape is %lld", i, (long long)e);
    if (e == 0 && !keep_zero) {
      if (in.rank >= 0 && i >= in.rank) return hn_ierror(x, "dimension %d is copied from an input of %d dimensions", i, in.rank);
      out.d[i] = in.rank < 0 ? hn_dim_unknown(t) : in.d[i];
    }
    rest = hn_dim_mul(t, rest, out.d[i]);
  }
  if (open >= 0) out.d[open] = in.rank < 0 ? hn_dim_unknown(t) : rest == 0 ? 0 : hn_dim_div(t, hn_shape_product(t, &in, 0, in.rank), rest);
  else if (syms) solve_open(t, &in, &out);
  int64_t from, to;
  if (hn_shape_count(&in, &from) && hn_shape_count(&out, &to) && from != to)
    return hn_ierror(x, "%lld elements cannot become a shape of %lld", (long long)from, (long long)to);
  if (out.rank <= 1) pass_elements(x);
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(flatten) {
  hn_shape in = hn_ishape(x, 0), out = {.rank = 2};
  int64_t axis = hn_attr_i(hn_ino(x), "axis", 1);
  if (in.rank < 0) return unknown_output(x);
  if (axis < -in.rank || axis > in.rank) return hn_ierror(x, "axis %lld of %d dimensions", (long long)axis, in.rank);
  if (axis < 0) axis += in.rank;
  out.d[0] = hn_shape_product(x->g->dims, &in, 0, (int32_t)axis);
  out.d[1] = hn_shape_product(x->g->dims, &in, (int32_t)axis, in.rank);
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

static hone_status axes_flags(const hn_infer *x, int32_t rank, bool *flag) {
  const int64_t *v = NULL;
  uint32_t n = 0;
  for (int32_t i = 0; i < HN_MAX_RANK; i++) flag[i] = false;
  if (!hn_iints(x, 1, &v, &n)) return HONE_UNSUPPORTED;
  for (uint32_t i = 0; i < n; i++) {
    int32_t a;
    if (!hn_axis(v[i], rank, &a) || flag[a]) return hn_ierror(x, "axis %lld of %d dimensions", (long long)v[i], rank);
    flag[a] = true;
  }
  return HONE_OK;
}

FAMILY(squeeze) {
  hn_shape in = hn_ishape(x, 0), out = {.rank = 0};
  bool gone[HN_MAX_RANK];
  if (in.rank < 0) return unknown_output(x);
  if (hn_ihas(x, 1)) {
    hone_status st = axes_flags(x, in.rank, gone);
    if (st) return st == HONE_UNSUPPORTED ? unknown_output(x) : st;
  } else {
    for (int32_t i = 0; i < in.rank; i++) {
      if (!hn_dim_fixed(in.d[i])) return unknown_output(x);
      gone[i] = in.d[i] == 1;
    }
  }
  for (int32_t i = 0; i < in.rank; i++) {
    if (!gone[i]) out.d[out.rank++] = in.d[i];
    else if (hn_dim_fixed(in.d[i]) && in.d[i] != 1) return hn_ierror(x, "dimension %d is %lld, not 1", i, (long long)in.d[i]);
  }
  pass_elements(x);
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(unsqueeze) {
  hn_shape in = hn_ishape(x, 0), out;
  bool new[HN_MAX_RANK];
  const int64_t *v;
  uint32_t n;
  if (in.rank < 0 || !hn_iints(x, 1, &v, &n)) return unknown_output(x);
  if (n + (uint32_t)in.rank > HN_MAX_RANK) return hn_ierror(x, "more than %d dimensions", HN_MAX_RANK);
  out.rank = in.rank + (int32_t)n;
  HN_TRY(axes_flags(x, out.rank, new));
  for (int32_t i = 0, k = 0; i < out.rank; i++) out.d[i] = new[i] ? 1 : in.d[k++];
  if (out.rank <= 1) pass_elements(x);
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(transpose) {
  hn_shape in = hn_ishape(x, 0), out = in;
  const int64_t *perm = NULL;
  uint32_t n = hn_attr_ints(hn_ino(x), "perm", &perm), seen = 0;
  if (in.rank < 0) return unknown_output(x);
  if (n && (int32_t)n != in.rank) return hn_ierror(x, "perm has %u elements for %d dimensions", n, in.rank);
  for (int32_t i = 0; i < in.rank; i++) {
    int64_t p = n ? perm[i] : in.rank - 1 - i;
    if (p < 0 || p >= in.rank || (seen >> p & 1)) return hn_ierror(x, "perm is not a permutation");
    seen |= 1u << p;
    out.d[i] = in.d[p];
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

/* Elements of an input as hn_isym() gives them; a negative constant, such as the -1 of a Reshape, is an unknown. */
static bool joined_elements(hn_infer *x, uint32_t i, const hn_dim **d, uint32_t *n) {
  const int64_t *v;
  if (hn_isym(x, i, d, n)) return true;
  if (!hn_iints(x, i, &v, n) || *n > 64) return false;
  hn_dim *copy = hn_arena_alloc(x->g->arena, sizeof *copy * (*n ? *n : 1));
  for (uint32_t k = 0; copy && k < *n; k++) copy[k] = v[k] < 0 ? hn_dim_unknown(x->g->dims) : v[k];
  *d = copy;
  return copy != NULL;
}

FAMILY(concat) {
  hn_shape out = hn_ishape(x, 0);
  hn_dims *t = x->g->dims;
  uint32_t n = hn_ino(x)->n_main, total = 0;
  int32_t axis;
  hn_dim all[64];
  bool known = true;
  for (uint32_t i = 1; i < n; i++)
    if (hn_idtype(x, 0) && hn_idtype(x, i) && hn_idtype(x, i) != hn_idtype(x, 0))
      return hn_ierror(x, "input %u is %s, input 0 is %s", i, hone_dtype_name(hn_idtype(x, i)), hone_dtype_name(hn_idtype(x, 0)));
  for (uint32_t i = 0; i < n; i++)
    if (hn_ishape(x, i).rank < 0) return unknown_output(x);
  if (!hn_axis(hn_attr_i(hn_ino(x), "axis", 0), out.rank, &axis)) return hn_ierror(x, "its axis is out of range");
  for (uint32_t i = 0; i < n; i++) {
    hn_shape s = hn_ishape(x, i);
    const hn_dim *d;
    uint32_t k;
    if (s.rank != out.rank) return hn_ierror(x, "input %u has %d dimensions, input 0 has %d", i, s.rank, out.rank);
    for (int32_t j = 0; j < s.rank; j++) {
      if (j == axis) out.d[j] = i ? hn_dim_add(t, out.d[j], s.d[j]) : s.d[j];
      else if (!hn_dim_fixed(out.d[j])) out.d[j] = s.d[j];
      else if (hn_dim_fixed(s.d[j]) && s.d[j] != out.d[j])
        return hn_ierror(x, "input %u: dimension %d is %lld, not %lld", i, j, (long long)s.d[j], (long long)out.d[j]);
    }
    known = known && s.rank == 1 && joined_elements(x, i, &d, &k) && total + k <= 64;
    for (uint32_t j = 0; known && j < k; j++) all[total++] = d[j];
  }
  if (known) hn_osym(x, 0, all, total);
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(split) {
  hn_shape in = hn_ishape(x, 0), out = in;
  const int64_t *v = NULL;
  uint32_t n = 0, parts = hn_ino(x)->n_out;
  int32_t axis;
  for (uint32_t i = 0; i < parts; i++) HN_TRY(hn_oset(x, i, hn_idtype(x, 0), hn_shape_unknown()));
  if (in.rank < 0) return HONE_OK;
  if (!hn_axis(hn_attr_i(hn_ino(x), "axis", 0), in.rank, &axis)) return hn_ierror(x, "its axis is out of range");
  bool given = hn_ihas(x, 1), known = hn_iints(x, 1, &v, &n);
  if (known && n != parts) return hn_ierror(x, "%u sizes for %u outputs", n, parts);
  hn_dim each = hn_dim_ceil_div(x->g->dims, in.d[axis], parts);
  int64_t left = in.d[axis], sum = 0;
  for (uint32_t i = 0; i < parts; i++) {
    if (given) out.d[axis] = known ? v[i] : hn_dim_unknown(x->g->dims);
    else if (!hn_dim_fixed(in.d[axis])) out.d[axis] = each;
    else out.d[axis] = left < each ? left : each;
    if (known && v[i] < 0) return hn_ierror(x, "size %u is %lld", i, (long long)v[i]);
    left -= each < left ? each : left;
    sum += known ? v[i] : 0;
    HN_TRY(hn_oset(x, i, hn_idtype(x, 0), out));
  }
  if (known && hn_dim_fixed(in.d[axis]) && sum != in.d[axis])
    return hn_ierror(x, "sizes add up to %lld of %lld", (long long)sum, (long long)in.d[axis]);
  return HONE_OK;
}

FAMILY(slice) {
  hn_shape in = hn_ishape(x, 0), out = in;
  const int64_t *starts, *ends, *axes = NULL, *steps = NULL;
  uint32_t n, n_ends, n_axes = 0, n_steps = 0;
  if (in.rank < 0) return unknown_output(x);
  bool known = hn_iints(x, 1, &starts, &n) && hn_iints(x, 2, &ends, &n_ends) && n == n_ends &&
               (!hn_ihas(x, 3) || (hn_iints(x, 3, &axes, &n_axes) && n_axes == n)) &&
               (!hn_ihas(x, 4) || (hn_iints(x, 4, &steps, &n_steps) && n_steps == n));
  if (!known) {
    for (int32_t i = 0; i < in.rank; i++) out.d[i] = hn_dim_unknown(x->g->dims);
    return hn_oset(x, 0, hn_idtype(x, 0), out);
  }
  for (uint32_t i = 0; i < n; i++) {
    int32_t a;
    int64_t step = n_steps ? steps[i] : 1, b = starts[i], e = ends[i];
    if (!hn_axis(n_axes ? axes[i] : (int64_t)i, in.rank, &a)) return hn_ierror(x, "an axis is out of range");
    if (step == 0 || step == INT64_MIN) return hn_ierror(x, "step is %lld", (long long)step);
    if (!hn_dim_fixed(in.d[a])) {
      bool whole = b == 0 && e >= INT32_MAX && step == 1;
      if (!whole) out.d[a] = hn_dim_unknown(x->g->dims);
      continue;
    }
    int64_t d = in.d[a];
    b = b < 0 ? b + d : b;
    e = e < 0 ? (e < -d ? -1 : e + d) : e;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? d : d - 1;
    if (step < 0 && ends[i] < -d) e = -1;
    b = b < 0 ? 0 : b > high ? high : b;
    e = e < low ? low : e > (step > 0 ? d : d - 1) ? (step > 0 ? d : d - 1) : e;
    out.d[a] = step > 0 ? (e > b ? (e - b - 1) / step + 1 : 0) : (b > e ? (b - e - 1) / -step + 1 : 0);
  }
  const hn_dim *sym;
  uint32_t k;
  if (in.rank == 1 && hn_isym(x, 0, &sym, &k) && n == 1 && (!n_steps || steps[0] == 1)) {
    int64_t b = starts[0] < 0 ? starts[0] + k : starts[0];
    if (b >= 0 && hn_dim_fixed(out.d[0]) && b + out.d[0] <= k) hn_osym(x, 0, sym + b, (uint32_t)out.d[0]);
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(gather) {
  hn_shape in = hn_ishape(x, 0), at = hn_ishape(x, 1), out = {.rank = 0};
  int32_t axis;
  if (in.rank < 0 || at.rank < 0) return unknown_output(x);
  if (!hn_axis(hn_attr_i(hn_ino(x), "axis", 0), in.rank, &axis)) return hn_ierror(x, "its axis is out of range");
  if (in.rank + at.rank - 1 > HN_MAX_RANK) return hn_ierror(x, "more than %d dimensions", HN_MAX_RANK);
  for (int32_t i = 0; i < axis; i++) out.d[out.rank++] = in.d[i];
  for (int32_t i = 0; i < at.rank; i++) out.d[out.rank++] = at.d[i];
  for (int32_t i = axis + 1; i < in.rank; i++) out.d[out.rank++] = in.d[i];
  const hn_dim *d;
  const int64_t *v;
  uint32_t n, k;
  if (in.rank == 1 && hn_isym(x, 0, &d, &n) && hn_iints(x, 1, &v, &k) && k <= 64) {
    hn_dim picked[64];
    bool ok = true;
    for (uint32_t i = 0; ok && i < k; i++) {
      int64_t j = v[i] < 0 ? v[i] + n : v[i];
      ok = j >= 0 && j < n;
      if (ok) picked[i] = d[j];
    }
    if (ok) hn_osym(x, 0, picked, k);
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

FAMILY(shape) {
  hn_shape in = hn_ishape(x, 0);
  hn_shape out = {.rank = 1};
  if (in.rank < 0) {
    out.d[0] = hn_dim_unknown(x->g->dims);
    return hn_oset(x, 0, HONE_DTYPE_I64, out);
  }
  int64_t b = hn_attr_i(hn_ino(x), "start", 0), e = hn_attr_i(hn_ino(x), "end", in.rank);
  b = b < 0 ? b + in.rank : b;
  e = e < 0 ? e + in.rank : e;
  b = b < 0 ? 0 : b > in.rank ? in.rank : b;
  e = e < b ? b : e > in.rank ? in.rank : e;
  out.d[0] = e - b;
  hn_osym(x, 0, in.d + b, (uint32_t)(e - b));
  return hn_oset(x, 0, HONE_DTYPE_I64, out);
}
