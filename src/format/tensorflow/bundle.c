#include "format/tensorflow/bundle.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/map.h"
#include "base/vec.h"
#include "format/tensorflow/checkpoint_v1.h"
#include "format/tensorflow/tensor_slice.h"
#include "format/tensorflow/tensor_tf.h"
#include "format/wire/nesting.h"
#include "format/wire/sstable.h"

typedef Tensorflow__BundleEntryProto Entry;

enum { MAX_SHARDS = 1 << 16, MAX_NESTING = 8 };

typedef struct row {
  const char *key; /* those of slices hold zero bytes */
  size_t key_size;
  Entry *entry;
} row;

struct hn_bundle {
  hone_context *cx;
  char *prefix;
  hn_arena *arena;
  HN_VEC(row) rows;
  hn_map names;
  int32_t n_shards;
  hn_mapping **shards; /* opened when needed */
  hn_checkpoint_v1 *first; /* instead of all of this: a checkpoint of the first format */
};

/* -------------------------------------------------------------------------------------------- the index */

static hone_status read_header(hn_bundle *b, const void *value, size_t size) {
  if (b->shards) return hn_fail(b->cx, HONE_BAD_FORMAT, "damaged index: it has two headers");
  Tensorflow__BundleHeaderProto *h = tensorflow__bundle_header_proto__unpack(NULL, size, value);
  if (!h) return hn_fail(b->cx, HONE_BAD_FORMAT, "damaged index: its header is not readable");
  int32_t shards = h->num_shards;
  bool big = h->endianness != TENSORFLOW__BUNDLE_HEADER_PROTO__ENDIANNESS__LITTLE;
  tensorflow__bundle_header_proto__free_unpacked(h, NULL);
  if (big) return hn_fail(b->cx, HONE_UNSUPPORTED, "a checkpoint written on a big-endian machine");
  if (shards < 1 || shards > MAX_SHARDS) return hn_fail(b->cx, HONE_BAD_FORMAT, "damaged index: %d shards", shards);
  b->n_shards = shards;
  b->shards = hn_calloc((size_t)shards, sizeof *b->shards);
  return b->shards ? HONE_OK : hn_nomem(b->cx);
}

static hone_status add_row(void *user, const char *key, size_t key_size, const void *value, size_t size) {
  hn_bundle *b = user;
  if (!key_size) return read_header(b, value, size);
  if (hn_wire_nesting(&tensorflow__bundle_entry_proto__descriptor, value, size, MAX_NESTING) > MAX_NESTING)
    return hn_fail(b->cx, HONE_BAD_FORMAT, "damaged index: an entry is nested too deep");
  row r = {hn_arena_strndup(b->arena, key, key_size), key_size, tensorflow__bundle_entry_proto__unpack(NULL, size, value)};
  if (!r.entry) return hn_fail(b->cx, HONE_BAD_FORMAT, "damaged index: the entry of '%.200s' is not readable", key);
  if (!r.key || !hn_push(&b->rows, r)) {
    tensorflow__bundle_entry_proto__free_unpacked(r.entry, NULL);
    return hn_nomem(b->cx);
  }
  if (strlen(r.key) != key_size) return HONE_OK; /* a slice's: found by all of its bytes */
  return hn_map_put(&b->names, r.key, (uint32_t)b->rows.n - 1) ? HONE_OK : hn_nomem(b->cx);
}

void hn_bundle_close(hn_bundle **pb) {
  hn_bundle *b = pb ? *pb : NULL;
  if (!b) return;
  hn_checkpoint_v1_close(&b->first);
  for (size_t i = 0; i < b->rows.n; i++) tensorflow__bundle_entry_proto__free_unpacked(b->rows.p[i].entry, NULL);
  for (int32_t i = 0; b->shards && i < b->n_shards; i++) hn_mapping_unref(b->shards[i]);
  hn_free(b->shards);
  hn_vec_free(&b->rows);
  hn_map_free(&b->names);
  hn_arena_destroy(b->arena);
  hn_free(b);
  *pb = NULL;
}

