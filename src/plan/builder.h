/* builder.h - what the files that make a plan share while they walk the graph. */
#ifndef HN_BUILDER_H
#define HN_BUILDER_H
#include "base/vec.h"
#include "plan/join.h"
#include "plan/plan.h"

typedef struct hn_builder {
  hn_plan *p;
  hn_graph *g;
  const hn_plan_options *o;
  uint32_t *group;     /* value -> group: values that are views of one another */
  uint32_t *reads;     /* group -> reads still to come */
  bool *pinned;        /* group -> a graph output or to be kept */
  bool *planned;       /* node -> part of a chain */
  uint8_t *passed;     /* node -> how many of its chain were left apart before it */
  uint32_t (*converted)[HN_LAYOUT_COUNT]; /* value, device -> dense slot in each layout, or HN_NONE: see copies_of() */
  uint32_t n_devices;
  bool forks;          /* nodes that are marked are planned for one thread */
  hn_joins joins;
} hn_builder;

/* ---- slots.c */
hone_status hn_slot_add(hn_builder *b, const hn_slot *s, uint32_t *out);
hone_status hn_block_add(hn_builder *b, size_t bytes, uint8_t device, uint32_t *out);
void hn_slot_touch(hn_builder *b, uint32_t slot); /* the step that comes next uses it */
void hn_slot_keep(hn_builder *b, uint32_t slot);  /* until the end */
/* A slot for value v as `a` says (its layout, and its pitch where it is `pitched`), with room of its own. */
hone_status hn_slot_own(hn_builder *b, hn_id v, const hn_arg *a, uint8_t device, uint32_t *out);
/* The slot of a value in the layout its producer left it. */
hone_status hn_slot_of(hn_builder *b, hn_id v, uint32_t *out);
void hn_slot_arg(const hn_builder *b, uint32_t slot, hn_arg *a);
/* The value on a device, in the layout its producer left it: there, moved before, or moved now, always by way of the CPU. */
hone_status hn_slot_on_device(hn_builder *b, hn_id v, uint8_t device, uint32_t *out);
/* The value on a device in a given layout: as it is, converted before, or converted now. Dense, unless `pitched`: then as its
   producer left it. */
hone_status hn_slot_in_layout(hn_builder *b, hn_id v, uint8_t device, hn_layout want, bool pitched, uint32_t *out);
/* For tests: the value, which lies dense, once more with a gap between its runs, for all who read it from now on. */
hone_status hn_slot_spread(hn_builder *b, hn_id v, int64_t gap);
hone_status hn_step_new(hn_builder *b, hn_planned *s, hn_id node, uint8_t device, uint32_t n_in, uint32_t n_out);
void hn_step_abandon(hn_planned *s);
hone_status hn_step_append(hn_builder *b, hn_planned *s);

/* ---- join.c: see join.h */
/* Output `a` of a node, value v: what pitch it has where it is a part of a whole. true: it is one. */
bool hn_join_offer(const hn_builder *b, hn_id v, hn_arg *a);
/* The slot of an output: its place in the whole where it can have it, else one of its own. */
hone_status hn_join_output(hn_builder *b, hn_id v, const hn_arg *a, uint8_t device, uint32_t *out);
/* Plans a Concat of which parts lie in their places, and Split and Slice whose outputs can be read where they lie; *done: it
   was one. */
hone_status hn_join_concat(hn_builder *b, hn_id id, bool *done);
bool hn_join_may_cut(const hn_builder *b, hn_id id); /* without knowing the layout */
hone_status hn_join_cut(hn_builder *b, hn_id id, bool *done);

/* ---- chains.c */
/* Plans a chain of nodes that begins here as one step, if one does and is wanted. */
hone_status hn_plan_chain(hn_builder *b, hn_id id);
#endif
