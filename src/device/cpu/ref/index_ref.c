/* index_ref.c - operators that pick or place elements by index: GatherElements, GatherND, ScatterElements, ScatterND,
   OneHot, NonZero, Compress, MaxUnpool. */
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "op/infer.h"
#include "op/scalar.h"

static int64_t element(const hn_view *v, int64_t i) { return hn_load_i64(v->dtype, v->data, (size_t)i); }

static hone_status element_size(const hn_exec *x, const hn_view *v, size_t *size) {
  *size = hone_dtype_size(v->dtype);
  return *size ? HONE_OK : hn_xbad_dtype(x, v->dtype);
}

/* An index in [-d, d) as one in [0, d). */
static hone_status index_in(const hn_exec *x, int64_t i, int64_t d, int64_t *out) {
  if (i < -d || i >= d) return hn_xfail(x, HONE_BAD_GRAPH, "index %lld is out of [-%lld, %lld)", (long long)i, (long long)d, (long long)d);
  *out = i < 0 ? i + d : i;
  return HONE_OK;
}

static void copy_element(const hn_view *to, int64_t at, const hn_view *from, int64_t index, size_t size) {
  memcpy((unsigned char *)to->data + (size_t)at * size, (const unsigned char *)from->data + (size_t)index * size, size);
}

/* Offset in `data` of element i of `at`, whose index replaces the one along `axis`. */
static hone_status along_axis(const hn_exec *x, const hn_view *data, const hn_view *at, int32_t axis, int64_t i, int64_t *offset) {
  int64_t stride[HN_MAX_RANK], rest = i, pick = 0;
  hn_strides(data->rank, data->dims, stride);
  HN_TRY(index_in(x, element(at, i), data->dims[axis], &pick));
  *offset = pick * stride[axis];
  for (int32_t k = at->rank - 1; k >= 0; k--) {
    int64_t c = rest % at->dims[k];
    rest /= at->dims[k];
    if (k == axis) continue;
    if (c >= data->dims[k]) return hn_xfail(x, HONE_BAD_GRAPH, "the indices are larger than the data in dimension %d", k);
    *offset += c * stride[k];
  }
  return HONE_OK;
}

hone_status hk_gather_elements_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *at = &x->in[1];
  int32_t axis;
  size_t size;
  HN_TRY(element_size(x, in, &size));
  HN_TRY(hn_xaxis(x, 0, hn_attr_i(hn_xnode(x), "axis", 0), &axis));
  if (at->rank != in->rank) return hn_xfail(x, HONE_BAD_GRAPH, "data and indices differ in their number of dimensions");
  HN_TRY(hn_xout(x, 0, in->dtype, at->rank, at->dims));
  for (int64_t i = 0; i < at->count; i++) {
    int64_t from;
    HN_TRY(along_axis(x, in, at, axis, i, &from));
    copy_element(&x->out[0], i, in, from, size);
  }
  return HONE_OK;
}

/* Offset that index tuple `t` of k elements has in `data`, its first `batch` dimensions being at `base`. */
static hone_status tuple_offset(const hn_exec *x, const hn_view *data, int32_t batch, const hn_view *at, int64_t t, int64_t k,
                                int64_t base, int64_t *offset) {
  int64_t o = base;
  for (int64_t j = 0; j < k; j++) {
    int64_t i = 0;
    HN_TRY(index_in(x, element(at, t * k + j), data->dims[batch + j], &i));
    o = o * data->dims[batch + j] + i;
  }
  *offset = o;
  return HONE_OK;
}

static int64_t product(const int64_t *d, int32_t from, int32_t to) {
  int64_t n = 1;
  for (int32_t i = from; i < to; i++) n *= d[i];
  return n;
}

