/* reader.h - ONNX files to graphs. */
#ifndef HN_ONNX_READER_H
#define HN_ONNX_READER_H
#include "ir/graph.h"

/* Could this be a serialized ModelProto? By its first fields. */
bool hn_onnx_probe(const void *data, size_t size);
/* Errors: BAD_FORMAT, UNSUPPORTED (all unsupported operators at once), BAD_GRAPH, NOMEM. */
hone_status hn_onnx_read(hone_context *cx, const char *path, const void *data, size_t size, hn_mapping *m, hn_graph **out);
#endif
