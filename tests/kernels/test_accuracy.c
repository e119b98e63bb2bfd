/* test_accuracy.c - the functions of vec/float_runs.h and vec/half_runs.h against double precision, in units in the last place: every
   STRIDE-th float of all bit patterns, every half float, for each instruction set this processor has, within the bounds the header states. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/half.h"
#include "device/cpu/quant/convert_runs.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/half_runs.h"
#include "harness.h"
#include "op/scalar.h"

enum { STRIDE = 4093, RUN = 4096 };

/* Distance in units of the last place of `of`, the exact value itself in most cases. */
static double ulps(float got, double want, double of) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : INFINITY;
  if (got == (float)want) return 0;
  if (isinf((float)want) || isinf(got)) return fabs(want) > 3.4e38 && fabs((double)got) > 3.4e38 ? 1 : INFINITY;
  int exponent;
  frexp(of, &exponent);
  return fabs((double)got - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

typedef struct worst {
  double error;
  float at;
} worst;

static void measure(const hn_vec *vec, hn_op op, double alpha, double beta, worst *w) {
  static float x[RUN], y[RUN];
  size_t n = 0;
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += STRIDE) {
    uint32_t b = (uint32_t)bits;
    memcpy(&x[n++], &b, sizeof b);
    if (n < RUN && bits + STRIDE <= UINT32_MAX) continue;
    vec->unary[op](y, x, n, (float)alpha, (float)beta);
    for (size_t i = 0; i < n; i++) {
      double want = hn_scalar_unary(op, (double)x[i], alpha, beta), of = op == HN_Gelu || op == HN_HardSwish ? (double)x[i] : want;
      bool tiny = op == HN_Swish && fabs(want) < 0x1p-100; /* it keeps no digits there */
      double e = tiny ? fabs((double)y[i]) > 0x1p-100 ? INFINITY : 0 : ulps(y[i], want, of);
      if (e > w->error) *w = (worst){e, x[i]};
    }
    n = 0;
  }
}

TEST(functions_keep_the_stated_error) {
  for (int isa = 0; isa <= (int)hn_isa_best(); isa++) {
    const hn_vec *vec = hn_vec_for((hn_isa)isa);
    for (int op = 0; op < HN_OP_COUNT; op++) {
      worst w = {0, 0};
      if (hn_vec_ulps[op] == 0) continue;
      REQUIRE(vec->unary[op]);
      measure(vec, (hn_op)op, op == HN_Gelu ? 0 : 1, 0, &w);
      CHECK_MSG(w.error <= (double)hn_vec_ulps[op], "%s, %s: off by %g units in the last place at %.9g, not %g", hn_isa_name((hn_isa)isa),
                hn_op_name((hn_op)op), w.error, (double)w.at, (double)hn_vec_ulps[op]);
    }
  }
}

/* Halves of steps, what lies next to them, and what lies anywhere: with scales of all sizes, bytes are those that division gives. */
TEST(bytes_are_rounded_quotients) {
  enum { N = 1000 };
  static float x[N];
  static uint8_t u[N];
  static int8_t s[N];
  uint32_t r = 1;
  for (int isa = 0; isa <= (int)hn_isa_best(); isa++) {
    const hn_convert *convert = hn_convert_for((hn_isa)isa);
    for (int trial = 0; trial < 400; trial++) {
      float scale = trial == 0 ? 0x1p-149f : trial == 1 ? 0x1p-130f : trial == 2 ? 3e38f : ldexpf((float)(1 + (r >> 8) % 65536), -(int)(r % 30));
      int zero = trial % 2 ? 0 : 128, wrong = 0;
      for (int i = 0; i < N; i++) {
        r = r * 1664525u + 1013904223u;
        float halves = (float)((int)(r >> 16) % 600 - 300) + 0.5f;
        x[i] = i % 4 == 0 ? halves * scale : i % 4 == 1 ? nextafterf(halves * scale, INFINITY) : i % 4 == 2 ? nextafterf(halves * scale, -INFINITY) : halves * scale * 0.7f;
        if (i % 97 == 0) x[i] = i % 2 ? NAN : i % 3 ? INFINITY : -INFINITY;
      }
      convert->store[HONE_DTYPE_U8](u, x, N - 1, scale, (float)zero);
      convert->store[HONE_DTYPE_I8](s, x, N - 1, scale, (float)zero - 128);
      for (int i = 0; i < N - 1; i++) {
        float q = rintf(x[i] / scale);
        double want = isnan(q) ? zero : fmin(fmax((double)q + zero, 0), 255), other = isnan(q) ? zero - 128 : fmin(fmax((double)q + zero - 128, -128), 127);
        wrong += u[i] != want || s[i] != other;
      }
      CHECK_MSG(!wrong, "%s: %d bytes are not what division by %g gives", hn_isa_name((hn_isa)isa), wrong, (double)scale);
    }
  }
}

