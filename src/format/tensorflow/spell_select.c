/* spell_select.c - triangles, sequences turned round, boxes chosen. */
#include <string.h>

#include "format/tensorflow/spell.h"

/* Bands that hold the main diagonal. */
void tg_spell_trilu(tg *t, const hn_node *n, const char *op) {
  const hn_tensor *given = n->n_in > 1 && n->in[1] != HN_NONE ? hn_const(t->g, n->in[1]) : NULL;
  bool upper = hn_attr_i(n, "upper", 1) != 0;
  if (n->n_in > 1 && n->in[1] != HN_NONE && !given) tg_refuse(t, "its diagonal is not constant");
  int64_t k = given ? hn_tensor_i(given, 0) : 0;
  if (upper ? k > 0 : k < 0) tg_refuse(t, "a triangle beside the main diagonal has no spelling in TensorFlow");
  const char *x = tg_plain(t, n->in[0]), *below = tg_number(t, upper ? -k : -1), *above = tg_number(t, upper ? -1 : k);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, below);
  tg_input(t, node, above);
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tindex", HONE_DTYPE_I32);
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

void tg_spell_reverse_sequence(tg *t, const hn_node *n, const char *op) {
  const char *x = tg_plain(t, n->in[0]), *lengths = tg_plain(t, n->in[1]);
  tg_node *node = tg_add(t, op, NULL);
  tg_input(t, node, x);
  tg_input(t, node, lengths);
  tg_int(t, node, "seq_dim", hn_attr_i(n, "time_axis", 0));
  tg_int(t, node, "batch_dim", hn_attr_i(n, "batch_axis", 1));
  tg_type(t, node, "T", tg_dtype(t, n->in[0]));
  tg_type(t, node, "Tlen", tg_dtype(t, n->in[1]));
  tg_set_plain(t, n->out[0], tg_out(t, node, 0));
}

/* ---- boxes: TensorFlow's suppression is of one class of one image, so it is said for each */

static const char *cast(tg *t, const char *x, hn_dtype from, hn_dtype to) {
  tg_node *node = tg_add(t, "Cast", NULL);
  tg_input(t, node, x);
  tg_type(t, node, "SrcT", from);
  tg_type(t, node, "DstT", to);
  return tg_out(t, node, 0);
}

/* x[i, ...] or x[i, j, ...] */
static const char *entry(tg *t, const char *x, const int64_t *at, size_t n) {
  int64_t end[2], one[2] = {1, 1};
  for (size_t i = 0; i < n; i++) end[i] = at[i] + 1;
  const char *b = tg_numbers(t, at, n), *e = tg_numbers(t, end, n), *s = tg_numbers(t, one, n);
  tg_node *node = tg_add(t, "StridedSlice", NULL);
  tg_input(t, node, x);
  tg_input(t, node, b);
  tg_input(t, node, e);
  tg_input(t, node, s);
  tg_int(t, node, "shrink_axis_mask", n == 1 ? 1 : 3);
  tg_type(t, node, "T", HONE_DTYPE_F32);
  tg_type(t, node, "Index", HONE_DTYPE_I32);
  return tg_out(t, node, 0);
}

/* A scalar input, or a constant in its place. */
static const char *scalar(tg *t, const hn_node *n, uint32_t i, double otherwise) {
  if (i >= n->n_in || n->in[i] == HN_NONE) return tg_scalar(t, HONE_DTYPE_F32, otherwise);
  const char *x = tg_plain(t, n->in[i]);
  hn_shape none = hn_shape_of(0, NULL);
  return tg_shape_of(t, n->in[i])->rank == 0 ? x : tg_reshape(t, tg_dtype(t, n->in[i]), x, &none, NULL);
}

