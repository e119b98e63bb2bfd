/* tensor_tf.h - element types, shapes and constants of TensorFlow. */
#ifndef HN_TENSOR_TF_H
#define HN_TENSOR_TF_H
#include "ir/tensor.h"
#include "tensorflow.pb-c.h"

/* UNDEFINED for what hone has no type for (resources, variants). References (DT_FLOAT_REF) count as what they refer to;
   quantized types as the integers they are stored in. */
hn_dtype hn_tf_dtype(int type);
int hn_tf_dtype_of(hn_dtype t); /* the DataType of ours; DT_INVALID: it has none */
/* "DT_FLOAT"; "DT_INVALID" for an unknown number. */
const char *hn_tf_dtype_name(int type);

/* Unknown dimensions become fresh symbols. NULL: unknown rank. BAD_GRAPH, UNSUPPORTED (rank). */
hone_status hn_tf_shape(hone_context *cx, hn_dims *t, const Tensorflow__TensorShapeProto *p, hn_shape *out);

/* `name` is for errors. UNSUPPORTED: strings, resources, variants. */
hone_status hn_tf_tensor(hone_context *cx, const char *name, const Tensorflow__TensorProto *p, hn_tensor **out);
/* The same of a TensorProto that says neither type nor shape: all elements must be spelled out. */
hone_status hn_tf_values(hone_context *cx, const char *name, const Tensorflow__TensorProto *p, hn_dtype type, int32_t rank, const int64_t *dims,
                         hn_tensor **out);
#endif
