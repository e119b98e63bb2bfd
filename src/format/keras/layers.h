/* layers.h - the lowerings that keras_layers.def and keras_ops.def name. */
#ifndef HN_KERAS_LAYERS_H
#define HN_KERAS_LAYERS_H
#include "format/keras/keras.h"

#define LAYER(kind, lowering, arg, weights, flags) hone_status kr_lower_##lowering(kr_call *c, int which);
#include "format/keras/keras_layers.def"
#undef LAYER
#define OPERATION(name, lowering, arg) hone_status kr_lower_##lowering(kr_call *c, int which);
#include "format/keras/keras_ops.def"
#undef OPERATION
#endif
