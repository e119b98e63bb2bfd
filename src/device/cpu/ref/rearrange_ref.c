/* rearrange_ref.c - EyeLike, Trilu, ReverseSequence, DepthToSpace, SpaceToDepth, CenterCropPad. */
#include <string.h>

#include "device/cpu/ref/broadcast.h"
#include "op/infer.h"

static hone_status element_size(const hn_exec *x, const hn_view *v, size_t *size) {
  *size = hone_dtype_size(v->dtype);
  return *size ? HONE_OK : hn_xbad_dtype(x, v->dtype);
}

static void copy_elements(const hn_view *to, int64_t at, const hn_view *from, int64_t index, int64_t n, size_t size) {
  memcpy((unsigned char *)to->data + (size_t)at * size, (const unsigned char *)from->data + (size_t)index * size, (size_t)n * size);
}

hone_status hk_eye_like_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  hn_dtype t = (hn_dtype)hn_attr_i(hn_xnode(x), "dtype", in->dtype);
  int64_t k = hn_attr_i(hn_xnode(x), "k", 0);
  size_t size = hone_dtype_size(t);
  if (in->rank != 2) return hn_xfail(x, HONE_BAD_GRAPH, "its input has %d dimensions; takes 2", in->rank);
  if (!size) return hn_xbad_dtype(x, t);
  HN_TRY(hn_xout(x, 0, t, 2, in->dims));
  memset(x->out[0].data, 0, (size_t)x->out[0].count * size);
  for (int64_t i = 0; i < in->dims[0]; i++) {
    int64_t j = k > in->dims[1] ? -1 : k < -in->dims[0] ? -1 : i + k;
    if (j >= 0 && j < in->dims[1]) hn_store_f64(t, x->out[0].data, (size_t)(i * in->dims[1] + j), 1);
  }
  return HONE_OK;
}

hone_status hk_trilu_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  bool upper = hn_attr_i(hn_xnode(x), "upper", 1) != 0;
  int64_t k = 0;
  size_t size;
  HN_TRY(element_size(x, in, &size));
  if (in->rank < 2) return hn_xfail(x, HONE_BAD_GRAPH, "its input has %d dimensions; takes 2 or more", in->rank);
  if (hn_xhas(x, 1)) HN_TRY(hn_xscalar_i(x, 1, &k));
  HN_TRY(hn_xout_like(x, 0, in));
  int64_t rows = in->dims[in->rank - 2], columns = in->dims[in->rank - 1];
  k = k < -rows ? -rows : k > columns ? columns : k;
  memset(x->out[0].data, 0, (size_t)in->count * size);
  for (int64_t i = 0; i < in->count; i++) {
    int64_t row = i / columns % rows, column = i % columns;
    if (upper ? column >= row + k : column <= row + k) copy_elements(&x->out[0], i, in, i, 1, size);
  }
  return HONE_OK;
}

hone_status hk_reverse_sequence_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *lengths = &x->in[1];
  int64_t batch = hn_attr_i(hn_xnode(x), "batch_axis", 1), time = hn_attr_i(hn_xnode(x), "time_axis", 0), stride[HN_MAX_RANK];
  size_t size;
  HN_TRY(element_size(x, in, &size));
  if (in->rank < 2 || batch < 0 || batch > 1 || time < 0 || time > 1 || batch == time || lengths->count != in->dims[batch])
    return hn_xfail(x, HONE_BAD_GRAPH, "its axes or lengths do not fit the input");
  HN_TRY(hn_xout_like(x, 0, in));
  hn_strides(in->rank, in->dims, stride);
  for (int64_t i = 0; i < in->count; i++) {
    int64_t b = i / stride[batch] % in->dims[batch], t = i / stride[time] % in->dims[time];
    int64_t n = hn_load_i64(lengths->dtype, lengths->data, (size_t)b);
    if (n < 0 || n > in->dims[time]) return hn_xfail(x, HONE_BAD_GRAPH, "length %lld of %lld", (long long)n, (long long)in->dims[time]);
    copy_elements(&x->out[0], i, in, t < n ? i + (n - 1 - 2 * t) * stride[time] : i, 1, size);
  }
  return HONE_OK;
}

