/* resize.c - scaling pictures, by stb_image_resize. */
#include <stdlib.h>

#include "image.h"

/* Its assertions guard against its own mistakes in numbers that a file can choose. */
#define STBIR_ASSERT(x) ((void)0)
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>

/* It computes the sizes of its buffers in int. */
static bool fits(const image *from, int width, int height) {
  double ratio = (double)from->height / height, shrink = (double)from->width / width;
  double taps = ratio > 1 ? 2 * ratio + 4 : 8; /* rows held at once */
  double ring = taps * width * from->channels * (double)sizeof(float);
  double row = (from->width + 4.0 * shrink + 16) * from->channels * (double)sizeof(float);
  double weights = width * (shrink > 1 ? 2 : 2 * shrink + 4) * (double)sizeof(float);
  return ring < 1e9 && row < 5e8 && weights < 1e9;
}

bool image_resize(image *i, int width, int height) {
  if (width < 1 || height < 1 || width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE) return false;
  if ((size_t)width * (size_t)height > IMAGE_MAX_PIXELS || !fits(i, width, height)) return false;
  if (width == i->width && height == i->height) return true;
  unsigned char *to = cli_alloc((size_t)width * (size_t)height, (size_t)i->channels);
  if (!stbir_resize_uint8_generic(i->pixels, i->width, i->height, 0, to, width, height, 0, i->channels,
                                  STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE,
                                  STBIR_COLORSPACE_LINEAR, NULL)) {
    free(to);
    return false;
  }
  free(i->pixels);
  i->pixels = to;
  i->width = width;
  i->height = height;
  return true;
}
