/* defaults.c - default values of float attributes of activation-like operators. */
#include <math.h>

#include "op/infer.h"

typedef struct defaults {
  float alpha, beta;
} defaults;

static const defaults table[HN_OP_COUNT] = {
    [HN_Celu] = {1, 0},
    [HN_Clip] = {-INFINITY, INFINITY},
    [HN_Elu] = {1, 0},
    [HN_Gemm] = {1, 1},
    [HN_HardSigmoid] = {0.2f, 0.5f},
    [HN_LRN] = {0.0001f, 0.75f},
    [HN_LeakyRelu] = {0.01f, 0},
    [HN_Selu] = {1.67326319217681884765625f, 1.05070102214813232421875f},
    [HN_Shrink] = {0, 0.5f},
    [HN_Swish] = {1, 0},
    [HN_ThresholdedRelu] = {1, 0},
};

float hn_default_alpha(hn_op op) { return (unsigned)op < HN_OP_COUNT ? table[op].alpha : 0; }
float hn_default_beta(hn_op op) { return (unsigned)op < HN_OP_COUNT ? table[op].beta : 0; }
