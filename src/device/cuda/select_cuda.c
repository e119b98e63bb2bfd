/* select_cuda.c - NonMaxSuppression, NonZero, Compress: how many elements their outputs have is read back while they run. */
#include "device/cuda/cuda_kernel.h"
#include "op/infer.h"

static size_t room(size_t bytes) { return (bytes + 255) / 256 * 256; }

/* Waits for what was started, and reads how many it has found. */
static hone_status read_count(const hn_exec *x, uint32_t *n) {
  hn_cuda_device *d = hn_cuda_of(x->task);
  HN_TRY(hn_cuda_launched(x));
  cudaError_t e = cudaStreamSynchronize(hn_cuda_stream(x));
  if (e) return hn_fail_within(x->cx, hn_cuda_fail(d, e, "running"), "node '%s' (%s)", hn_xnode(x)->name, hn_op_name(hn_xnode(x)->op));
  *n = *(volatile uint32_t *)d->count;
  return HONE_OK;
}

static bool inputs_fit(const hn_task *t) {
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->in[i].present && (t->in[i].dynamic || t->in[i].quant || hn_cuda_count(&t->in[i]) > INT32_MAX - HN_GPU_PIECE)) return false;
  return !t->node->n_post;
}

/* ---- NonMaxSuppression */

/* The number that input i is, a constant. */
static bool number(const hn_task *t, uint32_t i, double otherwise, double *v) {
  const hn_tensor *c = hn_cuda_given(t, i) ? t->in[i].constant : NULL;
  *v = c && c->count == 1 ? hn_tensor_f(c, 0) : otherwise;
  return !hn_cuda_given(t, i) || (c && c->count == 1);
}

static size_t gone_bytes(const hn_gpu_suppress *p) { return room((size_t)p->groups * p->n); }
static size_t picked_bytes(const hn_gpu_suppress *p) { return room((size_t)p->groups * p->limit * sizeof *p->picked); }
static size_t begins_bytes(const hn_gpu_suppress *p) { return room(((size_t)p->groups + 1) * sizeof *p->begins); }

static bool suppress_of(const hn_task *t, hn_gpu_suppress *p) {
  const hn_arg *boxes = &t->in[0], *scores = &t->in[1];
  double most;
  if (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 || boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2]) return false;
  if (!hn_cuda_float(boxes) || scores->dtype != boxes->dtype || !inputs_fit(t)) return false;
  *p = (hn_gpu_suppress){.dtype = (int32_t)boxes->dtype, .n = (uint32_t)scores->dims[2], .classes = (uint32_t)scores->dims[1],
                         .groups = (uint32_t)(scores->dims[0] * scores->dims[1]), .has_least = hn_cuda_given(t, 4),
                         .centered = hn_attr_i(t->node, "center_point_box", 0) != 0};
  if (!number(t, 2, 0, &most) || !number(t, 3, 0, &p->threshold) || !number(t, 4, 0, &p->least)) return false;
  p->limit = most < 0 ? 0 : most > (double)p->n ? p->n : (uint32_t)most;
  return (uint64_t)p->groups * p->limit < INT32_MAX / 3;
}

bool nms_cuda_supports(const hn_task *t) {
  hn_gpu_suppress p;
  return suppress_of(t, &p) && gone_bytes(&p) + picked_bytes(&p) <= hn_cuda_of(t)->workspace;
}

hone_status nms_cuda_plan(hn_task *t) {
  hn_gpu_suppress *p;
  hn_cuda_plain(t);
  for (uint32_t i = 2; i < t->n_in; i++) t->in[i].unused = t->in[i].present;
  HN_TRY(hn_cuda_state(t, sizeof *p, &p));
  if (!suppress_of(t, p)) return HONE_UNSUPPORTED;
  t->scratch = gone_bytes(p) + picked_bytes(p) + begins_bytes(p);
  return HONE_OK;
}

hone_status nms_cuda_run(hn_exec *x) {
  hn_gpu_suppress p = *(const hn_gpu_suppress *)x->task->state;
  uint32_t n;
  p.boxes = x->in[0].data;
  p.scores = x->in[1].data;
  p.gone = x->scratch;
  p.picked = (uint32_t *)(void *)((char *)x->scratch + gone_bytes(&p));
  p.begins = (uint32_t *)(void *)((char *)x->scratch + gone_bytes(&p) + picked_bytes(&p));
  hn_gpu_suppress_run(hn_cuda_stream(x), &p, hn_cuda_of(x->task)->count);
  HN_TRY(read_count(x, &n));
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_I64, 2, (int64_t[]){n, 3}));
  p.out = x->out[0].data;
  if (n) hn_gpu_picks_run(hn_cuda_stream(x), &p);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(nms_cuda)

/* ---- NonZero, Compress */

static size_t select_bytes(const hn_gpu_select *c) { return room(((size_t)c->pieces + 1) * sizeof *c->begins); }

