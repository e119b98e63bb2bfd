/* sampling.h - the geometry of operators that read between pixels: which elements GridSample and RoiAlign take, and their weights. */
#ifndef HN_SAMPLING_H
#define HN_SAMPLING_H
#include "ir/graph.h"

typedef enum hn_border { HN_BORDER_ZEROS, HN_BORDER_EDGE, HN_BORDER_REFLECTION } hn_border;

/* How GridSample reads: `taps` elements of each of n axes. */
typedef struct hn_sampler {
  int32_t n;
  int64_t size[HN_MAX_RANK]; /* spatial */
  hn_border border;
  bool corners;
  int taps; /* 1 nearest, 2 linear, 4 cubic */
} hn_sampler;

/* dims: of the input. false: its mode or padding_mode is not known. */
bool hn_sampler_open(const hn_node *n, int32_t rank, const int64_t *dims, hn_sampler *s);
/* What a number of the grid means along axis i, in pixels. */
double hn_sampler_place(const hn_sampler *s, int32_t i, double v);
/* The taps along axis i at x; at[k] -1: a zero outside. */
void hn_sampler_taps(const hn_sampler *s, int32_t i, double x, int64_t *at, double *w);

/* Where RoiAlign reads in a region: a grid of samples in each of its bins. */
typedef struct hn_region {
  double y, x, bin_h, bin_w;
  int64_t grid_h, grid_w;
} hn_region;
/* box: left, top, right, bottom as the node gives them. false: the region is too large. */
bool hn_region_of(const hn_node *n, const double *box, hn_region *r);
/* The four pixels around (y, x) of an image and their weights; false: it lies outside by more than a pixel. */
bool hn_region_taps(double y, double x, int64_t h, int64_t w, int64_t *at, double *weight);
static inline double hn_region_y(const hn_region *r, int64_t bin, int64_t i) { return r->y + ((double)bin + ((double)i + 0.5) / (double)r->grid_h) * r->bin_h; }
static inline double hn_region_x(const hn_region *r, int64_t bin, int64_t i) { return r->x + ((double)bin + ((double)i + 0.5) / (double)r->grid_w) * r->bin_w; }
#endif
