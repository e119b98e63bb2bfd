/* peak_amx.c - the roof of AMX: six sums of tiles of 16 rows of 64 bytes, two tiles of factors. */
#include "device/cpu/peak/peak.h"

#if defined(__x86_64__)
#include "device/cpu/amx.h"

enum { SUMS = 6, ROWS = HN_AMX_ROWS, ROW = HN_AMX_ROW, SHORTER = 16 }; /* a round of tiles takes longer than one of vectors */

static const unsigned char zeros[ROWS * ROW] __attribute__((aligned(64)));

static void open_tiles(void) {
  hn_amx_whole();
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm6\n\ttileloadd (%0,%1,1), %%tmm7" : : "r"(zeros), "r"((int64_t)ROW) : "memory");
  __asm__ volatile("tilezero %tmm0\n\ttilezero %tmm1\n\ttilezero %tmm2\n\ttilezero %tmm3\n\ttilezero %tmm4\n\ttilezero %tmm5");
}

#define STEP(instruction, k) instruction " %tmm7, %tmm6, %tmm" #k "\n\t"
#define STEPS(i) STEP(i, 0) STEP(i, 1) STEP(i, 2) STEP(i, 3) STEP(i, 4) STEP(i, 5)
#define LOOP(name, instruction, factors)                                                      \
  uint64_t name(uint64_t rounds, float *sink) {                                               \
    (void)sink;                                                                               \
    open_tiles();                                                                             \
    for (uint64_t i = 0; i < rounds / SHORTER; i++) __asm__ volatile(STEPS(instruction));     \
    hn_amx_release();                                                                         \
    return rounds / SHORTER * SUMS * ROWS * (ROW / 4) * (factors) * 2;                        \
  }

LOOP(hn_peak_amx_int8, "tdpbusd", 64)
LOOP(hn_peak_amx_bf16, "tdpbf16ps", 32)
#else
typedef int hn_peak_amx_absent;
#endif
