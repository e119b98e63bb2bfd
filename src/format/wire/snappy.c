#include "format/wire/snappy.h"

#include <string.h>

static bool varint32(const unsigned char *p, size_t n, size_t *at, uint32_t *v) {
  *v = 0;
  for (int shift = 0; shift < 35 && *at < n; shift += 7) {
    unsigned char b = p[(*at)++];
    *v |= (uint32_t)(b & 127) << shift;
    if (!(b & 128)) return true;
  }
  return false;
}

bool hn_snappy_size(const unsigned char *p, size_t n, size_t *size) {
  uint32_t v;
  size_t at = 0;
  if (!varint32(p, n, &at, &v) || v / 64 > n) return false; /* an element of 3 bytes gives at most 64 */
  *size = v;
  return true;
}

static size_t little(const unsigned char *p, size_t bytes) {
  size_t v = 0;
  for (size_t i = 0; i < bytes; i++) v |= (size_t)p[i] << (8 * i);
  return v;
}

bool hn_snappy_unpack(const unsigned char *p, size_t n, unsigned char *out, size_t size) {
  uint32_t said;
  size_t at = 0, to = 0;
  if (!varint32(p, n, &at, &said) || said != size) return false;
  while (at < n) {
    unsigned tag = p[at++];
    size_t length = tag >> 2, offset, extra;
    if ((tag & 3) == 0) { /* literal bytes */
      extra = length < 60 ? 0 : length - 59;
      if (extra > n - at) return false;
      if (extra) length = little(p + at, extra);
      at += extra;
      length++;
      if (length > n - at || length > size - to) return false;
      memcpy(out + to, p + at, length);
      at += length;
    } else { /* a copy of what was unpacked before */
      extra = (tag & 3) == 1 ? 1 : (tag & 3) == 2 ? 2 : 4;
      if (extra > n - at) return false;
      offset = little(p + at, extra);
      at += extra;
      length++;
      if (extra == 1) {
        offset |= (size_t)(tag >> 5) << 8;
        length = ((tag >> 2) & 7) + 4;
      }
      if (!offset || offset > to || length > size - to) return false;
      for (size_t i = 0; i < length; i++) out[to + i] = out[to + i - offset];
    }
    to += length;
  }
  return to == size;
}
