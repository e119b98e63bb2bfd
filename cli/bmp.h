/* bmp.h - uncompressed Windows bitmaps of 8, 24 and 32 bits a pixel. */
#ifndef CLI_BMP_H
#define CLI_BMP_H
#include <stdbool.h>
#include <stddef.h>

typedef struct bmp_header {
  unsigned long width, height;
  bool top_down;
  int bits;
  const unsigned char *palette; /* blue, green, red, 0 */
  unsigned colours;
  const unsigned char *rows;
  size_t stride;
} bmp_header;

/* NULL, or what is wrong. The pointers are into `data`, and all of the pixels lie within it. */
const char *bmp_parse(const unsigned char *data, size_t size, bmp_header *h);
/* Writes 3 * width * height bytes. */
void bmp_decode(const bmp_header *h, unsigned char *rgb);
#endif
