/* index_cuda.c - Gather, GatherElements, GatherND, ScatterElements, ScatterND, OneHot, Trilu, EyeLike, ReverseSequence, CumSum,
   CumProd. */
#include <string.h>

#include "device/cuda/cuda_kernel.h"
#include "op/infer.h"

static bool is_index(const hn_arg *a) { return a->dtype == HONE_DTYPE_I32 || a->dtype == HONE_DTYPE_I64; }
static int32_t size_of(const hn_arg *a) {
  size_t s = hone_dtype_size(a->dtype);
  return s == 1 || s == 2 || s == 4 || s == 8 ? (int32_t)s : 0;
}
static int64_t product(const int64_t *d, int32_t from, int32_t to) {
  int64_t n = 1;
  for (int32_t i = from; i < to; i++) n *= d[i];
  return n;
}
/* Bytes of a unit that runs of `bytes` can be moved in. */
static int32_t unit_of(int64_t bytes, int32_t size) {
  int32_t unit = 16;
  while (unit > size && bytes % unit) unit /= 2;
  return unit;
}

/* ---- Gather */

bool gather_cuda_supports(const hn_task *t) {
  int32_t axis;
  return hn_cuda_fits(t) && size_of(&t->in[0]) && is_index(&t->in[1]) && t->out[0].dtype == t->in[0].dtype &&
         hn_axis(hn_attr_i(t->node, "axis", 0), t->in[0].rank, &axis);
}

hone_status gather_cuda_plan(hn_task *t) {
  const hn_arg *in = &t->in[0];
  hn_gpu_gather *g;
  int32_t axis;
  hn_cuda_plain(t);
  if (!hn_axis(hn_attr_i(t->node, "axis", 0), in->rank, &axis)) return HONE_UNSUPPORTED;
  HN_TRY(hn_cuda_state(t, sizeof *g, &g));
  int64_t bytes = product(in->dims, axis + 1, in->rank) * size_of(in);
  g->size = unit_of(bytes, size_of(in));
  g->inner = hn_gpu_div_of(bytes / g->size);
  g->count = hn_gpu_div_of(hn_cuda_count(&t->in[1]));
  g->n = (uint32_t)(hn_cuda_count(&t->out[0]) * size_of(in) / g->size);
  g->at_dtype = (int32_t)t->in[1].dtype;
  g->limit = (int32_t)in->dims[axis];
  return HONE_OK;
}

