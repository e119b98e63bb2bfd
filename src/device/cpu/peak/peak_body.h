/* peak_body.h - the loops of peak.h, for the vectors of one instruction set: PEAK names the table, BYTES is a vector's
   size. */
#include "device/cpu/peak/peak.h"

typedef float vector __attribute__((vector_size(BYTES)));
typedef uint32_t words __attribute__((vector_size(BYTES)));

/* Twelve independent sums: latency 4 to 5, two a cycle. Each passes through a register between steps. */
#define CHAINS(STEP) STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11)
#if defined(__x86_64__)
#define HELD "+v"
#else
#define HELD "+w"
#endif
#define BEGIN(k) vector s##k = step * (float)k;
#define ONCE(k) s##k = s##k * scale + step; __asm__ volatile("" : HELD(s##k));
#define SUM(k) all += s##k;

static uint64_t multiply(uint64_t rounds, float *sink) {
  vector scale = {0}, step = {0}, all = {0};
  scale += 0.9999f;
  step += 1e-4f;
  CHAINS(BEGIN)
  for (uint64_t i = 0; i < rounds; i++) {
    CHAINS(ONCE)
  }
  CHAINS(SUM)
  *sink += all[0];
  return rounds * 12 * (BYTES / sizeof(float)) * 2;
}

static uint32_t read_words(const void *data, size_t bytes) {
  const words *p = data;
  words a = {0}, b = {0}, c = {0}, d = {0};
  for (size_t i = 0; i + 4 <= bytes / BYTES; i += 4) {
    a += p[i];
    b += p[i + 1];
    c += p[i + 2];
    d += p[i + 3];
  }
  a += b + c + d;
  return a[0];
}

const hn_peak PEAK = {multiply, read_words};
