#include "format/keras/h5_file.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "format/keras/h5_parse.h"

enum { MAX_TEXTS = 1 << 20 };

/* ------------------------------------------------------------------------------------------------ opening */

/* The superblock: at the beginning, or behind what another program put there, at 512 bytes or a power of two more. */
static bool open_superblock(hn_h5 *f) {
  static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  size_t at = 0;
  while (at + sizeof signature <= f->size && memcmp(f->data + at, signature, sizeof signature) != 0) at = at ? 2 * at : 512;
  if (at + sizeof signature > f->size) return false;
  h5_cursor c = {.p = f->data + at, .n = f->size - at, .at = sizeof signature};
  unsigned version = (unsigned)h5_take(&c, 1);
  if (version > 3) return false;
  if (version < 2) h5_bytes(&c, 4);
  f->offsets = (unsigned)h5_take(&c, 1);
  f->lengths = (unsigned)h5_take(&c, 1);
  h5_bytes(&c, version == 0 ? 9 : version == 1 ? 13 : 1);
  if ((f->offsets != 4 && f->offsets != 8) || (f->lengths != 4 && f->lengths != 8)) return false;
  f->base = h5_address(f, &c);
  h5_address(f, &c);                   /* free space, or an extension */
  uint64_t end = h5_address(f, &c);    /* of the file */
  if (version < 2) {
    h5_address(f, &c);                 /* a driver's block */
    h5_address(f, &c);                 /* the root's name: none */
  }
  f->root = h5_address(f, &c);
  return !c.bad && f->root != H5_NOWHERE && f->base <= f->size && end <= f->size;
}

hone_status hn_h5_open(hone_context *cx, const char *path, const void *data, size_t size, hn_h5 **out) {
  hn_h5 *f = hn_calloc(1, sizeof *f);
  if (!f) return hn_nomem(cx);
  *f = (hn_h5){.cx = cx, .path = path, .data = data, .size = size};
  if (!open_superblock(f)) {
    hn_h5_close(&f);
    return hn_fail(cx, HONE_BAD_FORMAT, "%s: not a readable HDF5 file: it is truncated or damaged", path);
  }
  *out = f;
  return HONE_OK;
}

void hn_h5_close(hn_h5 **f) {
  hn_free(*f);
  *f = NULL;
}

bool hn_h5_has(hn_h5 *f, const char *path) {
  uint64_t header;
  return !h5_find(f, path, &header) && header != H5_NOWHERE;
}

/* -------------------------------------------------------------------------------------------------- texts */

typedef struct attribute {
  hn_h5 *f;
  const char *name;
  h5_cursor type, space, data;
  bool found, bad, dense, shared;
} attribute;

static uint64_t padded(uint64_t n, bool old) { return old ? (n + 7) & ~(uint64_t)7 : n; }

static bool attribute_message(void *user, unsigned type, bool shared, h5_cursor b) {
  attribute *a = user;
  if (type == H5_ATTRIBUTES) {
    h5_take(&b, 1);
    if (h5_take(&b, 1) & 1) h5_bytes(&b, 2);
    a->dense = h5_address(a->f, &b) != H5_NOWHERE;
  }
  if (type != H5_ATTRIBUTE || shared) return true;
  unsigned version = (unsigned)h5_take(&b, 1), flags = (unsigned)h5_take(&b, 1);
  uint64_t size[3]; /* of name, type and dimensions */
  for (int i = 0; i < 3; i++) size[i] = h5_take(&b, 2);
  if (version == 3) h5_take(&b, 1);
  const unsigned char *part[3];
  for (int i = 0; i < 3; i++) part[i] = h5_bytes(&b, padded(size[i], version == 1));
  a->bad = b.bad || version < 1 || version > 3;
  if (a->bad) return false;
  if (size[0] != strlen(a->name) + 1 || memcmp(part[0], a->name, (size_t)size[0]) != 0) return true;
  a->type = (h5_cursor){.p = part[1], .n = (size_t)size[1]};
  a->space = (h5_cursor){.p = part[2], .n = (size_t)size[2]};
  a->data = (h5_cursor){.p = b.p + b.at, .n = b.n - b.at};
  a->shared = version > 1 && (flags & 3);
  a->found = true;
  return false;
}

