/* trt_options.h - the conversion options of TF-TRT, where they mean something here, and what became of the graph's layers. */
#ifndef CLI_TRT_OPTIONS_H
#define CLI_TRT_OPTIONS_H
#include "calibration.h"
#include "commands.h"
#include "json.h"

typedef struct trt_options {
  const char *precision_mode;
  int64_t workspace, segment, cached; /* -1: not given */
  bool calibration, dynamic;
} trt_options;
#define TRT_OPTIONS_DEFAULT {.workspace = -1, .segment = -1, .cached = -1, .calibration = true, .dynamic = true}
extern const arg_option trt_option_rows[];

/* Refuses what cannot mean anything; sets the precision. engine: an engine is written; cut: the graph may be taken in segments. */
int trt_apply(const trt_options *o, bool engine, bool cut, quant_options *quant);
/* --maximum-cached-engines goes into the engine. */
int trt_keep_plans(cli *c, const trt_options *o, hone_model *m);
/* --no-use-calibration: the model must have ranges of its own. */
int trt_own_ranges(cli *c, const trt_options *o, hone_model *m);
/* --no-dynamic: open first dimensions become the batch; any other that is open is an error. */
int trt_fix_shapes(cli *c, const trt_options *o, const feed_options *fo, hone_model *m);
/* --max-workspace-size against the memory planned for a run. */
int trt_check_workspace(cli *c, const trt_options *o, hone_session *s, const char *output);

/* Layers that kernels made for speed run, in runs without another between, and those left to the references. */
typedef struct left_layer {
  char *op, *first;
  uint32_t n;
  bool none; /* no kernel of this build but the reference runs the operator */
} left_layer;
typedef struct segments {
  bool known;
  uint32_t layers, taken, count, largest;
  left_layer *left;
  size_t n_left;
} segments;
void segments_read(const hone_session *s, segments *g);
void segments_print(const segments *g);
json_t *segments_json(const segments *g);
void segments_free(segments *g);
#endif
