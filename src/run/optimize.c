/* optimize.c - the public face of the passes, and the tables a program may list. */
#include <string.h>

#include "device/cuda_plugin.h"
#include "run/eval.h"
#include "run/model.h"
#include "run/options.h"

void hone_optimize_options_init(hone_optimize_options *options) {
  *options = (hone_optimize_options){.size = sizeof *options, .level = 2, .fold_limit = 1 << 20};
}

hone_status hone_model_optimize(hone_model *m, const hone_optimize_options *options) {
  hone_optimize_options o;
  HN_TRY(HN_OPTIONS(m->cx, hone_optimize_options, options, &o));
  hn_graph *g = hn_graph_clone(m->g);
  if (!g) return hn_nomem(m->cx);
  hn_report report = {0};
  hone_status st = hn_passes_run(g, &o, hn_eval_constant, &report);
  if (!st && g->oom) st = hn_nomem(m->cx);
  st = hn_model_take(m, g, st);
  if (st) {
    hn_report_free(&report);
    return st;
  }
  hn_report_free(&m->report);
  m->report = report;
  return HONE_OK;
}

bool hone_model_report_row(const hone_model *m, uint32_t index, hone_report_row *row) {
  if (index >= m->report.n) return false;
  *row = m->report.p[index];
  return true;
}

bool hone_pass_at(uint32_t index, const char **name, int32_t *level, const char **doc) {
  return hn_pass_info(index, name, level, doc);
}

bool hone_operator_at(uint32_t index, const char **name, const char **doc) {
  if (index >= HN_OP_COUNT - 1) return false;
  const hn_op_row *row = hn_op_info((hn_op)(index + 1));
  *name = row->name;
  *doc = row->doc;
  return true;
}

bool hone_kernel_at(uint32_t index, const char **op, const char **kernel) {
  const hn_kernel *k = hn_kernel_at(index);
  uint32_t fast = 0;
  while (!k && hn_kernel_at(fast)) fast++;
  for (int o = HN_OP_NONE + 1; !k && o < HN_OP_COUNT; o++) { /* past the fast ones: the references, counted */
    const hn_kernel *r = hn_kernel_ref((hn_op)o);
    if (r && fast++ == index) k = r;
  }
  if (!k) return false;
  *op = hn_op_name(k->op);
  *kernel = k->name;
  return true;
}

bool hone_device_kernel_at(uint32_t index, const char **device, const char **op, const char **kernel) {
  hn_op o;
  if (!hn_cuda_row(index, &o, kernel)) return false;
  *device = "cuda";
  *op = hn_op_name(o);
  return true;
}
