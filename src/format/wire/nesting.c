#include "format/wire/nesting.h"

#include <stdbool.h>

static bool varint(const unsigned char *p, size_t n, size_t *at, uint64_t *v) {
  *v = 0;
  for (int shift = 0; shift < 64 && *at < n; shift += 7) {
    unsigned char b = p[(*at)++];
    *v |= (uint64_t)(b & 127) << shift;
    if (!(b & 128)) return true;
  }
  return false;
}

/* Only fields that the descriptor knows as messages are followed: the unpacker recurses into no others. */
static int nesting(const ProtobufCMessageDescriptor *d, const unsigned char *p, size_t n, int depth, int most) {
  int deepest = depth;
  if (depth > most) return depth;
  for (size_t at = 0; at < n;) {
    uint64_t key, len;
    if (!varint(p, n, &at, &key)) return -1;
    switch (key & 7) {
      case 0:
        if (!varint(p, n, &at, &len)) return -1;
        continue;
      case 1: len = 8; break;
      case 5: len = 4; break;
      case 2:
        if (!varint(p, n, &at, &len)) return -1;
        break;
      default: return -1;
    }
    if (len > n - at) return -1;
    const ProtobufCFieldDescriptor *f =
        (key & 7) == 2 && key >> 3 <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(d, (unsigned)(key >> 3)) : NULL;
    if (f && f->type == PROTOBUF_C_TYPE_MESSAGE) {
      int down = nesting(f->descriptor, p + at, (size_t)len, depth + 1, most);
      if (down < 0) return down;
      if (down > deepest) deepest = down;
    }
    at += (size_t)len;
  }
  return deepest;
}

int hn_wire_nesting(const ProtobufCMessageDescriptor *d, const void *data, size_t size, int most) {
  return nesting(d, data, size, 0, most);
}
