/* recurrent.c - inference of RNN, GRU and LSTM. */
#include "op/recurrent.h"

#include <string.h>
#include <strings.h>

#include "op/infer.h"

hone_status hn_infer_rnn(hn_infer *x);
hone_status hn_infer_rnn(hn_infer *x) {
  const hn_node *n = hn_ino(x);
  int64_t gates = n->op == HN_LSTM ? 4 : n->op == HN_GRU ? 3 : 1;
  bool batch_first = hn_attr_i(n, "layout", 0) != 0;
  const char *direction = hn_attr_s(n, "direction", "forward");
  bool both = hn_streq(direction, "bidirectional");
  if (!both && !hn_streq(direction, "forward") && !hn_streq(direction, "reverse"))
    return hn_ierror(x, "direction '%s' is not forward, reverse or bidirectional", direction);
  hn_dtype t = hn_idtype(x, 0);
  hn_shape in = hn_ishape(x, 0), w = hn_ishape(x, 1), r = hn_ishape(x, 2);
  int64_t hidden = hn_attr_i(n, "hidden_size", 0);
  if (in.rank >= 0 && in.rank != 3) return hn_ierror(x, "its input has %d dimensions; takes 3", in.rank);
  if (w.rank >= 0 && w.rank != 3) return hn_ierror(x, "W has %d dimensions; takes 3", w.rank);
  if (r.rank >= 0 && r.rank != 3) return hn_ierror(x, "R has %d dimensions; takes 3", r.rank);
  if (hidden < 1 && r.rank == 3 && hn_dim_fixed(r.d[2])) hidden = r.d[2];
  if (w.rank == 3 && hn_dim_fixed(w.d[0]) && w.d[0] != (both ? 2 : 1)) return hn_ierror(x, "W is for %lld directions", (long long)w.d[0]);
  if (w.rank == 3 && hidden > 0 && hn_dim_fixed(w.d[1]) && w.d[1] != gates * hidden)
    return hn_ierror(x, "W has %lld rows for %lld gates of %lld", (long long)w.d[1], (long long)gates, (long long)hidden);
  if (r.rank == 3 && hidden > 0 && hn_dim_fixed(r.d[2]) && r.d[2] != hidden)
    return hn_ierror(x, "R has %lld columns, hidden_size is %lld", (long long)r.d[2], (long long)hidden);
  hn_dim h = hidden > 0 ? hidden : hn_dim_unknown(x->g->dims), dirs = both ? 2 : 1;
  hn_dim steps = in.rank == 3 ? in.d[batch_first] : hn_dim_unknown(x->g->dims);
  hn_dim batch = in.rank == 3 ? in.d[!batch_first] : hn_dim_unknown(x->g->dims);
  hn_shape y = {.rank = 4, .d = {steps, dirs, batch, h}}, last = {.rank = 3, .d = {dirs, batch, h}};
  if (batch_first) {
    y = (hn_shape){.rank = 4, .d = {batch, steps, dirs, h}};
    last = (hn_shape){.rank = 3, .d = {batch, dirs, h}};
  }
  HN_TRY(hn_oset(x, 0, t, y));
  HN_TRY(hn_oset(x, 1, t, last));
  return hn_oset(x, 2, t, last);
}

int hn_recurrent_gates(hn_op op) { return op == HN_LSTM ? 4 : op == HN_GRU ? 3 : 1; }

int hn_recurrent_directions(const hn_node *n) {
  return hn_streq(hn_attr_s(n, "direction", "forward"), "bidirectional") ? 2 : 1;
}

/* A name, and how many float attributes the function takes. */
static bool function_named(const char *name, size_t len, hn_gate *f, int *floats) {
  static const struct {
    const char *name;
    hn_op op;
    int floats;
    double alpha, beta;
  } known[] = {{"Relu", HN_Relu, 0, 0, 0},         {"Tanh", HN_Tanh, 0, 0, 0},
               {"Sigmoid", HN_Sigmoid, 0, 0, 0},   {"Affine", HN_OP_NONE, 2, 1, 0},
               {"LeakyRelu", HN_LeakyRelu, 1, 0.01, 0}, {"ThresholdedRelu", HN_ThresholdedRelu, 1, 1, 0},
               {"HardSigmoid", HN_HardSigmoid, 2, 0.2, 0.5}, {"Elu", HN_Elu, 1, 1, 0},
               {"Softsign", HN_Softsign, 0, 0, 0}, {"Softplus", HN_Softplus, 0, 0, 0}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0) {
      *f = (hn_gate){known[i].op, known[i].alpha, known[i].beta};
      *floats = known[i].floats;
      return true;
    }
  return false;
}

bool hn_recurrent_functions(const hn_node *n, hn_gate functions[2][HN_GATE_FUNCTIONS], const char **bad, int *length) {
  int per = n->op == HN_LSTM ? 3 : n->op == HN_GRU ? 2 : 1;
  const char *defaults = n->op == HN_LSTM ? "Sigmoid,Tanh,Tanh" : n->op == HN_GRU ? "Sigmoid,Tanh" : "Tanh";
  const char *names = hn_attr_s(n, "activations", ""), *p = names;
  const double *alpha, *beta;
  uint32_t n_alpha = hn_attr_floats(n, "activation_alpha", &alpha), n_beta = hn_attr_floats(n, "activation_beta", &beta), a = 0, b = 0;
  for (int d = 0; d < hn_recurrent_directions(n); d++) {
    if (!*names) p = defaults;
    for (int i = 0; i < per; i++) {
      size_t len = strcspn(p, ",");
      int floats;
      if (!function_named(p, len, &functions[d][i], &floats)) {
        *bad = p;
        *length = (int)len;
        return false;
      }
      if (floats > 0 && a < n_alpha) functions[d][i].alpha = alpha[a++];
      if (floats > 1 && b < n_beta) functions[d][i].beta = beta[b++];
      p += len;
      p += *p == ',';
    }
  }
  return true;
}
