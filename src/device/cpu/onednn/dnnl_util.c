#include "device/cpu/onednn/dnnl_util.h"

hone_status hn_cpu_device_create(hone_context *cx, int threads, void **out) {
  (void)threads; /* the calling thread's OpenMP setting counts, see hn_use_threads */
  hn_dnnl *d = hn_calloc(1, sizeof *d);
  if (!d) return hn_nomem(cx);
  if (dnnl_engine_create(&d->engine, dnnl_cpu, 0) != dnnl_success ||
      dnnl_stream_create(&d->stream, d->engine, dnnl_stream_in_order) != dnnl_success) {
    hn_cpu_device_destroy(d);
    return hn_fail(cx, HONE_DEVICE, "oneDNN cannot create a CPU engine");
  }
  *out = d;
  return HONE_OK;
}

void hn_cpu_device_destroy(void *device) {
  hn_dnnl *d = device;
  if (!d) return;
  if (d->stream) dnnl_stream_destroy(d->stream);
  if (d->engine) dnnl_engine_destroy(d->engine);
  hn_free(d);
}

dnnl_data_type_t hn_dnnl_type(hn_dtype t) {
  switch (t) {
    case HONE_DTYPE_F32: return dnnl_f32;
    case HONE_DTYPE_BF16: return dnnl_bf16;
    case HONE_DTYPE_F16: return dnnl_f16;
    case HONE_DTYPE_I32: return dnnl_s32;
    case HONE_DTYPE_I8: return dnnl_s8;
    case HONE_DTYPE_U8: return dnnl_u8;
    default: return dnnl_data_type_undef;
  }
}

bool hn_dnnl_desc(hn_dtype t, int32_t rank, const int64_t *dims, hn_layout layout, dnnl_memory_desc_t *md) {
  static const dnnl_format_tag_t tags[HN_LAYOUT_COUNT][6] = {
      [HN_LAYOUT_PLAIN] = {dnnl_a, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd, dnnl_abcde},
      [HN_LAYOUT_NHWC] = {0, 0, 0, dnnl_nwc, dnnl_nhwc, dnnl_ndhwc},
      [HN_LAYOUT_C8] = {0, 0, 0, dnnl_nCw8c, dnnl_nChw8c, dnnl_nCdhw8c},
      [HN_LAYOUT_C16] = {0, 0, 0, dnnl_nCw16c, dnnl_nChw16c, dnnl_nCdhw16c},
  };
  static const dnnl_dims_t one = {1};
  dnnl_data_type_t type = hn_dnnl_type(t);
  if (type == dnnl_data_type_undef || rank < 0 || rank > 5 || !tags[layout][rank]) return false;
  return dnnl_memory_desc_init_by_tag(md, rank ? rank : 1, rank ? dims : one, type, tags[layout][rank]) == dnnl_success;
}
