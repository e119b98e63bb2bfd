/* assignment.h - one label for each of many variables, so that the sum of costs is least, where a cost depends on the
   labels of a few variables together: a partitioned quadratic problem (Scholz & Eckstein, "Register Allocation for
   Irregular Architectures", 2002; Hames & Scholz, 2006) with tables of any number of variables. Knows no graph. */
#ifndef HN_ASSIGNMENT_H
#define HN_ASSIGNMENT_H
#include "base/vec.h"
#include "ir/graph.h"

typedef struct hn_factor {
  uint32_t n;
  uint32_t *variables;
  double *cost; /* by their labels, the last variable's fastest; INFINITY: not together */
} hn_factor;

typedef struct hn_assign {
  hn_arena *arena;
  HN_VEC(uint32_t) labels; /* how many each variable has */
  HN_VEC(hn_factor) factors;
  size_t limit; /* entries of the largest table that elimination may make; 0: a quarter of a million */
} hn_assign;

typedef struct hn_assign_result {
  double cost, bound;  /* of the labels found; no labels cost less than the bound. Equal: proven best */
  uint32_t reduced[4]; /* variables that were eliminated with no, one, two and more neighbours */
  uint32_t split;      /* whose neighbours were too many for one table: bounded, then branched on */
  uint32_t branches;   /* partial assignments that were looked at */
} hn_assign_result;

hone_status hn_assign_create(hone_context *cx, hn_assign *a);
void hn_assign_free(hn_assign *a);
hone_status hn_assign_variable(hone_context *cx, hn_assign *a, uint32_t labels, uint32_t *out);
/* Zeros, to be filled in; the variables differ from one another. */
hone_status hn_assign_factor(hone_context *cx, hn_assign *a, uint32_t n, const uint32_t *variables, double **cost);
double hn_assign_cost(const hn_assign *a, const uint32_t *label);
/* The label of variable v that is best with all others as they are. */
uint32_t hn_assign_settle(const hn_assign *a, const uint32_t *label, uint32_t v);

/* `label`: where to start from, and the best that was found, which costs no more. Variables are eliminated one after
   the other, the one that makes the smallest table first. Where all tables are within the limit that is exact; else a
   bound comes of tables that are split, and branches on what was split close the gap, as far as the work allowed goes.
 */
hone_status hn_assign_solve(hone_context *cx, const hn_assign *a, uint32_t *label, hn_assign_result *result);
#endif
