/* control_ref.c - If, Loop and Scan: nested graphs called by the executor. Results of a call belong to the executor;
   those that go on (carried values, outputs) are copied or kept until the next round has read them. */
#include <string.h>

#include "base/checked.h"
#include "device/cpu/ref/broadcast.h"

static hone_status copy_out(hn_exec *x, uint32_t o, const hn_view *v) {
  size_t bytes;
  if (!hn_xwants(x, o)) return HONE_OK;
  HN_TRY(hn_xout_like(x, o, v));
  if (!hn_dtype_bytes(v->dtype, (uint64_t)v->count, &bytes)) return hn_xbad_dtype(x, v->dtype);
  if (bytes) memcpy(x->out[o].data, v->data, bytes);
  return HONE_OK;
}

static uint32_t captures_of(const hn_exec *x) { return (uint32_t)hn_attr_i(hn_xnode(x), "captures", 0); }

static bool truth(const hn_view *v) { return v->count > 0 && hn_load_i64(v->dtype, v->data, 0) != 0; }

hone_status hk_if_ref(hn_exec *x) {
  const hn_graph *branch = hn_attr_graph(hn_xnode(x), truth(&x->in[0]) ? "then_branch" : "else_branch");
  uint32_t captures = captures_of(x), n_in = hn_xnode(x)->n_main, n = branch ? (uint32_t)branch->outputs.n : 0;
  if (!branch || captures > n_in - 1) return hn_xfail(x, HONE_BAD_GRAPH, "has no such branch");
  hn_view *out = hn_calloc(n + 1, sizeof *out);
  if (!out) return hn_nomem(x->cx);
  hone_status st = x->call(x, branch, x->in + (n_in - captures), captures, out, n);
  if (!st) {
    for (uint32_t i = 0; i < n && !st; i++) st = copy_out(x, i, &out[i]);
    x->release_results(x, out, n);
  }
  hn_free(out);
  return st;
}

/* ---- what Loop and Scan share: rounds of a body that carries values and puts out a slice a round */

/* One growing output: the slices of all rounds, one after the other. */
typedef struct stack {
  hn_view slice; /* type and shape of a slice; data NULL */
  unsigned char *data;
  size_t used, room, each;
} stack;

typedef struct rounds {
  hn_exec *x;
  const hn_graph *body;
  uint32_t first, carried, stacked; /* inputs and outputs of the body before the carried ones (count, condition) */
  uint32_t extra, captures;         /* scan slices after the carried values, then captures */
  hn_view *in, *out, *kept;         /* of the body; kept: results of the round before, which are carried */
  uint32_t n_in, n_out;
  stack *stacks;
  int64_t done;
} rounds;

static hone_status push_slice(const rounds *r, stack *s, const hn_view *v) {
  size_t bytes, need;
  if (!hn_dtype_bytes(v->dtype, (uint64_t)v->count, &bytes)) return hn_xbad_dtype(r->x, v->dtype);
  bool same = v->dtype == s->slice.dtype && v->rank == s->slice.rank && (!v->rank || memcmp(v->dims, s->slice.dims, sizeof *v->dims * (size_t)v->rank) == 0);
  if (!r->done) {
    s->slice = *v;
    s->slice.data = NULL;
    s->each = bytes;
  } else if (!same) {
    return hn_xfail(r->x, HONE_BAD_GRAPH, "its body gives slices of different shapes");
  }
  if (__builtin_add_overflow(s->used, bytes, &need)) return hn_xfail(r->x, HONE_NOMEM, "its output is too large");
  if (need > s->room) {
    size_t room = need < SIZE_MAX / 2 ? 2 * need : need;
    unsigned char *more = hn_realloc(s->data, room);
    if (!more) return hn_xfail(r->x, HONE_NOMEM, "out of memory: its output needs %zu bytes", need);
    s->data = more;
    s->room = room;
  }
  if (bytes) memcpy(s->data + s->used, v->data, bytes);
  s->used = need;
  return HONE_OK;
}

