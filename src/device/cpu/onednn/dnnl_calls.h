/* dnnl_calls.h - what is called of oneDNN, which is opened with the first kernel of its that is planned: many programs have none.
   From here on the names of the functions are those of the pointers to them. */
#ifndef HN_DNNL_CALLS_H
#define HN_DNNL_CALLS_H
#include <oneapi/dnnl/dnnl.h>

#include "base/library.h"

#define DNNL_CALLS(X) \
  X(dnnl_dilated_convolution_forward_desc_init) X(dnnl_dilated_deconvolution_forward_desc_init) X(dnnl_engine_create)  \
  X(dnnl_engine_destroy) X(dnnl_matmul_desc_init) X(dnnl_memory_create) X(dnnl_memory_desc_equal)                      \
  X(dnnl_memory_desc_get_size) X(dnnl_memory_desc_init_by_strides) X(dnnl_memory_desc_init_by_tag)                     \
  X(dnnl_memory_destroy) X(dnnl_memory_set_data_handle) X(dnnl_pooling_v2_forward_desc_init)                           \
  X(dnnl_post_ops_append_eltwise) X(dnnl_post_ops_append_sum) X(dnnl_post_ops_append_sum_v3) X(dnnl_post_ops_create)   \
  X(dnnl_post_ops_destroy) X(dnnl_primitive_attr_create) X(dnnl_primitive_attr_destroy)                                \
  X(dnnl_primitive_attr_set_output_scales) X(dnnl_primitive_attr_set_post_ops)                                         \
  X(dnnl_primitive_attr_set_scratchpad_mode) X(dnnl_primitive_attr_set_zero_points) X(dnnl_primitive_create)           \
  X(dnnl_primitive_desc_create) X(dnnl_primitive_desc_destroy) X(dnnl_primitive_desc_query)                            \
  X(dnnl_primitive_desc_query_md) X(dnnl_primitive_destroy) X(dnnl_primitive_execute)                                  \
  X(dnnl_reorder_primitive_desc_create) X(dnnl_set_max_cpu_isa) X(dnnl_sgemm) X(dnnl_stream_create) X(dnnl_stream_destroy)                     \
  X(dnnl_stream_wait)

#define X(name) extern __typeof__(name) *hn_import_##name;
DNNL_CALLS(X)
#undef X

#define dnnl_dilated_convolution_forward_desc_init hn_import_dnnl_dilated_convolution_forward_desc_init
#define dnnl_dilated_deconvolution_forward_desc_init hn_import_dnnl_dilated_deconvolution_forward_desc_init
#define dnnl_engine_create hn_import_dnnl_engine_create
#define dnnl_engine_destroy hn_import_dnnl_engine_destroy
#define dnnl_matmul_desc_init hn_import_dnnl_matmul_desc_init
#define dnnl_memory_create hn_import_dnnl_memory_create
#define dnnl_memory_desc_equal hn_import_dnnl_memory_desc_equal
#define dnnl_memory_desc_get_size hn_import_dnnl_memory_desc_get_size
#define dnnl_memory_desc_init_by_strides hn_import_dnnl_memory_desc_init_by_strides
#define dnnl_memory_desc_init_by_tag hn_import_dnnl_memory_desc_init_by_tag
#define dnnl_memory_destroy hn_import_dnnl_memory_destroy
#define dnnl_memory_set_data_handle hn_import_dnnl_memory_set_data_handle
#define dnnl_pooling_v2_forward_desc_init hn_import_dnnl_pooling_v2_forward_desc_init
#define dnnl_post_ops_append_eltwise hn_import_dnnl_post_ops_append_eltwise
#define dnnl_post_ops_append_sum hn_import_dnnl_post_ops_append_sum
#define dnnl_post_ops_append_sum_v3 hn_import_dnnl_post_ops_append_sum_v3
#define dnnl_post_ops_create hn_import_dnnl_post_ops_create
#define dnnl_post_ops_destroy hn_import_dnnl_post_ops_destroy
#define dnnl_primitive_attr_create hn_import_dnnl_primitive_attr_create
#define dnnl_primitive_attr_destroy hn_import_dnnl_primitive_attr_destroy
#define dnnl_primitive_attr_set_output_scales hn_import_dnnl_primitive_attr_set_output_scales
#define dnnl_primitive_attr_set_post_ops hn_import_dnnl_primitive_attr_set_post_ops
#define dnnl_primitive_attr_set_scratchpad_mode hn_import_dnnl_primitive_attr_set_scratchpad_mode
#define dnnl_primitive_attr_set_zero_points hn_import_dnnl_primitive_attr_set_zero_points
#define dnnl_primitive_create hn_import_dnnl_primitive_create
#define dnnl_primitive_desc_create hn_import_dnnl_primitive_desc_create
#define dnnl_primitive_desc_destroy hn_import_dnnl_primitive_desc_destroy
#define dnnl_primitive_desc_query hn_import_dnnl_primitive_desc_query
#define dnnl_primitive_desc_query_md hn_import_dnnl_primitive_desc_query_md
#define dnnl_primitive_destroy hn_import_dnnl_primitive_destroy
#define dnnl_primitive_execute hn_import_dnnl_primitive_execute
#define dnnl_reorder_primitive_desc_create hn_import_dnnl_reorder_primitive_desc_create
#define dnnl_set_max_cpu_isa hn_import_dnnl_set_max_cpu_isa
#define dnnl_sgemm hn_import_dnnl_sgemm
#define dnnl_stream_create hn_import_dnnl_stream_create
#define dnnl_stream_destroy hn_import_dnnl_stream_destroy
#define dnnl_stream_wait hn_import_dnnl_stream_wait
#endif
