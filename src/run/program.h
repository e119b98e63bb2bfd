/* program.h - a graph with fixed input shapes, planned and ready to execute: what a session runs, and what If, Loop
   and Scan run for their nested graphs. */
#ifndef HN_PROGRAM_H
#define HN_PROGRAM_H
#include "plan/plan.h"

typedef struct hn_program hn_program;

/* Specializes a copy of g to the input shapes (dims of each view; data not read), folds what became constant,
   chooses kernels and plans memory. */
hone_status hn_program_create(const hn_graph *g, const hn_view *inputs, const hn_plan_options *o, hn_program **out);
void hn_program_destroy(hn_program *p); /* accepts NULL */

/* Runs with input data (dense; types and shapes as at creation). Outputs point into the program, into constants or
   into the inputs, and are valid until the next run.  */
hone_status hn_program_run(hn_program *p, const hn_view *inputs, hn_view *outputs);
/* The same with outputs copied to buffers of their own (hn_release_results): a next call overwrites the originals,
   which may be its inputs. */
hone_status hn_program_call(hn_program *p, const hn_view *inputs, hn_view *outputs, uint32_t n_out);
void hn_release_results(hn_exec *x, hn_view *out, uint32_t n); /* x is not used */
hone_status hn_check_call(const hn_exec *x, const hn_graph *sub, uint32_t n, uint32_t n_out);
void hn_program_profile(hn_program *p, bool on);
/* Steps of the runs to come are recorded, in nested graphs too; NULL: no longer. */
hone_status hn_program_record(hn_program *p, hone_profile *recorder);
/* Texts go to the arena. */
bool hn_program_step_layer(const hn_program *p, uint32_t step, uint32_t index, const char **name, uint64_t *macs);
hone_status hn_program_step_info(const hn_program *p, uint32_t step, hn_arena *texts, hone_step_info *info);
double hn_program_step_seconds(const hn_program *p, uint32_t step); /* of the last run, when profiled */
/* A value as the last run left it, in the layout in which it lies; if it is of floats and lies otherwise than row-major, it is copied
   so to *plain, grown as needed with hn_realloc. *there: it has memory of its own. Errors: NOMEM. */
hone_status hn_program_value(const hn_program *p, hn_id value, float **plain, hn_view *out, bool *there);
hn_view hn_program_slot(const hn_program *p, uint32_t slot); /* of the plan, as it lies */
/* The d-th device, above 0, and what the plan takes of its memory; false past the last. */
bool hn_program_device(const hn_program *p, uint32_t d, const char **name, size_t *bytes);
const hn_plan *hn_program_plan(const hn_program *p);
/* The time of the last run where a device models it, else 0, and the recorder's lane for the slice of the run. */
double hn_program_modelled(const hn_program *p, uint32_t *lane);
uint32_t hn_program_fallbacks(const hn_program *p, const hn_id **nodes); /* nodes that were meant for a device that does not run them */
const hn_graph *hn_program_graph(const hn_program *p); /* the specialized copy; nodes of the original keep their ids */
/* Whether the program may be run with these input shapes. */
bool hn_program_fits(const hn_program *p, const hn_view *inputs, uint32_t n);
#endif
