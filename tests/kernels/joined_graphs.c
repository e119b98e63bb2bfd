#include "joined_graphs.h"

#include <math.h>
#include <string.h>

#include "harness.h"
#include "op/infer.h"

uint32_t joined_seed;
uint32_t joined_next(void) {
  joined_seed = joined_seed * 1664525u + 1013904223u;
  return joined_seed >> 8;
}
static uint32_t next(void) { return joined_next(); }
static int64_t between(int64_t lo, int64_t hi) { return lo + next() % (uint32_t)(hi - lo + 1); }


static hn_id constant(hn_graph *g, int32_t rank, const int64_t *dims, float size) {
  hn_tensor *c;
  if (hn_tensor_create(g->cx, HONE_DTYPE_F32, rank, dims, &c)) abort();
  for (int64_t i = 0; i < c->count; i++) ((float *)c->data)[i] = size * ((float)(next() % 2001) / 1000.0f - 1.0f);
  return hn_graph_add_constant(g, NULL, c);
}

static hn_id ints(hn_graph *g, const int64_t *v, size_t n) {
  hn_tensor *c;
  if (hn_tensor_ints(g->cx, v, n, &c)) abort();
  return hn_graph_add_constant(g, NULL, c);
}

static void keep(joined *m, hn_id node, uint32_t out, int64_t channels) {
  if (m->n == JOINED_VALUES) return;
  m->value[m->n] = hn_node_at(m->g, node)->out[out];
  m->channels[m->n++] = channels;
}

/* One of the values, the later ones more often. */
static int some(const joined *m) { return next() % 2 ? m->n - 1 - (int)(next() % (uint32_t)(m->n < 3 ? m->n : 3)) : (int)(next() % (uint32_t)m->n); }

static void per_channel(const joined *m, int64_t channels, int64_t *dims) {
  for (int32_t i = 0; i < m->rank; i++) dims[i] = i == m->axis ? channels : 1;
}

static void add_layer(joined *m) {
  hn_graph *g = m->g;
  int of = some(m);
  hn_id x = m->value[of], in[3] = {x, HN_NONE, HN_NONE}, n;
  int64_t c = m->channels[of], widths[] = {1, 3, 8, 16, 16, 32, 17}, out = widths[next() % 7], dims[4];
  if (m->rank == 3) {
    int64_t w[2] = {c, out};
    in[1] = constant(g, 2, w, 1 / sqrtf((float)c));
    n = hn_graph_add_node(g, HN_MatMul, "", in, 2, 1);
  } else if (next() % 4 == 0) {
    n = hn_graph_add_node(g, next() % 2 ? HN_MaxPool : HN_AveragePool, "", in, 1, 1);
    hn_set_ints(g, n, "kernel_shape", (int64_t[]){3, 3}, 2);
    hn_set_ints(g, n, "pads", (int64_t[]){1, 1, 1, 1}, 4);
    out = c;
  } else {
    bool depthwise = next() % 3 == 0;
    int64_t side = depthwise || next() % 2 ? 3 : 1;
    if (depthwise) out = c;
    int64_t w[4] = {out, depthwise ? 1 : c, side, side};
    in[1] = constant(g, 4, w, 1 / sqrtf((float)(w[1] * side * side)));
    if (next() % 2) in[2] = constant(g, 1, &out, 1);
    n = hn_graph_add_node(g, HN_Conv, "", in, in[2] == HN_NONE ? 2 : 3, 1);
    hn_set_ints(g, n, "pads", (int64_t[]){side / 2, side / 2, side / 2, side / 2}, 4);
    hn_set_i(g, n, "group", depthwise ? c : 1);
  }
  per_channel(m, out, dims);
  if (next() % 4 == 0) hn_add_post(g, n, HN_Mul, constant(g, m->rank, dims, 1), false, 0, 0);
  for (int i = 0; i < m->n && next() % 2; i++)
    if (m->channels[i] == out) {
      hn_add_post(g, n, HN_Add, m->value[i], false, 0, 0);
      break;
    }
  if (next() % 2) hn_add_post(g, n, next() % 2 ? HN_Relu : HN_Swish, HN_NONE, false, 1, 0);
  keep(m, n, 0, out);
}

static void add_eltwise(joined *m) {
  int of = some(m);
  int64_t dims[4];
  hn_id in[2] = {m->value[of], HN_NONE};
  per_channel(m, m->channels[of], dims);
  in[1] = constant(m->g, m->rank, dims, 1);
  hn_id n = next() % 2 ? hn_graph_add_node(m->g, HN_Relu, "", in, 1, 1) : hn_graph_add_node(m->g, HN_Mul, "", in, 2, 1);
  keep(m, n, 0, m->channels[of]);
}

