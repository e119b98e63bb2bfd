#include "format/keras/h5_parse.h"

#include <string.h>

#include "base/vec.h"

enum { MOST_BLOCKS = 1 << 12 };

/* -------------------------------------------------------------------------------------------------- bytes */

uint64_t h5_take(h5_cursor *c, unsigned bytes) {
  uint64_t v = 0;
  const unsigned char *p = h5_bytes(c, bytes);
  for (unsigned i = 0; p && i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}

const unsigned char *h5_bytes(h5_cursor *c, uint64_t n) {
  if (c->bad || n > c->n - c->at) {
    c->bad = true;
    return NULL;
  }
  c->at += (size_t)n;
  return c->p + c->at - (size_t)n;
}

uint64_t h5_address(const hn_h5 *f, h5_cursor *c) {
  uint64_t v = h5_take(c, f->offsets), none = f->offsets == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * f->offsets)) - 1;
  return c->bad || v == none ? H5_NOWHERE : v;
}

h5_cursor h5_rest(const hn_h5 *f, uint64_t address) {
  if (address > f->size || f->base > f->size - address) return (h5_cursor){.p = f->data, .bad = true};
  size_t at = (size_t)(address + f->base);
  return (h5_cursor){.p = f->data + at, .n = f->size - at};
}

h5_cursor h5_at(const hn_h5 *f, uint64_t address, uint64_t n) {
  h5_cursor c = h5_rest(f, address);
  if (n > c.n) c.bad = true;
  c.n = c.bad ? 0 : (size_t)n;
  return c;
}

bool h5_works(hn_h5 *f) { return f->work++ < H5_MAX_WORK; }

hone_status h5_damaged(const hn_h5 *f, const char *what) {
  return hn_fail(f->cx, HONE_BAD_FORMAT, "%s: %s: the file is truncated or damaged", f->path, f->work >= H5_MAX_WORK ? "it is read in circles" : what);
}

static bool is(h5_cursor *c, const char *signature) {
  const unsigned char *p = h5_bytes(c, 4);
  return p && memcmp(p, signature, 4) == 0;
}

/* ------------------------------------------------------------------------------------- headers of objects */

typedef struct block {
  uint64_t at, size;
} block;

typedef struct messages {
  unsigned version;
  bool numbered; /* messages of version 2 have a number */
  HN_VEC(block) blocks;
} messages;

static bool open_header(hn_h5 *f, uint64_t address, messages *h) {
  h5_cursor c = h5_rest(f, address);
  const unsigned char *p = c.bad || c.n < 4 ? NULL : c.p;
  uint64_t size;
  if (!p) return false;
  if (memcmp(p, "OHDR", 4) == 0) {
    h5_take(&c, 4);
    if (h5_take(&c, 1) != 2) return false;
    unsigned flags = (unsigned)h5_take(&c, 1);
    h5_bytes(&c, (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0));
    size = h5_take(&c, 1u << (flags & 3));
    h->version = 2, h->numbered = flags & 4;
  } else {
    if (h5_take(&c, 1) != 1) return false;
    h5_bytes(&c, 7); /* how many messages, how many references */
    size = h5_take(&c, 4);
    h5_bytes(&c, 4);
    h->version = 1;
  }
  return !c.bad && hn_push(&h->blocks, ((block){address + c.at, size}));
}

/* The next message of a block; false: there is none. */
static bool next_message(const messages *h, h5_cursor *c, unsigned *type, bool *shared, h5_cursor *body) {
  bool old = h->version == 1;
  size_t head = old ? 8 : h->numbered ? 6 : 4;
  if (c->n - c->at < head) return false;
  *type = (unsigned)h5_take(c, old ? 2 : 1);
  uint64_t size = h5_take(c, 2);
  *shared = h5_take(c, 1) & 2;
  h5_bytes(c, old ? 3 : h->numbered ? 2 : 0);
  const unsigned char *p = h5_bytes(c, size);
  *body = (h5_cursor){.p = p, .n = (size_t)size};
  return p != NULL;
}

