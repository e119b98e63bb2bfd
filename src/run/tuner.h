/* tuner.h - what the files that tune share. */
#ifndef HN_TUNER_H
#define HN_TUNER_H
#include "base/map.h"
#include "base/vec.h"
#include "run/timing_cache.h"
#include "run/tune.h"

enum { MAX_TRIED = 16, MACHINE = 768 };

/* What one way to do a layer takes, the changes of layout before it included. */
typedef struct timing {
  const char *tactic; /* hn_planned_tactic(), kept with the texts */
  bool generated;     /* its code is made anew in every process */
  double seconds;
} timing;

typedef struct layer {
  const char *text;       /* what is timed: operator, attributes, shapes; layers of one text share their times */
  uint32_t first;         /* the first of those, which are one kind: all change their kernel together */
  timing tried[MAX_TRIED];
  uint32_t n;
  const char *last, *uniform; /* tactics, of the last plan; of the best one in which no layer's was chosen */
} layer;

typedef struct hn_reading {
  bool reads; /* not absent, constant or left aside */
  bool gaps;  /* it was seen to take a part of a block as it lies */
  hn_layout layout;
} hn_reading;

/* One way to do a layer, or a chain of them, with the layouts it reads and leaves. */
typedef struct hn_way {
  hn_id node; /* the first of a chain's */
  const char *tactic, *text; /* text: with the layouts, "conv_planes plain>nhwc"; its row in the cache is of the step alone */
  uint32_t n_in, n_out, n_chain;
  const hn_id *operands, *chain;
  hn_reading *in;
  hn_layout *out;
  bool gaps_out;
} hn_way;

typedef struct tuner {
  hn_graph *g;            /* a copy of the model's, whose tactics are being tried */
  const hn_view *inputs;
  const hone_tune_options *how;
  hn_plan_options plan;
  hn_timing_cache *cache;
  hn_arena *texts;
  hn_map kinds;           /* text -> the first layer of it */
  HN_VEC(hn_way) ways;    /* that were seen */
  bool assigns;           /* all is on the CPU and no layer may be widened: kernels are assigned over the graph */
  layer *layers;          /* by node id; behind them chains, by the id of their first node */
  hn_view *outputs;
  hone_tune_result result;
  char machine[MACHINE];
  uint32_t done, expected; /* plans, for the progress */
} tuner;

/* The layer, an index into t->layers, that a step is; HN_NONE: none that is timed. */
uint32_t hn_tuner_layer(const tuner *t, const hn_planned *s);
/* The plan as a whole: its layers and their kernels, as a number. */
const char *hn_tuner_plan_text(tuner *t, const hn_program *p);
hone_status hn_tuner_name_layers(tuner *t, const hn_program *p);
/* The least time of each step of a few runs, and of a run; the former go to the cache by way. */
hone_status hn_tuner_time_steps(tuner *t, hn_program *p, double *least, double *total);
/* Plans the graph, takes the times of its steps from the cache or by running, and notes them; *seconds: the whole. */
hone_status hn_tuner_try(tuner *t, const hn_plan_options *how, uint32_t *alternatives, double *seconds);
void hn_tuner_name_machine(tuner *t); /* by the plan's threads */

/* How long the second program takes by what the first does: runs by turns, the median of the ratios. */
hone_status hn_tuner_compare(tuner *t, hn_program *a, hn_program *b, double *ratio);
/* What was measured of a tactic; NULL: nothing. */
const timing *hn_tuner_tried(const layer *l, const char *tactic);

/* ---- tune_ways.c */
hone_status hn_tuner_look(tuner *t, const hn_plan *plan); /* notes the plan's ways */
hn_way *hn_tuner_way(tuner *t, const hn_plan *plan, const hn_planned *s); /* NULL: not noted */
bool hn_tuner_ways_known(tuner *t, const hn_plan *plan); /* are their times in the cache? */
hone_status hn_tuner_remember_ways(tuner *t, const hn_plan *plan, const double *seconds);
double hn_tuner_way_seconds(tuner *t, const hn_way *w); /* INFINITY: not measured */
/* What a change of layout takes, from the cache or measured now; INFINITY: there is none. Gaps: as in a part of a block. */
hone_status hn_tuner_reorder(tuner *t, const hn_value *v, hn_layout from, bool from_gaps, hn_layout to, bool to_gaps, double *seconds);

/* ---- tune_assign.c */
/* Offers every layer its images in every layout, and takes the times of what is new. */
hone_status hn_tuner_offer_layouts(tuner *t);
/* Kernels and layouts over the whole graph at the least sum of steps and changes of layout; stays if the whole, by turns with the
   choice there was, is faster. */
hone_status hn_tuner_assign(tuner *t, double *total);

/* ---- tune_forks.c */
void hn_tuner_unmark(tuner *t); /* no forks */
/* Branches side by side, where that is faster by the times of the layers and then by that of the whole, `total`. */
hone_status hn_tuner_forks(tuner *t, double *total);
#endif