hone_status hn_bundle_open(hone_context *cx, const char *prefix, hn_bundle **out) {
  hn_str path = {0};
  hn_mapping *m = NULL;
  hn_bundle *b = hn_calloc(1, sizeof *b);
  if (b && (b->arena = hn_arena_create())) b->prefix = hn_arena_strdup(b->arena, prefix);
  hn_str_printf(&path, "%s.index", prefix);
  hone_status st = b && b->prefix && !path.failed ? HONE_OK : hn_nomem(cx);
  if (!st) {
    b->cx = cx;
    if (!hn_is_file(path.p) && hn_checkpoint_v1_is(prefix)) st = hn_checkpoint_v1_open(cx, prefix, &b->first);
    else st = hn_map_file(cx, path.p, &m);
  }
  if (!st && m) {
    st = hn_sstable_read(cx, hn_mapping_data(m), hn_mapping_size(m), add_row, b);
    if (!st && !b->shards) st = hn_fail(cx, HONE_BAD_FORMAT, "damaged index: it has no header");
    if (st) hn_fail_within(cx, st, "%s", path.p);
  }
  hn_mapping_unref(m);
  hn_str_free(&path);
  if (st) hn_bundle_close(&b);
  else *out = b;
  return st;
}

static const Entry *entry(const hn_bundle *b, const char *key) {
  uint32_t i;
  return hn_map_get(&b->names, key, &i) ? b->rows.p[i].entry : NULL;
}

bool hn_bundle_has(const hn_bundle *b, const char *key) { return b->first ? hn_checkpoint_v1_has(b->first, key) : entry(b, key) != NULL; }

/* --------------------------------------------------------------------------------------------- the data */

static hone_status open_shard(hn_bundle *b, const char *key, int32_t i, hn_mapping **m) {
  if (i < 0 || i >= b->n_shards)
    return hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: variable '%s' lies in shard %d of %d", b->prefix, key, i, b->n_shards);
  if (!b->shards[i]) {
    hn_str path = {0};
    hn_str_printf(&path, "%s.data-%05d-of-%05d", b->prefix, i, b->n_shards);
    hone_status st = path.failed ? hn_nomem(b->cx) : hn_map_file(b->cx, path.p, &b->shards[i]);
    if (st) hn_fail_within(b->cx, st, "variable '%s'", key);
    hn_str_free(&path);
    HN_TRY(st);
  }
  *m = b->shards[i];
  return HONE_OK;
}

static hone_status find_entry(hn_bundle *b, const char *key, const Entry **e) {
  if ((*e = entry(b, key))) return HONE_OK;
  hn_str known = {0};
  for (size_t i = 0; i < b->rows.n && i < 8; i++) hn_str_printf(&known, "%s%s", i ? ", " : "", b->rows.p[i].key);
  hone_status st = hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: there is no variable '%s' in the checkpoint; it has %zu: %s%s",
                           b->prefix, key, b->rows.n, known.p ? known.p : "none", b->rows.n > 8 ? ", ..." : "");
  hn_str_free(&known);
  return st;
}

/* The bytes of an entry, within its shard. */
static hone_status entry_bytes(hn_bundle *b, const char *key, const Entry *e, hn_mapping **m, const unsigned char **p) {
  HN_TRY(open_shard(b, key, e->shard_id, m));
  size_t have = hn_mapping_size(*m);
  if (e->offset < 0 || e->size < 0 || (uint64_t)e->offset > have || (uint64_t)e->size > have - (uint64_t)e->offset)
    return hn_fail(b->cx, HONE_BAD_FORMAT, "%s.data-%05d-of-%05d: cut short: variable '%s' needs bytes %lld to %lld of %zu", b->prefix,
                   e->shard_id, b->n_shards, key, (long long)e->offset, (long long)(e->offset + e->size), have);
  *p = (const unsigned char *)hn_mapping_data(*m) + e->offset;
  return HONE_OK;
}

static hone_status wrong_checksum(const hn_bundle *b, const char *key, const Entry *e) {
  return hn_fail(b->cx, HONE_BAD_FORMAT, "%s.data-%05d-of-%05d: the checksum of variable '%s' does not match: the file is damaged",
                 b->prefix, e->shard_id, b->n_shards, key);
}