hone_status h5_messages(hn_h5 *f, uint64_t address, h5_message_fn fn, void *user) {
  messages h = {0};
  bool ok = open_header(f, address, &h), more = ok;
  for (size_t i = 0; ok && more && i < h.blocks.n; i++) {
    h5_cursor c = h5_at(f, h.blocks.p[i].at, h.blocks.p[i].size), body;
    unsigned type;
    bool shared;
    if (i && h.version == 2) ok = is(&c, "OCHK"), c.n -= c.n - c.at < 4 ? c.n - c.at : 4; /* a checksum ends it */
    ok = ok && !c.bad;
    while (ok && more && next_message(&h, &c, &type, &shared, &body)) {
      ok = h5_works(f);
      if (type == H5_CONTINUED) {
        block b = {.at = h5_address(f, &body)};
        b.size = h5_take(&body, f->lengths);
        ok = ok && !body.bad && h.blocks.n < MOST_BLOCKS && hn_push(&h.blocks, b);
      } else if (ok) {
        more = fn(user, type, shared, body);
      }
    }
    ok = ok && !c.bad;
  }
  hn_vec_free(&h.blocks);
  return ok ? HONE_OK : h5_damaged(f, "the header of an object is not readable");
}

/* -------------------------------------------------------------------------------------- members of groups */

typedef struct group {
  hn_h5 *f;
  const char *name; /* what is looked for; NULL: nothing */
  size_t length;
  uint64_t found, members;
  uint64_t tree, heap; /* the older form: a B-tree of names in a heap */
  bool dense, bad;
} group;

static void member(group *g, const char *name, size_t length, uint64_t address) {
  g->members++;
  if (g->name && length == g->length && memcmp(name, g->name, length) == 0) g->found = address;
}

static bool group_message(void *user, unsigned type, bool shared, h5_cursor b) {
  group *g = user;
  (void)shared;
  if (type == H5_TABLE) {
    g->tree = h5_address(g->f, &b);
    g->heap = h5_address(g->f, &b);
    g->bad = g->bad || b.bad;
  } else if (type == H5_LINKS) {
    h5_take(&b, 1);
    if (h5_take(&b, 1) & 1) h5_bytes(&b, 8);
    g->dense = h5_address(g->f, &b) != H5_NOWHERE;
  } else if (type == H5_LINK) {
    h5_take(&b, 1);
    unsigned flags = (unsigned)h5_take(&b, 1), kind = flags & 8 ? (unsigned)h5_take(&b, 1) : 0;
    h5_bytes(&b, (flags & 4 ? 8 : 0) + (flags & 16 ? 1 : 0));
    uint64_t length = h5_take(&b, 1u << (flags & 3));
    const unsigned char *name = h5_bytes(&b, length);
    uint64_t address = kind ? H5_NOWHERE : h5_address(g->f, &b); /* soft and external links lead nowhere */
    g->bad = g->bad || !name || (!kind && b.bad);
    if (!g->bad) member(g, (const char *)name, (size_t)length, address);
  }
  return !g->bad;
}

/* A node of names: where each is in the heap, and the header of what it names. */
static bool read_names(group *g, uint64_t address, h5_cursor heap) {
  hn_h5 *f = g->f;
  h5_cursor c = h5_rest(f, address);
  if (!is(&c, "SNOD")) return false;
  h5_bytes(&c, 2);
  for (uint64_t n = h5_take(&c, 2); n && !c.bad; n--) {
    uint64_t name = h5_take(&c, f->offsets), header = h5_address(f, &c);
    unsigned kind = (unsigned)h5_take(&c, 4);
    h5_bytes(&c, 20);
    const char *text = name < heap.n ? (const char *)heap.p + name : NULL, *end = text ? memchr(text, 0, heap.n - (size_t)name) : NULL;
    if (c.bad || !end || !h5_works(f)) return false;
    member(g, text, (size_t)(end - text), kind == 2 ? H5_NOWHERE : header);
  }
  return !c.bad;
}

static bool read_tree(group *g, uint64_t address, int level, h5_cursor heap) {
  hn_h5 *f = g->f;
  h5_cursor c = h5_rest(f, address);
  if (!h5_works(f) || !is(&c, "TREE") || h5_take(&c, 1) != 0) return false;
  int is_level = (int)h5_take(&c, 1);
  if (level >= 0 && is_level != level) return false;
  uint64_t n = h5_take(&c, 2);
  h5_bytes(&c, 2 * f->offsets);
  for (; n && !c.bad; n--) {
    h5_take(&c, f->lengths);
    uint64_t child = h5_address(f, &c);
    if (c.bad || !(is_level ? read_tree(g, child, is_level - 1, heap) : read_names(g, child, heap))) return false;
  }
  return !c.bad;
}

