#include "format/tensorflow/checkpoint_v1.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "format/tensorflow/tensor_slice.h"
#include "format/tensorflow/tensor_tf.h"
#include "format/wire/nesting.h"
#include "format/wire/sstable.h"

enum { MAX_SHARDS = 1 << 16, MAX_NESTING = 8 };

typedef struct part {
  uint32_t of; /* variable */
  hn_slice where;
  hn_tensor *data;
} part;

typedef struct variable {
  const char *name;
  int type; /* as in the file */
  int32_t rank;
  int64_t dims[HN_MAX_RANK];
} variable;

struct hn_checkpoint_v1 {
  hone_context *cx;
  const char *prefix;
  hn_arena *arena;
  HN_VEC(variable) variables;
  HN_VEC(part) parts;
  hn_map names;
  const char *file; /* that is being read, */
  bool listed;      /* and whether its table of contents was there */
};

/* ---- what a file holds: under the empty key a table of contents, then slices, each with its name */

static hone_status note_variable(hn_checkpoint_v1 *c, const Tensorflow__SavedSliceMeta *m) {
  size_t rank = m->shape ? m->shape->n_dim : 0;
  variable v = {hn_arena_strdup(c->arena, m->name), (int)m->type, (int32_t)rank, {0}};
  uint32_t i;
  if (!v.name) return hn_nomem(c->cx);
  if (rank > HN_MAX_RANK) return hn_fail(c->cx, HONE_UNSUPPORTED, "variable '%s' has %zu dimensions; at most %d", v.name, rank, HN_MAX_RANK);
  for (size_t k = 0; k < rank; k++)
    if ((v.dims[k] = m->shape->dim[k]->size) < 0)
      return hn_fail(c->cx, HONE_BAD_FORMAT, "variable '%s': dimension %zu is %lld", v.name, k, (long long)v.dims[k]);
  if (!hn_map_get(&c->names, v.name, &i)) /* else a shard before has slices of it, too */
    return hn_push(&c->variables, v) && hn_map_put(&c->names, v.name, (uint32_t)c->variables.n - 1) ? HONE_OK : hn_nomem(c->cx);
  const variable *w = &c->variables.p[i];
  bool same = w->type == v.type && w->rank == v.rank && memcmp(w->dims, v.dims, sizeof v.dims) == 0;
  return same ? HONE_OK : hn_fail(c->cx, HONE_BAD_FORMAT, "variable '%s' has another type or shape than in the shard before", v.name);
}

static hone_status note_contents(hn_checkpoint_v1 *c, const Tensorflow__SavedTensorSliceMeta *m) {
  if (c->listed || !m) return hn_fail(c->cx, HONE_BAD_FORMAT, c->listed ? "it has two tables of contents" : "its table of contents is empty");
  c->listed = true;
  for (size_t i = 0; i < m->n_tensor; i++) HN_TRY(note_variable(c, m->tensor[i]));
  return HONE_OK;
}

/* The data of a slice has neither type nor shape: those of its variable count. All of its elements are there. */
static hone_status note_slice(hn_checkpoint_v1 *c, const Tensorflow__SavedSlice *s) {
  part p = {0};
  if (!s || !s->data || !hn_map_get(&c->names, s->name, &p.of))
    return hn_fail(c->cx, HONE_BAD_FORMAT, "a slice of '%s', which is not in its table of contents", s ? s->name : "");
  const variable *v = &c->variables.p[p.of];
  hn_dtype type = hn_tf_dtype(v->type);
  if (!type || !hone_dtype_size(type)) return HONE_OK; /* refused when it is asked for */
  HN_TRY(hn_slice_within(c->cx, v->name, s->slice, v->rank, v->dims, &p.where));
  HN_TRY(hn_tf_values(c->cx, v->name, s->data, type, v->rank, p.where.dims, &p.data));
  if (hn_push(&c->parts, p)) return HONE_OK;
  hn_tensor_unref(p.data);
  return hn_nomem(c->cx);
}

static hone_status note_pair(void *user, const char *key, size_t key_size, const void *value, size_t size) {
  hn_checkpoint_v1 *c = user;
  (void)key;
  if (hn_wire_nesting(&tensorflow__saved_tensor_slices__descriptor, value, size, MAX_NESTING) > MAX_NESTING)
    return hn_fail(c->cx, HONE_BAD_FORMAT, "an entry is nested too deep");
  Tensorflow__SavedTensorSlices *s = tensorflow__saved_tensor_slices__unpack(NULL, size, value);
  if (!s) return hn_fail(c->cx, HONE_BAD_FORMAT, "an entry is not readable");
  hone_status st = key_size ? note_slice(c, s->data) : note_contents(c, s->meta);
  tensorflow__saved_tensor_slices__free_unpacked(s, NULL);
  return st;
}

static hone_status read_file(hn_checkpoint_v1 *c, const char *path) {
  hn_mapping *m;
  if (!path) return hn_nomem(c->cx);
  HN_TRY(hn_map_file(c->cx, path, &m));
  c->listed = false;
  hone_status st = hn_sstable_read(c->cx, hn_mapping_data(m), hn_mapping_size(m), note_pair, c);
  if (!st && !c->listed) st = hn_fail(c->cx, HONE_BAD_FORMAT, "it has no table of contents: no checkpoint of TensorFlow's");
  hn_mapping_unref(m);
  return st ? hn_fail_within(c->cx, st, "%s", path) : HONE_OK;
}