static hone_status entry_shape(const hn_bundle *b, const char *key, const Entry *e, hn_dtype *type, int32_t *rank, int64_t *dims,
                               size_t *bytes) {
  uint64_t count = 1;
  *type = hn_tf_dtype((int)e->dtype);
  *rank = e->shape ? (int32_t)e->shape->n_dim : 0;
  if (!*type || !hone_dtype_size(*type))
    return hn_fail(b->cx, HONE_UNSUPPORTED, "variable '%s' is of type %s, which is not supported", key, hn_tf_dtype_name((int)e->dtype));
  if (e->shape && e->shape->n_dim > HN_MAX_RANK)
    return hn_fail(b->cx, HONE_UNSUPPORTED, "variable '%s' has %zu dimensions; at most %d", key, e->shape->n_dim, HN_MAX_RANK);
  for (int32_t i = 0; i < *rank; i++) {
    dims[i] = e->shape->dim[i]->size;
    if (dims[i] < 0 || __builtin_mul_overflow(count, (uint64_t)dims[i], &count))
      return hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: variable '%s': dimension %d is %lld", b->prefix, key, i, (long long)dims[i]);
  }
  if (!hn_dtype_bytes(*type, count, bytes)) return hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: variable '%s' is too large", b->prefix, key);
  return HONE_OK;
}

static hone_status whole_tensor(hn_bundle *b, const char *key, const Entry *e, hn_tensor **out) {
  hn_dtype type;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  size_t bytes;
  hn_mapping *m;
  const unsigned char *p;
  HN_TRY(entry_shape(b, key, e, &type, &rank, dims, &bytes));
  HN_TRY(entry_bytes(b, key, e, &m, &p));
  if ((uint64_t)e->size != bytes)
    return hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: variable '%s' has %lld bytes; its shape needs %zu", b->prefix, key,
                   (long long)e->size, bytes);
  if (hn_crc32c_mask(hn_crc32c(0, p, bytes)) != e->crc32c) return wrong_checksum(b, key, e);
  return hn_tensor_map(b->cx, type, rank, dims, m, (size_t)e->offset, out);
}

/* ---- partitioned variables: an entry of its own for each slice, under a key made of name and slice */

/* The key is made of ordered codes: 0, the name, the number of dimensions, and start and length of each. A signed number
   takes 1 byte for -64..63, else more, as many as it begins with ones. */
static bool put_ordered_number(hn_str *s, int64_t v) {
  unsigned char buf[10];
  uint64_t x = v < 0 ? ~(uint64_t)v : (uint64_t)v;
  int n = 1;
  while (n < 10 && x >= (uint64_t)1 << (7 * n - 1)) n++;
  if (n > 9) return false;
  uint64_t w = (uint64_t)v;
  for (int i = n - 1; i >= 0; i--) {
    buf[i] = (unsigned char)w;
    w >>= 8;
  }
  static const unsigned char head[10][2] = {{0, 0}, {0x80, 0}, {0xc0, 0}, {0xe0, 0}, {0xf0, 0}, {0xf8, 0}, {0xfc, 0}, {0xfe, 0}, {0xff, 0}, {0xff, 0x80}};
  buf[0] ^= head[n][0];
  if (n > 1) buf[1] ^= head[n][1];
  hn_str_addn(s, (const char *)buf, (size_t)n);
  return true;
}

static void put_unsigned_number(hn_str *s, uint64_t v) { /* length, then the bytes, big end first */
  unsigned char buf[9];
  int n = 0;
  for (uint64_t x = v; x; x >>= 8) n++;
  buf[0] = (unsigned char)n;
  for (int i = n; i > 0; i--, v >>= 8) buf[i] = (unsigned char)v;
  hn_str_addn(s, (const char *)buf, (size_t)n + 1);
}

static bool slice_key(const char *name, const Tensorflow__TensorSliceProto *slice, hn_str *out) {
  put_unsigned_number(out, 0);
  for (const char *p = name; *p; p++) { /* 0 and 255 are escaped; a name has neither but in hostile files */
    if ((unsigned char)*p == 255) hn_str_addn(out, "\xff\x00", 2);
    else hn_str_addn(out, p, 1);
  }
  hn_str_addn(out, "\x00\x01", 2);
  put_unsigned_number(out, slice->n_extent);
  for (size_t i = 0; i < slice->n_extent; i++) {
    const Tensorflow__TensorSliceProto__Extent *x = slice->extent[i];
    bool has = x->has_length_case == TENSORFLOW__TENSOR_SLICE_PROTO__EXTENT__HAS_LENGTH_LENGTH;
    if (!put_ordered_number(out, has ? x->start : 0) || !put_ordered_number(out, has ? x->length : -1)) return false;
  }
  return !out->failed;
}

