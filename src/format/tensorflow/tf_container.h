/* tf_container.h - what a path holds: a SavedModel, a GraphDef, or the MetaGraph of a checkpoint; and which part is wanted. */
#ifndef HN_TF_CONTAINER_H
#define HN_TF_CONTAINER_H
#include "format/probe.h"
#include "format/tensorflow/tf_import.h"

typedef struct tf_container {
  hone_context *cx;
  hn_arena *arena;
  const char *kind;              /* "TensorFlow SavedModel", ... */
  const char *folder;            /* of the SavedModel or checkpoint; NULL from memory */
  Tensorflow__SavedModel *model; /* one of the three owns the rest */
  Tensorflow__MetaGraphDef *only;
  Tensorflow__GraphDef *frozen;
  const Tensorflow__MetaGraphDef *meta; /* that was chosen; NULL of a GraphDef */
  const Tensorflow__GraphDef *graph;
  const char *checkpoint;        /* prefix of its files; NULL: there is none */
} tf_container;

bool hn_tf_probe(const hn_source *s);
/* IO, BAD_FORMAT. Nothing is chosen yet. */
hone_status hn_tf_container_open(hone_context *cx, const hn_source *s, tf_container *c);
void hn_tf_container_close(tf_container *c);
/* Sets meta and graph by tag set (NULL: "serve" or the only one). BAD_ARG lists the known ones. */
hone_status hn_tf_choose_meta(tf_container *c, const char *path, const char *tag_set);
/* NULL where there is none and none was asked for. BAD_ARG lists the known ones. */
hone_status hn_tf_choose_signature(const tf_container *c, const char *path, const char *key, const Tensorflow__SignatureDefEntry **out);
/* "serve,gpu", in the arena. */
const char *hn_tf_tags(const tf_container *c, const Tensorflow__MetaGraphDef *m);
#endif