static hone_status open_rounds(hn_exec *x, uint32_t first_in, uint32_t first_out, uint32_t extra, rounds *r) {
  const hn_node *n = hn_xnode(x);
  *r = (rounds){.x = x, .body = hn_attr_graph(n, "body"), .first = first_out, .captures = captures_of(x), .extra = extra};
  if (!r->body || n->n_main < first_in + extra + r->captures) return hn_xfail(x, HONE_BAD_GRAPH, "its body does not fit its inputs");
  r->carried = n->n_main - first_in - extra - r->captures;
  r->n_in = (uint32_t)r->body->inputs.n;
  r->n_out = (uint32_t)r->body->outputs.n;
  if (r->n_in != first_in + r->carried + extra + r->captures || r->n_out < first_out + r->carried)
    return hn_xfail(x, HONE_BAD_GRAPH, "its body does not fit its inputs");
  r->stacked = r->n_out - first_out - r->carried;
  r->in = hn_calloc(r->n_in + 1, sizeof *r->in);
  r->out = hn_calloc(r->n_out + 1, sizeof *r->out);
  r->kept = hn_calloc(r->n_out + 1, sizeof *r->kept);
  r->stacks = hn_calloc(r->stacked + 1, sizeof *r->stacks);
  if (!r->in || !r->out || !r->kept || !r->stacks) return hn_nomem(x->cx);
  for (uint32_t i = 0; i < r->carried; i++) r->in[first_in + i] = x->in[first_in + i];
  for (uint32_t i = 0; i < r->captures; i++) r->in[r->n_in - r->captures + i] = x->in[n->n_main - r->captures + i];
  return HONE_OK;
}

/* Calls the body; its carried results are the next round's inputs from `first_in` on. */
static hone_status run_round(rounds *r, uint32_t first_in) {
  hn_exec *x = r->x;
  HN_TRY(x->call(x, r->body, r->in, r->n_in, r->out, r->n_out));
  hone_status st = HONE_OK;
  for (uint32_t i = 0; i < r->stacked && !st; i++) st = push_slice(r, &r->stacks[i], &r->out[r->first + r->carried + i]);
  x->release_results(x, r->kept, r->n_out); /* the results of the round before were its inputs */
  memcpy(r->kept, r->out, sizeof *r->out * r->n_out);
  for (uint32_t i = 0; i < r->carried; i++) r->in[first_in + i] = r->kept[r->first + i];
  r->done++;
  return st;
}

static void close_rounds(rounds *r) {
  if (r->kept) r->x->release_results(r->x, r->kept, r->n_out);
  for (uint32_t i = 0; i < r->stacked && r->stacks; i++) hn_free(r->stacks[i].data);
  hn_free(r->in);
  hn_free(r->out);
  hn_free(r->kept);
  hn_free(r->stacks);
}

/* Without any round the slices' shape is what inference knows of it; unknown dimensions are 0. */
static void unseen_slice(const rounds *r, uint32_t i, hn_view *v) {
  const hn_value *out = hn_value_at(r->body, r->body->outputs.p[r->first + r->carried + i].value);
  *v = (hn_view){.dtype = out->dtype ? out->dtype : HONE_DTYPE_F32, .rank = out->shape.rank < 0 ? 0 : out->shape.rank};
  for (int32_t k = 0; k < v->rank; k++) v->dims[k] = hn_dim_fixed(out->shape.d[k]) ? out->shape.d[k] : 0;
}

/* Stack i as output o: slices side by side along `axis`, the last first where `reverse`. */
static hone_status unstack(rounds *r, uint32_t i, uint32_t o, int64_t axis_wanted, bool reverse) {
  stack *s = &r->stacks[i];
  int64_t dims[HN_MAX_RANK], outer = 1, inner = 1;
  int32_t axis;
  if (!hn_xwants(r->x, o)) return HONE_OK;
  if (!r->done) unseen_slice(r, i, &s->slice);
  size_t size = hone_dtype_size(s->slice.dtype);
  if (s->slice.rank == HN_MAX_RANK || axis_wanted < -(s->slice.rank + 1) || axis_wanted > s->slice.rank || !size)
    return hn_xfail(r->x, HONE_BAD_GRAPH, "output %u cannot be put together along axis %lld", o, (long long)axis_wanted);
  axis = (int32_t)(axis_wanted < 0 ? axis_wanted + s->slice.rank + 1 : axis_wanted);
  for (int32_t k = 0; k < s->slice.rank; k++) *(k < axis ? &outer : &inner) *= s->slice.dims[k];
  for (int32_t k = 0, from = 0; k <= s->slice.rank; k++) dims[k] = k == axis ? r->done : s->slice.dims[from++];
  HN_TRY(hn_xout(r->x, o, s->slice.dtype, s->slice.rank + 1, dims));
  size_t run = (size_t)inner * size;
  for (int64_t t = 0; t < r->done && run; t++)
    for (int64_t a = 0; a < outer; a++) {
      int64_t to = reverse ? r->done - 1 - t : t;
      memcpy((unsigned char *)r->x->out[o].data + (size_t)(a * r->done + to) * run, s->data + (size_t)t * s->each + (size_t)a * run, run);
    }
  return HONE_OK;
}

