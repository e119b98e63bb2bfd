/* tensor_onnx.h - TensorProto to constant. */
#ifndef HN_TENSOR_ONNX_H
#define HN_TENSOR_ONNX_H
#include "ir/tensor.h"
#include "onnx.pb-c.h"

/* dir: folder of the model for external data; NULL: external data is refused. */
hone_status hn_onnx_tensor(hone_context *cx, const char *dir, const Onnx__TensorProto *p, hn_tensor **out);
/* A sparse tensor made dense. */
hone_status hn_onnx_sparse_tensor(hone_context *cx, const char *dir, const Onnx__SparseTensorProto *p, hn_tensor **out);
#endif
