/* pattern.h - what a rule looks for: a tree of operators, written as static data. Leaves name the values that flow
   in; inner nodes name operators. A pattern matches downwards from the node that computes the root's result.

     P_OP(0, Mul, P_ANY(1), P_OP(0, Sigmoid, P_ANY(1)))      x * sigmoid(x), x in slot 1

   A slot that occurs twice must be the same value both times. Slot 0 captures nothing. */
#ifndef HN_PATTERN_H
#define HN_PATTERN_H
#include "ir/graph.h"

enum { HN_SLOTS = 16, HN_PATTERN_INPUTS = 5 };

typedef enum hn_pattern_kind {
  HN_PATTERN_ANY,    /* any value */
  HN_PATTERN_CONST,  /* a constant */
  HN_PATTERN_SCALAR, /* a constant of one element */
  HN_PATTERN_NUM,    /* that one number */
  HN_PATTERN_NODE    /* the result (output 0) of an operator */
} hn_pattern_kind;

enum {
  HN_PATTERN_MAYBE = 1,  /* leaf: may be an absent input */
  HN_PATTERN_SHARED = 2, /* inner node: its result may be used outside the match as well */
  HN_PATTERN_POST = 4,   /* inner node: may carry an epilogue */
  HN_PATTERN_SKIP = 8    /* inner node: may be left out; its first input then stands in its place */
};

typedef struct hn_pattern {
  hn_pattern_kind kind;
  uint32_t flags;
  uint8_t slot;
  hn_op op;
  const hn_op *set; /* instead of op: any of these, HN_OP_NONE at the end */
  double num;
  const struct hn_pattern *in[HN_PATTERN_INPUTS]; /* none given: the inputs are not looked at */
} hn_pattern;

#define P_NEW(...) (&(const hn_pattern){__VA_ARGS__})
#define P_ANY(s) P_NEW(.kind = HN_PATTERN_ANY, .slot = s)
#define P_MAYBE(s) P_NEW(.kind = HN_PATTERN_ANY, .slot = s, .flags = HN_PATTERN_MAYBE)
#define P_CONST(s) P_NEW(.kind = HN_PATTERN_CONST, .slot = s)
#define P_CONST_MAYBE(s) P_NEW(.kind = HN_PATTERN_CONST, .slot = s, .flags = HN_PATTERN_MAYBE)
#define P_SCALAR(s) P_NEW(.kind = HN_PATTERN_SCALAR, .slot = s)
#define P_NUM(x) P_NEW(.kind = HN_PATTERN_NUM, .num = (x))
#define P_OP(s, Name, ...) P_NEW(.kind = HN_PATTERN_NODE, .slot = s, .op = HN_##Name, .in = {__VA_ARGS__})
#define P_FLAGS(f, s, Name, ...) \
  P_NEW(.kind = HN_PATTERN_NODE, .flags = (f), .slot = s, .op = HN_##Name, .in = {__VA_ARGS__})
#define P_NODE(f, s, Name) P_NEW(.kind = HN_PATTERN_NODE, .flags = (f), .slot = s, .op = HN_##Name)
#define P_ONE_OF(f, s, ops) P_NEW(.kind = HN_PATTERN_NODE, .flags = (f), .slot = s, .set = ops)
#define P_SHARED(s, Name, ...) P_FLAGS(HN_PATTERN_SHARED, s, Name, __VA_ARGS__)
#define P_SKIP(s, Name, ...) P_FLAGS(HN_PATTERN_SKIP, s, Name, __VA_ARGS__)
#define P_SET(f, s, ops, ...) P_NEW(.kind = HN_PATTERN_NODE, .flags = (f), .slot = s, .set = ops, .in = {__VA_ARGS__})
#endif
