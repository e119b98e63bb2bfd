/* space_move.c - DepthToSpace, SpaceToDepth and Tile: one strided copy that sees more dimensions than the tensor has. */
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/cpu/move/layout_strides.h"

static bool movable(const hn_task *t) { return t->device && hn_element_size(t->in[0].dtype) != 0; }

static hone_status plan_copy(hn_task *t, int32_t rank, const int64_t *dims, const int64_t *to, const int64_t *from) {
  hn_copy *c = hn_calloc(1, sizeof *c);
  t->state = c;
  if (!c) return hn_nomem(t->cx);
  hn_copy_plan(c, hn_element_size(t->in[0].dtype), rank, dims, 0, to, 0, from);
  return HONE_OK;
}

static hone_status run_copy(hn_exec *x) {
  hn_copy_run(x->task->state, x->threads, x->out[0].data, x->in[0].data);
  return HONE_OK;
}

static void free_copy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}

/* ---- between blocks of channels and blocks of pixels */

enum { SIX = 6 };

/* Strides of batch, row, row in the block, column, column in the block and channel, in a tensor whose channels are
   c * b * b (channels in blocks) or whose pixels are h * b by w * b; and the sizes of these six. */
typedef struct blocks {
  int64_t dims[SIX], deep[SIX], wide[SIX]; /* n, h, block row, w, block column, c */
} blocks;

static bool find_blocks(const hn_arg *deep, hn_layout deep_layout, const hn_arg *wide, hn_layout wide_layout, int64_t b, bool columns, blocks *s) {
  int64_t stride[2][4], p[4];
  if (deep->rank != 4 || b < 1 || b > 1 << 15 || deep->dims[1] % (b * b)) return false;
  for (int k = 0; k < 2; k++) { /* of n, c, h, w */
    const hn_arg *a = k ? wide : deep;
    hn_layout l = k ? wide_layout : deep_layout;
    int64_t dense[4], block;
    hn_layout_dims(l, 4, a->dims, p);
    hn_dense_strides(4, p, dense);
    for (int32_t i = 0; i < 4; i++) stride[k][i] = dense[hn_layout_axis(l, 4, i, &block)];
  }
  int64_t c = deep->dims[1] / (b * b), *d = stride[0], *w = stride[1];
  int64_t per_channel = columns ? b * b : 1, per_place = columns ? 1 : c; /* of channels: is the block innermost? */
  *s = (blocks){{deep->dims[0], deep->dims[2], b, deep->dims[3], b, c},
                {d[0], d[2], d[1] * per_place * b, d[3], d[1] * per_place, d[1] * per_channel},
                {w[0], w[2] * b, w[2], w[3] * b, w[3], w[1]}};
  return true;
}

/* The order in which the output's memory runs. */
static hone_status plan_blocks(hn_task *t, const blocks *s, const int64_t *to, const int64_t *from) {
  int order[SIX] = {0, 1, 2, 3, 4, 5};
  int64_t dims[SIX], out[SIX], in[SIX];
  for (int i = 1; i < SIX; i++)
    for (int k = i; k > 0 && to[order[k - 1]] < to[order[k]]; k--) {
      int o = order[k];
      order[k] = order[k - 1];
      order[k - 1] = o;
    }
  for (int i = 0; i < SIX; i++) dims[i] = s->dims[order[i]], out[i] = to[order[i]], in[i] = from[order[i]];
  return plan_copy(t, SIX, dims, out, in);
}

static bool is_deep_to_wide(const hn_task *t) { return t->node->op == HN_DepthToSpace; }

static bool blocks_of(const hn_task *t, blocks *s) {
  const hn_arg *in = &t->in[0], *out = &t->out[0];
  bool columns = hn_streq(hn_attr_s(t->node, "mode", "DCR"), "CRD"), to_wide = is_deep_to_wide(t);
  hn_layout l = in->layout == HN_LAYOUT_NHWC ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  return find_blocks(to_wide ? in : out, l, to_wide ? out : in, l, hn_attr_i(t->node, "blocksize", 0), to_wide && columns, s);
}

bool blocks_move_supports(const hn_task *t) {
  blocks s;
  return movable(t) && blocks_of(t, &s);
}

hone_status blocks_move_plan(hn_task *t) {
  blocks s;
  if (!blocks_of(t, &s)) return HONE_UNSUPPORTED;
  if (t->in[0].layout != HN_LAYOUT_NHWC) t->in[0].layout = HN_LAYOUT_PLAIN;
  t->out[0].layout = t->in[0].layout;
  return is_deep_to_wide(t) ? plan_blocks(t, &s, s.wide, s.deep) : plan_blocks(t, &s, s.deep, s.wide);
}

hone_status blocks_move_run(hn_exec *x) { return run_copy(x); }
void blocks_move_destroy(hn_task *t) { free_copy(t); }

/* ---- Tile: each repeated axis is two dimensions, one of which stands still in the input */

static bool repeats_of(const hn_task *t, int64_t *repeats) {
  const hn_arg *in = &t->in[0];
  int32_t rank = 0;
  for (int32_t i = 0; i < in->rank; i++) {
    if (in->dims[i] < 1 || t->out[0].dims[i] % in->dims[i]) return false;
    repeats[i] = t->out[0].dims[i] / in->dims[i];
    rank += 1 + (repeats[i] != 1);
  }
  return rank <= HN_ND_RANK;
}

bool tile_move_supports(const hn_task *t) {
  int64_t repeats[HN_MAX_RANK];
  return movable(t) && t->in[0].rank > 0 && repeats_of(t, repeats);
}

hone_status tile_move_plan(hn_task *t) {
  hn_arg *in = &t->in[0], *out = &t->out[0];
  int64_t repeats[HN_MAX_RANK], own[HN_MAX_RANK], there[HN_MAX_RANK], dims[HN_ND_RANK], to[HN_ND_RANK], from[HN_ND_RANK];
  int32_t n = 0;
  if (!repeats_of(t, repeats)) return HONE_UNSUPPORTED;
  in->layout = out->layout = HN_LAYOUT_PLAIN;
  t->in[1].unused = true;
  hn_dense_strides(in->rank, in->dims, own);
  hn_dense_strides(out->rank, out->dims, there);
  for (int32_t i = 0; i < in->rank; i++) {
    if (repeats[i] != 1) dims[n] = repeats[i], to[n] = there[i] * in->dims[i], from[n++] = 0;
    dims[n] = in->dims[i], to[n] = there[i], from[n++] = own[i];
  }
  return plan_copy(t, n, dims, to, from);
}

hone_status tile_move_run(hn_exec *x) { return run_copy(x); }
void tile_move_destroy(hn_task *t) { free_copy(t); }