hone_status hk_loop_ref(hn_exec *x) {
  rounds r = {.x = x};
  int64_t most = INT64_MAX, count = 0;
  unsigned char go = 1;
  if (x->in[0].data && hn_xhas(x, 0)) HN_TRY(hn_xscalar_i(x, 0, &most));
  if (x->in[1].data && hn_xhas(x, 1)) go = truth(&x->in[1]);
  hone_status st = open_rounds(x, 2, 1, 0, &r);
  if (!st) {
    r.in[0] = (hn_view){.data = &count, .dtype = HONE_DTYPE_I64, .count = 1};
    r.in[1] = (hn_view){.data = &go, .dtype = HONE_DTYPE_BOOL, .count = 1};
  }
  for (; !st && count < most && go; count++) {
    st = run_round(&r, 2);
    if (!st) go = truth(&r.kept[0]);
  }
  for (uint32_t i = 0; i < r.carried && !st; i++) st = copy_out(x, i, &r.in[2 + i]);
  for (uint32_t i = 0; i < r.stacked && !st; i++) st = unstack(&r, i, r.carried + i, 0, false);
  close_rounds(&r);
  return st;
}

/* ---- Scan */

static int64_t listed(const hn_node *n, const char *name, uint32_t i) {
  const int64_t *v;
  return i < hn_attr_ints(n, name, &v) ? v[i] : 0;
}

/* Slice t of a scan input, copied dense into `to`, which has room. */
static void take_slice(const hn_view *v, int32_t axis, int64_t t, hn_view *slice, unsigned char *to) {
  hn_axis_split s = hn_split_at(v, axis);
  size_t size = hone_dtype_size(v->dtype), run = (size_t)s.inner * size;
  *slice = (hn_view){.data = to, .dtype = v->dtype, .rank = v->rank - 1, .count = s.outer * s.inner};
  for (int32_t k = 0, d = 0; k < v->rank; k++)
    if (k != axis) slice->dims[d++] = v->dims[k];
  for (int64_t o = 0; o < s.outer; o++)
    memcpy(to + (size_t)o * run, (const unsigned char *)v->data + (size_t)(o * s.n + t) * run, run);
}

static hone_status scan_length(hn_exec *x, uint32_t states, uint32_t scans, int32_t *axes, int64_t *length) {
  *length = -1;
  for (uint32_t i = 0; i < scans; i++) {
    const hn_view *v = &x->in[states + i];
    if (!hone_dtype_size(v->dtype)) return hn_xbad_dtype(x, v->dtype);
    HN_TRY(hn_xaxis(x, states + i, listed(hn_xnode(x), "scan_input_axes", i), &axes[i]));
    if (*length >= 0 && *length != v->dims[axes[i]]) return hn_xfail(x, HONE_BAD_GRAPH, "scan inputs differ in length");
    *length = v->dims[axes[i]];
  }
  return HONE_OK;
}

hone_status hk_scan_ref(hn_exec *x) {
  const hn_node *n = hn_xnode(x);
  rounds r = {.x = x};
  int64_t scans = hn_attr_i(n, "num_scan_inputs", 0), length;
  if (scans < 1 || scans > n->n_main) return hn_xfail(x, HONE_BAD_GRAPH, "num_scan_inputs is %lld", (long long)scans);
  hone_status st = open_rounds(x, 0, 0, (uint32_t)scans, &r);
  int32_t *axes = hn_calloc((size_t)scans, sizeof *axes);
  unsigned char **slices = hn_calloc((size_t)scans, sizeof *slices);
  if (!st && (!axes || !slices)) st = hn_nomem(x->cx);
  if (!st) st = scan_length(x, r.carried, (uint32_t)scans, axes, &length);
  for (uint32_t i = 0; i < scans && !st; i++) {
    const hn_view *v = &x->in[r.carried + i];
    slices[i] = hn_malloc((size_t)v->count * hone_dtype_size(v->dtype) + 1);
    if (!slices[i]) st = hn_nomem(x->cx);
  }
  for (int64_t t = 0; !st && t < length; t++) {
    for (uint32_t i = 0; i < scans; i++) {
      bool back = listed(n, "scan_input_directions", i) != 0;
      take_slice(&x->in[r.carried + i], axes[i], back ? length - 1 - t : t, &r.in[r.carried + i], slices[i]);
    }
    st = run_round(&r, 0);
  }
  for (uint32_t i = 0; i < r.carried && !st; i++) st = copy_out(x, i, &r.in[i]);
  for (uint32_t i = 0; i < r.stacked && !st; i++)
    st = unstack(&r, i, r.carried + i, listed(n, "scan_output_axes", i), listed(n, "scan_output_directions", i) != 0);
  for (int64_t i = 0; slices && i < scans; i++) hn_free(slices[i]);
  hn_free(slices);
  hn_free(axes);
  close_rounds(&r);
  return st;
}
