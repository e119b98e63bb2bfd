/* keras_reader.h - Keras models to graphs: .h5, .keras and the tfjs layers-model form. */
#ifndef HN_KERAS_READER_H
#define HN_KERAS_READER_H
#include "format/probe.h"

bool hn_keras_h5_probe(const hn_source *s);
bool hn_keras_zip_probe(const hn_source *s); /* a zip archive with a Keras 3 model in it */
bool hn_tfjs_probe(const hn_source *s);      /* JSON with a model's topology, or the folder of it */
/* Errors: BAD_FORMAT, UNSUPPORTED (all unknown classes of layers at once), BAD_GRAPH (all missing weights at once, shapes
   that do not fit), IO, NOMEM. */
hone_status hn_keras_h5_read(hone_context *cx, const hn_source *s, hn_graph **out);
hone_status hn_keras_zip_read(hone_context *cx, const hn_source *s, hn_graph **out);
hone_status hn_tfjs_read(hone_context *cx, const hn_source *s, hn_graph **out);
#endif
