/* model.h - what stands behind a hone_model. */
#ifndef HN_MODEL_H
#define HN_MODEL_H
#include "ir/graph.h"
#include "pass/pass.h"

struct hone_model {
  hone_context *cx;
  hn_graph *g;
  hn_report report;  /* of the last optimization */
  hn_id *order;      /* layers in execution order, made on demand; NULL: not yet */
  uint32_t n_layers;
  hn_arena *strings; /* texts handed out by layer_info */
};

/* Takes over the graph. */
hone_status hn_model_wrap(hone_context *cx, hn_graph *g, hone_model **out);
/* Must be called after each change of the graph. */
void hn_model_changed(hone_model *m);
/* A changed clone of its graph becomes the model's if the change went well, or is destroyed; gives `st` back. */
hone_status hn_model_take(hone_model *m, hn_graph *g, hone_status st);
/* A copy in which constant integers that stand for reals are reals: TensorFlow has no layers over small weights. */
hone_status hn_open_weights(const hn_graph *g, hn_graph **out);
void hn_tensor_info_of(const hn_graph *g, hn_id value, const char *name, hone_tensor_info *info);
#endif