hone_status hk_gather_nd_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *at = &x->in[1];
  int64_t batch = hn_attr_i(hn_xnode(x), "batch_dims", 0), dims[HN_MAX_RANK], k = at->rank ? at->dims[at->rank - 1] : 0;
  int32_t rank = 0;
  size_t size;
  HN_TRY(element_size(x, in, &size));
  if (at->rank < 1 || batch < 0 || batch >= at->rank || batch + k > in->rank || at->rank - 1 + in->rank - batch - k > HN_MAX_RANK)
    return hn_xfail(x, HONE_BAD_GRAPH, "the indices do not fit the data");
  for (int32_t i = 0; i < batch; i++)
    if (at->dims[i] != in->dims[i]) return hn_xfail(x, HONE_BAD_GRAPH, "the batches of data and indices differ");
  for (int32_t i = 0; i < at->rank - 1; i++) dims[rank++] = at->dims[i];
  for (int64_t i = batch + k; i < in->rank; i++) dims[rank++] = in->dims[i];
  HN_TRY(hn_xout(x, 0, in->dtype, rank, dims));
  int64_t run = product(in->dims, (int32_t)(batch + k), in->rank), tuples = product(at->dims, 0, at->rank - 1);
  int64_t batches = product(at->dims, 0, (int32_t)batch), each = batches ? tuples / batches : 0;
  for (int64_t t = 0; t < tuples; t++) {
    int64_t o;
    HN_TRY(tuple_offset(x, in, (int32_t)batch, at, t, k, t / each, &o));
    memcpy((unsigned char *)x->out[0].data + (size_t)(t * run) * size, (const unsigned char *)in->data + (size_t)(o * run) * size, (size_t)run * size);
  }
  return HONE_OK;
}

/* out[to] = out[to] reduced with updates[from]; HN_OP_NONE: replaced. */
static void place(const hn_exec *x, hn_op reduction, int64_t to, const hn_view *updates, int64_t from, size_t size) {
  const hn_view *out = &x->out[0];
  if (reduction == HN_OP_NONE) {
    copy_element(out, to, updates, from, size);
  } else if (hn_is_int(out->dtype)) {
    int64_t a = hn_load_i64(out->dtype, out->data, (size_t)to), b = element(updates, from);
    hn_scalar_binary_irun(reduction)(&a, &b, 1, 0, out->dtype == HONE_DTYPE_U64);
    hn_store_i64(out->dtype, out->data, (size_t)to, a);
  } else {
    double a = hn_load_f64(out->dtype, out->data, (size_t)to), b = hn_load_f64(updates->dtype, updates->data, (size_t)from);
    hn_store_f64(out->dtype, out->data, (size_t)to, hn_scalar_binary(reduction, a, b));
  }
}

/* The output starts as a copy of the data. */
static hone_status start_scatter(hn_exec *x, size_t *size, hn_op *reduction) {
  static const struct {
    const char *name;
    hn_op op;
  } known[] = {{"none", HN_OP_NONE}, {"add", HN_Add}, {"mul", HN_Mul}, {"max", HN_Max}, {"min", HN_Min}};
  const char *name = hn_attr_s(hn_xnode(x), "reduction", "none");
  HN_TRY(element_size(x, &x->in[0], size));
  if (x->in[2].dtype != x->in[0].dtype) return hn_xfail(x, HONE_BAD_GRAPH, "data and updates differ in type");
  HN_TRY(hn_xout_like(x, 0, &x->in[0]));
  if (x->in[0].count) memcpy(x->out[0].data, x->in[0].data, (size_t)x->in[0].count * *size);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (hn_streq(name, known[i].name)) {
      *reduction = known[i].op;
      return HONE_OK;
    }
  return hn_xfail(x, HONE_BAD_GRAPH, "reduction '%s' is not known", name);
}

hone_status hk_scatter_elements_ref(hn_exec *x) {
  const hn_view *at = &x->in[1], *updates = &x->in[2];
  int32_t axis;
  size_t size;
  hn_op reduction;
  HN_TRY(hn_xaxis(x, 0, hn_attr_i(hn_xnode(x), "axis", 0), &axis));
  if (at->rank != x->in[0].rank || updates->rank != at->rank || memcmp(at->dims, updates->dims, sizeof *at->dims * (size_t)at->rank) != 0)
    return hn_xfail(x, HONE_BAD_GRAPH, "data, indices and updates do not fit together");
  HN_TRY(start_scatter(x, &size, &reduction));
  for (int64_t i = 0; i < at->count; i++) {
    int64_t to;
    HN_TRY(along_axis(x, &x->in[0], at, axis, i, &to));
    place(x, reduction, to, updates, i, size);
  }
  return HONE_OK;
}

