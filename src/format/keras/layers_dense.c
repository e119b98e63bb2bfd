/* layers_dense.c - products with matrices, tables of vectors. */
#include <string.h>

#include "format/keras/layers.h"

hone_status kr_lower_dense(kr_call *c, int variant) {
  int32_t rank = kr_rank(c, c->in[0]);
  int64_t in = kr_dim(c, c->in[0], -1), want[2] = {in, kj_int(c->config, "units", -1)};
  (void)variant;
  if (rank < 2) return kr_fail(c, HONE_BAD_GRAPH, "its input has %d dimensions; it takes two or more", rank);
  HN_TRY(kr_expect(c, 0, "kernel", 2, want));
  HN_TRY(kr_expect(c, 1, "bias", 1, &c->l->w[0]->dims[1]));
  hn_id x = hn_make_cast(&c->m, c->in[0], c->l->w[0]->dtype), w = kr_weight(c, 0, NULL), b = kr_weight(c, 1, NULL);
  hn_id y = hn_make_done(&c->m, kr_main(c, HN_MatMul, (hn_id[]){x, w}, 2, 1));
  if (b != HN_NONE) y = hn_make2(&c->m, HN_Add, y, b);
  return kr_result(c, kr_activate(c, y, "activation"));
}

/* "...x,xy->...y" with the dots as letters that are free. */
static bool spell_dots(const char *equation, int32_t rank, hn_str *out) {
  char free_letters[HN_MAX_RANK + 1] = {0};
  size_t n = 0, letters = strcspn(equation, ",");
  int32_t dots = rank;
  for (size_t i = 0; i < letters; i++) dots -= equation[i] != '.' && equation[i] != ' ';
  for (char l = 'A'; l <= 'Z' && (int32_t)n < dots && n < HN_MAX_RANK; l++)
    if (!strchr(equation, l)) free_letters[n++] = l;
  if (strchr(equation, '.') && (dots < 0 || (int32_t)n != dots)) return false;
  for (const char *p = equation; *p;) {
    if (strncmp(p, "...", 3) == 0) hn_str_add(out, free_letters), p += 3;
    else hn_str_addn(out, p++, 1);
  }
  return !out->failed;
}

hone_status kr_lower_einsum_dense(kr_call *c, int variant) {
  const char *equation = kj_text(c->config, "equation", "");
  hn_str spelled = {0};
  hn_id in[2] = {c->in[0], kr_weight(c, 0, NULL)}, bias = kr_weight(c, 1, NULL);
  (void)variant;
  bool ok = spell_dots(equation, kr_rank(c, c->in[0]), &spelled) && spelled.p;
  if (!ok) {
    hn_str_free(&spelled);
    return kr_fail(c, HONE_BAD_GRAPH, "equation '%s' does not fit its input", equation);
  }
  hn_id node = kr_main(c, HN_Einsum, in, 2, 1);
  if (!c->m.st) hn_set_s(c->k->g, node, "equation", spelled.p);
  hn_str_free(&spelled);
  hn_id y = hn_make_done(&c->m, node);
  if (bias != HN_NONE) y = hn_make2(&c->m, HN_Add, y, bias);
  return kr_result(c, kr_activate(c, y, "activation"));
}

hone_status kr_lower_embedding(kr_call *c, int variant) {
  int64_t want[2] = {kj_int(c->config, "input_dim", -1), kj_int(c->config, "output_dim", -1)};
  hn_dtype t = hn_make_type(&c->m, c->in[0]);
  (void)variant;
  HN_TRY(kr_expect(c, 0, "embeddings", 2, want));
  hn_id index = t == HONE_DTYPE_I64 ? c->in[0] : hn_make_cast(&c->m, c->in[0], HONE_DTYPE_I32);
  hn_id node = kr_main(c, HN_Gather, (hn_id[]){kr_weight(c, 0, NULL), index}, 2, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", 0);
  HN_TRY(kr_result(c, hn_make_done(&c->m, node)));
  if (!kj_bool(c->config, "mask_zero", false)) return HONE_OK;
  return kr_set_mask(c, c->out[0], hn_make1(&c->m, HN_Not, hn_make2(&c->m, HN_Equal, c->in[0], hn_make_scalar(&c->m, t, 0))));
}

/* Steps all of whose elements are the mask's value become 0, and do not count. */
hone_status kr_lower_masking(kr_call *c, int variant) {
  hn_dtype t = hn_make_type(&c->m, c->in[0]);
  hn_id x = c->in[0], at = hn_make_scalar(&c->m, t, kj_real(c->config, "mask_value", 0));
  (void)variant;
  hn_id other = hn_make_cast(&c->m, hn_make1(&c->m, HN_Not, hn_make2(&c->m, HN_Equal, x, at)), t);
  hn_id any = hn_make_reduce(&c->m, HN_ReduceMax, other, (int64_t[]){-1}, 1, true);
  HN_TRY(kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Mul, (hn_id[]){x, any}, 2, 1))));
  hn_id steps = hn_make2(&c->m, HN_Squeeze, any, hn_make_ints(&c->m, (int64_t[]){-1}, 1));
  return kr_set_mask(c, c->out[0], hn_make_cast(&c->m, steps, HONE_DTYPE_BOOL));
}

/* ConvNeXt's factor per channel. */
hone_status kr_lower_layer_scale(kr_call *c, int variant) {
  int64_t n = kr_dim(c, c->in[0], -1);
  (void)variant;
  HN_TRY(kr_expect(c, 0, "gamma", 1, &n));
  return kr_result(c, hn_make_done(&c->m, kr_main(c, HN_Mul, (hn_id[]){c->in[0], kr_weight(c, 0, NULL)}, 2, 1)));
}
