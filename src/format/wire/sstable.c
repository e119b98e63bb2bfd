#include "format/wire/sstable.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "format/wire/snappy.h"

/* The file: data blocks, a block of metadata, the index block (key of the last pair of a block -> where it is), and a
   footer of 48 bytes: two handles (offset, size as varints), padding, the magic number. Behind each block a byte says
   how it is compressed, and four hold a checksum of block and byte. Blocks follow one another as their keys do: one that is
   named twice would be read as often, and the prefixes that keys share could make much of little, so both are bounded. */
enum { FOOTER = 48, TRAILER = 5, MAX_KEY = 1 << 16, MAX_SHARED = 128 };
static const unsigned char magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
enum { CHECKSUMS = 0 }; /* a fuzzer would not get past them */
#else
enum { CHECKSUMS = 1 };
#endif

typedef struct table {
  hone_context *cx;
  const unsigned char *p;
  size_t n;
  hn_sstable_fn fn;
  void *user;
  size_t end;    /* of the last data block that was read */
  uint64_t keys; /* bytes of keys so far */
} table;

typedef struct block {
  const unsigned char *p;
  size_t n, end;           /* end: in the file */
  unsigned char *unpacked; /* to be freed; NULL: lies in the file */
} block;

static hone_status bad(const table *t, const char *what) { return hn_fail(t->cx, HONE_BAD_FORMAT, "damaged table: %s", what); }

static bool varint(const unsigned char *p, size_t n, size_t *at, uint64_t *v) {
  *v = 0;
  for (int shift = 0; shift < 64 && *at < n; shift += 7) {
    unsigned char b = p[(*at)++];
    *v |= (uint64_t)(b & 127) << shift;
    if (!(b & 128)) return true;
  }
  return false;
}

static uint32_t u32(const unsigned char *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

/* `from`: where it may begin. */
static hone_status open_block(const table *t, const unsigned char *handle, size_t handle_size, size_t from, block *b) {
  size_t at = 0, size;
  uint64_t offset, n;
  *b = (block){0};
  if (!varint(handle, handle_size, &at, &offset) || !varint(handle, handle_size, &at, &n)) return bad(t, "a block handle is cut short");
  if (offset > t->n || n > t->n - offset || t->n - offset - n < TRAILER) return bad(t, "a block lies outside the file");
  if (offset < from) return bad(t, "its blocks overlap");
  const unsigned char *p = t->p + offset;
  if (CHECKSUMS && hn_crc32c_mask(hn_crc32c(0, p, (size_t)n + 1)) != u32(p + n + 1)) return bad(t, "the checksum of a block does not match");
  *b = (block){p, (size_t)n, (size_t)(offset + n) + TRAILER, NULL};
  if (p[n] == 0) return HONE_OK;
  if (p[n] != 1) return bad(t, "a block is compressed in an unknown way");
  if (!hn_snappy_size(p, (size_t)n, &size)) return bad(t, "a compressed block is damaged");
  if (!(b->unpacked = hn_malloc(size))) return hn_nomem(t->cx);
  if (!hn_snappy_unpack(p, (size_t)n, b->unpacked, size)) {
    hn_free(b->unpacked);
    *b = (block){0};
    return bad(t, "a compressed block is damaged");
  }
  b->p = b->unpacked;
  b->n = size;
  return HONE_OK;
}

/* Keys share a prefix with the one before; the block ends with restart points and their number. */
static hone_status read_block(table *t, const block *b, hn_sstable_fn fn, void *user) {
  size_t restarts = b->n >= 4 ? u32(b->p + b->n - 4) : SIZE_MAX, at = 0, have = 0;
  if (restarts > (b->n - 4) / 4) return bad(t, "a block is cut short");
  size_t end = b->n - 4 - 4 * restarts;
  char *key = hn_malloc(MAX_KEY + 1);
  hone_status st = key ? HONE_OK : hn_nomem(t->cx);
  while (!st && at < end) {
    uint64_t shared, fresh, size;
    if (!varint(b->p, end, &at, &shared) || !varint(b->p, end, &at, &fresh) || !varint(b->p, end, &at, &size) || shared > have ||
        fresh > MAX_KEY - shared || fresh > end - at || size > end - at - fresh) {
      st = bad(t, "an entry is damaged");
      break;
    }
    if ((t->keys += shared + fresh) / MAX_SHARED > t->n) {
      st = bad(t, "its keys are too long for its size");
      break;
    }
    memcpy(key + shared, b->p + at, (size_t)fresh);
    have = (size_t)(shared + fresh);
    key[have] = 0;
    at += (size_t)fresh;
    st = fn(user, key, have, b->p + at, (size_t)size);
    at += (size_t)size;
  }
  hn_free(key);
  return st;
}

static hone_status data_block(void *user, const char *key, size_t key_size, const void *value, size_t value_size) {
  table *t = user;
  block b;
  (void)key, (void)key_size;
  HN_TRY(open_block(t, value, value_size, t->end, &b));
  t->end = b.end;
  hone_status st = read_block(t, &b, t->fn, t->user);
  hn_free(b.unpacked);
  return st;
}

hone_status hn_sstable_read(hone_context *cx, const void *data, size_t size, hn_sstable_fn fn, void *user) {
  table t = {.cx = cx, .p = data, .n = size, .fn = fn, .user = user};
  if (size < FOOTER || memcmp(t.p + size - sizeof magic, magic, sizeof magic) != 0)
    return bad(&t, "it does not end as one does; it is cut short or something else");
  const unsigned char *footer = t.p + size - FOOTER;
  size_t at = 0;
  uint64_t skip;
  if (!varint(footer, 40, &at, &skip) || !varint(footer, 40, &at, &skip)) return bad(&t, "its footer is damaged");
  block index;
  HN_TRY(open_block(&t, footer + at, 40 - at, 0, &index));
  hone_status st = read_block(&t, &index, data_block, &t);
  hn_free(index.unpacked);
  return st;
}
