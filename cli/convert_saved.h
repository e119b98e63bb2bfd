/* convert_saved.h - hone optimize of a SavedModel that is written as one again: with all its signatures. */
#ifndef CLI_CONVERT_SAVED_H
#define CLI_CONVERT_SAVED_H
#include "commands.h"
#include "trt_options.h"

typedef struct conversion_options {
  const char *path, *output;
  const feed_options *feed;
  const image_options *image;
  const session_options *session;
  const level_options *level;
  const trt_options *trt;
  const char *alone; /* an option given that only one signature can have; NULL: none */
  bool verify, check_graph, json;
  int64_t runs;
  double tolerance;
} conversion_options;

/* *done: false: it is not a matter of several signatures or segments; go on as with any model. */
int convert_saved_model(cli *c, const conversion_options *o, bool *done);
#endif
