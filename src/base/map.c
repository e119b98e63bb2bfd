#include "base/map.h"

#include <string.h>

#include "base/alloc.h"

/* 64-bit multiply-xorshift over 8-byte words (constants of splitmix64). */
static uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

uint64_t hn_hash(const void *p, size_t n, uint64_t seed) {
  const unsigned char *b = p;
  uint64_t h = mix(seed + UINT64_C(0x9e3779b97f4a7c15) + n);
  for (; n >= 8; n -= 8, b += 8) {
    uint64_t w = 0;
    for (unsigned i = 0; i < 8; i++) w |= (uint64_t)b[i] << (8 * i);
    h = mix(h ^ w) + UINT64_C(0x9e3779b97f4a7c15);
  }
  uint64_t w = 0;
  for (size_t i = 0; i < n; i++) w |= (uint64_t)b[i] << (8 * i);
  return mix(h ^ w);
}

static uint64_t word(const unsigned char *b) {
  uint64_t w = 0;
  for (unsigned i = 0; i < 8; i++) w |= (uint64_t)b[i] << (8 * i);
  return w;
}

/* Eight chains side by side, so that none waits for its multiplication. */
uint64_t hn_digest(const void *p, size_t n, uint64_t seed) {
  const unsigned char *b = p;
  uint64_t lane[8], h = mix(seed ^ n);
  size_t left = n;
  for (unsigned i = 0; i < 8; i++) lane[i] = mix(h + i);
  for (; left >= 64; left -= 64, b += 64)
    for (unsigned i = 0; i < 8; i++) {
      lane[i] = (lane[i] ^ word(b + 8 * i)) * UINT64_C(0x9e3779b97f4a7c15);
      lane[i] = lane[i] << 29 | lane[i] >> 35;
    }
  for (unsigned i = 0; i < 8; i++) h = mix(h ^ lane[i]) + UINT64_C(0x9e3779b97f4a7c15);
  return hn_hash(b, left, h);
}

static size_t slot_of(const hn_map *m, const char *key) {
  size_t i = (size_t)hn_hash(key, strlen(key), 0) & (m->cap - 1);
  while (m->keys[i] && strcmp(m->keys[i], key) != 0) i = (i + 1) & (m->cap - 1);
  return i;
}

static bool grow(hn_map *m) {
  hn_map bigger = {.cap = m->cap ? m->cap * 2 : 32, .n = m->n};
  bigger.keys = hn_calloc(bigger.cap, sizeof *bigger.keys);
  bigger.values = hn_calloc(bigger.cap, sizeof *bigger.values);
  if (!bigger.keys || !bigger.values) {
    hn_map_free(&bigger);
    return false;
  }
  for (size_t i = 0; i < m->cap; i++)
    if (m->keys[i]) {
      size_t j = slot_of(&bigger, m->keys[i]);
      bigger.keys[j] = m->keys[i];
      bigger.values[j] = m->values[i];
    }
  hn_map_free(m);
  *m = bigger;
  return true;
}

bool hn_map_put(hn_map *m, const char *key, uint32_t value) {
  if (m->n * 4 >= m->cap * 3 && !grow(m)) return false;
  size_t i = slot_of(m, key);
  if (!m->keys[i]) {
    m->keys[i] = key;
    m->n++;
  }
  m->values[i] = value;
  return true;
}

bool hn_map_get(const hn_map *m, const char *key, uint32_t *value) {
  if (!m->cap) return false;
  size_t i = slot_of(m, key);
  if (!m->keys[i]) return false;
  *value = m->values[i];
  return true;
}

void hn_map_free(hn_map *m) {
  hn_free(m->keys);
  hn_free(m->values);
  memset(m, 0, sizeof *m);
}
