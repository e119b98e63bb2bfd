/* image.h - reading pictures: JPEG, PNG and BMP, recognized by their content. */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H
#include "cli.h"

/* Larger pictures are refused before anything of their size is allocated. */
#define IMAGE_MAX_SIDE 65500
#define IMAGE_MAX_PIXELS 200000000u
#define IMAGE_MAX_BYTES ((size_t)1 << 29) /* of the file */

/* Rows from the top, pixels of `channels` bytes: 3 (red, green, blue) or 1 (gray). */
typedef struct image {
  int width, height, channels;
  unsigned char *pixels;
} image;

/* Transparency is dropped. Fails with a line on stderr. */
int image_read(const char *path, image *out);
void image_free(image *i);

void image_to_gray(image *i);
void image_to_rgb(image *i);

/* Scales with a triangle filter that is as wide as the shrinking needs. False if the sizes are beyond what can be
   done; the image is then as it was. */
bool image_resize(image *i, int width, int height);
#endif
