/* amx.h - AMX's instructions, written as they are: no compiler's vectors use these registers. Eight tiles of up to 16 rows of 64
   bytes; what they hold is lost when a thread configures them anew. */
#ifndef HN_AMX_H
#define HN_AMX_H
#include <stdint.h>

enum { HN_AMX_TILES = 8, HN_AMX_ROWS = 16, HN_AMX_ROW = 64 };

typedef struct hn_amx_config { /* as LDTILECFG reads it */
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} hn_amx_config;

static inline void hn_amx_configure(const hn_amx_config *c) { __asm__ volatile("ldtilecfg %0" : : "m"(*c)); }
static inline void hn_amx_release(void) { __asm__ volatile("tilerelease"); }
/* All tiles whole. */
static inline void hn_amx_whole(void) {
  hn_amx_config c = {.palette = 1};
  for (int i = 0; i < HN_AMX_TILES; i++) c.row_bytes[i] = HN_AMX_ROW, c.rows[i] = HN_AMX_ROWS;
  hn_amx_configure(&c);
}

/* Rows `step` bytes apart. */
#define HN_AMX_LOAD(tile, from, step) \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(from), "r"((int64_t)(step)) : "memory");
#define HN_AMX_STORE(tile, to, step) \
  __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(to), "r"((int64_t)(step)) : "memory");
#define HN_AMX_ZERO(tile) __asm__ volatile("tilezero %tmm" #tile);
/* sum += a * b: pairs of bfloat16 numbers, or fours of unsigned and signed bytes */
#define HN_AMX_DOT_BF16(sum, a, b) __asm__ volatile("tdpbf16ps %tmm" #b ", %tmm" #a ", %tmm" #sum);
#define HN_AMX_DOT_U8_I8(sum, a, b) __asm__ volatile("tdpbusd %tmm" #b ", %tmm" #a ", %tmm" #sum);
#endif
