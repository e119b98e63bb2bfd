/* loop.h - a Loop being built, whether a While of functions or a frame of Enter, Merge and NextIteration says so. */
#ifndef HN_LOOP_H
#define HN_LOOP_H
#include "format/tensorflow/tf_import.h"

typedef struct tf_loop {
  tf_scope *s;        /* where it stands */
  const char *name;
  tf_nest nest;       /* the body's graph */
  uint32_t n;         /* loop variables */
  tf_value *init;     /* n each */
  bool *carried;      /* else the same in every round */
  tf_value *inner;    /* what the body reads */
  tf_value *next;     /* what it makes of it */
  tf_value *result;
  hn_id *item;        /* of lists that grow by one element a round, in order: the element, in the body; else HN_NONE */
} tf_loop;

/* Arrays for n variables; init and carried are then filled by the caller. */
hone_status hn_tf_loop_open(tf_loop *l, tf_scope *s, const char *name, uint32_t n);
/* The body's graph and its inputs; `inner` is set. shapes[i]: what holds in each round; NULL: only the rank is taken from
   the first value. */
hone_status hn_tf_loop_begin(tf_loop *l, const hn_shape *shapes);
/* Adds the Loop: `first` says in the graph around whether there is a first round, `again` in the body whether another
   follows. `next` and then `result` are set. */
hone_status hn_tf_loop_end(tf_loop *l, tf_value first, tf_value again);
void hn_tf_loop_close(tf_loop *l);
/* A condition as a boolean scalar of the nest's graph. */
hone_status hn_tf_condition(tf_scope *s, tf_nest *nest, const char *name, tf_value v, hn_id *id);
#endif