/* [k] indices of boxes as rows of image, class and box. */
static const char *rows(tg *t, const char *boxes, int64_t image, int64_t class) {
  const char *axis = tg_number(t, 1), *columns[3] = {NULL, NULL, NULL};
  const int64_t numbers[2] = {image, class};
  tg_node *wide = tg_add(t, "ExpandDims", NULL);
  tg_input(t, wide, cast(t, boxes, HONE_DTYPE_I32, HONE_DTYPE_I64));
  tg_input(t, wide, axis);
  tg_type(t, wide, "T", HONE_DTYPE_I64);
  tg_type(t, wide, "Tdim", HONE_DTYPE_I32);
  columns[2] = tg_out(t, wide, 0);
  for (int i = 0; i < 2; i++) {
    const char *zero = tg_scalar(t, HONE_DTYPE_I64, 0), *number = tg_scalar(t, HONE_DTYPE_I64, (double)numbers[i]);
    const char *zeros = tg2(t, "Mul", HONE_DTYPE_I64, columns[2], zero);
    columns[i] = tg2(t, "AddV2", HONE_DTYPE_I64, zeros, number);
  }
  return tg_concat(t, HONE_DTYPE_I64, columns, 3, axis);
}

/* One part after another. */
static const char *joined(tg *t, const char *const *parts, int64_t count, hn_dtype type, const char *axis) {
  if (t->st || count == 1) return t->st ? "" : parts[0];
  return tg_concat(t, type, parts, (size_t)count, axis);
}

/* Where overlaps lower scores, version 5 says so, and gives the scores. */
void tg_spell_non_max_suppression(tg *t, const hn_node *n, const char *op) {
  enum { MOST = 4096 };
  const hn_shape *s = tg_shape_of(t, n->in[1]);
  bool fixed = s->rank == 3 && hn_dim_fixed(s->d[0]) && hn_dim_fixed(s->d[1]) && s->d[0] > 0 && s->d[1] > 0 && s->d[0] <= MOST && s->d[1] <= MOST / s->d[0];
  bool soft = hn_in(n, 5) != HN_NONE || n->n_out > 1;
  if (!fixed) tg_refuse(t, "the number of images and classes must be fixed, since TensorFlow's is of one class of one image; give --shape");
  if (hn_attr_i(n, "center_point_box", 0)) tg_refuse(t, "boxes by their centers have no spelling in TensorFlow");
  if (t->st) return;
  const char *boxes = tg_plain(t, n->in[0]), *scores = tg_plain(t, n->in[1]);
  const char *most = n->n_in > 2 && n->in[2] != HN_NONE ? cast(t, scalar(t, n, 2, 0), tg_dtype(t, n->in[2]), HONE_DTYPE_I32) : tg_number(t, 0);
  const char *overlap = scalar(t, n, 3, 0), *least = scalar(t, n, 4, -3.4e38), *axis = tg_number(t, 0), *sigma = soft ? scalar(t, n, 5, 0) : NULL;
  int64_t count = s->d[0] * s->d[1];
  const char **parts = hn_arena_alloc(t->arena, 2 * sizeof *parts * (size_t)count), **lowered = parts + count;
  if (!parts) t->st = hn_nomem(t->cx);
  for (int64_t i = 0; i < count && !t->st; i++) {
    int64_t at[2] = {i / s->d[1], i % s->d[1]};
    const char *b = entry(t, boxes, at, 1), *v = entry(t, scores, at, 2);
    tg_node *node = tg_add(t, soft ? "NonMaxSuppressionV5" : op, NULL);
    tg_input(t, node, b);
    tg_input(t, node, v);
    tg_input(t, node, most);
    tg_input(t, node, overlap);
    tg_input(t, node, least);
    if (soft) tg_input(t, node, sigma);
    tg_type(t, node, "T", HONE_DTYPE_F32);
    if (!soft) tg_type(t, node, "T_threshold", HONE_DTYPE_F32);
    if (soft) lowered[i] = tg_out(t, node, 1);
    parts[i] = rows(t, tg_out(t, node, 0), at[0], at[1]);
  }
  tg_set_plain(t, n->out[0], joined(t, parts, count, HONE_DTYPE_I64, axis));
  if (n->n_out > 1 && n->out[1] != HN_NONE) tg_set_plain(t, n->out[1], joined(t, lowered, count, HONE_DTYPE_F32, axis));
}
