/* tfjs_weights.c - weights of the tfjs forms: a manifest of names, shapes and types, and binary shards; quantized
   weights are made what they stand for. */
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "base/half.h"
#include "format/keras/keras_json.h"
#include "format/keras/keras_store.h"

typedef struct shards { /* those of one group, one behind the other */
  unsigned char *bytes;
  size_t n;
} shards;

static hone_status read_shard(kr_store *s, const char *dir, const char *name, shards *to) {
  hn_mapping *m;
  const char *path = hn_arena_printf(s->arena, "%s/%s", dir, name);
  if (!path) return hn_nomem(s->cx);
  if (name[0] == '/' || !hn_path_within(dir, path))
    return hn_fail(s->cx, HONE_BAD_FORMAT, "weight file '%s' lies outside of the model's folder", name);
  HN_TRY(hn_map_file(s->cx, path, &m));
  size_t n = hn_mapping_size(m), all;
  unsigned char *bytes = hn_add_size(to->n, n, &all) ? hn_realloc(to->bytes, all ? all : 1) : NULL;
  if (bytes) {
    if (n) memcpy(bytes + to->n, hn_mapping_data(m), n);
    *to = (shards){bytes, all};
  }
  hn_mapping_unref(m);
  return bytes ? HONE_OK : hn_nomem(s->cx);
}

static hn_dtype dtype_named(const char *name) {
  static const struct {
    const char *name;
    hn_dtype dtype;
  } known[] = {{"float32", HONE_DTYPE_F32}, {"float16", HONE_DTYPE_F16}, {"float64", HONE_DTYPE_F64}, {"int32", HONE_DTYPE_I32},
               {"int64", HONE_DTYPE_I64},   {"uint8", HONE_DTYPE_U8},    {"uint16", HONE_DTYPE_U16},  {"int8", HONE_DTYPE_I8},
               {"int16", HONE_DTYPE_I16},   {"bool", HONE_DTYPE_BOOL}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (hn_streq(known[i].name, name)) return known[i].dtype;
  return HONE_DTYPE_UNDEFINED;
}

/* scale * q + min, for whole types rounded; float16 as it is. */
static void expand(const json_t *quantization, hn_dtype stored, const unsigned char *from, hn_tensor *t) {
  double min = kj_real(quantization, "min", 0), scale = kj_real(quantization, "scale", 1);
  bool whole = !hn_is_float(t->dtype);
  for (size_t i = 0; i < (size_t)t->count; i++) {
    double q = hn_load_f64(stored, from, i), v = stored == HONE_DTYPE_F16 ? q : q * scale + min;
    if (whole) hn_store_i64(t->dtype, t->data, i, (int64_t)(v < 0 ? v - 0.5 : v + 0.5));
    else hn_store_f64(t->dtype, t->data, i, v);
  }
}

static hone_status read_weight(kr_store *s, const json_t *spec, const shards *from, size_t *at) {
  const char *name = kj_text(spec, "name", ""), *type = kj_text(spec, "dtype", "float32");
  const json_t *quantization = json_object_get(spec, "quantization"), *shape = json_object_get(spec, "shape");
  hn_dtype dtype = dtype_named(type), stored = quantization ? dtype_named(kj_text(quantization, "dtype", "")) : dtype;
  int64_t dims[HN_MAX_RANK];
  uint32_t rank = kj_ints(spec, "shape", dims, HN_MAX_RANK);
  uint64_t count = 1;
  size_t bytes;
  if (!json_is_array(shape) || rank != json_array_size(shape))
    return hn_fail(s->cx, HONE_BAD_FORMAT, "weight '%s' has no shape that can be read", name);
  if (!dtype || !stored || (quantization && stored != HONE_DTYPE_U8 && stored != HONE_DTYPE_U16 && stored != HONE_DTYPE_F16))
    return hn_fail(s->cx, HONE_UNSUPPORTED, "weight '%s' is of type %s%s%s", name, type, quantization ? ", quantized as " : "",
                   quantization ? kj_text(quantization, "dtype", "?") : "");
  for (uint32_t i = 0; i < rank; i++)
    if (dims[i] < 0 || __builtin_mul_overflow(count, (uint64_t)dims[i], &count))
      return hn_fail(s->cx, HONE_BAD_FORMAT, "weight '%s' has an impossible shape", name);
  if (!hn_dtype_bytes(stored, count, &bytes) || bytes > from->n - *at)
    return hn_fail(s->cx, HONE_BAD_FORMAT, "weight '%s' needs %llu elements of %s beyond byte %zu; its shards have %zu bytes: they are cut short",
                   name, (unsigned long long)count, hone_dtype_name(stored), *at, from->n);
  hn_tensor *t;
  HN_TRY(hn_tensor_create(s->cx, dtype, (int32_t)rank, dims, &t));
  if (quantization) expand(quantization, stored, from->bytes + *at, t);
  else if (bytes) memcpy(t->data, from->bytes + *at, bytes);
  *at += bytes;
  return kr_store_add(s, "", name, name, t);
}

static hone_status read_group(kr_store *s, const char *dir, const json_t *group) {
  shards from = {0};
  hone_status st = HONE_OK;
  size_t i, at = 0;
  const json_t *item;
  json_array_foreach(json_object_get(group, "paths"), i, item) {
    if (!st) st = json_is_string(item) ? read_shard(s, dir, json_string_value(item), &from)
                                       : hn_fail(s->cx, HONE_BAD_FORMAT, "the weight manifest has a path that is no text");
  }
  json_array_foreach(json_object_get(group, "weights"), i, item) {
    if (!st) st = read_weight(s, item, &from, &at);
  }
  hn_free(from.bytes);
  return st;
}

hone_status kr_store_tfjs(kr_store *s, const char *dir, const json_t *manifest) {
  size_t i;
  const json_t *group;
  s->form = KR_FLAT;
  if (!json_is_array(manifest)) return hn_fail(s->cx, HONE_BAD_FORMAT, "there is no weightsManifest in it");
  json_array_foreach(manifest, i, group) HN_TRY(read_group(s, dir, group));
  return HONE_OK;
}
