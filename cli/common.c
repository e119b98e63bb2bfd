/* common.c - steps that several commands share. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "progress.h"

const arg_option common_option_rows[] = {
    {"json", 0, ARG_FLAG, offsetof(common_options, json), "", "Print JSON instead of text.", 0, 0},
    {"verbose", 'v', ARG_FLAG, offsetof(common_options, verbose), "", "Print what the library logs, on stderr.", 0, 0},
    {"help", 'h', ARG_FLAG, offsetof(common_options, help), "", "Print this help.", 0, 0},
    {0}};

const arg_option session_option_rows[] = {
    {"threads", 't', ARG_INT, offsetof(session_options, threads), "N",
     "Threads to compute with (default: all processors).", 1, 1024},
    {"reference", 0, ARG_FLAG, offsetof(session_options, reference), "", "Only the plain reference kernels: slow, to compare with.", 0, 0},
    {"winograd-error", 0, ARG_REAL, offsetof(session_options, winograd_error), "X",
     "The largest relative rounding error that Winograd's convolution, or a product by bfloat16 parts, may make in a layer "
     "(default 1e-4; 0: never use them).", 0, 1},
    {"tactic-sources", 0, ARG_TEXT, offsetof(session_options, sources), "A,B",
     "Whose fast kernels may be chosen: hone, onednn, bf16x3 (single precision by bfloat16 parts; default: all).", 0, 0},
    {"device", 0, ARG_LIST, offsetof(session_options, devices), "NAME[:SETTINGS]",
     "Run layers on this device, what it does not run on the CPU; 'hone devices' lists them. Several times for several.", 0, 0},
    {"place", 0, ARG_LIST, offsetof(session_options, place), "REGEX=DEVICE",
     "Put layers on a device by name or operator, as in NonMaxSuppression=cpu; the last rule counts. Or: auto, the least time.", 0, 0},
    {"min-segment", 0, ARG_INT, offsetof(session_options, min_segment), "N",
     "With --place=auto: no fewer than N layers together go to a device (default 1).", 1, 1e6},
    {0}};

const arg_option level_option_rows[] = {
    {"level", 'O', ARG_INT, offsetof(level_options, level), "0..3",
     "How much is done, also spelled -O2: 0 nothing, 1 exact clean-up, 2 folding and fusion too (default), 3 search too.", 0, 3},
    {"passes", 0, ARG_TEXT, offsetof(level_options, passes), "A,B,...",
     "Only these passes, in this order, instead of a level's; 'hone passes' lists them.", 0, 0},
    {"fold-limit", 0, ARG_INT, offsetof(level_options, fold_limit), "BYTES",
     "Largest constant that folding makes where it is more than twice what it replaces (default 1048576).", 0, 1e15},
    {0}};

int session_open(cli *c, const hone_model *m, const session_options *o, hone_session **s) {
  hone_session_options so;
  hone_session_options_init(&so);
  so.threads = (int32_t)o->threads;
  so.reference = o->reference;
  so.sources = o->sources;
  so.winograd_error = o->winograd_error;
  so.context = c->cx;
  char *devices = cli_copy("");
  for (size_t i = 0; i < o->devices.n; i++) {
    char *more = cli_format("%s%s%s", devices, i ? ";" : "", o->devices.p[i]);
    free(devices);
    devices = more;
  }
  so.devices = *devices ? devices : NULL;
  so.place = o->place.p;
  so.place_count = (uint32_t)o->place.n;
  so.min_segment = (uint32_t)o->min_segment;
  so.workspace = (uint64_t)o->workspace;
  hone_status st = hone_session_create(m, &so, s);
  free(devices);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

int session_run(cli *c, hone_session *s) {
  hone_status st = hone_session_run(s);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

int model_optimize(cli *c, hone_model *m, const level_options *o) {
  hone_optimize_options oo;
  hone_optimize_options_init(&oo);
  oo.level = (int32_t)o->level;
  oo.passes = o->passes;
  oo.fold_limit = (uint64_t)o->fold_limit;
  hone_status st = hone_model_optimize(m, &oo);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

/* -------------------------------------------------------------------------------------------- comparing */

