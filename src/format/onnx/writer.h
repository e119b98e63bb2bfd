/* writer.h - a graph as an ONNX model of standard operators. */
#ifndef HN_ONNX_WRITER_H
#define HN_ONNX_WRITER_H
#include "ir/graph.h"

/* The opset is the oldest from 18 on that has all the operators, so that any runtime of today reads the file. Weights
   beyond what one protobuf message can hold go to FILE.data beside it. The file appears only when it is complete. */
hone_status hn_onnx_write(const hn_graph *g, const char *path);
#endif
