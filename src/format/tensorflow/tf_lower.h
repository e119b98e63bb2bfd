/* tf_lower.h - what one TensorFlow node is made of in the IR. map.def names the functions; the first failure sticks in
   x->m.st, so that they run on without checks. */
#ifndef HN_TF_LOWER_H
#define HN_TF_LOWER_H
#include "format/tensorflow/tf_import.h"

struct tf_lower {
  tf_scope *s;
  hn_maker m;
  const tf_node *n;
  uint32_t index; /* of n in its body */
  hn_op op;       /* of the row */
  tf_value *in;
  uint32_t n_in;
};

int64_t hn_tf_attr_i(const tf_lower *x, const char *name, int64_t otherwise);
double hn_tf_attr_f(const tf_lower *x, const char *name, double otherwise);
bool hn_tf_attr_b(const tf_lower *x, const char *name, bool otherwise);
const char *hn_tf_attr_s(const tf_lower *x, const char *name, const char *otherwise);
hn_dtype hn_tf_attr_type(const tf_lower *x, const char *name);
uint32_t hn_tf_attr_ints(const tf_lower *x, const char *name, const int64_t **v);
const char *hn_tf_attr_func(const tf_lower *x, const char *name);

void hn_tf_fail(tf_lower *x, hone_status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
hn_id hn_tf_in(tf_lower *x, uint32_t i); /* a tensor: variables are read */
void hn_tf_out(tf_lower *x, uint32_t port, hn_id id);
void hn_tf_out_value(tf_lower *x, uint32_t port, tf_value v);
hn_shape hn_tf_shape_of(const tf_lower *x, hn_id v);
int32_t hn_tf_rank(tf_lower *x, hn_id v, const char *what); /* fails where it is not known */
/* A constant input as integers, also when shape arithmetic gives it. */
bool hn_tf_ints(tf_lower *x, hn_id v, const int64_t **p, uint32_t *n);
/* Permuted at once where x is a constant. */
hn_id hn_tf_transpose(tf_lower *x, hn_id v, const int64_t *perm, size_t n);
hn_id hn_tf_i64(tf_lower *x, hn_id v); /* as int64 */
hn_id hn_tf_const_i(tf_lower *x, hn_dtype t, int64_t v);
hn_id hn_tf_node1(tf_lower *x, hn_op op, hn_id a, const char *attr, int64_t v); /* one input, one integer attribute */
hn_id hn_tf_unsqueeze(tf_lower *x, hn_id v, int64_t axis);
hn_id hn_tf_squeeze(tf_lower *x, hn_id v, int64_t axis);
hn_id hn_tf_concat(tf_lower *x, const hn_id *v, uint32_t n, int64_t axis);
hn_id hn_tf_gather(tf_lower *x, hn_id v, hn_id index, int64_t axis);
hn_id hn_tf_where(tf_lower *x, hn_id c, hn_id a, hn_id b);
hn_id hn_tf_shape_op(tf_lower *x, hn_id v, int64_t start, int64_t end); /* int64; end INT64_MAX: all */
/* Channels last to channels first and back, for images of any number of dimensions. */
hn_id hn_tf_to_first(tf_lower *x, hn_id v);
hn_id hn_tf_to_last(tf_lower *x, hn_id v);
bool hn_tf_channels_last(const tf_lower *x);

#define TF(name, fn, to, outputs) void hn_tf_lower_##fn(tf_lower *x);
#include "format/tensorflow/map.def"
#undef TF
#endif
