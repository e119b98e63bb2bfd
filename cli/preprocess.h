/* preprocess.h - from pictures to the numbers a model takes. */
#ifndef CLI_PREPROCESS_H
#define CLI_PREPROCESS_H
#include "image.h"
#include "cli_tensor.h"

enum { LAYOUT_AUTO, LAYOUT_NCHW, LAYOUT_NHWC };
enum { RESIZE_STRETCH, RESIZE_CROP, RESIZE_PAD };
enum { COLOUR_AUTO, COLOUR_RGB, COLOUR_BGR, COLOUR_GRAY };

typedef struct image_options {
  int layout, resize, colour;
  const char *mean, *std, *scale; /* as given; NULL: default */
  double crop_fraction;
} image_options;
extern const arg_option image_option_rows[];
#define IMAGE_OPTIONS_DEFAULT {.crop_fraction = 1}

/* How pictures go into one input of a model. */
typedef struct image_plan {
  const image_options *options;
  int layout, colour, channels;
  int width, height; /* 0: as the first picture is */
  bool batched;      /* the first dimension counts pictures */
  int64_t batch;     /* its size; -1: dynamic */
  double scale, mean[4], std[4];
  hone_dtype dtype;
} image_plan;

/* Fails with a line if the input takes no pictures or the options do not fit it. */
int image_plan_make(const hone_tensor_info *input, const image_options *o, image_plan *plan);
/* The shape of the input with `batch` pictures; returns the rank. */
int32_t image_plan_dims(const image_plan *plan, int64_t batch, int64_t *dims);
/* Reads a picture into place `item` of the tensor. Sets the size in the plan if it was open. */
int image_load(image_plan *plan, const char *path, image *out); /* read, coloured, resized */
void image_store(const image_plan *plan, const image *i, tensor *t, size_t item);
#endif
