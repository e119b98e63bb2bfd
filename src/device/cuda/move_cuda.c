/* move_cuda.c - operators that move elements, as strided copies: Concat, Split, Slice, Transpose, Expand, Tile, DepthToSpace,
   SpaceToDepth, changes of layout; and with edges: Pad, CenterCropPad. */
#include <string.h>

#include "base/checked.h"
#include "device/cuda/cuda_kernel.h"
#include "op/infer.h"

typedef struct moves {
  uint32_t n;
  struct move {
    hn_gpu_copy copy;
    int64_t from, to; /* offsets in bytes */
    uint32_t in, out;
  } move[];
} moves;

static bool movable(const hn_task *t, uint32_t inputs) {
  size_t size = hone_dtype_size(t->in[0].dtype);
  if ((size != 1 && size != 2 && size != 4 && size != 8) || !hn_cuda_fits(t)) return false;
  for (uint32_t i = 0; i < inputs; i++)
    if (!hn_cuda_given(t, i) || t->in[i].dtype != t->in[0].dtype) return false;
  for (uint32_t i = 0; i < t->n_out; i++)
    if (!t->out[i].present || t->out[i].dtype != t->in[0].dtype) return false;
  return true;
}

static hone_status open_moves(hn_task *t, uint32_t n, moves **m) {
  HN_TRY(hn_cuda_state(t, sizeof **m + n * sizeof (*m)->move[0], m));
  (*m)->n = n;
  return HONE_OK;
}

static bool plan_move(struct move *m, int64_t size, int32_t rank, const int64_t *dims, const int64_t *in, const int64_t *out, int64_t from, int64_t to) {
  m->from = from * size;
  m->to = to * size;
  return hn_cuda_plan_copy(&m->copy, rank, dims, in, out, size, from, to);
}

static hone_status run_moves(hn_exec *x) {
  const moves *m = x->task->state;
  for (uint32_t i = 0; i < m->n; i++) {
    const struct move *k = &m->move[i];
    if (k->copy.n) hn_cuda_run_copy(x, k->copy, (const char *)x->in[k->in].data + k->from, (char *)x->out[k->out].data + k->to);
  }
  return hn_cuda_launched(x);
}

/* What a node reads besides its first input is read when it is planned. */
static void only_first(hn_task *t) {
  for (uint32_t i = 1; i < t->node->n_main; i++) t->in[i].unused = true;
}

/* ---- Concat and Split: in channels last too */

static bool axis_of(const hn_task *t, int32_t rank, int32_t *axis) { return hn_axis(hn_attr_i(t->node, "axis", 0), rank, axis); }

static hone_status plan_parts(hn_task *t, hn_arg *whole, hn_arg *part, uint32_t n, hn_layout l, int32_t axis, bool split) {
  moves *m;
  int64_t ws[HN_MAX_RANK], ps[HN_MAX_RANK], at = 0, size = (int64_t)hone_dtype_size(whole->dtype);
  whole->layout = l;
  hn_cuda_strides(whole, ws);
  HN_TRY(open_moves(t, n, &m));
  for (uint32_t i = 0; i < n; i++) {
    part[i].layout = l;
    hn_cuda_strides(&part[i], ps);
    int64_t there = at * ws[axis];
    if (split) m->move[i].out = i;
    else m->move[i].in = i;
    if (!plan_move(&m->move[i], size, whole->rank, part[i].dims, split ? ws : ps, split ? ps : ws, split ? there : 0, split ? 0 : there)) return HONE_UNSUPPORTED;
    at += part[i].dims[axis];
  }
  return HONE_OK;
}

bool concat_cuda_supports(const hn_task *t) {
  int32_t axis;
  return movable(t, t->node->n_main) && axis_of(t, t->out[0].rank, &axis);
}

