/* lower_index.c - reductions, order, picking and placing by index. */
#include <string.h>

#include "format/tensorflow/tf_lower.h"

static hn_id in64(tf_lower *x, uint32_t i) { return hn_tf_i64(x, hn_tf_in(x, i)); }

/* ---- reductions */

static hn_id reduce(tf_lower *x, hn_op op, hn_id v) {
  hn_id axes = in64(x, 1);
  if (hn_tf_shape_of(x, axes).rank != 1) axes = hn_make_reshape(&x->m, axes, (const int64_t[]){-1}, 1);
  hn_id node = hn_make_node(&x->m, op, (hn_id[]){v, axes}, 2, 1);
  const int64_t *known;
  uint32_t n;
  if (x->m.st) return HN_NONE;
  const hn_tensor *t = hn_const(x->m.g, axes); /* a reshape of a constant axis: as a constant */
  if (!t && hn_tf_ints(x, hn_tf_in(x, 1), &known, &n)) hn_set_input(x->m.g, node, 1, hn_make_ints(&x->m, known, n));
  hn_set_i(x->m.g, node, "keepdims", hn_tf_attr_b(x, "keep_dims", false) || hn_tf_attr_b(x, "keepdims", false));
  hn_set_i(x->m.g, node, "noop_with_empty_axes", 1);
  return hn_make_done(&x->m, node);
}

void hn_tf_lower_reduce(tf_lower *x) { hn_tf_out(x, 0, reduce(x, x->op, hn_tf_in(x, 0))); }

void hn_tf_lower_reduce_bool(tf_lower *x) {
  hn_id v = hn_make_cast(&x->m, hn_tf_in(x, 0), HONE_DTYPE_I32);
  hn_tf_out(x, 0, hn_make_cast(&x->m, reduce(x, x->op, v), HONE_DTYPE_BOOL));
}

void hn_tf_lower_l2_loss(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0), node = hn_make_node(&x->m, HN_ReduceSumSquare, &v, 1, 1);
  if (!x->m.st) hn_set_i(x->m.g, node, "keepdims", 0);
  hn_tf_out(x, 0, hn_make2(&x->m, HN_Mul, hn_make_done(&x->m, node), hn_make_scalar(&x->m, hn_make_type(&x->m, v), 0.5)));
}

void hn_tf_lower_arg_reduce(tf_lower *x) {
  const int64_t *v;
  uint32_t n;
  hn_id a = hn_tf_in(x, 0);
  hn_dtype type = hn_tf_attr_type(x, "output_type");
  int64_t axis = 0;
  if (x->n_in > 1) {
    if (hn_tf_ints(x, hn_tf_in(x, 1), &v, &n) && n == 1) axis = v[0];
    else hn_tf_fail(x, HONE_UNSUPPORTED, "its axis is not constant");
  }
  hn_id node = hn_make_node(&x->m, x->op, &a, 1, 1);
  if (x->m.st) return;
  hn_set_i(x->m.g, node, "axis", axis);
  hn_set_i(x->m.g, node, "keepdims", 0);
  hn_tf_out(x, 0, hn_make_cast(&x->m, hn_make_done(&x->m, node), type ? type : HONE_DTYPE_I64));
}