static const row *slice_row(const hn_bundle *b, const hn_str *key) {
  for (size_t i = 0; i < b->rows.n; i++)
    if (b->rows.p[i].key_size == key->n && memcmp(b->rows.p[i].key, key->p, key->n) == 0) return &b->rows.p[i];
  return NULL;
}

static hone_status add_slice(hn_bundle *b, const char *key, const Tensorflow__TensorSliceProto *slice, hn_tensor *whole, unsigned char *seen, uint64_t *filled) {
  hn_str name = {0};
  hn_slice s;
  hone_status st = hn_slice_within(b->cx, key, slice, whole->rank, whole->dims, &s);
  if (st) return hn_fail_within(b->cx, st, "%s.index", b->prefix);
  const row *r = slice_key(key, slice, &name) ? slice_row(b, &name) : NULL;
  hn_str_free(&name);
  if (!r) return hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: a slice of the partitioned variable '%s' is missing", b->prefix, key);
  hn_tensor *t;
  HN_TRY(whole_tensor(b, key, r->entry, &t));
  bool fits = t->dtype == whole->dtype && t->rank == whole->rank && memcmp(t->dims, s.dims, sizeof *s.dims * (size_t)t->rank) == 0;
  bool apart = !fits || hn_slice_copy(whole, t, &s, seen);
  *filled += (uint64_t)t->count;
  hn_tensor_unref(t);
  if (!apart) return hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: slices of '%s' overlap", b->prefix, key);
  return fits ? HONE_OK : hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: a slice of '%s' has another shape than it says", b->prefix, key);
}

static hone_status joined_tensor(hn_bundle *b, const char *key, const Entry *e, hn_tensor **out) {
  hn_dtype type;
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
  size_t bytes;
  uint64_t filled = 0;
  hn_tensor *t;
  HN_TRY(entry_shape(b, key, e, &type, &rank, dims, &bytes));
  HN_TRY(hn_tensor_create(b->cx, type, rank, dims, &t));
  unsigned char *seen = hn_calloc((size_t)t->count + 1, 1);
  hone_status st = seen ? HONE_OK : hn_nomem(b->cx);
  for (size_t i = 0; i < e->n_slices && !st; i++) st = add_slice(b, key, e->slices[i], t, seen, &filled);
  hn_free(seen);
  if (!st && filled != (uint64_t)t->count)
    st = hn_fail(b->cx, HONE_BAD_FORMAT, "%s.index: the slices of '%s' do not make up the whole", b->prefix, key);
  if (st) hn_tensor_unref(t);
  else *out = t;
  return st;
}

hone_status hn_bundle_tensor(hn_bundle *b, const char *key, hn_tensor **out) {
  const Entry *e;
  if (b->first) return hn_checkpoint_v1_tensor(b->first, key, out);
  HN_TRY(find_entry(b, key, &e));
  return e->n_slices ? joined_tensor(b, key, e, out) : whole_tensor(b, key, e, out);
}

/* A string tensor: the length of each as a varint, a checksum of the lengths, the bytes. */
hone_status hn_bundle_string(hn_bundle *b, const char *key, const void **data, size_t *size) {
  const Entry *e;
  hn_mapping *m;
  const unsigned char *p;
  HN_TRY(find_entry(b, key, &e));
  HN_TRY(entry_bytes(b, key, e, &m, &p));
  size_t n = (size_t)e->size, at = 0;
  uint64_t length = 0;
  int shift = 0;
  while (at < n && shift < 63) {
    length |= (uint64_t)(p[at] & 127) << shift;
    shift += 7;
    if (!(p[at++] & 128)) break;
  }
  if (e->dtype != TENSORFLOW__DATA_TYPE__DT_STRING || (e->shape && e->shape->n_dim) || n - at < 4 || length != n - at - 4)
    return hn_fail(b->cx, HONE_BAD_FORMAT, "%s: '%s' is not a string", b->prefix, key);
  *data = p + at + 4;
  *size = (size_t)length;
  return HONE_OK;
}
