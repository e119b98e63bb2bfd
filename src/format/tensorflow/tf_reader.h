/* tf_reader.h - TensorFlow's SavedModels, frozen graphs and checkpoints to graphs.
   What a writer needs to give back the same interface is in the graph's meta data: "tf.tag_set", "tf.signature",
   "tf.method", "tf.version", and for each input and output "tf.input.KEY" and "tf.output.KEY" with the tensor's name. */
#ifndef HN_TF_READER_H
#define HN_TF_READER_H
#include "format/catalog.h"
#include "format/probe.h"

bool hn_tf_probe(const hn_source *s);
/* Errors: IO, BAD_FORMAT, UNSUPPORTED (all unsupported operators at once), BAD_ARG (tag set, signature, tensor),
   BAD_GRAPH, NOMEM. */
hone_status hn_tf_read(hone_context *cx, const hn_source *s, hn_graph **out);
/* Everything that can be chosen, without reading a graph. */
hone_status hn_tf_catalog(hone_context *cx, const hn_source *s, hn_catalog *c);
#endif