void hn_tf_lower_cumulative(tf_lower *x) {
  hn_id node = hn_make_node(&x->m, x->op, (hn_id[]){hn_tf_in(x, 0), in64(x, 1)}, 2, 1);
  if (x->m.st) return;
  hn_set_i(x->m.g, node, "exclusive", hn_tf_attr_b(x, "exclusive", false));
  hn_set_i(x->m.g, node, "reverse", hn_tf_attr_b(x, "reverse", false));
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

void hn_tf_lower_top_k(tf_lower *x) {
  hn_id k = x->n_in > 1 ? in64(x, 1) : hn_tf_const_i(x, HONE_DTYPE_I64, hn_tf_attr_i(x, "k", 1));
  hn_dtype type = hn_tf_attr_type(x, "index_type");
  hn_id in[2] = {hn_tf_in(x, 0), hn_make_reshape(&x->m, k, (const int64_t[]){1}, 1)}, node;
  const int64_t *v;
  uint32_t n;
  if (hn_tf_ints(x, k, &v, &n) && n == 1) in[1] = hn_make_ints(&x->m, v, 1);
  node = hn_make_node(&x->m, HN_TopK, in, 2, 2);
  if (x->m.st) return;
  hn_set_i(x->m.g, node, "axis", -1);
  hn_set_i(x->m.g, node, "sorted", 1); /* TensorFlow leaves the order open where it is not asked for */
  hn_make_done(&x->m, node);
  hn_tf_out(x, 0, hn_make_out(&x->m, node, 0));
  hn_tf_out(x, 1, hn_make_cast(&x->m, hn_make_out(&x->m, node, 1), type ? type : HONE_DTYPE_I32));
}

/* ---- picking */

void hn_tf_lower_gather(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0), index = hn_tf_in(x, 1);
  int64_t batch = hn_tf_attr_i(x, "batch_dims", 0), axis = batch;
  const int64_t *p;
  uint32_t n;
  if (x->n_in > 2) {
    if (hn_tf_ints(x, hn_tf_in(x, 2), &p, &n) && n == 1) axis = p[0];
    else hn_tf_fail(x, HONE_UNSUPPORTED, "its axis is not constant");
  }
  if (batch < 0) {
    int32_t rank = hn_tf_rank(x, index, "the indices");
    batch += rank;
  }
  if (!batch) {
    hn_tf_out(x, 0, hn_tf_gather(x, v, index, axis));
    return;
  }
  if (axis != batch) hn_tf_fail(x, HONE_UNSUPPORTED, "batch_dims %lld with axis %lld", (long long)batch, (long long)axis);
  hn_id node = hn_make_node(&x->m, HN_GatherND, (hn_id[]){v, hn_tf_unsqueeze(x, hn_tf_i64(x, index), -1)}, 2, 1);
  if (!x->m.st) hn_set_i(x->m.g, node, "batch_dims", batch);
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

void hn_tf_lower_gather_nd(tf_lower *x) {
  hn_id node = hn_make_node(&x->m, HN_GatherND, (hn_id[]){hn_tf_in(x, 0), in64(x, 1)}, 2, 1);
  int64_t batch = hn_tf_attr_i(x, "batch_dims", 0);
  if (!x->m.st && batch) hn_set_i(x->m.g, node, "batch_dims", batch);
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

/* Indices out of range give rows of `off`; those below zero count from the end in the IR, so they are moved past it. */
void hn_tf_lower_one_hot(tf_lower *x) {
  hn_id index = in64(x, 0), depth = in64(x, 1), on = hn_tf_in(x, 2), off = hn_tf_in(x, 3), one[2];
  hn_id below = hn_make2(&x->m, HN_Less, index, hn_tf_const_i(x, HONE_DTYPE_I64, 0));
  index = hn_tf_where(x, below, depth, index);
  one[0] = hn_make_reshape(&x->m, off, (const int64_t[]){1}, 1);
  one[1] = hn_make_reshape(&x->m, on, (const int64_t[]){1}, 1);
  const hn_tensor *a = x->m.st ? NULL : hn_const(x->m.g, off), *b = x->m.st ? NULL : hn_const(x->m.g, on);
  hn_id values;
  if (a && b && a->count == 1 && b->count == 1 && a->dtype == b->dtype) {
    hn_tensor *t;
    size_t size = hone_dtype_size(a->dtype);
    if ((x->m.st = hn_tensor_create(x->s->im->cx, a->dtype, 1, &(int64_t){2}, &t))) return;
    memcpy(t->data, a->data, size);
    memcpy((char *)t->data + size, b->data, size);
    values = hn_make_constant(&x->m, t);
  } else {
    values = hn_tf_concat(x, one, 2, 0);
  }
  hn_id node = hn_make_node(&x->m, HN_OneHot, (hn_id[]){index, depth, values}, 3, 1);
  if (!x->m.st) hn_set_i(x->m.g, node, "axis", hn_tf_attr_i(x, "axis", -1));
  hn_tf_out(x, 0, hn_make_done(&x->m, node));
}

void hn_tf_lower_where_true(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0);
  hn_id found = hn_make1(&x->m, HN_NonZero, v);
  hn_tf_out(x, 0, hn_make_transpose(&x->m, found, (const int64_t[]){1, 0}, 2));
}

/* ---- placing */

static hn_id scatter(tf_lower *x, hn_id into, hn_id index, hn_id updates, const char *reduction) {
  hn_id node = hn_make_node(&x->m, HN_ScatterND, (hn_id[]){into, index, updates}, 3, 1);
  if (!x->m.st && reduction) hn_set_s(x->m.g, node, "reduction", reduction);
  return hn_make_done(&x->m, node);
}

void hn_tf_lower_scatter_nd(tf_lower *x) {
  hn_id index = in64(x, 0), updates = hn_tf_in(x, 1), shape = in64(x, 2);
  hn_id zeros = hn_make2(&x->m, HN_Expand, hn_make_scalar(&x->m, hn_make_type(&x->m, updates), 0), shape);
  hn_tf_out(x, 0, scatter(x, zeros, index, updates, "add"));
}

/* Indices of rank 0, 1 or 2; one value may stand for all. */
void hn_tf_lower_sparse_to_dense(tf_lower *x) {
  hn_id index = in64(x, 0), shape = in64(x, 1), values = hn_tf_in(x, 2), dense = hn_make2(&x->m, HN_Expand, hn_tf_in(x, 3), shape);
  int32_t rank = hn_tf_rank(x, index, "the indices"), of = hn_tf_rank(x, values, "the values");
  if (rank == 0) index = hn_make_reshape(&x->m, index, (const int64_t[]){1, 1}, 2);
  if (rank == 1) index = hn_tf_unsqueeze(x, index, 1);
  if (of == 0) values = hn_make2(&x->m, HN_Expand, values, hn_tf_shape_op(x, index, 0, 1));
  hn_tf_out(x, 0, scatter(x, dense, index, values, NULL));
}

void hn_tf_lower_tensor_scatter(tf_lower *x) {
  const char *op = x->n->op + strlen("TensorScatter");
  const char *reduction = strcmp(op, "Add") == 0 ? "add" : strcmp(op, "Max") == 0 ? "max" : strcmp(op, "Min") == 0 ? "min" : NULL;
  hn_tf_out(x, 0, scatter(x, hn_tf_in(x, 0), in64(x, 1), hn_tf_in(x, 2), reduction));
}

/* Diagonals from `lower` below to `upper` above the main one are kept; below zero: all. */
void hn_tf_lower_matrix_band_part(tf_lower *x) {
  hn_id v = hn_tf_in(x, 0);
  const int64_t *p;
  uint32_t n;
  for (uint32_t upper = 0; upper < 2; upper++) { /* the upper triangle from -lower on, the lower one up to upper */
    if (!hn_tf_ints(x, hn_tf_in(x, 2 - upper), &p, &n) || n != 1) {
      hn_tf_fail(x, HONE_UNSUPPORTED, "the number of diagonals is not constant");
      return;
    }
    if (p[0] < 0) continue;
    hn_id k = hn_tf_const_i(x, HONE_DTYPE_I64, upper ? -p[0] : p[0]);
    hn_id node = hn_make_node(&x->m, HN_Trilu, (hn_id[]){v, k}, 2, 1);
    if (!x->m.st) hn_set_i(x->m.g, node, "upper", upper);
    v = hn_make_done(&x->m, node);
  }
  hn_tf_out(x, 0, v);
}
