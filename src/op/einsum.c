#include "op/einsum.h"

#include <string.h>

#include "op/infer.h"

static int letter(char c) { return c >= 'a' && c <= 'z' ? c - 'a' : c >= 'A' && c <= 'Z' ? 26 + c - 'A' : -1; }

/* Labels of one term, from p to end. rank -1: the output's, whose ellipsis has `dots` dimensions. */
static bool read_term(const char *p, const char *end, int32_t rank, int32_t *dots, int *label, int32_t *n) {
  int before[HN_MAX_RANK], after[HN_MAX_RANK], nb = 0, na = 0;
  bool ellipsis = false;
  for (; p < end; p++) {
    if (*p == ' ') continue;
    if (*p == '.') {
      if (ellipsis || end - p < 3 || p[1] != '.' || p[2] != '.') return false;
      ellipsis = true;
      p += 2;
      continue;
    }
    int l = letter(*p);
    if (l < 0 || nb + na >= HN_MAX_RANK) return false;
    if (ellipsis) after[na++] = l;
    else before[nb++] = l;
  }
  int32_t free_dims = rank < 0 ? (ellipsis ? *dots : 0) : rank - nb - na;
  if (free_dims < 0 || (!ellipsis && free_dims) || nb + na + free_dims > HN_MAX_RANK) return false;
  if (rank >= 0 && free_dims > *dots) *dots = free_dims;
  *n = 0;
  for (int i = 0; i < nb; i++) label[(*n)++] = before[i];
  for (int32_t i = 0; i < free_dims; i++) label[(*n)++] = 52 + HN_MAX_RANK - free_dims + i;
  for (int i = 0; i < na; i++) label[(*n)++] = after[i];
  return true;
}

/* Without "->": the ellipsis, then labels that appear once, in the order of the alphabet. */
static bool implied_output(const hn_einsum *e, int32_t dots, int *label, int32_t *n) {
  *n = 0;
  for (int32_t i = 0; i < dots; i++) label[(*n)++] = 52 + HN_MAX_RANK - dots + i;
  static const char order[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (const char *c = order; *c; c++) {
    int count = 0;
    for (uint32_t i = 0; i < e->n_in; i++)
      for (int32_t k = 0; k < e->rank[i]; k++) count += e->label[i][k] == letter(*c);
    if (count != 1) continue;
    if (*n == HN_MAX_RANK) return false;
    label[(*n)++] = letter(*c);
  }
  return true;
}

hone_status hn_einsum_read(hone_context *cx, const char *equation, uint32_t n_in, const int32_t *ranks, hn_einsum *e) {
  const char *p = equation, *arrow = strstr(equation, "->"), *stop = arrow ? arrow : equation + strlen(equation);
  int32_t dots = 0;
  *e = (hn_einsum){.n_in = n_in};
  bool ok = n_in >= 1 && n_in <= HN_EINSUM_INPUTS;
  for (uint32_t i = 0; i < n_in && ok; i++) {
    const char *comma = memchr(p, ',', (size_t)(stop - p)), *end = comma ? comma : stop;
    ok = (comma != NULL) == (i + 1 < n_in) && read_term(p, end, ranks[i], &dots, e->label[i], &e->rank[i]);
    p = comma ? comma + 1 : stop;
  }
  if (ok) ok = arrow ? read_term(arrow + 2, arrow + strlen(arrow), -1, &dots, e->out, &e->out_rank) : implied_output(e, dots, e->out, &e->out_rank);
  for (int32_t k = 0; k < e->out_rank && ok; k++) {
    bool found = false;
    for (uint32_t i = 0; i < n_in; i++)
      for (int32_t j = 0; j < e->rank[i]; j++) found = found || e->label[i][j] == e->out[k];
    for (int32_t j = 0; j < k; j++) found = found && e->out[j] != e->out[k];
    ok = found;
  }
  return ok ? HONE_OK : hn_fail(cx, HONE_BAD_GRAPH, "equation '%s' does not fit its inputs", equation);
}

hone_status hn_infer_einsum(hn_infer *x);
hone_status hn_infer_einsum(hn_infer *x) {
  uint32_t n = hn_ino(x)->n_main;
  int32_t ranks[HN_EINSUM_INPUTS];
  hn_einsum e;
  if (n > HN_EINSUM_INPUTS) return hn_ierror(x, "has %u inputs; at most %d", n, HN_EINSUM_INPUTS);
  for (uint32_t i = 0; i < n; i++)
    if ((ranks[i] = hn_ishape(x, i).rank) < 0) return hn_oset(x, 0, hn_idtype(x, 0), hn_shape_unknown());
  hone_status st = hn_einsum_read(x->cx, hn_attr_s(hn_ino(x), "equation", ""), n, ranks, &e);
  if (st) return hn_fail_within(x->cx, st, "node '%s' (Einsum)", hn_ino(x)->name);
  hn_shape out = {.rank = e.out_rank};
  for (int32_t k = 0; k < e.out_rank; k++) {
    hn_dim d = 1;
    for (uint32_t i = 0; i < n; i++)
      for (int32_t j = 0; j < e.rank[i]; j++) {
        hn_dim here = hn_ishape(x, i).d[j];
        if (e.label[i][j] != e.out[k] || here == 1) continue;
        if (hn_dim_fixed(d) && d != 1 && hn_dim_fixed(here) && d != here)
          return hn_ierror(x, "sizes %lld and %lld have the same label", (long long)d, (long long)here);
        if (d == 1 || hn_dim_fixed(here)) d = here;
      }
    out.d[k] = d;
  }
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}
