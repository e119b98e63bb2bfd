/* lower_cudnn.c - cuDNN's recurrent networks of several layers: their weights lie one after the other in one buffer, matrices of
   all layers first, then their biases; gates of LSTM as input, forget, cell, output, of GRU as reset, update, new. */
#include <string.h>

#include "format/tensorflow/tf_lower.h"

typedef struct network {
  hn_op op;
  int64_t gates, units, inputs, layers, directions;
  const hn_tensor *params;
  const int *order; /* our gate -> cuDNN's */
} network;

static const int lstm_order[4] = {0, 3, 1, 2}, gru_order[3] = {1, 0, 2}, rnn_order[1] = {0};

static int64_t inputs_of(const network *n, int64_t layer) { return layer ? n->units * n->directions : n->inputs; }
static int64_t matrices_of(const network *n, int64_t layer) { return n->gates * n->units * (inputs_of(n, layer) + n->units); }

/* How many layers have as many numbers; 0: none. */
static int64_t layers_of(const network *n) {
  int64_t total = 0, biases = 2 * n->gates * n->units * n->directions;
  for (int64_t layers = 1; layers <= 64; layers++) {
    total += n->directions * matrices_of(n, layers - 1) + biases;
    if (total == n->params->count) return layers;
    if (total > n->params->count) break;
  }
  return 0;
}

/* One kind of matrices of a layer, for each direction gate under gate. */
static hn_id matrices(tf_lower *x, const network *n, int64_t layer, bool recurrent) {
  int64_t columns = recurrent ? n->units : inputs_of(n, layer), start = 0, each = n->units * columns;
  hn_tensor *t = NULL;
  for (int64_t l = 0; l < layer; l++) start += n->directions * matrices_of(n, l);
  if (!x->m.st) x->m.st = hn_tensor_create(x->s->im->cx, HONE_DTYPE_F32, 3, (const int64_t[]){n->directions, n->gates * n->units, columns}, &t);
  if (x->m.st) return HN_NONE;
  for (int64_t d = 0; d < n->directions; d++)
    for (int64_t g = 0; g < n->gates; g++) {
      int64_t from = start + d * matrices_of(n, layer) + (recurrent ? n->gates * n->units * inputs_of(n, layer) : 0) + n->order[g] * each;
      memcpy((float *)t->data + (d * n->gates + g) * each, (const float *)n->params->data + from, (size_t)each * sizeof(float));
    }
  return hn_make_constant(&x->m, t);
}

static hn_id biases(tf_lower *x, const network *n, int64_t layer) {
  int64_t half = n->gates * n->units, start = 0;
  hn_tensor *t = NULL;
  for (int64_t l = 0; l < n->layers; l++) start += n->directions * matrices_of(n, l);
  start += layer * n->directions * 2 * half;
  if (!x->m.st) x->m.st = hn_tensor_create(x->s->im->cx, HONE_DTYPE_F32, 2, (const int64_t[]){n->directions, 2 * half}, &t);
  if (x->m.st) return HN_NONE;
  for (int64_t k = 0; k < n->directions * 2; k++) /* of the input, of the state */
    for (int64_t g = 0; g < n->gates; g++)
      memcpy((float *)t->data + k * half + g * n->units, (const float *)n->params->data + start + k * half + n->order[g] * n->units, (size_t)n->units * sizeof(float));
  return hn_make_constant(&x->m, t);
}

