/* map.h - hash map from strings to 32-bit numbers. Keys are not copied: they must outlive the map. */
#ifndef HN_MAP_H
#define HN_MAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hn_map {
  const char **keys;
  uint32_t *values;
  size_t n, cap;
} hn_map;

bool hn_map_put(hn_map *m, const char *key, uint32_t value); /* replaces; false when memory is out */
bool hn_map_get(const hn_map *m, const char *key, uint32_t *value);
void hn_map_free(hn_map *m);
uint64_t hn_hash(const void *p, size_t n, uint64_t seed); /* not cryptographic; stable across runs and machines */
uint64_t hn_digest(const void *p, size_t n, uint64_t seed); /* the same for megabytes: as fast as memory is read */
#endif