hone_status concat_cuda_plan(hn_task *t) {
  int32_t axis;
  hn_layout l = HN_LAYOUT_PLAIN;
  if (!axis_of(t, t->out[0].rank, &axis)) return HONE_UNSUPPORTED;
  for (uint32_t i = 0; i < t->node->n_main; i++)
    if (!t->in[i].constant && t->in[i].layout != HN_LAYOUT_PLAIN) l = HN_LAYOUT_NHWC;
  return plan_parts(t, &t->out[0], t->in, t->node->n_main, l, axis, false);
}

hone_status concat_cuda_run(hn_exec *x) { return run_moves(x); }
HN_CUDA_DESTROY(concat_cuda)

bool split_cuda_supports(const hn_task *t) {
  int32_t axis;
  return movable(t, 1) && axis_of(t, t->in[0].rank, &axis);
}

hone_status split_cuda_plan(hn_task *t) {
  int32_t axis;
  if (!axis_of(t, t->in[0].rank, &axis)) return HONE_UNSUPPORTED;
  only_first(t);
  return plan_parts(t, &t->in[0], t->out, t->n_out, t->in[0].layout == HN_LAYOUT_PLAIN ? HN_LAYOUT_PLAIN : HN_LAYOUT_NHWC, axis, true);
}

hone_status split_cuda_run(hn_exec *x) { return run_moves(x); }
HN_CUDA_DESTROY(split_cuda)

/* ---- one copy: the output's dimensions, and what a step along each is in the input */

typedef struct walk {
  int32_t rank;
  int64_t dims[2 * HN_MAX_RANK], in[2 * HN_MAX_RANK], from;
} walk;

static void add_dim(walk *w, int64_t n, int64_t in) {
  w->dims[w->rank] = n;
  w->in[w->rank++] = in;
}

/* Slice: a step of its own for each axis. Its layout is kept. */
static bool walk_slice(const hn_task *t, walk *w) {
  const hn_arg *in = &t->in[0];
  int64_t list[3][HN_MAX_RANK], ends[HN_MAX_RANK], stride[HN_MAX_RANK];
  int64_t n = hn_cuda_ints(t, 1, list[0], HN_MAX_RANK);
  if (n < 0 || hn_cuda_ints(t, 2, ends, HN_MAX_RANK) != n) return false;
  for (uint32_t i = 3; i < 5; i++)
    if (hn_cuda_given(t, i) && hn_cuda_ints(t, i, list[i - 2], HN_MAX_RANK) != n) return false;
  hn_cuda_strides(in, stride);
  for (int32_t i = 0; i < in->rank; i++) add_dim(w, t->out[0].dims[i], stride[i]);
  for (int64_t i = 0; i < n; i++) {
    int32_t a;
    int64_t step = hn_cuda_given(t, 4) ? list[2][i] : 1, start = list[0][i];
    if (!hn_axis(hn_cuda_given(t, 3) ? list[1][i] : i, in->rank, &a) || step == 0 || step < INT32_MIN || step > INT32_MAX) return false;
    int64_t d = in->dims[a], high = step > 0 ? d : d - 1;
    start = start < -d ? (step > 0 ? 0 : -1) : start < 0 ? start + d : start > high ? high : start;
    if (t->out[0].dims[a] == 0) start = 0;
    w->from += start * stride[a];
    w->in[a] = stride[a] * step;
  }
  return true;
}

static bool walk_transpose(const hn_task *t, walk *w) {
  const hn_arg *in = &t->in[0];
  const int64_t *perm;
  uint32_t n = hn_attr_ints(t->node, "perm", &perm);
  int64_t stride[HN_MAX_RANK];
  if (n && n != (uint32_t)in->rank) return false;
  hn_cuda_strides(in, stride);
  for (int32_t i = 0; i < in->rank; i++) {
    int64_t a = n ? perm[i] : in->rank - 1 - i;
    if (a < 0 || a >= in->rank) return false;
    add_dim(w, in->dims[a], stride[a]);
  }
  return true;
}