static bool select_of(const hn_task *t, const hn_arg *flags, hn_gpu_select *c) {
  int64_t n = hn_cuda_count(flags);
  bool floats = hn_cuda_float(flags), ints = (hn_is_int(flags->dtype) || flags->dtype == HONE_DTYPE_BOOL) && hone_dtype_size(flags->dtype) > 0;
  *c = (hn_gpu_select){.dtype = (int32_t)flags->dtype, .floats = floats, .n = (uint32_t)n, .pieces = (uint32_t)((n + HN_GPU_PIECE - 1) / HN_GPU_PIECE)};
  return (floats || ints) && select_bytes(c) + (size_t)n * sizeof *c->places <= hn_cuda_of(t)->workspace;
}

/* Finds the places, in the scratch, which is as select_bytes() and the number of flags say. */
static hone_status find_places(hn_exec *x, const void *flags, hn_gpu_select *c, uint32_t *n) {
  c->in = flags;
  c->begins = x->scratch;
  c->places = (int32_t *)(void *)((char *)x->scratch + select_bytes(c));
  hn_gpu_select_run(hn_cuda_stream(x), c, hn_cuda_of(x->task)->count);
  return read_count(x, n);
}

static hone_status plan_select(hn_task *t, const hn_arg *flags) {
  hn_gpu_select *c;
  hn_cuda_plain(t);
  HN_TRY(hn_cuda_state(t, sizeof *c, &c));
  if (!select_of(t, flags, c)) return HONE_UNSUPPORTED;
  t->scratch = select_bytes(c) + (size_t)c->n * sizeof *c->places;
  return HONE_OK;
}

bool nonzero_cuda_supports(const hn_task *t) {
  hn_gpu_select c;
  return inputs_fit(t) && t->in[0].rank > 0 && t->in[0].rank <= HN_GPU_RANK && select_of(t, &t->in[0], &c);
}
hone_status nonzero_cuda_plan(hn_task *t) { return plan_select(t, &t->in[0]); }

hone_status nonzero_cuda_run(hn_exec *x) {
  hn_gpu_select c = *(const hn_gpu_select *)x->task->state;
  hn_gpu_coordinates to = {.rank = x->in[0].rank};
  HN_TRY(find_places(x, x->in[0].data, &c, &to.n));
  HN_TRY(hn_xout(x, 0, HONE_DTYPE_I64, 2, (int64_t[]){to.rank, to.n}));
  for (int32_t d = 0; d < to.rank; d++) to.dim[d] = hn_gpu_div_of(x->in[0].dims[d]);
  to.places = c.places;
  to.out = x->out[0].data;
  hn_gpu_coordinates_run(hn_cuda_stream(x), &to);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(nonzero_cuda)

/* The dimension that slices are chosen of: of a tensor seen as one without an axis. */
static bool compress_axis(const hn_task *t, int32_t *axis) {
  if (hn_attr_find(t->node, "axis")) return hn_axis(hn_attr_i(t->node, "axis", 0), t->in[0].rank, axis);
  *axis = -1;
  return true;
}

bool compress_cuda_supports(const hn_task *t) {
  hn_gpu_select c;
  int32_t axis;
  size_t size = hone_dtype_size(t->in[0].dtype);
  if (!inputs_fit(t) || t->in[1].dtype != HONE_DTYPE_BOOL || t->in[1].rank != 1 || !t->in[0].rank || !compress_axis(t, &axis)) return false;
  int64_t most = axis < 0 ? hn_cuda_count(&t->in[0]) : t->in[0].dims[axis];
  return (size == 1 || size == 2 || size == 4 || size == 8) && t->in[1].dims[0] <= most && select_of(t, &t->in[1], &c);
}
hone_status compress_cuda_plan(hn_task *t) { return plan_select(t, &t->in[1]); }

hone_status compress_cuda_run(hn_exec *x) {
  hn_gpu_select c = *(const hn_gpu_select *)x->task->state;
  const hn_view *in = &x->in[0];
  int64_t dims[HN_MAX_RANK], inner = 1, outer = 1, limit = in->count;
  uint32_t n;
  int32_t axis;
  HN_TRY(find_places(x, x->in[1].data, &c, &n));
  compress_axis(x->task, &axis);
  for (int32_t i = 0; i < in->rank && axis >= 0; i++) {
    dims[i] = i == axis ? n : in->dims[i];
    if (i != axis) *(i < axis ? &outer : &inner) *= in->dims[i];
    else limit = in->dims[i];
  }
  if (axis < 0) dims[0] = n;
  HN_TRY(hn_xout(x, 0, in->dtype, axis < 0 ? 1 : in->rank, dims));
  hn_gpu_gather g = {.in = in->data, .at = c.places, .out = x->out[0].data, .n = (uint32_t)(outer * n * inner), .size = (int32_t)hone_dtype_size(in->dtype),
                     .at_dtype = HONE_DTYPE_I32, .limit = (int32_t)limit, .inner = hn_gpu_div_of(inner), .count = hn_gpu_div_of(n), .fault = hn_cuda_fault(x)};
  hn_gpu_gather_run(hn_cuda_stream(x), &g);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(compress_cuda)
