#include "trt_options.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const arg_option trt_option_rows[] = {
    {"precision-mode", 0, ARG_TEXT, offsetof(trt_options, precision_mode), "FP32|FP16|BF16|INT8", "As --precision.", 0, 0},
    {"use-calibration", 0, ARG_FLAG, offsetof(trt_options, calibration), "", "INT8: find ranges on the examples of --calibrate (default).", 0, 0},
    {"no-use-calibration", 0, ARG_CLEAR, offsetof(trt_options, calibration), "", "INT8: by the ranges that the model itself has (QuantizeLinear).", 0, 0},
    {"max-workspace-size", 0, ARG_INT, offsetof(trt_options, workspace), "BYTES",
     "Write no engine whose run needs more working memory than this; on a device take no algorithm that does.", 0, 9007199254740992.0},
    {"dynamic", 0, ARG_FLAG, offsetof(trt_options, dynamic), "", "Keep dimensions open that the model leaves open (default).", 0, 0},
    {"no-dynamic", 0, ARG_CLEAR, offsetof(trt_options, dynamic), "", "Fix them: the first to --batch (default 1), others by --shape.", 0, 0},
    {"minimum-segment-size", 0, ARG_INT, offsetof(trt_options, segment), "N", 
     "From a SavedModel to one, or with --place=auto: fewer connected nodes stay as they are (default 1).", 1, 9007199254740992.0},
    {"maximum-cached-engines", 0, ARG_INT, offsetof(trt_options, cached), "N", 
     "How many plans, for the input shapes used last, a session of the engine keeps (default 4).", 1, 1024},
    {0}};

static const struct {
  const char *mode;
  hone_precision precision;
} modes[] = {{"FP32", HONE_PRECISION_F32}, {"FP16", HONE_PRECISION_F16}, {"BF16", HONE_PRECISION_BF16}, {"INT8", HONE_PRECISION_INT8}};

int trt_apply(const trt_options *o, bool engine, bool cut, quant_options *quant) {
  if (o->segment >= 0 && !cut)
    return cli_usage("--minimum-segment-size: there are segments only from a SavedModel to one (-o OUT/), or with --place=auto; anything else is taken as a "
                     "whole, and the report says which layers run on reference kernels");
  if (o->cached >= 0 && !engine) return cli_usage("--maximum-cached-engines: plans are kept by sessions of an engine; write one, -o OUT.hone");
  if (o->workspace >= 0 && !engine) return cli_usage("--max-workspace-size: only an engine's memory is planned; write one, -o OUT.hone");
  int mode = quant->precision.first;
  if (o->precision_mode) mode = -1;
  for (size_t i = 0; mode < 0 && i < sizeof modes / sizeof *modes; i++)
    if (strcasecmp(o->precision_mode, modes[i].mode) == 0) mode = modes[i].precision;
  if (mode < 0) return cli_usage("--precision-mode=%s: choose FP32, FP16, BF16 or INT8", o->precision_mode);
  if (quant->precision.first != HONE_PRECISION_F32 && quant->precision.first != mode) return cli_usage("--precision and --precision-mode contradict each other");
  if (!o->calibration && mode != HONE_PRECISION_INT8) return cli_usage("--no-use-calibration is for --precision-mode=INT8");
  quant->precision.first = o->calibration ? mode : HONE_PRECISION_F32; /* what has its own ranges is lowered already */
  return CLI_OK;
}

int trt_keep_plans(cli *c, const trt_options *o, hone_model *m) {
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)o->cached);
  hone_status st = o->cached < 0 ? HONE_OK : hone_model_set_metadata(m, HONE_META_SHAPE_PLANS, text);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

int trt_own_ranges(cli *c, const trt_options *o, hone_model *m) {
  hone_layer_info l;
  uint32_t found = 0;
  if (o->calibration) return CLI_OK;
  for (uint32_t i = 0; i < hone_model_layer_count(m) && hone_model_layer_info(m, i, &l) == HONE_OK; i++) found += strstr(l.op, "QuantizeLinear") != NULL;
  return found ? CLI_OK : cli_fail("%s: --no-use-calibration: the model has no ranges of its own (QuantizeLinear layers); give --calibrate", c->args[0]);
}

