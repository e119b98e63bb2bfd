/* join.h - concatenation in place: the inputs of a Concat are written where its output has them, so that it has nothing to do;
   and parts that Split and Slice cut out are read where they lie. A part is contiguous if its axis is the outermost one with
   more than one index in the layout at hand; where the axis is the innermost, its runs lie a pitch apart. Concats that
   prolong one another, as in a DenseNet, are parts of the longest. */
#ifndef HN_JOIN_H
#define HN_JOIN_H
#include "base/vec.h"
#include "device/kernel.h"

typedef struct hn_join {
  hn_id whole;      /* the longest */
  int32_t axis;
  int64_t unit;     /* divides the size and position of every part */
  bool begun;       /* it has a block, and a layout */
  hn_layout layout;
  uint32_t block;
} hn_join;

/* Of a value: which whole it is a part of. */
typedef struct hn_part {
  uint32_t join; /* or HN_NONE */
  int64_t at;    /* along the axis */
  bool placed;   /* its content will be there */
} hn_part;

typedef struct hn_joins {
  HN_VEC(hn_join) list;
  hn_part *part; /* by value */
} hn_joins;

/* Where a part, at `at` along the axis of a whole whose runs lie whole_pitch apart (0: dense), is in a layout: its first
   element and its own pitch. false: not in one stretch. */
bool hn_part_place(hn_layout l, const hn_shape *whole, int64_t whole_pitch, const hn_shape *part, int32_t axis, int64_t at,
                   int64_t *offset, int64_t *pitch);
/* Could a value lie in its place in a whole of this layout, and with what pitch? The whole itself: dense. */
bool hn_join_lies(const hn_joins *j, const hn_graph *g, hn_id v, hn_layout l, int64_t *pitch);
/* Is the place of input i in a Concat's output its place in the whole? */
bool hn_join_belongs(const hn_joins *j, const hn_graph *g, const hn_node *concat, uint32_t i);
bool hn_concat_axis(const hn_graph *g, const hn_node *n, int32_t *axis);

struct hn_builder;
/* Finds the Concats that may be made in place; order: of the nodes. */
hone_status hn_joins_find(struct hn_builder *b, const hn_id *order, uint32_t n);
void hn_joins_free(hn_joins *j);

/* A Split, or a Slice by constants in steps of one along one axis, of one fixed shape: output i begins at *at. */
bool hn_is_cut(const hn_graph *g, const hn_node *n, uint32_t i, int32_t *axis, int64_t *at);
#endif
