/* fork.h - branches of a graph that run side by side, each on one thread, in place of one layer after the other on all of them.
   A fork is a stretch of steps that falls into branches which need nothing of one another; timing decides where there is one. */
#ifndef HN_FORK_H
#define HN_FORK_H
#include "plan/plan.h"

/* What a step is a part of, by number: fork 0 is none. */
typedef struct hn_mark {
  uint32_t fork, branch;
} hn_mark;

/* The marks of nodes count where the plan is for as many threads as they were found with. */
bool hn_forks_wanted(const hn_graph *g, const hn_plan_options *o);
void hn_forks_note(hn_graph *g, int threads);

/* Turns the marks of the plan's nodes into p->forks, where branches are in fact independent, and lets all that is touched within a
   fork live as long as the fork. Before memory is planned. */
hone_status hn_forks_find(hn_plan *p, const hn_plan_options *o);

/* The forks by which the sum of times is least: seconds of each step on one thread (`alone`) and on all (`together`); what is not
   worth a hundredth is left out. Fills mark[], one for each step. */
hone_status hn_forks_choose(const hn_plan *p, int threads, const double *alone, const double *together, hn_mark *mark);

/* The step whose node a step belongs to: itself, or of a change of layout the one it is made for. p->steps.n: none. */
size_t hn_step_served(const hn_plan *p, size_t step);
#endif
