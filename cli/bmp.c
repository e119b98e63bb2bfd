/* bmp.c - uncompressed Windows bitmaps. */
#include "bmp.h"

#include <stdint.h>
#include <string.h>

static uint32_t u32(const unsigned char *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Bit fields are read only where they say what is usual: blue, green, red, unused. */
static bool usual_fields(const unsigned char *data, size_t size) {
  return size >= 66 && u32(data + 54) == 0xff0000 && u32(data + 58) == 0xff00 && u32(data + 62) == 0xff;
}

static const char *parse_palette(const unsigned char *data, size_t size, uint32_t header, bmp_header *h) {
  uint32_t colours = u32(data + 46);
  if (colours == 0 || colours > 256) colours = 256;
  size_t at = 14 + (size_t)header;
  if (at > size || (size - at) / 4 < colours) return "its palette is truncated";
  h->palette = data + at;
  h->colours = colours;
  return NULL;
}

const char *bmp_parse(const unsigned char *data, size_t size, bmp_header *h) {
  if (size < 54 || memcmp(data, "BM", 2) != 0) return "the header is truncated";
  uint32_t start = u32(data + 10), header = u32(data + 14), width = u32(data + 18), height = u32(data + 22),
           compression = u32(data + 30);
  if (header < 40 || header > 124) return "an unknown kind of header";
  *h = (bmp_header){.bits = data[28] | data[29] << 8};
  if (height > INT32_MAX) { /* negative: rows from the top */
    h->top_down = true;
    height = 0u - height;
  }
  if (!width || !height || width > INT32_MAX || height > INT32_MAX) return "an impossible size";
  if (h->bits != 8 && h->bits != 24 && h->bits != 32) return "only 8, 24 and 32 bits a pixel are read";
  if (compression != 0 && !(compression == 3 && h->bits == 32 && usual_fields(data, size))) return "it is compressed";
  h->width = width;
  h->height = height;
  h->stride = ((size_t)width * (unsigned)h->bits / 8 + 3) & ~(size_t)3;
  if (start > size || (size - start) / h->stride < height) return "it is truncated";
  h->rows = data + start;
  return h->bits == 8 ? parse_palette(data, size, header, h) : NULL;
}

void bmp_decode(const bmp_header *h, unsigned char *rgb) {
  size_t step = (size_t)h->bits / 8;
  for (size_t y = 0; y < h->height; y++) {
    const unsigned char *p = h->rows + (h->top_down ? y : h->height - 1 - y) * h->stride;
    for (size_t x = 0; x < h->width; x++, p += step, rgb += 3) {
      static const unsigned char black[4] = {0};
      const unsigned char *c = h->bits != 8 ? p : *p < h->colours ? h->palette + 4 * (size_t)*p : black;
      rgb[0] = c[2];
      rgb[1] = c[1];
      rgb[2] = c[0];
    }
  }
}
