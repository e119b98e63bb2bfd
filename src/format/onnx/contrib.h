/* contrib.h - operators of ONNX Runtime's own domain, as ours. */
#ifndef HN_CONTRIB_H
#define HN_CONTRIB_H
#include "op/make.h"

/* A node of that domain while it is read. */
typedef struct hn_contrib {
  const char *op, *name;
  hn_id *in; /* as the file has them, absent ones HN_NONE, with room for HN_CONTRIB_ROOM more */
  uint32_t n;
  hn_id node; /* ours, without inputs at first */
  hn_maker make;
  /* kept for the result */
  hn_id scale, zero, bias; /* or HN_NONE */
  hn_dtype type;
  bool channels_last;
} hn_contrib;
enum { HN_CONTRIB_ROOM = 4 };

/* Our operator that does the work of one of that domain; HN_OP_NONE: none. */
hn_op hn_contrib_op(const char *domain, const char *name);
/* Gives the node, which has the attributes of the file, its inputs and what its attributes are here. */
hone_status hn_contrib_lower(hn_contrib *c);
/* What the operator's result is, made of the node's. */
hone_status hn_contrib_result(hn_contrib *c, hn_id *result);

/* ---- its quantized operators: contrib_quant.c */
hone_status hn_contrib_integers(hn_contrib *c);        /* operands between conversions */
hone_status hn_contrib_integers_result(hn_contrib *c, hn_id *result);
hone_status hn_contrib_gemm(hn_contrib *c);            /* QGemm */
hone_status hn_contrib_gemm_result(hn_contrib *c, hn_id *result);
hone_status hn_contrib_scaled_product(hn_contrib *c);  /* MatMulIntegerToFloat, DynamicQuantizeMatMul */
hone_status hn_contrib_scaled_product_result(hn_contrib *c, hn_id *result);
hone_status hn_contrib_small_weights(hn_contrib *c);   /* MatMulNBits */
hone_status hn_contrib_small_weights_result(hn_contrib *c, hn_id *result);
#endif
