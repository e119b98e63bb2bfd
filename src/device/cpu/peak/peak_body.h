/* peak_body.h - the loops of peak.h, for the vectors of one instruction set: PEAK names the table, BYTES is a vector's
   size. On x86 also VNNI, the instruction that sums products of bytes, and BF16, if defined, that of pairs of BF16: written as they
   are, since they need no more than what this file is compiled for until they are run. */
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

#if defined(VNNI)
/* Sums of products of the bytes in a and b, or of halves; `t` is for what lies between. */
#define DOT(k) __asm__ volatile(INSTRUCTIONS : "+v"(s##k), "=&v"(t) : "v"(a), "v"(b), "v"(ones));
#define ZERO(k) words s##k = {0};
#define DOTS(name, bits, operations)                                                       \
  static uint64_t name(uint64_t rounds, float *sink) {                                     \
    words a = {0}, b = a, all = a, t = a, ones = a;                                        \
    a += bits;                                                                             \
    b += bits;                                                                             \
    ones += 0x00010001u;                                                                   \
    CHAINS(ZERO)                                                                           \
    for (uint64_t i = 0; i < rounds; i++) {                                                \
      CHAINS(DOT)                                                                          \
    }                                                                                      \
    CHAINS(SUM)                                                                            \
    *sink += (float)(all + t)[0];                                                          \
    return rounds * 12 * (operations);                                                     \
  }

#define INSTRUCTIONS "vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
DOTS(multiply_bytes, 0x01010101u, BYTES * 2)
#undef INSTRUCTIONS
#define INSTRUCTIONS VNNI " %3, %2, %0"
DOTS(multiply_bytes_vnni, 0x01010101u, BYTES * 2)
#ifdef BF16
#undef INSTRUCTIONS
#define INSTRUCTIONS BF16 " %3, %2, %0"
DOTS(multiply_bf16, 0x3f803f80u, BYTES)
#endif
#endif

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

const hn_peak PEAK = {
    .multiply = multiply,
#if defined(VNNI)
    .bytes = multiply_bytes,
    .bytes_vnni = multiply_bytes_vnni,
#endif
#if defined(BF16)
    .bf16 = multiply_bf16,
#endif
    .read = read_words};
