/* lrn_vec.c - local response normalization over channels that lie next to one another. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/cpu/vec/float_runs.h"

enum { GRAIN = 4096, PIECE = 256, MOST = 64 }; /* channels at a time, the widest window */

bool lrn_vec_supports(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  int64_t size = hn_attr_i(t->node, "size", 0);
  return t->device && in->dtype == HONE_DTYPE_F32 && in->rank > 2 && in->rank < 6 && size >= 1 && size <= MOST;
}

hone_status lrn_vec_plan(hn_task *t) {
  t->in[0].layout = t->out[0].layout = HN_LAYOUT_NHWC;
  return HONE_OK;
}

typedef struct response {
  const hn_vec *vec;
  const float *in;
  float *out, weight, beta, bias;
  int64_t channels, left, right; /* neighbours on either side */
} response;

/* sum^beta, where a root or two of roots are that. */
static void power(const response *r, float *sum, float *root, size_t n) {
  const hn_vec *v = r->vec;
  if (r->beta == 1) return;
  if (r->beta == 0.5f || r->beta == 0.75f) {
    v->unary[HN_Sqrt](r->beta == 0.5f ? sum : root, sum, n, 0, 0);
    if (r->beta == 0.5f) return;
    v->unary[HN_Sqrt](sum, root, n, 0, 0);
    v->binary[HN_Mul](sum, sum, root, n);
    return;
  }
  v->unary[HN_Log](sum, sum, n, 0, 0);
  v->right[HN_Mul](sum, sum, r->beta, n);
  v->unary[HN_Exp](sum, sum, n, 0, 0);
}

static void run_pixels(void *arg, int64_t begin, int64_t end) {
  const response *r = arg;
  float square[PIECE + 2 * MOST], sum[PIECE], root[PIECE];
  int64_t pieces = (r->channels + PIECE - 1) / PIECE;
  for (int64_t u = begin * pieces; u < end * pieces; u++) {
    int64_t c = u % pieces * PIECE, n = r->channels - c < PIECE ? r->channels - c : PIECE;
    int64_t from = c < r->left ? 0 : c - r->left, to = r->channels - c - n < r->right ? r->channels : c + n + r->right;
    const float *x = r->in + u / pieces * r->channels;
    memset(square, 0, sizeof *square * (size_t)(n + r->left + r->right));
    r->vec->binary[HN_Mul](square + (from - (c - r->left)), x + from, x + from, (size_t)(to - from));
    memcpy(sum, square, sizeof *sum * (size_t)n);
    for (int64_t k = 1; k <= r->left + r->right; k++) r->vec->accumulate(sum, square + k, (size_t)n);
    r->vec->right[HN_Mul](sum, sum, r->weight, (size_t)n);
    r->vec->right[HN_Add](sum, sum, r->bias, (size_t)n);
    power(r, sum, root, (size_t)n);
    r->vec->binary[HN_Div](r->out + u / pieces * r->channels + c, x + c, sum, (size_t)n);
  }
}

hone_status lrn_vec_run(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  int64_t size = hn_attr_i(n, "size", 1), c = x->in[0].dims[1];
  response r = {.vec = x->task->device->vec, .in = x->in[0].data, .out = x->out[0].data, .channels = c, .left = (size - 1) / 2, .right = size / 2,
                .weight = (float)(hn_attr_f(n, "alpha", 1e-4) / (double)size), .beta = (float)hn_attr_f(n, "beta", 0.75),
                .bias = (float)hn_attr_f(n, "bias", 1)};
  if (x->in[0].count) hn_parallel_for(x->threads, x->in[0].count / c, GRAIN / c + 1, run_pixels, &r);
  return HONE_OK;
}

void lrn_vec_destroy(hn_task *t) { (void)t; }