static bool walk_expand(const hn_task *t, walk *w) {
  const hn_arg *in = &t->in[0], *o = &t->out[0];
  int64_t stride[HN_MAX_RANK];
  int32_t lead = o->rank - in->rank;
  if (lead < 0) return false;
  hn_cuda_strides(in, stride);
  for (int32_t i = 0; i < o->rank; i++) add_dim(w, o->dims[i], i < lead || in->dims[i - lead] == 1 ? 0 : stride[i - lead]);
  return true;
}

static bool walk_tile(const hn_task *t, walk *w) {
  const hn_arg *in = &t->in[0], *o = &t->out[0];
  int64_t stride[HN_MAX_RANK];
  if (o->rank != in->rank) return false;
  hn_cuda_strides(in, stride);
  for (int32_t i = 0; i < o->rank; i++) {
    int64_t times = in->dims[i] ? o->dims[i] / in->dims[i] : 0;
    add_dim(w, times, 0);
    add_dim(w, in->dims[i], stride[i]);
  }
  return true;
}

static bool walk_blocks(const hn_task *t, walk *w) {
  const hn_arg *in = &t->in[0], *o = &t->out[0];
  int64_t b = hn_attr_i(t->node, "blocksize", 0), s[HN_MAX_RANK];
  bool columns = hn_streq(hn_attr_s(t->node, "mode", "DCR"), "CRD");
  if (in->rank != 4 || b < 1 || b > 1 << 15) return false;
  hn_cuda_strides(in, s);
  add_dim(w, in->dims[0], s[0]);
  if (t->node->op == HN_DepthToSpace) {
    int64_t c = o->dims[1];
    if (in->dims[1] != c * b * b) return false;
    add_dim(w, c, columns ? b * b * s[1] : s[1]);
    add_dim(w, in->dims[2], s[2]);
    add_dim(w, b, columns ? b * s[1] : b * c * s[1]);
    add_dim(w, in->dims[3], s[3]);
    add_dim(w, b, columns ? s[1] : c * s[1]);
  } else {
    if (in->dims[2] % b || in->dims[3] % b) return false;
    add_dim(w, b, s[2]);
    add_dim(w, b, s[3]);
    add_dim(w, in->dims[1], s[1]);
    add_dim(w, in->dims[2] / b, b * s[2]);
    add_dim(w, in->dims[3] / b, b * s[3]);
  }
  return true;
}

static bool walk_of(const hn_task *t, walk *w) {
  *w = (walk){.rank = 0};
  switch (t->node->op) {
    case HN_Slice: return walk_slice(t, w);
    case HN_Transpose: return walk_transpose(t, w);
    case HN_Expand: return walk_expand(t, w);
    case HN_Tile: return walk_tile(t, w);
    case HN_DepthToSpace:
    case HN_SpaceToDepth: return walk_blocks(t, w);
    default: { /* the same elements in other dimensions */
      int64_t n = hn_cuda_count(&t->in[0]);
      if (n != hn_cuda_count(&t->out[0])) return false;
      add_dim(w, n, 1);
      return true;
    }
  }
}

bool view_cuda_supports(const hn_task *t) {
  walk w;
  return movable(t, 1) && walk_of(t, &w);
}

/* The input is read as it lies where that is possible; the output is row-major, but a slice keeps its input's layout. */
hone_status view_cuda_plan(hn_task *t) {
  walk w;
  moves *m;
  int64_t out[2 * HN_MAX_RANK], s = 1;
  hn_op op = t->node->op;
  bool any = op == HN_Slice || op == HN_Transpose || op == HN_DepthToSpace || op == HN_SpaceToDepth;
  t->in[0].layout = any && t->in[0].layout != HN_LAYOUT_PLAIN ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  t->out[0].layout = op == HN_Slice ? t->in[0].layout : HN_LAYOUT_PLAIN;
  only_first(t);
  if (!walk_of(t, &w)) return HONE_UNSUPPORTED;
  for (int32_t i = w.rank - 1; i >= 0; i--) {
    out[i] = s;
    s *= w.dims[i];
  }
  if (op == HN_Slice) hn_cuda_strides(&t->out[0], out);
  HN_TRY(open_moves(t, 1, &m));
  return plan_move(&m->move[0], (int64_t)hone_dtype_size(t->in[0].dtype), w.rank, w.dims, w.in, out, w.from, 0) ? HONE_OK : HONE_UNSUPPORTED;
}

