/* tuner.h - what the files that tune share. */
#ifndef HN_TUNER_H
#define HN_TUNER_H
#include "base/map.h"
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

typedef struct tuner {
  hn_graph *g;            /* a copy of the model's, whose tactics are being tried */
  const hn_view *inputs;
  const hone_tune_options *how;
  hn_plan_options plan;
  hn_timing_cache *cache;
  hn_arena *texts;
  hn_map kinds;           /* text -> the first layer of it */
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
/* Plans the graph, takes the times of its steps from the cache or by running, and notes them; *seconds: the whole. */
hone_status hn_tuner_try(tuner *t, const hn_plan_options *how, uint32_t *alternatives, double *seconds);
void hn_tuner_name_machine(tuner *t); /* by the plan's threads */

/* ---- tune_forks.c */
void hn_tuner_unmark(tuner *t); /* no forks */
/* Branches side by side, where that is faster by the times of the layers and then by that of the whole, `total`. */
hone_status hn_tuner_forks(tuner *t, double *total);
#endif