hone_status hk_scatter_nd_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *at = &x->in[1], *updates = &x->in[2];
  size_t size;
  hn_op reduction;
  int64_t k = at->rank ? at->dims[at->rank - 1] : 0;
  if (at->rank < 1 || k > in->rank) return hn_xfail(x, HONE_BAD_GRAPH, "the indices do not fit the data");
  int64_t run = product(in->dims, (int32_t)k, in->rank), tuples = product(at->dims, 0, at->rank - 1);
  if (updates->count != tuples * run) return hn_xfail(x, HONE_BAD_GRAPH, "%lld updates where %lld are needed", (long long)updates->count, (long long)(tuples * run));
  HN_TRY(start_scatter(x, &size, &reduction));
  for (int64_t t = 0; t < tuples; t++) {
    int64_t o;
    HN_TRY(tuple_offset(x, in, 0, at, t, k, 0, &o));
    for (int64_t i = 0; i < run; i++) place(x, reduction, o * run + i, updates, t * run + i, size);
  }
  return HONE_OK;
}

hone_status hk_one_hot_ref(hn_exec *x) {
  const hn_view *at = &x->in[0], *values = &x->in[2];
  int64_t dims[HN_MAX_RANK], inner = 1;
  int32_t axis;
  size_t size;
  HN_TRY(element_size(x, values, &size));
  if (x->in[1].count != 1 || values->count != 2) return hn_xfail(x, HONE_BAD_GRAPH, "depth is one number, values are two");
  double depth = hn_load_f64(x->in[1].dtype, x->in[1].data, 0);
  if (!(depth >= 0 && depth < 1e15)) return hn_xfail(x, HONE_BAD_GRAPH, "depth is %g", depth);
  if (at->rank == HN_MAX_RANK) return hn_xfail(x, HONE_BAD_GRAPH, "more than %d dimensions", HN_MAX_RANK);
  if (!hn_axis(hn_attr_i(hn_xnode(x), "axis", -1), at->rank + 1, &axis)) return hn_xfail(x, HONE_BAD_GRAPH, "its axis is out of range");
  for (int32_t i = 0, k = 0; i <= at->rank; i++) dims[i] = i == axis ? (int64_t)depth : at->dims[k++];
  for (int32_t i = axis; i < at->rank; i++) inner *= at->dims[i];
  HN_TRY(hn_xout(x, 0, values->dtype, at->rank + 1, dims));
  for (int64_t i = 0; i < x->out[0].count; i++) {
    int64_t d = i / inner % dims[axis], from = i / (inner * dims[axis]) * inner + i % inner;
    double v = hn_is_int(at->dtype) ? (double)element(at, from) : hn_load_f64(at->dtype, at->data, (size_t)from);
    if (v < 0) v += depth;
    copy_element(&x->out[0], i, values, v == (double)d, size);
  }
  return HONE_OK;
}

static bool is_zero(const hn_view *v, int64_t i) {
  return hn_is_int(v->dtype) ? element(v, i) == 0 : hn_load_f64(v->dtype, v->data, (size_t)i) == 0;
}

hone_status hk_non_zero_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  int64_t n = 0, stride[HN_MAX_RANK], at = 0;
  if (hn_dtype_class(in->dtype) == HN_CLASS_S) return hn_xbad_dtype(x, in->dtype);
  hn_strides(in->rank, in->dims, stride);
  for (int64_t i = 0; i < in->count; i++) n += !is_zero(in, i);
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_I64, 2, (int64_t[]){in->rank, n}));
  int64_t *out = x->out[0].data;
  for (int64_t i = 0; i < in->count; i++) {
    if (is_zero(in, i)) continue;
    for (int32_t k = 0; k < in->rank; k++) out[k * n + at] = i / stride[k] % in->dims[k];
    at++;
  }
  return HONE_OK;
}