hone_status view_cuda_run(hn_exec *x) { return run_moves(x); }
HN_CUDA_DESTROY(view_cuda)

/* ---- changes of layout; blocks of channels come from the CPU, and are only read */

static int64_t block_of(hn_layout l) { return l == HN_LAYOUT_C16 ? 16 : l == HN_LAYOUT_C8 ? 8 : 1; }

/* Whole blocks of channels, then those left over. */
static hone_status plan_blocks(hn_task *t, moves *m, int64_t block) {
  const hn_arg *in = &t->in[0], *o = &t->out[0];
  int64_t c = in->dims[1], pixels = 1, os[HN_MAX_RANK], dims[HN_MAX_RANK + 1], from[HN_MAX_RANK + 1], to[HN_MAX_RANK + 1];
  hn_cuda_strides(o, os);
  for (int32_t i = 2; i < in->rank; i++) pixels *= in->dims[i];
  for (int part = 0; part < 2; part++) {
    int64_t s = block, whole = c / block;
    dims[0] = in->dims[0], from[0] = (c + block - 1) / block * block * pixels, to[0] = os[0];
    dims[1] = part ? 1 : whole, from[1] = block * pixels, to[1] = block * os[1];
    for (int32_t i = in->rank - 1; i >= 2; i--) {
      dims[i] = in->dims[i], from[i] = s, to[i] = os[i];
      s *= in->dims[i];
    }
    dims[in->rank] = part ? c % block : block, from[in->rank] = 1, to[in->rank] = os[1];
    if (!plan_move(&m->move[part], (int64_t)hone_dtype_size(in->dtype), in->rank + 1, dims, from, to, part ? whole * block * pixels : 0, part ? whole * block * os[1] : 0))
      return HONE_UNSUPPORTED;
  }
  return HONE_OK;
}

static hone_status reorder_cuda_plan(hn_task *t) {
  moves *m;
  int64_t in[HN_MAX_RANK], out[HN_MAX_RANK], block = block_of(t->in[0].layout);
  if (!hn_cuda_fits(t) || t->in[0].rank < 2 || t->out[0].layout > HN_LAYOUT_NHWC) return HONE_UNSUPPORTED;
  HN_TRY(open_moves(t, block > 1 ? 2 : 1, &m));
  if (block > 1) return plan_blocks(t, m, block);
  hn_cuda_strides(&t->in[0], in);
  hn_cuda_strides(&t->out[0], out);
  return plan_move(&m->move[0], (int64_t)hone_dtype_size(t->in[0].dtype), t->in[0].rank, t->in[0].dims, in, out, 0, 0) ? HONE_OK : HONE_UNSUPPORTED;
}

const hn_kernel hn_cuda_reorder_kernel = {.name = "reorder_cuda", .op = HN_Identity, .plan = reorder_cuda_plan, .run = run_moves, .destroy = hn_cuda_free_state};

/* ---- Pad and CenterCropPad */

static bool edge_of(const hn_task *t, hn_gpu_edge *edge) {
  static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
  const char *mode = t->node->op == HN_Pad ? hn_attr_s(t->node, "mode", "constant") : "constant";
  for (int i = 0; i < 4; i++)
    if (hn_streq(mode, names[i])) {
      *edge = (hn_gpu_edge)i;
      return true;
    }
  return false;
}

