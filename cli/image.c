/* image.c - reading pictures: what they are by their first bytes, limits, colours. JPEG, PNG; BMP is in bmp.c. */
#include "image.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>
#include <png.h>

#include "bmp.h"
#include "cli_file.h"

/* Checks the size and allocates the pixels. */
static int make(const char *path, image *i, unsigned long width, unsigned long height, int channels) {
  if (!width || !height) return cli_fail("%s: the image is empty", path);
  if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE || width * height > IMAGE_MAX_PIXELS)
    return cli_fail("%s: %lu x %lu pixels are more than hone reads (%u million)", path, width, height,
                    IMAGE_MAX_PIXELS / 1000000);
  *i = (image){(int)width, (int)height, channels, cli_alloc(width * height, (size_t)channels)};
  return CLI_OK;
}

/* -------------------------------------------------------------------------------------------------- JPEG */

typedef struct jpeg_failure {
  struct jpeg_error_mgr base; /* first: libjpeg knows it by this address */
  struct jpeg_progress_mgr progress;
  jmp_buf back;
  char message[JMSG_LENGTH_MAX];
} jpeg_failure;

static void jpeg_fail(j_common_ptr c) {
  jpeg_failure *e = (jpeg_failure *)c->err;
  c->err->format_message(c, e->message);
  longjmp(e->back, 1);
}

/* Warnings are harmless oddities, except those that say that data is missing or damaged. */
static void jpeg_warn(j_common_ptr c, int level) {
  int code = c->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE)) jpeg_fail(c);
}

/* A small file may ask for endless passes over a large picture. */
static void jpeg_progress(j_common_ptr c) {
  if (((j_decompress_ptr)c)->input_scan_number <= 500) return;
  jpeg_failure *e = (jpeg_failure *)c->err;
  snprintf(e->message, sizeof e->message, "too many scans");
  longjmp(e->back, 1);
}

static void jpeg_rows(j_decompress_ptr d, image *out) {
  while (d->output_scanline < d->output_height) {
    JSAMPROW row = out->pixels + (size_t)d->output_scanline * d->output_width * (unsigned)d->output_components;
    jpeg_read_scanlines(d, &row, 1);
  }
}

static int read_jpeg(const char *path, const unsigned char *data, size_t size, image *out) {
  struct jpeg_decompress_struct d;
  jpeg_failure e;
  *out = (image){0};
  memset(&d, 0, sizeof d);
  d.err = jpeg_std_error(&e.base);
  e.base.error_exit = jpeg_fail;
  e.base.emit_message = jpeg_warn;
  if (setjmp(e.back)) {
    jpeg_destroy_decompress(&d);
    image_free(out);
    return cli_fail("%s: a damaged JPEG image: %s", path, e.message);
  }
  jpeg_create_decompress(&d);
  e.progress.progress_monitor = jpeg_progress;
  d.progress = &e.progress;
  jpeg_mem_src(&d, data, size);
  jpeg_read_header(&d, TRUE);
  if (d.num_components != 1) d.out_color_space = JCS_RGB;
  int code = d.num_components == 1 || d.num_components == 3
                 ? make(path, out, d.image_width, d.image_height, d.num_components)
                 : cli_fail("%s: a JPEG image of %d colours (CMYK?); convert it to RGB", path, d.num_components);
  if (!code) {
    jpeg_start_decompress(&d);
    jpeg_rows(&d, out);
    jpeg_finish_decompress(&d);
  }
  jpeg_destroy_decompress(&d);
  return code;
}

/* --------------------------------------------------------------------------------------------------- PNG */

static int read_png(const char *path, const unsigned char *data, size_t size, image *out) {
  png_image p = {.version = PNG_IMAGE_VERSION};
  if (!png_image_begin_read_from_memory(&p, data, size)) return cli_fail("%s: a damaged PNG image: %s", path, p.message);
  bool colour = p.format & PNG_FORMAT_FLAG_COLOR;
  int channels = colour ? 3 : 1;
  image with; /* with the transparency, which is dropped below: composing it would need a background */
  int code = make(path, &with, p.width, p.height, channels + 1);
  if (code) {
    png_image_free(&p);
    return code;
  }
  p.format = colour ? PNG_FORMAT_RGBA : PNG_FORMAT_GA;
  if (!png_image_finish_read(&p, NULL, with.pixels, 0, NULL)) {
    png_image_free(&p);
    image_free(&with);
    return cli_fail("%s: a damaged PNG image: %s", path, p.message);
  }
  size_t n = (size_t)with.width * (size_t)with.height;
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < (size_t)channels; c++)
      with.pixels[i * (size_t)channels + c] = with.pixels[i * (size_t)(channels + 1) + c];
  with.channels = channels;
  *out = with;
  return CLI_OK;
}

/* --------------------------------------------------------------------------------------------------- BMP */

static int read_bmp(const char *path, const unsigned char *data, size_t size, image *out) {
  bmp_header h;
  const char *wrong = bmp_parse(data, size, &h);
  if (wrong) return cli_fail("%s: a BMP image that hone cannot read: %s", path, wrong);
  int code = make(path, out, h.width, h.height, 3);
  if (!code) bmp_decode(&h, out->pixels);
  return code;
}

/* ------------------------------------------------------------------------------------------------ choice */

static const struct {
  const char *magic;
  size_t length;
  int (*read)(const char *path, const unsigned char *data, size_t size, image *out);
} kinds[] = {{"\xff\xd8\xff", 3, read_jpeg}, {"\x89PNG\r\n\x1a\n", 8, read_png}, {"BM", 2, read_bmp}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(const unsigned char *data, size_t size) {
  for (int i = 0; i < N_KINDS; i++)
    if (size >= kinds[i].length && memcmp(data, kinds[i].magic, kinds[i].length) == 0) return i;
  return -1;
}

int image_read(const char *path, image *out) {
  unsigned char *data;
  size_t size;
  int code = file_read(path, IMAGE_MAX_BYTES, &data, &size);
  if (code) return code;
  int kind = kind_of(data, size);
  code = kind < 0 ? cli_fail("%s: not an image that hone reads (JPEG, PNG, BMP)", path)
                  : kinds[kind].read(path, data, size, out);
  free(data);
  return code;
}

void image_free(image *i) {
  free(i->pixels);
  *i = (image){0};
}

/* ----------------------------------------------------------------------------------------------- colours */

void image_to_gray(image *i) {
  if (i->channels == 1) return;
  size_t n = (size_t)i->width * (size_t)i->height;
  for (size_t k = 0; k < n; k++) { /* ITU-R 601 weights of 65536 */
    const unsigned char *p = i->pixels + 3 * k;
    i->pixels[k] = (unsigned char)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
  }
  i->channels = 1;
}

void image_to_rgb(image *i) {
  if (i->channels == 3) return;
  size_t n = (size_t)i->width * (size_t)i->height;
  i->pixels = cli_grow(i->pixels, n, 3);
  for (size_t k = n; k-- > 0;) memset(i->pixels + 3 * k, i->pixels[k], 3);
  i->channels = 3;
}
