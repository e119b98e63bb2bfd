/* tf_writer.h - a graph as a TensorFlow model: variables are constants, operators TensorFlow's own. */
#ifndef HN_TF_WRITER_H
#define HN_TF_WRITER_H
#include "ir/graph.h"

/* Folder `path` with saved_model.pb: one MetaGraph with the tags and the signature, keys and names of tensors, that the
   model had (tf.* of its metadata), or else "serve", "serving_default" and the names of its inputs and outputs. The folder
   is made if it is not there. Errors: UNSUPPORTED (all operators without a spelling at once; more than 2 GiB), IO. */
hone_status hn_tf_write_saved_model(const hn_graph *g, const char *path);
/* A frozen GraphDef. */
hone_status hn_tf_write_graph_def(const hn_graph *g, const char *path);
#endif