/* ---- which files */

/* The number of shards of which files of this prefix are parts; 0: there is none. */
static int count_shards(const char *prefix) {
  const char *slash = strrchr(prefix, '/'), *base = slash ? slash + 1 : prefix;
  hn_str folder = {0};
  size_t length = strlen(base);
  int most = 0, shard, of, end;
  hn_str_addn(&folder, slash ? prefix : ".", slash ? (size_t)(slash - prefix) + (slash == prefix) : 1);
  DIR *d = folder.failed ? NULL : opendir(folder.p);
  for (struct dirent *e; d && (e = readdir(d));) {
    if (strncmp(e->d_name, base, length) != 0) continue;
    const char *rest = e->d_name + length;
    end = 0;
    if (strlen(rest) == strlen("-00000-of-00000") && sscanf(rest, "-%5d-of-%5d%n", &shard, &of, &end) == 2 && !rest[end] && of > most && shard < of) most = of;
  }
  if (d) closedir(d);
  hn_str_free(&folder);
  return most;
}

bool hn_checkpoint_v1_is(const char *prefix) { return hn_is_file(prefix) || count_shards(prefix) > 0; }

void hn_checkpoint_v1_close(hn_checkpoint_v1 **pc) {
  hn_checkpoint_v1 *c = pc ? *pc : NULL;
  if (!c) return;
  for (size_t i = 0; i < c->parts.n; i++) hn_tensor_unref(c->parts.p[i].data);
  hn_vec_free(&c->parts);
  hn_vec_free(&c->variables);
  hn_map_free(&c->names);
  hn_arena_destroy(c->arena);
  hn_free(c);
  *pc = NULL;
}

hone_status hn_checkpoint_v1_open(hone_context *cx, const char *prefix, hn_checkpoint_v1 **out) {
  hn_checkpoint_v1 *c = hn_calloc(1, sizeof *c);
  if (c) c->cx = cx, c->arena = hn_arena_create();
  if (c && c->arena) c->prefix = hn_arena_strdup(c->arena, prefix);
  hone_status st = c && c->prefix ? HONE_OK : hn_nomem(cx);
  int shards = st || hn_is_file(prefix) ? 0 : count_shards(prefix);
  if (!st && !shards) st = read_file(c, prefix);
  for (int i = 0; i < shards && !st; i++) st = read_file(c, hn_arena_printf(c->arena, "%s-%05d-of-%05d", prefix, i, shards));
  if (st) hn_checkpoint_v1_close(&c);
  else *out = c;
  return st;
}

/* ---- variables */

bool hn_checkpoint_v1_has(const hn_checkpoint_v1 *c, const char *name) {
  uint32_t i;
  return hn_map_get(&c->names, name, &i);
}

static hone_status unknown(const hn_checkpoint_v1 *c, const char *name) {
  hn_str known = {0};
  size_t n = c->variables.n;
  for (size_t i = 0; i < n && i < 8; i++) hn_str_printf(&known, "%s%s", i ? ", " : "", c->variables.p[i].name);
  hone_status st = hn_fail(c->cx, HONE_BAD_FORMAT, "%s: there is no variable '%s' in the checkpoint; it has %zu: %s%s", c->prefix, name, n,
                           known.p ? known.p : "none", n > 8 ? ", ..." : "");
  hn_str_free(&known);
  return st;
}

hone_status hn_checkpoint_v1_tensor(hn_checkpoint_v1 *c, const char *name, hn_tensor **out) {
  uint32_t i;
  uint64_t filled = 0, count = 1;
  hn_tensor *t;
  if (!hn_map_get(&c->names, name, &i)) return unknown(c, name);
  const variable *v = &c->variables.p[i];
  hn_dtype type = hn_tf_dtype(v->type);
  if (!type || !hone_dtype_size(type))
    return hn_fail(c->cx, HONE_UNSUPPORTED, "variable '%s' is of type %s, which is not supported", name, hn_tf_dtype_name(v->type));
  for (size_t k = 0; k < c->parts.n; k++)
    if (c->parts.p[k].of == i) filled += (uint64_t)c->parts.p[k].data->count;
  for (int32_t k = 0; k < v->rank; k++)
    if (__builtin_mul_overflow(count, (uint64_t)v->dims[k], &count)) count = UINT64_MAX;
  if (filled != count) /* before memory is taken for what a table of contents says */
    return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: the slices of '%s' do not make up the whole: %llu of %llu elements", c->prefix, name,
                   (unsigned long long)filled, (unsigned long long)count);
  HN_TRY(hn_tensor_create(c->cx, type, v->rank, v->dims, &t));
  unsigned char *seen = hn_calloc((size_t)count + 1, 1);
  hone_status st = seen ? HONE_OK : hn_nomem(c->cx);
  for (size_t k = 0; k < c->parts.n && !st; k++)
    if (c->parts.p[k].of == i && !hn_slice_copy(t, c->parts.p[k].data, &c->parts.p[k].where, seen))
      st = hn_fail(c->cx, HONE_BAD_FORMAT, "%s: slices of '%s' overlap", c->prefix, name);
  hn_free(seen);
  if (st) hn_tensor_unref(t);
  else *out = t;
  return st;
}