static hone_status read_group(group *g, uint64_t header) {
  hn_h5 *f = g->f;
  g->found = g->tree = g->heap = H5_NOWHERE;
  HN_TRY(h5_messages(f, header, group_message, g));
  if (g->dense)
    return hn_fail(f->cx, HONE_UNSUPPORTED, "%s: a group keeps its members in the form of HDF5 1.8 for many of them (a fractal heap), which is not read; "
                   "save the model with h5py's defaults, or run h5repack --low=0 --high=0 over it", f->path);
  bool ok = !g->bad;
  if (ok && g->tree != H5_NOWHERE) {
    h5_cursor c = h5_rest(f, g->heap);
    ok = is(&c, "HEAP") && h5_bytes(&c, 4);
    uint64_t size = h5_take(&c, f->lengths);
    h5_take(&c, f->lengths);
    uint64_t at = h5_address(f, &c);
    h5_cursor heap = h5_at(f, at, size);
    ok = ok && !c.bad && !heap.bad && read_tree(g, g->tree, -1, heap);
  }
  return ok ? HONE_OK : h5_damaged(f, "a group is not readable");
}

hone_status h5_find(hn_h5 *f, const char *path, uint64_t *header) {
  *header = f->root;
  while (*header != H5_NOWHERE) {
    while (*path == '/') path++;
    if (!*path) return HONE_OK;
    group g = {.f = f, .name = path, .length = strcspn(path, "/")};
    HN_TRY(read_group(&g, *header));
    *header = g.found;
    path += g.length;
  }
  return HONE_OK;
}

hone_status hn_h5_count(hn_h5 *f, const char *path, uint64_t *n) {
  uint64_t header;
  group g = {.f = f};
  *n = 0;
  HN_TRY(h5_find(f, path, &header));
  if (header == H5_NOWHERE) return HONE_OK;
  HN_TRY(read_group(&g, header));
  *n = g.members;
  return HONE_OK;
}

/* ---------------------------------------------------------------------------------- types and dimensions */

/* Of floats: where exponent and fraction lie. */
static bool is_ieee(h5_cursor *c, size_t size) {
  static const unsigned char usual[3][5] = {{10, 5, 0, 10, 2}, {23, 8, 0, 23, 4}, {52, 11, 0, 52, 8}};
  uint64_t offset = h5_take(c, 2), precision = h5_take(c, 2);
  const unsigned char *p = h5_bytes(c, 4);
  for (int i = 0; p && i < 3; i++)
    if (usual[i][4] == size) return offset == 0 && precision == 8 * size && memcmp(p, usual[i], 4) == 0;
  return false;
}

bool h5_read_type(h5_cursor c, h5_type *t) {
  unsigned first = (unsigned)h5_take(&c, 1), bits = (unsigned)h5_take(&c, 3);
  *t = (h5_type){.kind = first & 15, .size = (size_t)h5_take(&c, 4)};
  if (t->kind == H5_INTEGER || t->kind == H5_REAL) t->big_end = bits & 1;
  if (t->kind == H5_INTEGER) t->is_signed = bits & 8;
  if (t->kind == H5_REAL) t->ieee = is_ieee(&c, t->size);
  if (t->kind == H5_VARIABLE) t->text = (bits & 15) == 1;
  return !c.bad && t->size > 0;
}

bool h5_read_space(h5_cursor c, const hn_h5 *f, int32_t *rank, int64_t *dims, uint64_t *count) {
  unsigned version = (unsigned)h5_take(&c, 1);
  *rank = (int32_t)h5_take(&c, 1);
  h5_take(&c, 1);
  unsigned kind = (unsigned)h5_take(&c, 1);
  if (version == 1) h5_bytes(&c, 4);
  *count = version == 2 && kind == 2 ? 0 : 1; /* null: nothing at all */
  if (c.bad || version < 1 || version > 2 || *rank > HN_MAX_RANK) return false;
  for (int32_t i = 0; i < *rank; i++) {
    uint64_t d = h5_take(&c, f->lengths);
    if (d > INT64_MAX || __builtin_mul_overflow(*count, d, count)) return false;
    dims[i] = (int64_t)d;
  }
  return !c.bad;
}