uint32_t *match_outputs(const hone_model *a, const hone_model *b) {
  uint32_t n = hone_model_output_count(a), m = hone_model_output_count(b), named = 0;
  uint32_t *match = cli_alloc(n, sizeof *match);
  for (uint32_t i = 0; i < n; i++) {
    hone_tensor_info x, y;
    match[i] = UINT32_MAX;
    hone_model_output_info(a, i, &x);
    for (uint32_t k = 0; k < m && match[i] == UINT32_MAX; k++) {
      hone_model_output_info(b, k, &y);
      if (strcmp(x.name, y.name) == 0) match[i] = k;
    }
    named += match[i] != UINT32_MAX;
  }
  for (uint32_t i = 0; !named && n == m && i < n; i++) match[i] = i;
  return match;
}

static int compare_output(cli *c, hone_session *a, uint32_t i, hone_session *b, uint32_t k, difference *d) {
  hone_tensor_info x, y;
  const void *p, *q;
  hone_status st = hone_session_output(a, i, &x, &p, NULL);
  if (!st) st = hone_session_output(b, k, &y, &q, NULL);
  if (st) return cli_fail_hone(c->cx, st);
  if (x.dtype != y.dtype || x.rank != y.rank || memcmp(x.dims, y.dims, sizeof *x.dims * (size_t)x.rank) != 0)
    return cli_fail("'%s' is %s %s in one model and %s %s in the other", x.name, hone_dtype_name(x.dtype),
                    info_shape_text(&x).s, hone_dtype_name(y.dtype), info_shape_text(&y).s);
  size_t count = 1;
  for (int32_t r = 0; r < x.rank; r++) count *= (size_t)x.dims[r];
  if (!difference_add(d, x.dtype, p, q, count))
    return cli_fail("'%s' has elements of type %s, which are not compared", x.name, hone_dtype_name(x.dtype));
  return CLI_OK;
}

int compare_sessions(cli *c, feed *f, const uint32_t *map, hone_session *a, hone_session *b, const uint32_t *match,
                     uint32_t n, size_t rounds, difference *d) {
  progress p;
  int code = CLI_OK;
  progress_begin(&p, "comparing");
  for (size_t r = 0; !code && r < rounds; r++) {
    progress_step(&p, r, rounds);
    code = feed_load(f, r);
    if (!code) code = feed_set(c, f, NULL, a);
    if (!code) code = feed_set(c, f, map, b);
    if (!code) code = session_run(c, a);
    if (!code) code = session_run(c, b);
    for (uint32_t i = 0; !code && i < n; i++)
      if (match[i] != UINT32_MAX) code = compare_output(c, a, i, b, match[i], &d[i]);
  }
  progress_end(&p);
  return code;
}

void top_k(const void *data, hone_dtype dtype, size_t n, size_t k, size_t *index) {
  size_t have = 0;
  for (size_t i = 0; i < n; i++) { /* kept sorted; k is small */
    double v = tensor_get(dtype, data, i);
    size_t at = have;
    while (at > 0 && tensor_get(dtype, data, index[at - 1]) < v) at--;
    if (at >= k) continue;
    if (have < k) have++;
    for (size_t m = have - 1; m > at; m--) index[m] = index[m - 1];
    index[at] = i;
  }
}

bool model_has_steps(hone_model *m) {
  hone_layer_info l;
  for (uint32_t i = 0; i < hone_model_layer_count(m) && hone_model_layer_info(m, i, &l) == HONE_OK; i++)
    if (strncmp(l.op, "QuantizeLinear", 14) == 0 || strncmp(l.op, "QLinear", 7) == 0 || strncmp(l.op, "DynamicQuantize", 15) == 0) return true;
  return false;
}