static void add_concat(joined *m) {
  hn_id in[5];
  int64_t channels = 0;
  uint32_t k = (uint32_t)between(2, 5);
  for (uint32_t i = 0; i < k; i++) {
    int of = some(m);
    in[i] = m->value[of];
    channels += m->channels[of];
  }
  if (channels > 200) return;
  hn_id n = hn_graph_add_node(m->g, HN_Concat, "", in, k, 1);
  hn_set_i(m->g, n, "axis", m->axis);
  keep(m, n, 0, channels);
  m->concats++;
  if (next() % 2 || m->n + 4 > JOINED_VALUES) return;
  int64_t grown = channels; /* and one that prolongs it, as in a DenseNet, by a layer that reads it */
  add_layer(m);
  in[k++ % 5] = m->value[m->n - 1];
  if (k > 5) return;
  grown += m->channels[m->n - 1];
  n = hn_graph_add_node(m->g, HN_Concat, "", in, k, 1);
  hn_set_i(m->g, n, "axis", m->axis);
  keep(m, n, 0, grown);
  m->concats++;
}

static void add_cut(joined *m) {
  int of = some(m);
  int64_t c = m->channels[of], at = c / 2;
  if (c < 2) return;
  if (next() % 2) {
    hn_id in[2] = {m->value[of], ints(m->g, (int64_t[]){at, c - at}, 2)};
    hn_id n = hn_graph_add_node(m->g, HN_Split, "", in, 2, 2);
    hn_set_i(m->g, n, "axis", m->axis);
    keep(m, n, 0, at);
    keep(m, n, 1, c - at);
  } else {
    int64_t from = between(0, c - 1), to = between(from + 1, c), axis = m->axis;
    hn_id in[4] = {m->value[of], ints(m->g, &from, 1), ints(m->g, &to, 1), ints(m->g, &axis, 1)};
    keep(m, hn_graph_add_node(m->g, HN_Slice, "", in, 4, 1), 0, to - from);
  }
  m->cuts++;
}

bool joined_make(hone_context *cx, joined *m) {
  static const int64_t widths[] = {1, 8, 16, 32, 5};
  *m = (joined){.g = hn_graph_create(cx, "joined"), .rank = next() % 4 ? 4 : 3};
  m->axis = m->rank == 4 ? 1 : 2;
  m->d[0] = between(1, 2);
  m->d[2] = next() % 5 ? between(3, 9) : 1;
  m->d[3] = next() % 5 ? between(3, 9) : 1;
  for (int i = 0; i < 2; i++) {
    int64_t c = widths[next() % 5], image[4] = {m->d[0], c, m->d[2], m->d[3]}, rows[3] = {m->d[0], m->d[2], c};
    hn_shape s = hn_shape_of(m->rank, m->rank == 4 ? image : rows);
    m->value[m->n] = hn_graph_add_input(m->g, hn_fresh_name(m->g, "x"), HONE_DTYPE_F32, &s);
    m->channels[m->n++] = c;
  }
  for (int64_t i = between(4, 14); i > 0; i--) switch (next() % 6) {
      case 0:
      case 1: add_layer(m); break;
      case 2: add_eltwise(m); break;
      case 3: add_cut(m); break;
      default: add_concat(m); break;
    }
  for (int i = 0; i < m->n; i++)
    if (i == m->n - 1 || next() % 8 == 0) hn_graph_add_output(m->g, hn_fresh_name(m->g, "y"), m->value[i]);
  hone_status st = m->g->oom ? HONE_NOMEM : hn_infer_again(m->g);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  return !st;
}

static bool close_enough(float got, float want) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  return fabsf(got - want) <= 5e-4f * (1 + fabsf(want));
}

void joined_compare(const joined *m, const hn_view *got, const hn_view *want, const char *what) {
  for (size_t o = 0; o < m->g->outputs.n; o++)
    for (int64_t i = 0; i < want[o].count; i++) {
      float x = ((const float *)got[o].data)[i], y = ((const float *)want[o].data)[i];
      if (close_enough(x, y)) continue;
      char *text = NULL;
      if (hn_graph_print(m->g, &text)) text = NULL;
      CHECK_MSG(false, "%s: output %zu[%lld] is %g, not %g\n%s", what, o, (long long)i, (double)x, (double)y, text ? text : "");
      hn_free(text);
      return;
    }
}

hone_status joined_inputs(const joined *m, hn_view in[2]) {
  for (size_t k = 0; k < 2; k++) {
    in[k] = (hn_view){.dtype = HONE_DTYPE_F32, .rank = m->rank, .count = 1};
    memcpy(in[k].dims, hn_value_at(m->g, m->g->inputs.p[k])->shape.d, sizeof in[k].dims);
    for (int i = 0; i < m->rank; i++) in[k].count *= in[k].dims[i];
    in[k].data = hn_malloc_aligned(sizeof(float) * (size_t)in[k].count);
    if (!in[k].data) return HONE_NOMEM;
    for (int64_t i = 0; i < in[k].count; i++) ((float *)in[k].data)[i] = (float)(next() % 2001) / 1000.0f - 1.0f;
  }
  return HONE_OK;
}
