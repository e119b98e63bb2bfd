/* h5_data.c - the arrays of an HDF5 file: in one piece, within the header, or in chunks that filters packed. */
#include <string.h>

#include "base/alloc.h"
#include "base/library.h"
#include "format/keras/h5_parse.h"
#include "format/keras/zlib_calls.h"

enum { MAX_FILTERS = 8, DEFLATE = 1, SHUFFLE = 2, FLETCHER32 = 3, MOST_PACKED = 1100 }; /* deflate makes at most 1032 bytes of one */

typedef struct dataset {
  hn_h5 *f;
  const char *path;
  h5_type type;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  uint64_t count;
  h5_cursor content; /* of one piece, or in the header */
  uint64_t tree;     /* of chunks */
  uint64_t chunk[HN_MAX_RANK];
  unsigned chunk_sizes; /* one more than dimensions */
  unsigned filters[MAX_FILTERS], n_filters;
  bool has_type, has_space, has_layout, chunked, empty;
  const char *why; /* it cannot be read */
} dataset;

static hone_status refuse(const dataset *d, const char *what) {
  return hn_fail(d->f->cx, HONE_BAD_FORMAT, "%s: dataset '%s' %s", d->f->path, d->path, what);
}

/* ----------------------------------------------------------------------------------------- what it says */

static void read_pieces(dataset *d, h5_cursor *c, unsigned version, unsigned kind) {
  uint64_t at, size;
  switch (kind) {
    case 0:
      size = h5_take(c, version < 3 ? 4 : 2);
      d->content = (h5_cursor){.p = h5_bytes(c, size), .n = (size_t)size};
      d->content.bad = !d->content.p;
      return;
    case 1:
      at = h5_address(d->f, c);
      size = h5_take(c, d->f->lengths);
      d->empty = at == H5_NOWHERE;
      if (!d->empty) d->content = h5_at(d->f, at, size);
      return;
    case 3: d->why = "keeps its content in another file; only the file itself is read"; return;
    default: d->why = "has its content in a form that is not known"; return;
  }
}

/* The last of a chunk's sizes is that of an element. */
static void read_chunk_sizes(dataset *d, h5_cursor *c, unsigned n) {
  d->chunked = true;
  if (n < 1 || n > HN_MAX_RANK + 1) {
    d->why = "has more than 8 dimensions";
    return;
  }
  d->chunk_sizes = n;
  for (unsigned i = 0; i + 1 < n; i++) d->chunk[i] = h5_take(c, 4);
}

static void read_layout(dataset *d, h5_cursor c) {
  unsigned version = (unsigned)h5_take(&c, 1);
  d->has_layout = true;
  if (version == 1 || version == 2) { /* all sizes of the array stand there, too */
    unsigned n = (unsigned)h5_take(&c, 1), kind = (unsigned)h5_take(&c, 1);
    uint64_t size = 1;
    h5_bytes(&c, 5);
    uint64_t at = kind ? h5_address(d->f, &c) : 0;
    if (kind == 2) {
      d->tree = at;
      read_chunk_sizes(d, &c, n);
    } else {
      for (unsigned i = 0; i < n; i++)
        if (__builtin_mul_overflow(size, h5_take(&c, 4), &size)) d->why = "is impossibly large";
      d->empty = at == H5_NOWHERE;
      if (kind == 1 && !d->empty) d->content = h5_at(d->f, at, size);
      if (kind == 0) read_pieces(d, &c, version, 0);
    }
  } else if (version == 3 || version == 4) {
    unsigned kind = (unsigned)h5_take(&c, 1);
    if (kind == 2 && version == 3) {
      unsigned n = (unsigned)h5_take(&c, 1);
      d->tree = h5_address(d->f, &c);
      read_chunk_sizes(d, &c, n);
    } else {
      read_pieces(d, &c, version, kind == 2 ? 9 : kind);
    }
  } else {
    d->why = "has its content in a form that is not known";
  }
  if (c.bad) d->why = "is damaged";
}