static bool read_network(tf_lower *x, network *n) {
  const char *mode = hn_tf_attr_s(x, "rnn_mode", "lstm"), *input = hn_tf_attr_s(x, "input_mode", "linear_input");
  bool lstm = strcmp(mode, "lstm") == 0, gru = strcmp(mode, "gru") == 0, plain = strcmp(mode, "rnn_tanh") == 0 || strcmp(mode, "rnn_relu") == 0;
  hn_shape v = hn_tf_shape_of(x, hn_tf_in(x, 0)), h = hn_tf_shape_of(x, hn_tf_in(x, 1));
  *n = (network){.op = lstm ? HN_LSTM : gru ? HN_GRU : HN_RNN, .gates = lstm ? 4 : gru ? 3 : 1, .order = lstm ? lstm_order : gru ? gru_order : rnn_order};
  n->directions = strcmp(hn_tf_attr_s(x, "direction", "unidirectional"), "bidirectional") == 0 ? 2 : 1;
  n->params = x->m.st ? NULL : hn_const(x->m.g, hn_tf_in(x, 3));
  if (x->m.st) return false;
  if (!lstm && !gru && !plain) hn_tf_fail(x, HONE_UNSUPPORTED, "rnn_mode '%s' is not known", mode);
  else if (strcmp(input, "skip_input") == 0) hn_tf_fail(x, HONE_UNSUPPORTED, "input_mode 'skip_input' is not supported");
  else if (hn_tf_attr_i(x, "num_proj", 0)) hn_tf_fail(x, HONE_UNSUPPORTED, "projections are not supported");
  else if (!n->params || n->params->dtype != HONE_DTYPE_F32) hn_tf_fail(x, HONE_UNSUPPORTED, "its parameters are not constant 32-bit floats");
  else if (v.rank != 3 || h.rank != 3 || !hn_dim_fixed(v.d[2]) || !hn_dim_fixed(h.d[2]) || v.d[2] < 1 || h.d[2] < 1 || v.d[2] > 1 << 20 || h.d[2] > 1 << 20)
    hn_tf_fail(x, HONE_UNSUPPORTED, "the sizes of its input and of its state must be known");
  if (x->m.st) return false;
  n->inputs = v.d[2];
  n->units = h.d[2];
  if (!(n->layers = layers_of(n))) hn_tf_fail(x, HONE_BAD_GRAPH, "%lld parameters fit no number of layers of %lld units", (long long)n->params->count, (long long)n->units);
  return !x->m.st;
}

/* Rows of layer `l` of [layers * directions, batch, units]. */
static hn_id state_of(tf_lower *x, const network *n, uint32_t input, int64_t l) {
  return hn_make_slice(&x->m, hn_tf_in(x, input), 0, l * n->directions, (l + 1) * n->directions, 1);
}

static void set_activations(tf_lower *x, const network *n, hn_id node) {
  if (n->op != HN_RNN || strcmp(hn_tf_attr_s(x, "rnn_mode", ""), "rnn_relu") != 0) return;
  hn_set_s(x->m.g, node, "activations", n->directions == 2 ? "Relu,Relu" : "Relu");
}

/* input, input_h, input_c, params[, sequence_lengths] -> output output_h output_c ... */
void hn_tf_lower_cudnn_rnn(tf_lower *x) {
  network n;
  bool third = strcmp(x->n->op, "CudnnRNNV3") == 0, by_batch = third && !hn_tf_attr_b(x, "time_major", true);
  if (!read_network(x, &n)) return;
  hn_id v = hn_tf_in(x, 0), lengths = third && x->n_in > 4 ? hn_make_cast(&x->m, hn_tf_in(x, 4), HONE_DTYPE_I32) : HN_NONE, h[64], c[64];
  if (by_batch) v = hn_make_transpose(&x->m, v, (const int64_t[]){1, 0, 2}, 3);
  for (int64_t l = 0; l < n.layers && !x->m.st; l++) {
    hn_id in[7] = {v, matrices(x, &n, l, false), matrices(x, &n, l, true), biases(x, &n, l), lengths, state_of(x, &n, 1, l), n.op == HN_LSTM ? state_of(x, &n, 2, l) : HN_NONE};
    hn_id node = hn_make_node(&x->m, n.op, in, n.op == HN_LSTM ? 7 : 6, n.op == HN_LSTM ? 3 : 2);
    if (x->m.st) return;
    hn_set_i(x->m.g, node, "hidden_size", n.units);
    hn_set_s(x->m.g, node, "direction", n.directions == 2 ? "bidirectional" : "forward");
    if (n.op == HN_GRU) hn_set_i(x->m.g, node, "linear_before_reset", 1);
    set_activations(x, &n, node);
    hn_id y = hn_make_transpose(&x->m, hn_make_done(&x->m, node), (const int64_t[]){0, 2, 1, 3}, 4); /* [steps, batch, directions, units] */
    v = hn_make_reshape(&x->m, y, (const int64_t[]){0, 0, n.directions * n.units}, 3);
    h[l] = hn_make_out(&x->m, node, 1);
    c[l] = n.op == HN_LSTM ? hn_make_out(&x->m, node, 2) : HN_NONE;
  }
  hn_tf_out(x, 0, by_batch ? hn_make_transpose(&x->m, v, (const int64_t[]){1, 0, 2}, 3) : v);
  hn_tf_out(x, 1, hn_tf_concat(x, h, (uint32_t)n.layers, 0));
  hn_tf_out(x, 2, n.op == HN_LSTM ? hn_tf_concat(x, c, (uint32_t)n.layers, 0) : hn_tf_in(x, 2));
}
