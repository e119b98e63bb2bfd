/* dnnl_util.h - what the oneDNN kernels share. */
#ifndef HN_DNNL_UTIL_H
#define HN_DNNL_UTIL_H
#include <oneapi/dnnl/dnnl.h>

#include "device/cpu/cpu.h"

typedef struct hn_dnnl {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
} hn_dnnl;

/* The oneDNN type of ours; dnnl_data_type_undef if it has none. */
dnnl_data_type_t hn_dnnl_type(hn_dtype t);
/* Memory descriptor of a tensor in one of our layouts; false if there is none. */
bool hn_dnnl_desc(hn_dtype t, int32_t rank, const int64_t *dims, hn_layout layout, dnnl_memory_desc_t *md);
#endif
