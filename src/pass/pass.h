/* pass.h - the pipeline: pass.def lists the passes in order; this runs them and keeps the account. */
#ifndef HN_PASS_H
#define HN_PASS_H
#include "rewrite/rewrite.h"

/* Evaluates a node whose inputs are all constant: n_out fresh tensors, NULL where an output is absent. The passes
   do not know of kernels, so their caller lends this. */
typedef hone_status (*hn_eval_fn)(hn_graph *g, hn_id node, hn_tensor **outs);

typedef struct hn_report {
  hone_report_row *p; /* all strings are static */
  size_t n, cap;
} hn_report;
void hn_report_free(hn_report *r);

/* Runs the passes of the options' level, or those it names, on g in place. After a failure g is of no use any
   more: the caller works on a clone. `report` is added to. eval may be NULL: nothing is folded then. */
hone_status hn_passes_run(hn_graph *g, const hone_optimize_options *o, hn_eval_fn eval, hn_report *report);

bool hn_pass_info(uint32_t index, const char **name, int32_t *level, const char **doc);

/* The `index`-th rewrite rule of the `pass`-th pass, for documentation and tests; NULL past the end. */
const hn_rule *hn_pass_rule(uint32_t pass, uint32_t index);

/* ---- for the passes: hone_status hn_pass_<function>(hn_pass *p, hn_graph *g) */
typedef struct hn_pass {
  hone_context *cx;
  const char *name;
  hn_eval_fn eval;
  uint64_t fold_limit; /* hone_optimize_options */
  hn_report *report;
  uint32_t changes; /* by this run of the pass */
} hn_pass;

/* Counts hits of a rule (rule "" and doc of the pass itself for work that is not by rules). */
hone_status hn_pass_note(hn_pass *p, const char *rule, const char *doc, uint32_t hits, bool exact);
/* Does f for g and all graphs nested in it, innermost first. */
hone_status hn_pass_each_graph(hn_pass *p, hn_graph *g, hone_status (*f)(hn_pass *p, hn_graph *g));
#endif
