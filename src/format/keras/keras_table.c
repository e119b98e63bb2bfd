/* keras_table.c - the rows of the two tables, by name. */
#include <string.h>

#include "format/keras/layers.h"

static const kr_row layers[] = {
#define LAYER(kind, lowering, variant, weights, flags) {#kind, kr_lower_##lowering, variant, weights, flags},
#include "format/keras/keras_layers.def"
#undef LAYER
};

static const kr_row operations[] = {
#define OPERATION(name, lowering, variant) {name, kr_lower_##lowering, variant, "", KR_MASK_PASSES},
#include "format/keras/keras_ops.def"
#undef OPERATION
};

const kr_row *kr_layer_row(const char *name) {
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
    if (strcmp(layers[i].name, name) == 0) return &layers[i];
  return NULL;
}

const kr_row *kr_op_row(const char *name) {
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
    if (strcmp(operations[i].name, name) == 0) return &operations[i];
  return NULL;
}