static void read_filters(dataset *d, h5_cursor c) {
  unsigned version = (unsigned)h5_take(&c, 1), n = (unsigned)h5_take(&c, 1);
  if (version == 1) h5_bytes(&c, 6);
  if (n > MAX_FILTERS || version < 1 || version > 2) d->why = "is packed by too many filters";
  for (d->n_filters = 0; d->n_filters < n && !d->why && !c.bad; d->n_filters++) {
    unsigned id = (unsigned)h5_take(&c, 2);
    uint64_t name = version == 1 || id >= 256 ? h5_take(&c, 2) : 0;
    h5_bytes(&c, 2);
    uint64_t values = h5_take(&c, 2);
    h5_bytes(&c, (version == 1 ? (name + 7) & ~(uint64_t)7 : name) + 4 * values + (version == 1 && values % 2 ? 4 : 0));
    d->filters[d->n_filters] = id;
    if (id < DEFLATE || id > FLETCHER32) d->why = "is packed by a filter that is not known (deflate, shuffle and fletcher32 are)";
  }
  if (c.bad) d->why = "is damaged";
}

static bool dataset_message(void *user, unsigned type, bool shared, h5_cursor body) {
  dataset *d = user;
  if (shared && (type == H5_TYPE || type == H5_SPACE || type == H5_LAYOUT || type == H5_FILTERS)) d->why = "shares its description with others, which is not read";
  else if (type == H5_TYPE) d->has_type = h5_read_type(body, &d->type);
  else if (type == H5_SPACE) d->has_space = h5_read_space(body, d->f, &d->rank, d->dims, &d->count);
  else if (type == H5_LAYOUT) read_layout(d, body);
  else if (type == H5_FILTERS) read_filters(d, body);
  else if (type == H5_EXTERNAL) d->why = "keeps its content in another file; only the file itself is read";
  return !d->why;
}

static const struct {
  unsigned kind;
  size_t size;
  bool is_signed;
  hn_dtype dtype;
} types[] = {
    {H5_REAL, 2, false, HONE_DTYPE_F16},    {H5_REAL, 4, false, HONE_DTYPE_F32},    {H5_REAL, 8, false, HONE_DTYPE_F64},
    {H5_INTEGER, 1, true, HONE_DTYPE_I8},   {H5_INTEGER, 2, true, HONE_DTYPE_I16},  {H5_INTEGER, 4, true, HONE_DTYPE_I32},
    {H5_INTEGER, 8, true, HONE_DTYPE_I64},  {H5_INTEGER, 1, false, HONE_DTYPE_U8},  {H5_INTEGER, 2, false, HONE_DTYPE_U16},
    {H5_INTEGER, 4, false, HONE_DTYPE_U32}, {H5_INTEGER, 8, false, HONE_DTYPE_U64}, {H5_ENUM, 1, false, HONE_DTYPE_BOOL},
};

static hn_dtype dtype_of(const h5_type *t) {
  if (t->kind == H5_REAL && !t->ieee) return HONE_DTYPE_UNDEFINED;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].kind == t->kind && types[i].size == t->size && types[i].is_signed == t->is_signed) return types[i].dtype;
  return HONE_DTYPE_UNDEFINED;
}

/* --------------------------------------------------------------------------------------------- chunks */

static bool sum_fits(const unsigned char *p, size_t n) { /* of words, big end first, modulo 65535; it stands behind them */
  uint32_t a = 0, b = 0, want = p[n] | (uint32_t)p[n + 1] << 8 | (uint32_t)p[n + 2] << 16 | (uint32_t)p[n + 3] << 24;
  for (size_t i = 0; i < n; i += 2) {
    a = (a + ((uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0))) % 65535;
    b = (b + a) % 65535;
  }
  uint32_t got = b << 16 | a, mask = 0xffffffff;
  for (int i = 0; i < 2; i++) /* 0 and 65535 are the same sum */
    if (((want >> (16 * i)) & 0xffff) % 65535 == ((got >> (16 * i)) & 0xffff)) mask &= ~(0xffffu << (16 * i));
  return !mask;
}

static void unshuffle(unsigned char *to, const unsigned char *from, size_t n, size_t width) {
  size_t count = n / width;
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < width; k++) to[i * width + k] = from[k * count + i];
  memcpy(to + count * width, from + count * width, n - count * width);
}

