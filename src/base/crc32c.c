#include "base/crc32c.h"

#include <string.h>

enum { POLYNOMIAL = (int)0x82f63b78 };

/* Slices of 8 bytes: table[k] advances a byte that lies k bytes before the end. Made on each call of some size: 2048
   steps are little next to the data, and there is no global state. */
static void make_tables(uint32_t t[8][256]) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ (uint32_t)POLYNOMIAL : c >> 1;
    t[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; i++)
    for (int k = 1; k < 8; k++) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 255];
}

static uint32_t bit_by_bit(uint32_t c, const unsigned char *p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    c ^= p[i];
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ (uint32_t)POLYNOMIAL : c >> 1;
  }
  return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t c, const unsigned char *p, size_t n) {
  uint64_t v = c;
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t w;
    memcpy(&w, p, 8);
    v = __builtin_ia32_crc32di(v, w);
  }
  for (; n; p++, n--) v = __builtin_ia32_crc32qi((uint32_t)v, *p);
  return (uint32_t)v;
}
#endif

uint32_t hn_crc32c(uint32_t crc, const void *data, size_t n) {
  const unsigned char *p = data;
  uint32_t c = ~crc, t[8][256];
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~by_instruction(c, p, n);
#endif
  if (n < 1024) return ~bit_by_bit(c, p, n);
  make_tables(t);
  for (; n >= 8; p += 8, n -= 8) {
    uint32_t a, b;
    memcpy(&a, p, 4);
    memcpy(&b, p + 4, 4);
    a ^= c;
    c = t[7][a & 255] ^ t[6][(a >> 8) & 255] ^ t[5][(a >> 16) & 255] ^ t[4][a >> 24] ^ t[3][b & 255] ^
        t[2][(b >> 8) & 255] ^ t[1][(b >> 16) & 255] ^ t[0][b >> 24];
  }
  return ~bit_by_bit(c, p, n);
}
