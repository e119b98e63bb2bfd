/* keras_store.h - the weights that lie beside a Keras configuration, in the three ways Keras keeps them. */
#ifndef HN_KERAS_STORE_H
#define HN_KERAS_STORE_H
#include <jansson.h>

#include "base/vec.h"
#include "format/keras/h5_file.h"

typedef enum kr_form {
  KR_GROUPS, /* .h5: a group a layer of the outermost model, with names and an order */
  KR_FLAT,   /* tfjs: names and an order */
  KR_PATHS   /* Keras 3: "layers/conv2d_1/vars/0", after the classes of the layers */
} kr_form;

typedef struct kr_entry {
  const char *group, *path; /* layer of the outermost model or ""; name without ":0" */
  const char *at;           /* dataset */
  hn_tensor *data;          /* NULL: not loaded yet */
  uint32_t next;            /* of the same layer; HN_NONE at the end */
} kr_entry;

typedef struct kr_store {
  hone_context *cx;
  hn_arena *arena;
  kr_form form;
  hn_h5 *h5;
  HN_VEC(kr_entry) entries; /* none for KR_PATHS */
} kr_store;

hone_status kr_store_add(kr_store *s, const char *group, const char *path, const char *at, hn_tensor *data);
/* The entries of group `root` of an .h5 file. */
hone_status kr_store_groups(kr_store *s, const char *root);
/* Entry i; the tensor is borrowed. */
hone_status kr_store_load(kr_store *s, uint32_t i, hn_tensor **t);
/* A new reference to variable i of an object of Keras 3; *t NULL: there is none. */
hone_status kr_store_path(kr_store *s, const char *object, uint32_t i, hn_tensor **t);
void kr_store_close(kr_store *s);

/* The weights of a tfjs manifest; shards lie in folder `dir`. */
hone_status kr_store_tfjs(kr_store *s, const char *dir, const json_t *manifest);
#endif