hone_status hk_compress_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *keep = &x->in[1];
  const hn_attr *a = hn_attr_find(hn_xnode(x), "axis");
  hn_axis_split s = {1, in->count, 1};
  int64_t dims[HN_MAX_RANK] = {0}, n = 0, to = 0;
  int32_t axis = 0, rank = 1;
  size_t size;
  HN_TRY(element_size(x, in, &size));
  if (a) {
    HN_TRY(hn_xaxis(x, 0, a->v.i, &axis));
    s = hn_split_at(in, axis);
    memcpy(dims, in->dims, sizeof dims);
    rank = in->rank;
  }
  for (int64_t i = 0; i < keep->count; i++) {
    if (element(keep, i) && i >= s.n) return hn_xfail(x, HONE_BAD_GRAPH, "keeps slice %lld of %lld", (long long)i, (long long)s.n);
    n += element(keep, i) != 0;
  }
  dims[axis] = n;
  HN_TRY(hn_xout(x, 0, in->dtype, rank, dims));
  size_t run = (size_t)s.inner * size;
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t i = 0; i < keep->count; i++)
      if (element(keep, i)) {
        memcpy((unsigned char *)x->out[0].data + (size_t)to * run, (const unsigned char *)in->data + (size_t)(o * s.n + i) * run, run);
        to++;
      }
  return HONE_OK;
}

/* Indices count within the tensor that MaxPool saw: the output shape is taken to be it, unless it is given. */
hone_status hk_max_unpool_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *at = &x->in[1];
  const hn_node *n = hn_xnode(x);
  const int64_t *k, *s, *p;
  uint32_t nk = hn_attr_ints(n, "kernel_shape", &k), ns = hn_attr_ints(n, "strides", &s), np = hn_attr_ints(n, "pads", &p);
  int64_t dims[HN_MAX_RANK], natural[HN_MAX_RANK], stride[HN_MAX_RANK], from[HN_MAX_RANK];
  int32_t spatial = in->rank - 2;
  size_t size;
  HN_TRY(element_size(x, in, &size));
  if (at->count != in->count || spatial < 1 || (int32_t)nk != spatial || (ns && (int32_t)ns != spatial) || (np && (int32_t)np != 2 * spatial))
    return hn_xfail(x, HONE_BAD_GRAPH, "its inputs and attributes do not fit together");
  for (int32_t i = 0; i < in->rank; i++) {
    int32_t j = i - 2;
    natural[i] = i < 2 ? in->dims[i] : (in->dims[i] - 1) * (ns ? s[j] : 1) + k[j] - (np ? p[j] + p[j + spatial] : 0);
    dims[i] = natural[i];
  }
  if (hn_xhas(x, 2) && n->n_main > 2) {
    if (x->in[2].count != in->rank) return hn_xfail(x, HONE_BAD_GRAPH, "the output shape has another number of dimensions");
    for (int32_t i = 0; i < in->rank; i++) dims[i] = element(&x->in[2], i);
  }
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  hn_strides(in->rank, dims, stride);
  hn_strides(in->rank, natural, from);
  memset(x->out[0].data, 0, (size_t)x->out[0].count * size);
  for (int64_t i = 0; i < in->count; i++) {
    int64_t flat = element(at, i), to = 0;
    if (flat < 0) return hn_xfail(x, HONE_BAD_GRAPH, "index %lld is negative", (long long)flat);
    for (int32_t d = 0; d < in->rank; d++) {
      int64_t c = from[d] ? flat / from[d] : 0;
      flat = from[d] ? flat % from[d] : 0;
      if (c >= dims[d]) return hn_xfail(x, HONE_BAD_GRAPH, "index %lld is outside the output", (long long)element(at, i));
      to += c * stride[d];
    }
    copy_element(&x->out[0], to, in, i, size);
  }
  return HONE_OK;
}