hone_status gather_cuda_run(hn_exec *x) {
  hn_gpu_gather g = *(const hn_gpu_gather *)x->task->state;
  g.in = x->in[0].data;
  g.at = x->in[1].data;
  g.out = x->out[0].data;
  g.fault = hn_cuda_fault(x);
  hn_gpu_gather_run(hn_cuda_stream(x), &g);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(gather_cuda)

/* ---- GatherElements, ScatterElements, GatherND, ScatterND */

static bool reduction_of(const hn_task *t, int32_t *op) {
  static const struct {
    const char *name;
    hn_op op;
  } known[] = {{"none", HN_OP_NONE}, {"add", HN_Add}, {"mul", HN_Mul}, {"max", HN_Max}, {"min", HN_Min}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (hn_streq(hn_attr_s(t->node, "reduction", "none"), known[i].name)) {
      *op = (int32_t)known[i].op;
      return true;
    }
  return false;
}

static bool scatters(const hn_task *t) { return t->node->op == HN_ScatterElements || t->node->op == HN_ScatterND; }

/* Reductions are for numbers that have arithmetic on the GPU. */
static bool placeable(const hn_task *t) {
  const hn_arg *in = &t->in[0];
  int32_t op = 0;
  if (!hn_cuda_fits(t) || !size_of(in) || !is_index(&t->in[1]) || t->out[0].dtype != in->dtype) return false;
  if (!scatters(t)) return true;
  if (!reduction_of(t, &op) || t->in[2].dtype != in->dtype) return false;
  return op == HN_OP_NONE || hn_cuda_float(in) || (hn_is_int(in->dtype) && !in->quant);
}

static bool elements_of(const hn_task *t, hn_gpu_elements *e) {
  const hn_arg *in = &t->in[0], *at = &t->in[1];
  int64_t stride[HN_MAX_RANK];
  *e = (hn_gpu_elements){.n = (uint32_t)hn_cuda_count(at), .rank = in->rank, .size = size_of(in), .dtype = (int32_t)in->dtype, .at_dtype = (int32_t)at->dtype, .scatter = scatters(t)};
  if (at->rank != in->rank || !hn_axis(hn_attr_i(t->node, "axis", 0), in->rank, &e->axis)) return false;
  if (e->scatter && (!reduction_of(t, &e->reduction) || !hn_cuda_same_dims(at, &t->in[2]))) return false;
  e->limit = (int32_t)in->dims[e->axis];
  hn_arg plain = *in;
  plain.layout = HN_LAYOUT_PLAIN;
  hn_cuda_strides(&plain, stride);
  for (int32_t i = 0; i < in->rank; i++) {
    if (i != e->axis && at->dims[i] > in->dims[i]) return false;
    e->dim[i] = hn_gpu_div_of(at->dims[i]);
    e->stride[i] = (uint32_t)stride[i];
  }
  return true;
}

static bool tuples_of(const hn_task *t, hn_gpu_tuples *u) {
  const hn_arg *in = &t->in[0], *at = &t->in[1];
  int64_t batch = hn_attr_i(t->node, "batch_dims", 0), k = at->rank ? at->dims[at->rank - 1] : 0;
  *u = (hn_gpu_tuples){.depth = (int32_t)k, .dtype = (int32_t)in->dtype, .at_dtype = (int32_t)at->dtype, .scatter = scatters(t)};
  if (u->scatter) batch = 0;
  if (at->rank < 1 || batch < 0 || batch >= at->rank || batch + k > in->rank) return false;
  for (int32_t i = 0; i < batch; i++)
    if (at->dims[i] != in->dims[i]) return false;
  if (u->scatter && !reduction_of(t, &u->reduction)) return false;
  int64_t tuples = product(at->dims, 0, at->rank - 1), batches = product(at->dims, 0, (int32_t)batch);
  int64_t run = product(in->dims, (int32_t)(batch + k), in->rank) * size_of(in);
  u->size = u->reduction ? size_of(in) : unit_of(run, size_of(in));
  u->run = hn_gpu_div_of(run / u->size);
  u->n = (uint32_t)(tuples * run / u->size);
  u->each = hn_gpu_div_of(batches ? tuples / batches : 1);
  for (int64_t i = 0; i < k; i++) u->dim[i] = (int32_t)in->dims[batch + i];
  if (!u->scatter) return true;
  return hn_cuda_count(&t->in[2]) == tuples * run / size_of(in);
}

static bool by_element(const hn_task *t) { return t->node->op == HN_GatherElements || t->node->op == HN_ScatterElements; }

bool pick_cuda_supports(const hn_task *t) {
  hn_gpu_elements e;
  hn_gpu_tuples u;
  return placeable(t) && (by_element(t) ? elements_of(t, &e) : tuples_of(t, &u));
}

typedef struct pick {
  hn_gpu_elements e;
  hn_gpu_tuples u;
  size_t bytes; /* of the data, which a scatter begins with */
} pick;

hone_status pick_cuda_plan(hn_task *t) {
  pick *p;
  hn_cuda_plain(t);
  HN_TRY(hn_cuda_state(t, sizeof *p, &p));
  if (scatters(t) && t->in[0].may_overwrite) t->inplace = 0;
  if (!hn_dtype_bytes(t->in[0].dtype, (uint64_t)hn_cuda_count(&t->in[0]), &p->bytes)) return HONE_UNSUPPORTED;
  return (by_element(t) ? elements_of(t, &p->e) : tuples_of(t, &p->u)) ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status pick_cuda_run(hn_exec *x) {
  pick p = *(const pick *)x->task->state;
  bool scatter = scatters(x->task);
  if (scatter && p.bytes && x->out[0].data != x->in[0].data) {
    cudaError_t e = cudaMemcpyAsync(x->out[0].data, x->in[0].data, p.bytes, cudaMemcpyDeviceToDevice, hn_cuda_stream(x));
    if (e) return hn_cuda_fail(hn_cuda_of(x->task), e, "copying the data of a scatter");
  }
  p.e.from = p.u.from = scatter ? x->in[2].data : x->in[0].data;
  p.e.at = p.u.at = x->in[1].data;
  p.e.to = p.u.to = x->out[0].data;
  p.e.fault = p.u.fault = hn_cuda_fault(x);
  if (by_element(x->task)) hn_gpu_elements_run(hn_cuda_stream(x), &p.e);
  else hn_gpu_tuples_run(hn_cuda_stream(x), &p.u);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(pick_cuda)

/* ---- OneHot, Trilu, EyeLike, ReverseSequence */

static bool fill_of(const hn_task *t, hn_gpu_fill *f) {
  const hn_arg *in = &t->in[0], *o = &t->out[0];
  int32_t axis;
  *f = (hn_gpu_fill){.op = (int32_t)t->node->op, .n = (uint32_t)hn_cuda_count(o), .size = size_of(o), .dtype = (int32_t)o->dtype, .inner = hn_gpu_div_of(1), .middle = hn_gpu_div_of(1)};
  if (!f->size) return false;
  switch (t->node->op) {
    case HN_OneHot:
      if (!hn_axis(hn_attr_i(t->node, "axis", -1), o->rank, &axis) || in->quant || t->in[2].dtype != o->dtype) return false;
      if (!hn_cuda_float(in) && !(hn_is_int(in->dtype) && hone_dtype_size(in->dtype) && in->dtype != HONE_DTYPE_U64)) return false;
      f->at_dtype = (int32_t)in->dtype;
      f->inner = hn_gpu_div_of(product(o->dims, axis + 1, o->rank));
      f->middle = hn_gpu_div_of(o->dims[axis]);
      f->k = o->dims[axis];
      return true;
    case HN_Trilu:
      if (in->rank < 2 || (hn_cuda_given(t, 1) && (t->in[1].dtype != HONE_DTYPE_I64 || hn_cuda_count(&t->in[1]) != 1))) return false;
      f->upper = hn_attr_i(t->node, "upper", 1) != 0;
      f->inner = hn_gpu_div_of(in->dims[in->rank - 1]);
      f->middle = hn_gpu_div_of(in->dims[in->rank - 2]);
      return true;
    case HN_EyeLike:
      if (in->rank != 2) return false;
      f->inner = hn_gpu_div_of(in->dims[1]);
      f->k = hn_attr_i(t->node, "k", 0);
      return true;
    default: {
      int64_t batch = hn_attr_i(t->node, "batch_axis", 1), time = hn_attr_i(t->node, "time_axis", 0), stride[HN_MAX_RANK];
      if (in->rank < 2 || batch < 0 || batch > 1 || time < 0 || time > 1 || batch == time || !is_index(&t->in[1]) || hn_cuda_count(&t->in[1]) != in->dims[batch]) return false;
      hn_arg plain = *in;
      plain.layout = HN_LAYOUT_PLAIN;
      hn_cuda_strides(&plain, stride);
      f->at_dtype = (int32_t)t->in[1].dtype;
      f->batch_stride = hn_gpu_div_of(stride[batch]);
      f->batch = hn_gpu_div_of(in->dims[batch]);
      f->time_stride = hn_gpu_div_of(stride[time]);
      f->time = hn_gpu_div_of(in->dims[time]);
      return true;
    }
  }
}

bool fill_cuda_supports(const hn_task *t) {
  hn_gpu_fill f;
  return hn_cuda_fits(t) && fill_of(t, &f);
}

typedef struct filling {
  hn_gpu_fill f;
  void *one; /* EyeLike: what is on the diagonal */
} filling;

hone_status fill_cuda_plan(hn_task *t) {
  filling *f;
  unsigned char one[8] = {0};
  hn_cuda_plain(t);
  if (t->node->op == HN_OneHot) t->in[1].unused = true;
  if (t->node->op == HN_EyeLike) t->in[0].unused = true;
  HN_TRY(hn_cuda_state(t, sizeof *f, &f));
  if (!fill_of(t, &f->f)) return HONE_UNSUPPORTED;
  if (t->node->op != HN_EyeLike) return HONE_OK;
  hn_store_f64(t->out[0].dtype, one, 0, 1);
  return hn_cuda_keep(t, one, sizeof one, &f->one);
}

hone_status fill_cuda_run(hn_exec *x) {
  const filling *state = x->task->state;
  hn_gpu_fill f = state->f;
  f.in = x->in[0].data;
  f.out = x->out[0].data;
  f.fault = hn_cuda_fault(x);
  switch (x->task->node->op) {
    case HN_OneHot: f.values = x->in[2].data; break;
    case HN_EyeLike: f.values = state->one; break;
    default: f.values = hn_xhas(x, 1) ? x->in[1].data : NULL; break;
  }
  hn_gpu_fill_run(hn_cuda_stream(x), &f);
  return hn_cuda_launched(x);
}

void fill_cuda_destroy(hn_task *t) {
  filling *f = t->state;
  if (f) hn_cuda_drop(t, f->one);
  hn_cuda_free_state(t);
}

/* ---- CumSum, CumProd */

static bool scan_of(const hn_task *t, hn_gpu_scan *c) {
  const hn_arg *in = &t->in[0];
  int64_t axis, stride[HN_MAX_RANK];
  int32_t a;
  bool reduced[HN_MAX_RANK] = {false};
  *c = (hn_gpu_scan){.dtype = (int32_t)in->dtype, .exclusive = hn_attr_i(t->node, "exclusive", 0) != 0, .reverse = hn_attr_i(t->node, "reverse", 0) != 0,
                     .product = t->node->op == HN_CumProd, .ints = !hn_cuda_float(in)};
  if (c->ints && (!hn_is_int(in->dtype) || in->quant || !hone_dtype_size(in->dtype))) return false;
  if (hn_cuda_ints(t, 1, &axis, 1) != 1 || !hn_axis(axis, in->rank, &a)) return false;
  reduced[a] = true;
  hn_cuda_strides(in, stride);
  if (!hn_cuda_groups_of(&c->g, in->rank, in->dims, stride, reduced)) return false;
  c->g.threads = c->g.along ? 32 : 1;
  return true;
}

bool scan_cuda_supports(const hn_task *t) {
  hn_gpu_scan c;
  return hn_cuda_fits(t) && t->out[0].dtype == t->in[0].dtype && scan_of(t, &c);
}

hone_status scan_cuda_plan(hn_task *t) {
  hn_gpu_scan *c;
  t->in[0].layout = t->out[0].layout = hn_cuda_keep_layout(&t->in[0]);
  t->in[1].unused = true;
  HN_TRY(hn_cuda_state(t, sizeof *c, &c));
  return scan_of(t, c) ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status scan_cuda_run(hn_exec *x) {
  hn_gpu_scan c = *(const hn_gpu_scan *)x->task->state;
  c.in = x->in[0].data;
  c.out = x->out[0].data;
  hn_gpu_scan_run(hn_cuda_stream(x), &c);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(scan_cuda)
