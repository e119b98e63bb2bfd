/* keras.h - a Keras model as its configuration tells it, and the calls of its layers. */
#ifndef HN_KERAS_H
#define HN_KERAS_H
#include "format/keras/keras_json.h"
#include "format/keras/keras_store.h"
#include "base/vec.h"
#include "op/make.h"

enum { KR_MAX_WEIGHTS = 8, KR_MAX_INPUTS = 256, KR_MAX_OUTPUTS = 64, KR_MAX_NAMED = 8, KR_MAX_DEPTH = 32 };

typedef struct kr_call kr_call;
typedef hone_status (*kr_lower)(kr_call *c, int variant);

typedef struct kr_row { /* of keras_layers.def or keras_ops.def */
  const char *name;
  kr_lower lower;
  int variant;
  const char *weights; /* "kernel bias?use_bias cell:kernel": see keras_layers.def */
  uint32_t flags;
} kr_row;

enum { /* what becomes of a mask (mask_zero of Embedding, Masking): else it ends here, or the lowering sees to it */
  KR_MASK_PASSES = 1, /* the layer hands it on: of several, where all are set */
  KR_MASK_REFUSED = 2 /* the result would depend on it, and that is not supported */
};

typedef struct kr_model kr_model;

typedef struct kr_layer {
  const char *name, *full, *kind; /* full: with the names of enclosing models */
  const json_t *config, *inbound;
  const kr_row *row;           /* NULL: a model */
  kr_model *model;             /* nested */
  struct kr_layer *child[2];   /* of wrappers: TimeDistributed, Bidirectional */
  hn_tensor *w[KR_MAX_WEIGHTS]; /* in the order of row->weights; NULL: turned off by the configuration. References */
  const char *top, *path;      /* layer of the outermost model it lies in; place in files of Keras 3 */
  uint32_t first, last;        /* entries of the store that are its own */
  uint32_t index;              /* in keras.layers */
  uint32_t calls;
} kr_layer;

struct kr_model {
  const char *name;
  bool sequential;
  kr_layer **layers;
  size_t n_layers;
  const json_t *config;
};

typedef struct keras {
  hone_context *cx;
  hn_graph *g;
  hn_arena *arena;
  kr_store store;
  bool v3;       /* written by Keras 3 */
  bool old_tf;   /* by Keras 2.2 or older on its own, whose bilinear resampling was TensorFlow 1's */
  HN_VEC(kr_layer *) layers; /* all, wrapped and nested ones too */
  hn_map owners;
  hn_str unknown, missing;
  HN_VEC(hn_id) masks; /* by value: which steps count, [batch, steps]; HN_NONE: all */
  uint64_t calls;
} keras;

struct kr_call {
  hn_maker m; /* names nodes after the layer; keeps the first failure */
  keras *k;
  kr_layer *l;
  const json_t *config;
  hn_id in[KR_MAX_INPUTS]; /* tensors it is called on, in order */
  uint32_t n_in;
  const char *named[KR_MAX_NAMED]; /* tensors given by keyword */
  hn_id named_value[KR_MAX_NAMED];
  uint32_t n_named, heeded; /* heeded: a bit for each of them that a lowering asked for; the others are refused */
  const json_t *args, *kwargs; /* of operations: where literals are */
  hn_id out[KR_MAX_OUTPUTS];
  uint32_t n_out;
};

/* ---- keras_model.c, keras_bind.c */
/* Reads the configuration. All classes nobody knows are in k->unknown afterwards. */
hone_status kr_parse(keras *k, const json_t *root, kr_model **out);
/* Finds the weights of every layer. All that are not there are in k->missing afterwards. */
hone_status kr_bind(keras *k, const kr_model *m);
const kr_row *kr_layer_row(const char *name);
const kr_row *kr_op_row(const char *name);

/* ---- keras_call.c */
hone_status kr_build(keras *k, kr_model *m);
/* Calls a layer that c->l wraps on one value; one result. */
hn_id kr_call_child(kr_call *c, kr_layer *child, hn_id x);
hone_status kr_call_layer(kr_call *c);
/* The mask that comes with a value or, of the first input, is given by keyword; HN_NONE: none. And one for it. */
hn_id kr_mask(kr_call *c, hn_id v);
hone_status kr_set_mask(kr_call *c, hn_id v, hn_id mask);

/* ---- for lowerings */
hone_status kr_fail(const kr_call *c, hone_status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A warning where the layer is stateful: Keras would go on from the last run, hone's runs know nothing of one another. */
void kr_begin_at_zero(const kr_call *c, const json_t *config);
int32_t kr_rank(const kr_call *c, hn_id v); /* -1: unknown */
/* The layer's main node, which has its name. */
hn_id kr_main(kr_call *c, hn_op op, const hn_id *in, uint32_t n_in, uint32_t n_out);
hone_status kr_result(kr_call *c, hn_id v); /* the one output */
bool kr_channels_first(const kr_call *c);
/* Between the layer's layout and channels first; nothing where these are the same. */
hn_id kr_to_first(kr_call *c, hn_id x);
hn_id kr_to_last(kr_call *c, hn_id x);
/* What the configuration calls `key`, such as "activation"; x itself if there is none. */
hn_id kr_activate(kr_call *c, hn_id x, const char *key);
hn_id kr_apply_activation(kr_call *c, hn_id x, const json_t *spec);
/* Weight i as a constant of the graph; perm NULL: as it is. HN_NONE: turned off. */
hn_id kr_weight(kr_call *c, uint32_t i, const int64_t *perm);
/* As the shape given (product must agree). */
hn_id kr_weight_as(kr_call *c, uint32_t i, int32_t rank, const int64_t *dims);
/* Weight i must have these dimensions (-1: any). */
hone_status kr_expect(kr_call *c, uint32_t i, const char *name, int32_t rank, const int64_t *dims);
int64_t kr_dim(const kr_call *c, hn_id v, int32_t axis); /* -1: not fixed */
hn_id kr_named(kr_call *c, const char *name);            /* HN_NONE: not given */
hn_id kr_dims_of(kr_call *c, hn_id x, int64_t start, int64_t end); /* part of its shape, as a tensor */
#endif
