/* calibrate.h - what calibration knows of a model: what was seen of each tensor, samples of what layers read, precisions of layers. */
#ifndef HN_CALIBRATE_H
#define HN_CALIBRATE_H
#include "base/alloc.h"
#include "quant/balance.h"
#include "quant/observer.h"
#include "quant/quantize.h"
#include "run/model.h"

typedef struct hn_seen {
  const char *name;  /* of the tensor; NULL: not an activation of floats */
  const char *layer; /* that makes it */
  hn_id node;        /* the same, HN_NONE: it is an input */
  hn_observer o;
  hn_range fixed;    /* read from a file, */
  int line;          /* this one of it */
  int32_t axis;      /* of its channels; -1: it has none that matter */
  float *low, *high; /* of each channel, `channels` of them, in one piece */
  float *factors;    /* that balancing gives each channel; NULL: none */
  int64_t channels;
} hn_seen;

typedef struct hn_assigned {
  const char *layer;
  hone_precision precision;
} hn_assigned;

struct hone_calibration {
  hone_context *cx;
  hone_calibration_options options;
  hn_arena *names;
  hn_seen *values; /* by value id */
  size_t n;
  float *plain; /* a tensor that lies otherwise than row-major, at a time */
  hn_samples *samples; /* by node id */
  size_t n_nodes;
  hn_assigned *assigned; /* layers that do not become 8 bits */
  size_t n_assigned;
  bool settled; /* which do not */
  bool balanced; /* the model has been: what is seen is the balanced one's */
};

/* May single layers have this precision where others have another? */
static inline bool hn_mixes(hone_precision p) { return p == HONE_PRECISION_F32 || p == HONE_PRECISION_BF16 || p == HONE_PRECISION_F16; }
/* The range of value i, read or observed. */
hn_range hn_calibrated_range(const hone_calibration *c, size_t i);
/* What takes the mean error of 8 bits out of the bias of the layer that makes a value, weights being rounded to the nearest; NULL: nothing known. */
hn_samples *hn_correction_of(const hone_calibration *c, size_t value);
#endif