/* All bfloat16 numbers, as such and as floats: half a unit in the last place for rounding, and what the function is off by. */
TEST(functions_of_bfloat16_keep_theirs) {
  static uint16_t x[65536], y[65536];
  static float wide[65536], floats[65536];
  const hn_half_runs *runs = hn_half_runs_best(HONE_DTYPE_BF16);
  for (int i = 0; i < 65536; i++) x[i] = (uint16_t)i, wide[i] = hn_bf16_to_f32(x[i]);
  for (int op = 0; runs && op < HN_OP_COUNT; op++) {
    float alpha = op == HN_Clip ? -0.5f : op == HN_LeakyRelu ? 0.125f : op == HN_HardSigmoid ? 0.25f : 1, beta = op == HN_Clip ? 3 : 0.5f;
    double most = 0, at = 0;
    if (!runs->unary[op]) continue;
    REQUIRE(runs->floats[op]);
    y[65535] = 0, floats[65535] = 0;
    runs->unary[op](y, x, 65535, alpha, beta); /* an odd number of them: the last is left */
    runs->floats[op](floats, wide, 65535, alpha, beta);
    CHECK(y[65535] == 0 && floats[65535] == 0);
    for (int i = 0; i < 65535; i++) {
      double of = (double)wide[i], want = hn_scalar_unary((hn_op)op, of, (double)alpha, (double)beta);
      double got[2] = {(double)hn_bf16_to_f32(y[i]), (double)floats[i]};
      for (int k = 0; k < 2; k++) {
        if (isnan(want) || isnan(got[k]) || isinf(want) || isinf(got[k])) {
          if (isinf(of) && !isnan(of)) continue; /* inf times nothing */
          CHECK_MSG(isnan(want) == isnan(got[k]) && (isnan(want) || fabs(want) > 3.3e38), "%s of %g is %g, not %g", hn_op_name((hn_op)op), of, got[k], want);
          continue;
        }
        double size = fabs(op == HN_HardSwish ? of : op == HN_HardSigmoid ? 1 : want), e = (fabs(got[k] - want) - 0x1p-100) / size;
        if (size > 0 && e * (k ? 16 : 1) > most) most = e * (k ? 16 : 1), at = of;
      }
    }
    CHECK_MSG(most <= 0x1.1p-8, "%s: off by %g of the result at %g", hn_op_name((hn_op)op), most, at);
  }
}

TEST(functions_of_half_floats_keep_theirs) {
  static uint16_t x[65536], y[65536];
  const hn_half_runs *runs = hn_half_runs_best(HONE_DTYPE_F16);
  for (int op = 0; runs && op < HN_OP_COUNT; op++) {
    float alpha = op == HN_Clip ? -0.5f : op == HN_LeakyRelu ? 0.125f : op == HN_HardSigmoid ? 0.25f : 1, beta = op == HN_Clip ? 3 : 0.5f;
    double most = 0, at = 0;
    if (!runs->unary[op]) continue;
    for (int i = 0; i < 65536; i++) x[i] = (uint16_t)i;
    runs->unary[op](y, x, 65535, alpha, beta); /* an odd number of them: the last is left */
    CHECK(y[65535] == 0);
    for (int i = 0; i < 65535; i++) {
      double of = (double)hn_f16_to_f32(x[i]), want = hn_scalar_unary((hn_op)op, of, (double)alpha, (double)beta), got = (double)hn_f16_to_f32(y[i]);
      if (isnan(want) || isnan(got) || isinf(want) || isinf(got)) {
        if (isinf(of) && !isnan(of)) continue; /* inf times nothing */
        CHECK_MSG(isnan(want) == isnan(got) && (isnan(want) || fabs(want) > 65504), "%s of %g is %g, not %g", hn_op_name((hn_op)op), of, got, want);
        continue;
      }
      int exponent;
      frexp(op == HN_HardSwish ? of : op == HN_HardSigmoid ? 1 : want, &exponent);
      double e = (fabs(got - want) - ldexp(1, -15)) / ldexp(1, (exponent < -13 ? -13 : exponent) - 11);
      if (e > most) most = e, at = of;
    }
    CHECK_MSG(most <= HN_HALF_STEPS, "%s: off by %g units in the last place at %g", hn_op_name((hn_op)op), most, at);
  }
}