/* Undoes the filters, the last first. `a` and `b` have room for a chunk each and the sum behind it; the result is in one of them. */
static const unsigned char *unpack(const dataset *d, uint64_t skipped, const unsigned char *p, size_t n, size_t bytes, unsigned char *a, unsigned char *b) {
  for (unsigned i = d->n_filters; i-- > 0;) {
    unsigned char *to = p == a ? b : a;
    if (skipped >> i & 1) continue;
    if (d->filters[i] == FLETCHER32) {
      if (n < 4 || !sum_fits(p, n - 4)) return NULL;
      n -= 4;
    } else if (d->filters[i] == DEFLATE) {
      unsigned long room = bytes + 4;
      if (uncompress(to, &room, p, (unsigned long)n) != 0) return NULL;
      n = (size_t)room, p = to;
    } else {
      if (n > bytes + 4) return NULL;
      unshuffle(to, p, n, d->type.size);
      p = to;
    }
  }
  return n == bytes ? p : NULL;
}

/* Chunks at the edges reach beyond the array. */
static void place(const dataset *d, hn_tensor *t, const uint64_t *at, const unsigned char *p) {
  uint64_t i[HN_MAX_RANK] = {0};
  int32_t last = d->rank - 1;
  size_t width = d->type.size;
  for (;;) {
    uint64_t to = 0, from = 0, run = d->chunk[last];
    bool inside = true;
    for (int32_t k = 0; k <= last; k++) {
      uint64_t pos = at[k] + (k < last ? i[k] : 0);
      inside = inside && pos < (uint64_t)d->dims[k];
      to = to * (uint64_t)d->dims[k] + pos;
      from = from * d->chunk[k] + (k < last ? i[k] : 0);
    }
    if (inside && run > (uint64_t)d->dims[last] - at[last]) run = (uint64_t)d->dims[last] - at[last];
    if (inside) memcpy((char *)t->data + to * width, p + from * width, (size_t)run * width);
    int32_t k = last - 1;
    while (k >= 0 && ++i[k] == d->chunk[k]) i[k--] = 0;
    if (k < 0) return;
  }
}

typedef struct chunks {
  const dataset *d;
  hn_tensor *t;
  size_t bytes; /* of a chunk */
  unsigned char *a, *b, *seen;
  uint64_t filled, most; /* how many chunks */
} chunks;

static bool read_chunk(chunks *c, uint64_t size, uint64_t skipped, const uint64_t *at, uint64_t address) {
  const dataset *d = c->d;
  h5_cursor packed = h5_at(d->f, address, size);
  uint64_t index = 0;
  if (packed.bad) return false;
  for (int32_t k = 0; k < d->rank; k++) {
    if (at[k] >= (uint64_t)d->dims[k] || at[k] % d->chunk[k]) return false;
    index = index * (((uint64_t)d->dims[k] + d->chunk[k] - 1) / d->chunk[k]) + at[k] / d->chunk[k];
  }
  if (c->seen[index]) return false; /* each is read once */
  c->seen[index] = 1;
  c->filled++;
  const unsigned char *p = unpack(d, skipped, packed.p, packed.n, c->bytes, c->a, c->b);
  if (p) place(d, c->t, at, p);
  return p != NULL;
}

static bool read_chunks(chunks *c, uint64_t address, int level) {
  hn_h5 *f = c->d->f;
  h5_cursor n = h5_rest(f, address);
  const unsigned char *head = h5_bytes(&n, 4);
  if (!h5_works(f) || !head || memcmp(head, "TREE", 4) != 0 || h5_take(&n, 1) != 1) return false;
  int is_level = (int)h5_take(&n, 1);
  if (level >= 0 && is_level != level) return false;
  uint64_t entries = h5_take(&n, 2), at[HN_MAX_RANK];
  h5_bytes(&n, 2 * f->offsets);
  for (; entries && !n.bad; entries--) {
    uint64_t size = h5_take(&n, 4), skipped = h5_take(&n, 4);
    for (int32_t k = 0; k < c->d->rank; k++) at[k] = h5_take(&n, 8);
    h5_take(&n, 8); /* within an element: 0 */
    uint64_t child = h5_address(f, &n);
    if (n.bad || !(is_level ? read_chunks(c, child, is_level - 1) : read_chunk(c, size, skipped, at, child))) return false;
  }
  return !n.bad;
}

