/* einsum_ref.c - Einsum: for every output element the sum, over the labels that are not in it, of products. */
#include "device/cpu/ref/broadcast.h"
#include "op/einsum.h"

typedef struct sum {
  const hn_exec *x;
  const hn_einsum *e;
  int64_t size[HN_EINSUM_LABELS], stride[HN_EINSUM_INPUTS][HN_EINSUM_LABELS];
  int inner[HN_EINSUM_LABELS], n_inner; /* labels summed over */
} sum;

static hone_status sizes(hn_exec *x, const hn_einsum *e, sum *s) {
  bool in_output[HN_EINSUM_LABELS] = {false}, seen[HN_EINSUM_LABELS] = {false};
  *s = (sum){.x = x, .e = e};
  for (int l = 0; l < HN_EINSUM_LABELS; l++) s->size[l] = 1;
  for (uint32_t i = 0; i < e->n_in; i++) {
    int64_t stride[HN_MAX_RANK];
    hn_strides(x->in[i].rank, x->in[i].dims, stride);
    for (int32_t k = 0; k < e->rank[i]; k++) {
      int l = e->label[i][k];
      int64_t d = x->in[i].dims[k];
      seen[l] = true;
      if (d != 1 && s->size[l] != 1 && s->size[l] != d) return hn_xfail(x, HONE_BAD_GRAPH, "sizes %lld and %lld have the same label", (long long)s->size[l], (long long)d);
      if (d != 1) {
        s->size[l] = d;
        s->stride[i][l] += stride[k]; /* a label twice in a term: the diagonal */
      }
    }
  }
  for (int32_t k = 0; k < e->out_rank; k++) in_output[e->out[k]] = true;
  for (int l = 0; l < HN_EINSUM_LABELS; l++)
    if (seen[l] && !in_output[l]) s->inner[s->n_inner++] = l;
  return HONE_OK;
}

/* at[i]: offset in input i with the output's labels set. */
static double sum_inner(const sum *s, const int64_t *at) {
  int64_t count = 1;
  double total = 0;
  for (int k = 0; k < s->n_inner; k++) count *= s->size[s->inner[k]];
  for (int64_t c = 0; c < count; c++) {
    int64_t rest = c, offset[HN_EINSUM_INPUTS];
    double product = 1;
    for (uint32_t i = 0; i < s->e->n_in; i++) offset[i] = at[i];
    for (int k = s->n_inner - 1; k >= 0; k--) {
      int l = s->inner[k];
      for (uint32_t i = 0; i < s->e->n_in; i++) offset[i] += rest % s->size[l] * s->stride[i][l];
      rest /= s->size[l];
    }
    for (uint32_t i = 0; i < s->e->n_in; i++) product *= hn_load_f64(s->x->in[i].dtype, s->x->in[i].data, (size_t)offset[i]);
    total += product;
  }
  return total;
}

hone_status hk_einsum_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  int32_t ranks[HN_EINSUM_INPUTS];
  int64_t dims[HN_MAX_RANK];
  hn_einsum e;
  sum s;
  if (n->n_main > HN_EINSUM_INPUTS) return hn_xfail(x, HONE_BAD_GRAPH, "has %u inputs", n->n_main);
  for (uint32_t i = 0; i < n->n_main; i++) {
    ranks[i] = x->in[i].rank;
    if (x->in[i].dtype != x->in[0].dtype) return hn_xfail(x, HONE_BAD_GRAPH, "its inputs differ in type");
  }
  if (hn_dtype_class(x->in[0].dtype) == HN_CLASS_S) return hn_xbad_dtype(x, x->in[0].dtype);
  hone_status st = hn_einsum_read(x->cx, hn_attr_s(n, "equation", ""), n->n_main, ranks, &e);
  if (st) return hn_fail_within(x->cx, st, "node '%s' (Einsum)", n->name);
  HN_TRY(sizes(x, &e, &s));
  for (int32_t k = 0; k < e.out_rank; k++) dims[k] = s.size[e.out[k]];
  HN_TRY(hn_xout(x, 0, x->in[0].dtype, e.out_rank, dims));
  for (int64_t o = 0; o < x->out[0].count; o++) {
    int64_t rest = o, at[HN_EINSUM_INPUTS] = {0};
    for (int32_t k = e.out_rank - 1; k >= 0; k--) {
      for (uint32_t i = 0; i < e.n_in; i++) at[i] += rest % dims[k] * s.stride[i][e.out[k]];
      rest /= dims[k];
    }
    hn_store_f64(x->in[0].dtype, x->out[0].data, (size_t)o, sum_inner(&s, at));
  }
  return HONE_OK;
}