hone_status hk_depth_to_space_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  int64_t b = hn_attr_i(hn_xnode(x), "blocksize", 0);
  bool columns = hn_streq(hn_attr_s(hn_xnode(x), "mode", "DCR"), "CRD");
  size_t size;
  HN_TRY(element_size(x, in, &size));
  if (in->rank != 4 || b < 1 || b > 1 << 15 || in->dims[1] % (b * b)) return hn_xfail(x, HONE_BAD_GRAPH, "blocksize does not fit the input");
  int64_t c = in->dims[1] / (b * b), h = in->dims[2], w = in->dims[3];
  HN_TRY(hn_xout(x, 0, in->dtype, 4, (int64_t[]){in->dims[0], c, h * b, w * b}));
  for (int64_t i = 0; i < x->out[0].count; i++) {
    int64_t ox = i % (w * b), oy = i / (w * b) % (h * b), oc = i / (w * b * h * b) % c, n = i / (w * b * h * b * c);
    int64_t block = oy % b * b + ox % b, ic = columns ? oc * b * b + block : block * c + oc;
    copy_elements(&x->out[0], i, in, ((n * in->dims[1] + ic) * h + oy / b) * w + ox / b, 1, size);
  }
  return HONE_OK;
}

hone_status hk_space_to_depth_ref(hn_exec *x) {
  const hn_view *in = &x->in[0];
  int64_t b = hn_attr_i(hn_xnode(x), "blocksize", 0);
  size_t size;
  HN_TRY(element_size(x, in, &size));
  if (in->rank != 4 || b < 1 || b > 1 << 15 || in->dims[2] % b || in->dims[3] % b) return hn_xfail(x, HONE_BAD_GRAPH, "blocksize does not fit the input");
  int64_t c = in->dims[1], h = in->dims[2] / b, w = in->dims[3] / b;
  HN_TRY(hn_xout(x, 0, in->dtype, 4, (int64_t[]){in->dims[0], c * b * b, h, w}));
  for (int64_t i = 0; i < x->out[0].count; i++) {
    int64_t ox = i % w, oy = i / w % h, oc = i / (w * h) % (c * b * b), n = i / (w * h * c * b * b);
    int64_t block = oc / c, y = oy * b + block / b, xx = ox * b + block % b;
    copy_elements(&x->out[0], i, in, ((n * c + oc % c) * h * b + y) * w * b + xx, 1, size);
  }
  return HONE_OK;
}

hone_status hk_center_crop_pad_ref(hn_exec *x) {
  const hn_view *in = &x->in[0], *shape = &x->in[1];
  const int64_t *axes;
  uint32_t n_axes = hn_attr_ints(hn_xnode(x), "axes", &axes);
  int64_t dims[HN_MAX_RANK], shift[HN_MAX_RANK] = {0}, from_stride[HN_MAX_RANK], to_stride[HN_MAX_RANK];
  int64_t count = n_axes ? (int64_t)n_axes : in->rank;
  size_t size;
  HN_TRY(element_size(x, in, &size));
  if (shape->count != count) return hn_xfail(x, HONE_BAD_GRAPH, "%lld sizes for %lld axes", (long long)shape->count, (long long)count);
  memcpy(dims, in->dims, sizeof dims);
  for (int64_t i = 0; i < count; i++) {
    int32_t a;
    HN_TRY(hn_xaxis(x, 0, n_axes ? axes[i] : i, &a));
    dims[a] = hn_load_i64(shape->dtype, shape->data, (size_t)i);
    if (dims[a] < 0) return hn_xfail(x, HONE_BAD_GRAPH, "size %lld", (long long)dims[a]);
    /* Where output index 0 lies in the input: cropped or padded, the odd one goes to the end. */
    shift[a] = dims[a] > in->dims[a] ? -((dims[a] - in->dims[a]) / 2) : (in->dims[a] - dims[a]) / 2;
  }
  HN_TRY(hn_xout(x, 0, in->dtype, in->rank, dims));
  hn_strides(in->rank, in->dims, from_stride);
  hn_strides(in->rank, dims, to_stride);
  memset(x->out[0].data, 0, (size_t)x->out[0].count * size);
  for (int64_t i = 0; i < x->out[0].count; i++) {
    int64_t from = 0;
    bool inside = true;
    for (int32_t k = 0; k < in->rank; k++) {
      int64_t p = i / to_stride[k] % dims[k] + shift[k];
      inside = inside && p >= 0 && p < in->dims[k];
      from += p * from_stride[k];
    }
    if (inside) copy_elements(&x->out[0], i, in, from, 1, size);
  }
  return HONE_OK;
}