static hone_status read_chunked(dataset *d, hn_tensor *t) {
  chunks c = {.d = d, .t = t, .most = 1};
  uint64_t bytes = d->type.size;
  bool ok = d->rank > 0 && d->chunk_sizes == (unsigned)d->rank + 1;
  for (int32_t k = 0; k < d->rank && ok; k++) {
    uint64_t along = d->chunk[k] ? ((uint64_t)d->dims[k] + d->chunk[k] - 1) / d->chunk[k] : 0;
    ok = d->chunk[k] && !__builtin_mul_overflow(bytes, d->chunk[k], &bytes) && !__builtin_mul_overflow(c.most, along, &c.most);
  }
  if (!ok || bytes / MOST_PACKED > d->f->size) return refuse(d, "is damaged");
  for (unsigned i = 0; i < d->n_filters; i++)
    if (d->filters[i] == DEFLATE) HN_TRY(hn_library_need(d->f->cx, &zlib_library));
  c.bytes = (size_t)bytes;
  c.a = hn_malloc(c.bytes + 4);
  c.b = hn_malloc(c.bytes + 4);
  c.seen = hn_calloc((size_t)c.most + 1, 1);
  hone_status st = c.a && c.b && c.seen ? HONE_OK : hn_nomem(d->f->cx);
  if (!st && (d->tree == H5_NOWHERE || !read_chunks(&c, d->tree, -1))) st = refuse(d, "cannot be read: the file is truncated or damaged");
  if (!st && c.filled != c.most) st = refuse(d, "has no content in places");
  hn_free(c.a);
  hn_free(c.b);
  hn_free(c.seen);
  return st;
}

/* --------------------------------------------------------------------------------------------- arrays */

static void turn_bytes(hn_tensor *t, size_t width) {
  unsigned char *p = t->data;
  for (int64_t i = 0; i < t->count; i++, p += width)
    for (size_t k = 0; k < width / 2; k++) {
      unsigned char swap = p[k];
      p[k] = p[width - 1 - k];
      p[width - 1 - k] = swap;
    }
}

hone_status hn_h5_tensor(hn_h5 *f, const char *path, hn_tensor **out) {
  dataset d = {.f = f, .path = path, .tree = H5_NOWHERE};
  uint64_t header;
  size_t bytes;
  hn_tensor *t;
  HN_TRY(h5_find(f, path, &header));
  if (header == H5_NOWHERE) return refuse(&d, "is not there");
  HN_TRY(h5_messages(f, header, dataset_message, &d));
  if (d.why) return refuse(&d, d.why);
  if (!d.has_layout) return refuse(&d, "is not there");
  if (!d.has_type || !d.has_space) return refuse(&d, "is damaged, or has more than 8 dimensions");
  hn_dtype dtype = dtype_of(&d.type);
  if (!dtype) return refuse(&d, "is not of numbers");
  if (!hn_dtype_bytes(dtype, d.count, &bytes)) return refuse(&d, "is impossibly large");
  if (bytes && d.empty) return refuse(&d, "has no content");
  if (bytes / MOST_PACKED > f->size) return refuse(&d, "says it is larger than the file can hold");
  if (bytes && !d.chunked && (d.content.bad || d.content.n < bytes)) return refuse(&d, "cannot be read: the file is truncated or damaged");
  HN_TRY(hn_tensor_create(f->cx, dtype, d.rank, d.dims, &t));
  hone_status st = HONE_OK;
  if (bytes && d.chunked) st = read_chunked(&d, t);
  else if (bytes) memcpy(t->data, d.content.p, bytes);
  if (!st && d.type.big_end) turn_bytes(t, d.type.size);
  if (st) hn_tensor_unref(t);
  else *out = t;
  return st;
}
