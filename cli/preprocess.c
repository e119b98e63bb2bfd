/* preprocess.c - from pictures to the numbers a model takes: size, colours, layout, scale. */
#include "preprocess.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const arg_option image_option_rows[] = {
    {"layout", 0, ARG_CHOICE, offsetof(image_options, layout), "auto|nchw|nhwc",
     "Order of the dimensions of an image input (auto: by which of them is 1 or 3).", 0, 0},
    {"colour", 0, ARG_CHOICE, offsetof(image_options, colour), "auto|rgb|bgr|gray",
     "Order of the colours (auto: gray for one channel, rgb for three).", 0, 0},
    {"resize", 0, ARG_CHOICE, offsetof(image_options, resize), "stretch|crop|pad",
     "How an image of another shape is made to fit: stretched; scaled to cover, then its centre cut out; scaled to fit "
     "within, centred on black (default stretch).", 0, 0},
    {"crop-fraction", 0, ARG_REAL, offsetof(image_options, crop_fraction), "F",
     "With --resize=crop, the part of the scaled image's shorter side that is kept: 0.875 cuts 224 out of 256 (default 1).",
     0.01, 1},
    {"scale", 0, ARG_TEXT, offsetof(image_options, scale), "S",
     "What pixels, 0 to 255, are multiplied by (default 1/255, or 1 for inputs of integers). May be a fraction.", 0, 0},
    {"mean", 0, ARG_TEXT, offsetof(image_options, mean), "M[,M,M]",
     "What is subtracted then, one number or one per channel in the model's order (default 0).", 0, 0},
    {"std", 0, ARG_TEXT, offsetof(image_options, std), "D[,D,D]", "What is divided by then (default 1).", 0, 0},
    {0}};

/* "0.5" or "0.485,0.456,0.406". */
static int read_list(const char *option, const char *list, int channels, double unset, double *to) {
  for (int i = 0; i < channels; i++) to[i] = unset;
  if (!list) return CLI_OK;
  int n = 0;
  for (const char *p = list;; p++) {
    char *end;
    if (n == channels) return cli_usage("--%s: '%s' has more numbers than the input has channels (%d)", option, list, channels);
    to[n] = strtod(p, &end);
    if (end == p || (*end && *end != ',') || !isfinite(to[n]))
      return cli_usage("--%s: '%s' is not a list of numbers with commas", option, list);
    n++;
    p = end;
    if (!*p) break;
  }
  if (n != 1 && n != channels)
    return cli_usage("--%s: '%s' has %d numbers; the input has %d channels", option, list, n, channels);
  for (int i = n; i < channels; i++) to[i] = to[0];
  return CLI_OK;
}

static int read_scale(const char *given, bool integers, double *to) {
  double above, below = 1;
  *to = integers ? 1 : 1.0 / 255;
  if (!given) return CLI_OK;
  const char *slash = strchr(given, '/');
  char *head = cli_copy(given);
  if (slash) head[slash - given] = 0;
  bool ok = args_real(head, &above) && (!slash || args_real(slash + 1, &below)) && below != 0;
  free(head);
  if (!ok) return cli_usage("--scale: '%s' is not a number or a fraction", given);
  *to = above / below;
  return CLI_OK;
}

static bool is_channels(int64_t d) { return d == 1 || d == 3; }

static int choose_layout(const hone_tensor_info *input, int asked, int *layout) {
  int32_t first = input->rank - 3; /* the first dimension of one picture */
  int64_t nchw = input->dims[first], nhwc = input->dims[first + 2];
  *layout = asked != LAYOUT_AUTO ? asked : is_channels(nchw) ? LAYOUT_NCHW : is_channels(nhwc) ? LAYOUT_NHWC : LAYOUT_AUTO;
  if (*layout == LAYOUT_AUTO && nchw < 0 && nhwc < 0)
    return cli_usage("input '%s' is %s: say where the colours are with --layout and --shape", input->name, info_shape_text(input).s);
  int64_t channels = *layout == LAYOUT_NCHW ? nchw : nhwc;
  if (*layout == LAYOUT_AUTO || !is_channels(channels))
    return cli_usage("input '%s' is %s, which is no image of 1 or 3 colours; give it a .npy file", input->name,
                     info_shape_text(input).s);
  return CLI_OK;
}

static int choose_colour(image_plan *p, const char *name) {
  p->colour = p->options->colour;
  if (p->colour == COLOUR_AUTO) p->colour = p->channels == 1 ? COLOUR_GRAY : COLOUR_RGB;
  if ((p->colour == COLOUR_GRAY) == (p->channels == 1)) return CLI_OK;
  return cli_usage("--colour: input '%s' has %d channels", name, p->channels);
}

