/* attention_heads.h - what an Attention node asks for, as its kernels see it. */
#ifndef HN_ATTENTION_HEADS_H
#define HN_ATTENTION_HEADS_H
#include "device/cpu/vec/float_runs.h"
#include "device/kernel.h"

typedef struct hn_heads {
  int64_t batch, heads, per, nq, nk, size, size_v;        /* per: query heads that share a head of keys */
  int64_t stride[3][2], row[3], out_stride[2], out_row;   /* batch and head strides, row strides of Q, K, V */
  float scale, softcap;
  bool causal, mask, mask_bool, bytes;                    /* bytes: of Q, K and V, of one scale each; else they are floats */
  int64_t mask_stride[4]; /* batch, head, query, key; 0 where broadcast */
} hn_heads;

/* false: not of floats or bytes, with past keys or further outputs, or shapes that do not fit one another. */
bool hn_heads_of(const hn_task *t, hn_heads *s);
/* The mask over the scores of a query of a head with keys from..from + n. */
void hn_heads_mask(const hn_heads *s, const hn_vec *vec, const void *mask, float *scores, int64_t batch, int64_t head, int64_t query, int64_t from, int64_t n);
#endif