int trt_fix_shapes(cli *c, const trt_options *o, const feed_options *fo, hone_model *m) {
  hone_tensor_info info;
  if (o->dynamic) return CLI_OK;
  for (uint32_t i = 0; i < hone_model_input_count(m); i++) {
    int64_t dims[HONE_MAX_RANK];
    hone_status st = hone_model_input_info(m, i, &info);
    for (int32_t k = 0; !st && k < info.rank; k++) {
      dims[k] = info.dims[k] >= 0 ? info.dims[k] : k == 0 ? (fo->batch ? fo->batch : 1) : -1;
      if (dims[k] < 0) return cli_usage("--no-dynamic: dimension %d of input '%s' is open; give it with --shape", k, info.name);
    }
    if (!st && info.rank < 0) return cli_usage("--no-dynamic: the rank of input '%s' is not known; give --shape", info.name);
    if (!st) st = hone_model_set_input_shape(m, info.name, (uint32_t)info.rank, dims);
    if (st) return cli_fail_hone(c->cx, st);
  }
  return CLI_OK;
}

int trt_check_workspace(cli *c, const trt_options *o, hone_session *s, const char *output) {
  size_t arena = 0;
  if (o->workspace < 0) return CLI_OK;
  hone_status st = hone_session_prepare(s);
  if (!st) st = hone_session_memory(s, &arena, NULL);
  if (st) return cli_fail_hone(c->cx, st);
  if (arena <= (uint64_t)o->workspace) return CLI_OK;
  return cli_fail("%s: not written: a run needs %zu bytes of working memory, more than --max-workspace-size=%lld", output, arena, (long long)o->workspace);
}

/* ---- segments */

/* Has this build a kernel for the operator other than the reference? */
static bool only_reference(const char *op) {
  const char *of, *kernel;
  size_t n = strcspn(op, "+");
  for (uint32_t i = 0; hone_kernel_at(i, &of, &kernel); i++) {
    size_t len = strlen(kernel);
    bool reference = len > 4 && strcmp(kernel + len - 4, "_ref") == 0;
    if (!reference && strlen(of) == n && strncmp(of, op, n) == 0) return false;
  }
  return true;
}

static void leave(segments *g, const hone_step_info *step) {
  size_t k = 0;
  while (k < g->n_left && strcmp(g->left[k].op, step->op) != 0) k++;
  if (k == g->n_left) {
    g->left = cli_grow(g->left, ++g->n_left, sizeof *g->left);
    g->left[k] = (left_layer){cli_copy(step->op), cli_copy(step->name), 0, only_reference(step->op)};
  }
  g->left[k].n++;
}

void segments_read(const hone_session *s, segments *g) {
  hone_step_info step;
  uint32_t run = 0;
  *g = (segments){.known = true};
  for (uint32_t i = 0; i < hone_session_step_count(s) && hone_session_step_info(s, i, &step) == HONE_OK; i++) {
    size_t len = strlen(step.kernel);
    bool reference = len > 4 && strcmp(step.kernel + len - 4, "_ref") == 0;
    if (strcmp(step.op, "Reorder") == 0) continue;
    g->layers++;
    if (reference) {
      leave(g, &step);
      run = 0;
      continue;
    }
    g->taken++;
    g->count += run++ == 0;
    if (run > g->largest) g->largest = run;
  }
}

static const char *why(const left_layer *l) {
  return l->none ? "no other kernel runs this operator" : "its kernels take other types or shapes";
}

void segments_print(const segments *g) {
  if (!g->known) return;
  printf("%u of %u layers run on fast kernels, in %u segment%s (the largest of %u)%s\n", g->taken, g->layers, g->count, g->count == 1 ? "" : "s",
         g->largest, g->n_left ? "; left to the reference kernels:" : "");
  table *t = table_make("lrll");
  for (size_t i = 0; i < g->n_left; i++) {
    table_cell(t, "%s", g->left[i].op);
    table_cell(t, "%u", g->left[i].n);
    table_cell(t, "first '%s'", g->left[i].first);
    table_cell(t, "%s", why(&g->left[i]));
  }
  table_print(t, 2);
  table_free(t);
}

json_t *segments_json(const segments *g) {
  if (!g->known) return json_null();
  json_t *left = json_array();
  for (size_t i = 0; i < g->n_left; i++)
    json_array_append_new(left, json_pack("{s:o, s:i, s:o, s:s}", "op", json_text(g->left[i].op), "layers", (int)g->left[i].n, "first",
                                          json_text(g->left[i].first), "why", why(&g->left[i])));
  return json_pack("{s:i, s:i, s:i, s:i, s:o}", "layers", (int)g->layers, "taken", (int)g->taken, "segments", (int)g->count, "largest",
                   (int)g->largest, "left", left);
}

void segments_free(segments *g) {
  for (size_t i = 0; i < g->n_left; i++) {
    free(g->left[i].op);
    free(g->left[i].first);
  }
  free(g->left);
  *g = (segments){0};
}