int image_plan_make(const hone_tensor_info *input, const image_options *o, image_plan *plan) {
  image_plan p = {.options = o, .dtype = input->dtype, .batched = input->rank == 4, .batch = 1};
  if (input->rank != 3 && input->rank != 4)
    return cli_usage("input '%s' is %s, which is no image; give it a .npy file", input->name, info_shape_text(input).s);
  if (!dtype_numeric(input->dtype))
    return cli_usage("input '%s' has elements of type %s, which no image gives", input->name, hone_dtype_name(input->dtype));
  int code = choose_layout(input, o->layout, &p.layout);
  if (code) return code;
  const int64_t *one = input->dims + (input->rank - 3);
  const int64_t *size = p.layout == LAYOUT_NCHW ? one + 1 : one;
  if (size[0] > IMAGE_MAX_SIDE || size[1] > IMAGE_MAX_SIDE || !size[0] || !size[1])
    return cli_usage("input '%s' is %s, which no image fits", input->name, info_shape_text(input).s);
  p.channels = (int)(p.layout == LAYOUT_NCHW ? one[0] : one[2]);
  p.height = size[0] > 0 ? (int)size[0] : 0;
  p.width = size[1] > 0 ? (int)size[1] : 0;
  if (p.batched) p.batch = input->dims[0];
  code = choose_colour(&p, input->name);
  if (!code) code = read_scale(o->scale, !dtype_float(p.dtype), &p.scale);
  if (!code) code = read_list("mean", o->mean, p.channels, 0, p.mean);
  if (!code) code = read_list("std", o->std, p.channels, 1, p.std);
  for (int c = 0; !code && c < p.channels; c++)
    if (p.std[c] == 0) code = cli_usage("--std: 0 cannot be divided by");
  if (!code) *plan = p;
  return code;
}

int32_t image_plan_dims(const image_plan *p, int64_t batch, int64_t *dims) {
  int32_t n = 0;
  if (p->batched) dims[n++] = batch;
  if (p->layout == LAYOUT_NCHW) dims[n++] = p->channels;
  dims[n++] = p->height;
  dims[n++] = p->width;
  if (p->layout == LAYOUT_NHWC) dims[n++] = p->channels;
  return n;
}

/* -------------------------------------------------------------------------------------------------- size */

/* Lays the picture, centred, over one of width x height: what sticks out is cut, what is left free is black. */
static void recentre(image *i, int width, int height) {
  size_t c = (size_t)i->channels;
  image r = {width, height, i->channels, cli_alloc((size_t)width * (size_t)height, c)};
  int from_x = i->width > width ? (i->width - width) / 2 : 0, to_x = width > i->width ? (width - i->width) / 2 : 0;
  int from_y = i->height > height ? (i->height - height) / 2 : 0, to_y = height > i->height ? (height - i->height) / 2 : 0;
  int w = i->width < width ? i->width : width, h = i->height < height ? i->height : height;
  for (int y = 0; y < h; y++)
    memcpy(r.pixels + ((size_t)(to_y + y) * (size_t)width + (size_t)to_x) * c,
           i->pixels + ((size_t)(from_y + y) * (size_t)i->width + (size_t)from_x) * c, (size_t)w * c);
  image_free(i);
  *i = r;
}

static int clamp_side(double v) { return v < 1 ? 1 : v > IMAGE_MAX_SIDE ? IMAGE_MAX_SIDE + 1 : (int)lround(v); }

static bool fit(const image_plan *p, image *i) {
  double across = (double)p->width / i->width, down = (double)p->height / i->height;
  if (p->options->resize == RESIZE_STRETCH) return image_resize(i, p->width, p->height);
  double by = p->options->resize == RESIZE_CROP ? fmax(across, down) / p->options->crop_fraction : fmin(across, down);
  if (!image_resize(i, clamp_side(i->width * by), clamp_side(i->height * by))) return false;
  if (i->width != p->width || i->height != p->height) recentre(i, p->width, p->height);
  return true;
}

int image_load(image_plan *p, const char *path, image *out) {
  image i;
  int code = image_read(path, &i);
  if (code) return code;
  if (p->channels == 1)
    image_to_gray(&i);
  else
    image_to_rgb(&i);
  if (!p->width) p->width = i.width;
  if (!p->height) p->height = i.height;
  if (!fit(p, &i)) {
    code = cli_fail("%s: %d x %d pixels cannot be resized to %d x %d", path, i.width, i.height, p->width, p->height);
    image_free(&i);
    return code;
  }
  *out = i;
  return CLI_OK;
}

void image_store(const image_plan *p, const image *i, tensor *t, size_t item) {
  size_t pixels = (size_t)p->width * (size_t)p->height, channels = (size_t)p->channels, base = item * pixels * channels;
  for (size_t c = 0; c < channels; c++) {
    size_t source = p->colour == COLOUR_BGR ? channels - 1 - c : c;
    double level[256]; /* what each byte becomes */
    for (int b = 0; b < 256; b++) level[b] = (b * p->scale - p->mean[c]) / p->std[c];
    for (size_t k = 0; k < pixels; k++) {
      size_t at = base + (p->layout == LAYOUT_NCHW ? c * pixels + k : k * channels + c);
      tensor_set(t->dtype, t->data, at, level[i->pixels[k * channels + source]]);
    }
  }
}