/* Elements in front of each axis. */
static bool before_of(const hn_task *t, int32_t *before) {
  const hn_arg *in = &t->in[0];
  int64_t pads[2 * HN_MAX_RANK], axes[HN_MAX_RANK];
  memset(before, 0, sizeof *before * HN_MAX_RANK);
  if (t->node->op == HN_CenterCropPad) {
    for (int32_t i = 0; i < in->rank; i++) {
      int64_t d = in->dims[i], o = t->out[0].dims[i];
      before[i] = (int32_t)(o > d ? (o - d) / 2 : -((d - o) / 2));
    }
    return true;
  }
  int64_t n = hn_cuda_given(t, 3) ? hn_cuda_ints(t, 3, axes, HN_MAX_RANK) : in->rank;
  if (n < 0 || hn_cuda_ints(t, 1, pads, 2 * HN_MAX_RANK) != 2 * n) return false;
  for (int64_t i = 0; i < n; i++) {
    int32_t a;
    if (!hn_axis(hn_cuda_given(t, 3) ? axes[i] : i, in->rank, &a)) return false;
    before[a] = (int32_t)pads[i];
  }
  return true;
}

bool pad_cuda_supports(const hn_task *t) {
  hn_gpu_edge edge;
  int32_t before[HN_MAX_RANK];
  if (!movable(t, 1) || !edge_of(t, &edge) || !before_of(t, before) || t->in[0].rank < 1) return false;
  if (t->in[0].quant && t->in[0].quant->zero) return false; /* the edge would have to be the zero point */
  for (int32_t i = 0; i < t->in[0].rank; i++)
    if (edge != HN_EDGE_CONSTANT && t->in[0].dims[i] == 0) return false;
  return t->node->op != HN_Pad || !hn_cuda_given(t, 2) || (t->in[2].dtype == t->in[0].dtype && hn_cuda_count(&t->in[2]) == 1);
}

/* Channels last is kept: the dimensions are those of the output as it lies. */
hone_status pad_cuda_plan(hn_task *t) {
  hn_gpu_pad *p;
  int32_t before[HN_MAX_RANK];
  int64_t stride[HN_MAX_RANK];
  hn_arg *in = &t->in[0], *o = &t->out[0];
  in->layout = o->layout = in->layout == HN_LAYOUT_PLAIN ? HN_LAYOUT_PLAIN : HN_LAYOUT_NHWC;
  for (uint32_t i = 1; i < t->node->n_main; i++) {
    t->in[i].unused = i != 2;
    t->in[i].layout = HN_LAYOUT_PLAIN;
  }
  HN_TRY(hn_cuda_state(t, sizeof *p, &p));
  if (!edge_of(t, &p->edge) || !before_of(t, before)) return HONE_UNSUPPORTED;
  hn_cuda_strides(in, stride);
  p->n = (uint32_t)hn_cuda_count(o);
  p->rank = o->rank;
  p->size = (int32_t)hone_dtype_size(in->dtype);
  for (int32_t i = 0; i < o->rank; i++) {
    int32_t a = o->layout == HN_LAYOUT_PLAIN || i == 0 ? i : i == o->rank - 1 ? 1 : i + 1;
    p->dim[i] = hn_gpu_div_of(o->dims[a]);
    p->before[i] = before[a];
    p->in[i] = (int32_t)in->dims[a];
    p->stride[i] = (uint32_t)stride[a];
  }
  return HONE_OK;
}

hone_status pad_cuda_run(hn_exec *x) {
  hn_gpu_pad p = *(const hn_gpu_pad *)x->task->state;
  p.from = x->in[0].data;
  p.to = x->out[0].data;
  if (x->task->node->op == HN_Pad && hn_xhas(x, 2)) p.fill = x->in[2].data;
  hn_gpu_pad_run(hn_cuda_stream(x), &p);
  return hn_cuda_launched(x);
}
HN_CUDA_DESTROY(pad_cuda)
