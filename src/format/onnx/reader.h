/* reader.h - ONNX files to graphs. */
#ifndef HN_ONNX_READER_H
#define HN_ONNX_READER_H
#include "format/probe.h"

/* Could this be a serialized ModelProto? By its first fields. */
bool hn_onnx_probe(const hn_source *s);
/* Errors: BAD_FORMAT, UNSUPPORTED (all unsupported operators at once), BAD_GRAPH, NOMEM. */
hone_status hn_onnx_read(hone_context *cx, const hn_source *s, hn_graph **out);
#endif
