/* opcode.h - the operators, generated from op.def. */
#ifndef HN_OPCODE_H
#define HN_OPCODE_H
#include <stdbool.h>
#include <stdint.h>

enum {
  HN_OP_UNARY = 1,       /* element-wise in input 0; output has its shape */
  HN_OP_BINARY = 2,      /* element-wise in inputs 0 and 1 with broadcasting */
  HN_OP_VARIADIC = 4,    /* element-wise in all inputs with broadcasting */
  HN_OP_COMMUTATIVE = 8, /* inputs may be exchanged */
  HN_OP_REDUCE = 16,
  HN_OP_MOVE = 32,       /* only moves elements: works for every dtype of the same size */
  HN_OP_CONTROL = 64,    /* has nested graphs */
  HN_OP_RANDOM = 128     /* not a function of its inputs: never folded or merged */
};

typedef enum hn_op {
  HN_OP_NONE = 0,
#define OP(N, fn, imin, imax, omin, omax, flags, attrs, doc) HN_##N,
#include "ir/op.def"
#undef OP
  HN_OP_COUNT
} hn_op;

typedef struct hn_op_row {
  const char *name;
  uint8_t min_in, max_in, min_out, max_out;
  uint32_t flags;
  const char *attrs, *doc;
} hn_op_row;

const hn_op_row *hn_op_info(hn_op op); /* never NULL */
const char *hn_op_name(hn_op op);
hn_op hn_op_parse(const char *name);   /* HN_OP_NONE if unknown */
/* Type letter of an attribute in op.def, or 0 if the operator has none of that name. */
char hn_op_attr_type(hn_op op, const char *attr);
static inline bool hn_op_is(hn_op op, uint32_t flags) { return (hn_op_info(op)->flags & flags) != 0; }
#endif
