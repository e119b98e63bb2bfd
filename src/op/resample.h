/* resample.h - the geometry of Resize: output sizes, and for every output index of an axis the input indices it is
   made of and their weights. Interpolation in several dimensions is one dimension after the other. */
#ifndef HN_RESAMPLE_H
#define HN_RESAMPLE_H
#include "ir/graph.h"

typedef struct hn_resample {
  int32_t rank;
  int64_t in[HN_MAX_RANK], out[HN_MAX_RANK];
  double scale[HN_MAX_RANK], roi[2][HN_MAX_RANK];
} hn_resample;

/* The taps of one axis: output index i is the sum of weight[i * n + k] times the input at[i * n + k]; where outside[i]
   the output is the extrapolation value instead. */
typedef struct hn_taps {
  int64_t n;
  int64_t *at;
  double *weight;
  bool *outside; /* NULL: nowhere */
} hn_taps;

/* roi, scales and sizes: the node's inputs 1 to 3, as far as present (count 0 is absent); `axes` they speak of are
   the attribute's. Of scales and sizes exactly one. BAD_GRAPH (no node prefix) otherwise. */
hone_status hn_resample_resolve(hone_context *cx, const hn_node *n, int32_t rank, const int64_t *in, const hn_tensor *roi,
                                const hn_tensor *scales, const hn_tensor *sizes, hn_resample *r);
hone_status hn_resample_taps(hone_context *cx, const hn_node *n, const hn_resample *r, int32_t axis, hn_taps *taps);
void hn_taps_free(hn_taps *taps);
/* Does the axis stay as it is? */
bool hn_resample_keeps(const hn_resample *r, int32_t axis);
#endif
