/* side.h - runs the branches of a fork (plan/fork.h) side by side. */
#ifndef HN_SIDE_H
#define HN_SIDE_H
#include "plan/plan.h"

/* Each branch has a context of its own for its errors. */
typedef struct hn_side {
  hone_context *cx;       /* the program's */
  hone_context *branches; /* by lane */
  double *begin, *end;    /* of each step in the last run; hn_now() */
} hn_side;

typedef hone_status (*hn_side_step)(void *program, uint32_t step);

/* For the forks of a plan; without any nothing is made. */
hone_status hn_side_create(const hn_plan *p, hn_side *out);
void hn_side_destroy(hn_side *s);
/* Where the errors of a step go: the program's context for what is in no fork. */
hone_context *hn_side_context(const hn_side *s, const hn_plan *p, uint32_t step);
/* Runs the fork's steps; the times of each are in begin and end then. */
hone_status hn_side_run(const hn_side *s, const hn_fork *f, hn_side_step step, void *program);
#endif
