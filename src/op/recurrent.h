/* recurrent.h - attributes that RNN, GRU and LSTM share. One of them is ours alone, `dynamic`: if it is not 0, every row of X and
   of the states (of GRU's reset states too) is rounded to 8 bits before it is multiplied with W or R: by floats, x / s to the nearest whole
   number, s being 1/127 of the row's largest absolute value. */
#ifndef HN_RECURRENT_H
#define HN_RECURRENT_H
#include "ir/graph.h"

/* A gate's function; op HN_OP_NONE: alpha * x + beta. */
typedef struct hn_gate {
  hn_op op;
  double alpha, beta;
} hn_gate;

enum { HN_GATE_FUNCTIONS = 3 };

int hn_recurrent_gates(hn_op op);           /* 4 of LSTM (i, o, f, c), 3 of GRU (z, r, h), 1 of RNN */
int hn_recurrent_directions(const hn_node *n);
/* The functions of each direction: LSTM's of the gates, the cell, the output; GRU's of the gates, the candidate; RNN's one.
   false: one is not known; *bad is its name, *length that name's length. */
bool hn_recurrent_functions(const hn_node *n, hn_gate functions[2][HN_GATE_FUNCTIONS], const char **bad, int *length);
#endif
