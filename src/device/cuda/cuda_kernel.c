/* cuda_kernel.c - what the host's halves of our own kernels share. */
#include "device/cuda/cuda_kernel.h"

#include <string.h>

#include "base/alloc.h"

enum { LIMIT = INT32_MAX - 4096 };

int64_t hn_cuda_count(const hn_arg *a) {
  int64_t n = 1;
  for (int32_t i = 0; i < a->rank; i++) {
    if (a->dims[i] == 0) return 0;
    if (n > LIMIT / a->dims[i]) return INT64_MAX;
    n *= a->dims[i];
  }
  return n;
}

bool hn_cuda_fits(const hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].present && (t->in[i].dynamic || hn_cuda_count(&t->in[i]) > LIMIT)) return false;
  for (uint32_t i = 0; i < t->n_out; i++)
    if (t->out[i].present && (t->out[i].dynamic || hn_cuda_count(&t->out[i]) > LIMIT)) return false;
  return true;
}

bool hn_cuda_wants(const hn_task *t, uint32_t i) { return i < t->n_out && t->out[i].present; }

bool hn_cuda_floats(const hn_task *t, uint32_t inputs) {
  for (uint32_t i = 0; i < inputs; i++)
    if (hn_cuda_given(t, i) && (!hn_cuda_float(&t->in[i]) || t->in[i].dtype != t->in[0].dtype)) return false;
  for (uint32_t i = 0; i < t->n_out; i++)
    if (t->out[i].present && (!hn_cuda_float(&t->out[i]) || t->out[i].dtype != t->in[0].dtype)) return false;
  return hn_cuda_fits(t);
}

bool hn_cuda_same_dims(const hn_arg *a, const hn_arg *b) {
  return a->rank == b->rank && (!a->rank || memcmp(a->dims, b->dims, sizeof *a->dims * (size_t)a->rank) == 0);
}

int64_t hn_cuda_ints(const hn_task *t, uint32_t i, int64_t *v, int64_t max) {
  const hn_tensor *c = hn_cuda_given(t, i) ? t->in[i].constant : NULL;
  if (!c || c->count > max || !hn_is_int(c->dtype)) return -1;
  for (int64_t k = 0; k < c->count; k++) v[k] = hn_tensor_i(c, (size_t)k);
  return c->count;
}

void hn_cuda_plain(hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++) t->in[i].layout = HN_LAYOUT_PLAIN;
  for (uint32_t i = 0; i < t->n_out; i++) t->out[i].layout = HN_LAYOUT_PLAIN;
}

hone_status hn_cuda_state(hn_task *t, size_t bytes, void *state) {
  t->state = hn_calloc(1, bytes);
  *(void **)state = t->state;
  return t->state ? HONE_OK : hn_nomem(t->cx);
}

void hn_cuda_free_state(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

void hn_cuda_strides(const hn_arg *a, int64_t *stride) {
  int64_t s = 1;
  bool last = a->layout == HN_LAYOUT_NHWC && a->rank > 2;
  if (last) {
    stride[1] = 1;
    s = a->dims[1];
  }
  for (int32_t i = a->rank - 1; i >= 0; i--) {
    if (last && i == 1) continue;
    stride[i] = s;
    s *= a->dims[i];
  }
}

/* ---- strided copies */

typedef struct axis {
  int64_t n, in, out;
} axis;

static int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }

/* Dimensions of size 1 away, the others by falling stride in `to`, those that go on from one another merged. */
static int32_t tidy(axis *a, int32_t rank) {
  int32_t n = 0, to = 0;
  for (int32_t i = 0; i < rank; i++)
    if (a[i].n != 1) a[n++] = a[i];
  for (int32_t i = 1; i < n; i++)
    for (int32_t k = i; k && magnitude(a[k].out) > magnitude(a[k - 1].out); k--) {
      axis swap = a[k];
      a[k] = a[k - 1];
      a[k - 1] = swap;
    }
  for (int32_t i = 0; i < n; i++) {
    bool join = to && a[to - 1].in == a[i].in * a[i].n && a[to - 1].out == a[i].out * a[i].n;
    axis next = a[i];
    if (join) next.n *= a[--to].n;
    a[to++] = next;
  }
  return to;
}

/* How many elements a unit may have: where both sides go on from element to element, and everything else is a multiple. */
static int64_t widest(const axis *a, int32_t rank, int64_t size, int64_t from, int64_t to) {
  const axis *last = &a[rank - 1];
  if (last->in != 1 || last->out != 1) return 1;
  for (int64_t w = 16 / size; w > 1; w /= 2) {
    bool fits = last->n % w == 0 && from % w == 0 && to % w == 0;
    for (int32_t i = 0; i < rank - 1 && fits; i++) fits = a[i].in % w == 0 && a[i].out % w == 0;
    if (fits) return w;
  }
  return 1;
}

bool hn_cuda_plan_copy(hn_gpu_copy *c, int32_t rank, const int64_t *dims, const int64_t *in, const int64_t *out, int64_t size,
                       int64_t from, int64_t to) {
  enum { MOST = 2 * HN_MAX_RANK + 2, WORTH = 8 };
  axis a[MOST];
  int64_t n = 1;
  if (rank > MOST || (size != 1 && size != 2 && size != 4 && size != 8)) return false;
  for (int32_t i = 0; i < rank; i++) {
    a[i] = (axis){dims[i], in[i], out[i]};
    n *= dims[i];
  }
  *c = (hn_gpu_copy){.turned = -1, .size = (int32_t)size, .n = (uint32_t)n};
  if (n == 0) return true;
  int32_t r = tidy(a, rank);
  if (!r) a[r++] = (axis){1, 1, 1};
  if (r > HN_GPU_RANK) return false;
  int64_t wide = widest(a, r, size, from, to);
  a[r - 1].n /= wide;
  c->n = (uint32_t)(n / wide);
  c->size = (int32_t)(size * wide);
  c->rank = r;
  for (int32_t i = 0; i < r; i++) {
    int64_t unit = i < r - 1 ? wide : 1;
    c->dim[i] = hn_gpu_div_of(a[i].n);
    c->in[i] = (uint32_t)(a[i].in / unit);
    c->out[i] = (uint32_t)(a[i].out / unit);
    if (wide == 1 && i < r - 1 && a[i].in == 1 && a[i].n >= WORTH && a[r - 1].out == 1 && a[r - 1].in != 1 && a[r - 1].n >= WORTH) c->turned = i;
  }
  return true;
}

void hn_cuda_run_copy(const hn_exec *x, hn_gpu_copy c, const void *from, void *to) {
  c.from = from;
  c.to = to;
  hn_gpu_copy_run(hn_cuda_stream(x), &c);
}
