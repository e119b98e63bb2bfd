/* strip.h - chains of layers run strip by strip: a few lines of the last one, for which as many lines of each layer before
   are made as are not there yet, so that what lies between stays in cache and is never stored whole (depth-first execution;
   Alwani et al., "Fused-Layer CNN Accelerators", 2016). */
#ifndef HN_STRIP_H
#define HN_STRIP_H
#include "device/cpu/cpu.h"

/* Lines begin..end of one image of a result, channels last (a chain's input may lie in planes). Lines come from and go to a whole
   tensor, or a ring that holds the last few lines of one. */
typedef struct hn_strip {
  const float *in;
  int64_t in_ring;   /* lines in the ring; 0: the tensor of all images */
  float *out;
  int64_t out_ring;
  const float *residual; /* of all images */
  const float *gate;     /* factors of the channels, of all images */
  int64_t image, begin, end;
} hn_strip;
static inline int64_t hn_strip_line(int64_t ring, int64_t image, int64_t lines, int64_t y) { return ring ? y % ring : image * lines + y; }

/* Whether a chain may begin with the node: a convolution, or a factor for each channel of an image (a gate) before one.
   *image: which of its inputs the image is. */
bool hn_strips_begin(const hn_graph *g, const hn_node *n, uint32_t *image);
/* Whether node `next` may continue a chain: it reads the one before by pixels or channels alone. */
bool hn_strips_continue(const hn_graph *g, const hn_node *next);
/* Runs task.chain. */
extern const hn_kernel hn_strips_kernel;
#endif
