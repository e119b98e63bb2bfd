/* pad_move.c - Pad with a value by constant pads: the value everywhere, then the input in its place. Pads below zero cut. */
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/cpu/move/layout_strides.h"
#include "device/cpu/move/pads.h"

typedef struct state {
  hn_copy copy;
  bool empty; /* nothing of the input is left */
  bool whole; /* or all of the output is it */
} state;

bool pad_move_supports(const hn_task *t) {
  int64_t before[HN_MAX_RANK];
  bool value = t->node->n_main > 2 && t->in[2].present;
  return t->device && hn_element_size(t->in[0].dtype) && t->in[0].rank > 0 && hn_streq(hn_attr_s(t->node, "mode", "constant"), "constant") &&
         (!value || (t->in[2].dtype == t->in[0].dtype && t->in[2].rank <= 1)) && hn_pads_of(t, before);
}

hone_status pad_move_plan(hn_task *t) {
  hn_arg *in = &t->in[0], *out = &t->out[0];
  int64_t before[HN_MAX_RANK], stride[2][HN_MAX_RANK], dims[HN_MAX_RANK], physical[HN_ND_RANK], to[HN_MAX_RANK], from[HN_MAX_RANK], at[2] = {0};
  state *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  if (!hn_pads_of(t, before)) return HONE_UNSUPPORTED;
  hn_layout l = in->layout == HN_LAYOUT_NHWC ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
  in->layout = out->layout = l;
  t->in[1].unused = true;
  if (t->node->n_main > 3) t->in[3].unused = true;
  for (int k = 0; k < 2; k++) {
    hn_layout_dims(l, in->rank, k ? in->dims : out->dims, physical);
    hn_dense_strides(in->rank, physical, stride[k]);
  }
  s->whole = true;
  for (int32_t i = 0; i < in->rank; i++) {
    int64_t block, first = before[i] < 0 ? -before[i] : 0, start = before[i] > 0 ? before[i] : 0;
    int32_t p = hn_layout_axis(l, in->rank, i, &block);
    int64_t n = in->dims[i] - first < out->dims[i] - start ? in->dims[i] - first : out->dims[i] - start;
    if (n <= 0) s->empty = true;
    s->whole = s->whole && n == out->dims[i];
    dims[p] = n;
    to[p] = stride[0][p];
    from[p] = stride[1][p];
    at[0] += start * stride[0][p];
    at[1] += first * stride[1][p];
  }
  if (!s->empty) hn_copy_plan(&s->copy, hn_element_size(in->dtype), in->rank, dims, at[0], to, at[1], from);
  return HONE_OK;
}

/* One element all over: the part that is filled is copied behind itself. */
static void fill(unsigned char *to, const unsigned char *value, size_t size, size_t bytes) {
  bool zero = true;
  for (size_t i = 0; i < size; i++) zero = zero && !value[i];
  if (zero) memset(to, 0, bytes);
  else if (bytes >= size) memcpy(to, value, size);
  for (size_t done = size; !zero && done < bytes; done *= 2) memcpy(to + done, to, done < bytes - done ? done : bytes - done);
}

hone_status pad_move_run(hn_exec *x) {
  static const unsigned char zero[16] = {0};
  const state *s = x->task->state;
  size_t size = hn_element_size(x->in[0].dtype);
  bool value = hn_xhas(x, 2);
  if (value && x->in[2].count != 1) return hn_xfail(x, HONE_BAD_GRAPH, "the value is not one element");
  if (!s->whole || s->empty) fill(x->out[0].data, value ? x->in[2].data : zero, size, (size_t)x->out[0].count * size);
  if (!s->empty) hn_copy_run(&s->copy, x->threads, x->out[0].data, x->in[0].data);
  return HONE_OK;
}

void pad_move_destroy(hn_task *t) {
  hn_free(t->state);
  t->state = NULL;
}
