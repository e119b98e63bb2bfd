/* fold_batchnorm.c - batch normalization at inference is y = s*x + t per channel: one multiplication and one addition,
   which fold_scale.c puts into weights and biases around it. s and t are computed in double and rounded once. */
#include <math.h>

#include "pass/pass.h"

typedef struct affine { /* per channel; s is the base of the allocation */
  double *s, *t;
  int64_t n;
} affine;

/* s and t of a BatchNormalization whose statistics are constant. */
static bool affine_of(const hn_graph *g, const hn_node *bn, affine *a) {
  const hn_tensor *p[4];
  for (uint32_t i = 0; i < 4; i++) {
    p[i] = hn_const(g, hn_in(bn, i + 1));
    if (!p[i] || p[i]->rank != 1 || !hn_is_float(p[i]->dtype) || p[i]->count != p[0]->count) return false;
  }
  a->n = p[0]->count;
  a->s = a->n > 0 ? hn_calloc((size_t)a->n * 2, sizeof *a->s) : NULL;
  if (!a->s) return false;
  a->t = a->s + a->n;
  double epsilon = hn_attr_f(bn, "epsilon", 1e-5);
  for (size_t i = 0; i < (size_t)a->n; i++) {
    a->s[i] = hn_tensor_f(p[0], i) / sqrt(hn_tensor_f(p[3], i) + epsilon);
    a->t[i] = hn_tensor_f(p[1], i) - hn_tensor_f(p[2], i) * a->s[i];
    if (!isfinite(a->s[i]) || !isfinite(a->t[i])) {
      hn_free(a->s);
      return false;
    }
  }
  return true;
}

static hn_node *root(const hn_match *m) { return hn_node_at(m->g, m->root); }

static bool constant_statistics(hn_match *m) {
  affine a;
  if (hn_rank_of(m->g, m->value[1]) < 2 || !affine_of(m->g, root(m), &a)) return false;
  hn_free(a.s);
  return true;
}

static hn_id as_mul_add(hn_match *m) {
  affine a;
  if (!affine_of(m->g, root(m), &a)) return HN_NONE;
  hn_dtype t = hn_dtype_of(m->g, m->value[1]);
  int64_t dims[HN_MAX_RANK] = {a.n, 1, 1, 1, 1, 1, 1, 1};
  int32_t rank = hn_rank_of(m->g, m->value[1]) - 1;
  hn_id c[2];
  for (int k = 0; k < 2; k++) {
    hn_tensor *v = NULL;
    if (!hn_tensor_create(m->g->cx, t, rank, dims, &v))
      for (size_t i = 0; i < (size_t)a.n; i++) hn_store_f64(t, v->data, i, k ? a.t[i] : a.s[i]);
    c[k] = hn_emit_tensor(m, v);
  }
  hn_free(a.s);
  return hn_emit2(m, HN_Add, hn_emit2(m, HN_Mul, m->value[1], c[0]), c[1]);
}

const hn_rule hn_rules_fold_batchnorm[] = {
    {"batchnorm-affine", "batch normalization as one multiplication and one addition per channel", false,
     P_OP(0, BatchNormalization, P_ANY(1), P_CONST(2), P_CONST(3), P_CONST(4), P_CONST(5)), constant_statistics, as_mul_add},
};
const uint32_t hn_rules_fold_batchnorm_count = sizeof hn_rules_fold_batchnorm / sizeof *hn_rules_fold_batchnorm;