/* An object of a collection in the global heap; false: it is not there. */
static bool heap_object(hn_h5 *f, uint64_t collection, uint64_t index, const unsigned char **p, uint64_t *size) {
  h5_cursor c = h5_rest(f, collection);
  const unsigned char *head = h5_bytes(&c, 8);
  uint64_t whole = h5_take(&c, f->lengths);
  if (!head || memcmp(head, "GCOL", 4) != 0 || c.bad || whole > c.n) return false;
  c.n = (size_t)whole;
  while (c.at < c.n && h5_works(f)) {
    uint64_t number = h5_take(&c, 2);
    h5_bytes(&c, 6);
    *size = h5_take(&c, f->lengths);
    if (!number || c.bad || *size > c.n - c.at) return false;
    *p = h5_bytes(&c, *size);
    if (number == index) return true;
    h5_bytes(&c, (8 - *size % 8) % 8);
  }
  return false;
}

static hone_status give_text(const unsigned char *p, uint64_t n, hn_h5_text_fn fn, void *user) {
  char *copy = hn_malloc((size_t)n + 1);
  if (!copy) return HONE_NOMEM;
  if (n) memcpy(copy, p, (size_t)n);
  copy[n] = 0;
  hone_status st = fn(user, copy);
  hn_free(copy);
  return st;
}

/* One text or a list of them, of fixed or variable length: then each is a length, a collection and a number in it. */
static hone_status read_texts(attribute *a, hn_h5_text_fn fn, void *user) {
  hn_h5 *f = a->f;
  h5_type t;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  uint64_t n, total = 0;
  bool ok = !a->shared && h5_read_type(a->type, &t) && h5_read_space(a->space, f, &rank, dims, &n) && n <= MAX_TEXTS;
  if (!ok || (t.kind != H5_TEXT && !t.text)) return hn_fail(f->cx, HONE_BAD_FORMAT, "%s: the attribute '%s' is not text", f->path, a->name);
  for (uint64_t i = 0; i < n; i++) {
    uint64_t size = t.size;
    const unsigned char *p;
    if (t.text) {
      uint64_t length = h5_take(&a->data, 4), at = h5_address(f, &a->data), index = h5_take(&a->data, 4);
      p = (const unsigned char *)"";
      if (a->data.bad || (length && (!heap_object(f, at, index, &p, &size) || length > size))) return h5_damaged(f, "a text attribute cannot be read");
      size = length;
    } else if (!(p = h5_bytes(&a->data, size))) {
      return h5_damaged(f, "a text attribute cannot be read");
    }
    if ((total += size) > 64 * (uint64_t)f->size) return h5_damaged(f, "its texts are longer than the file can hold");
    HN_TRY(give_text(p, size, fn, user));
  }
  return HONE_OK;
}

/* *found: the attribute is there. */
static hone_status texts_of(hn_h5 *f, const char *where, const char *name, hn_h5_text_fn fn, void *user, bool *found) {
  uint64_t header;
  attribute a = {.f = f, .name = name};
  *found = false;
  HN_TRY(h5_find(f, where, &header));
  if (header == H5_NOWHERE) return HONE_OK;
  HN_TRY(h5_messages(f, header, attribute_message, &a));
  if (a.bad) return h5_damaged(f, "an attribute is not readable");
  if (!a.found && a.dense)
    return hn_fail(f->cx, HONE_UNSUPPORTED, "%s: attributes are kept in the form of HDF5 1.8 for many of them (a fractal heap), which is not read; "
                   "save the model with h5py's defaults", f->path);
  *found = a.found;
  return a.found ? read_texts(&a, fn, user) : HONE_OK;
}

static hone_status keep_text(void *user, const char *text) {
  char **kept = user;
  size_t n = strlen(text) + 1;
  if (*kept) return HONE_OK; /* the first counts */
  *kept = hn_malloc(n);
  if (!*kept) return HONE_NOMEM;
  memcpy(*kept, text, n);
  return HONE_OK;
}

hone_status hn_h5_text(hn_h5 *f, const char *where, const char *attr, char **text) {
  bool found;
  *text = NULL;
  hone_status st = texts_of(f, where, attr, keep_text, text, &found);
  if (st) hn_free(*text), *text = NULL;
  return st;
}

hone_status hn_h5_texts(hn_h5 *f, const char *where, const char *attr, hn_h5_text_fn fn, void *user) {
  bool found;
  hone_status st = texts_of(f, where, attr, fn, user, &found);
  for (int i = 0; !st && !found && i < MAX_TEXTS; i++) {
    char part[64];
    bool more;
    snprintf(part, sizeof part, "%.40s%d", attr, i);
    st = texts_of(f, where, part, fn, user, &more);
    if (!more) break;
  }
  return st;
}
