/* peak_amx.c - the roof of AMX: six sums of tiles of 16 rows of 64 bytes, two tiles of factors. The instructions are written as they
   are; no compiler's vectors use these registers. */
#include "device/cpu/peak/peak.h"

#if defined(__x86_64__)
enum { SUMS = 6, TILES = 8, ROWS = 16, ROW = 64, SHORTER = 16 }; /* a round of tiles takes longer than one of vectors */

typedef struct tile_config { /* as LDTILECFG reads it */
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_config;

static const unsigned char zeros[ROWS * ROW] __attribute__((aligned(64)));

static void open_tiles(void) {
  tile_config c = {.palette = 1};
  for (int i = 0; i < TILES; i++) {
    c.row_bytes[i] = ROW;
    c.rows[i] = ROWS;
  }
  __asm__ volatile("ldtilecfg %0" : : "m"(c));
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm6\n\ttileloadd (%0,%1,1), %%tmm7" : : "r"(zeros), "r"((int64_t)ROW) : "memory");
  __asm__ volatile("tilezero %tmm0\n\ttilezero %tmm1\n\ttilezero %tmm2\n\ttilezero %tmm3\n\ttilezero %tmm4\n\ttilezero %tmm5");
}

static void close_tiles(void) { __asm__ volatile("tilerelease"); }

#define STEP(instruction, k) instruction " %tmm7, %tmm6, %tmm" #k "\n\t"
#define STEPS(i) STEP(i, 0) STEP(i, 1) STEP(i, 2) STEP(i, 3) STEP(i, 4) STEP(i, 5)
#define LOOP(name, instruction, factors)                                                      \
  uint64_t name(uint64_t rounds, float *sink) {                                               \
    (void)sink;                                                                               \
    open_tiles();                                                                             \
    for (uint64_t i = 0; i < rounds / SHORTER; i++) __asm__ volatile(STEPS(instruction));     \
    close_tiles();                                                                            \
    return rounds / SHORTER * SUMS * ROWS * (ROW / 4) * (factors) * 2;                        \
  }

LOOP(hn_peak_amx_int8, "tdpbusd", 64)
LOOP(hn_peak_amx_bf16, "tdpbf16ps", 32)
#else
typedef int hn_peak_amx_absent;
#endif
