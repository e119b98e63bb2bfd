/* keras_reader.c - the three forms: where the configuration and the weights are. */
#define _GNU_SOURCE /* memmem */
#include "format/keras/keras_reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/keras/keras.h"
#include "format/keras/zip_calls.h"

#define MAX_JSON ((size_t)256 << 20)
#define SMALL_ENTRY ((uint64_t)64 << 20)
enum { MOST_PACKED = 100 }; /* weights hardly pack; far more than this is a bomb */

/* ---- what all forms share */

static void set_meta(const keras *k, const char *version, const char *backend) {
  hn_meta_set(k->g, "format", "Keras");
  hn_meta_set(k->g, "producer", "Keras");
  if (version) hn_meta_set(k->g, "producer_version", version);
  if (backend) hn_meta_set(k->g, "backend", backend);
}

static void read_version(keras *k, const char *version) {
  char *end;
  long major = version ? strtol(version, &end, 10) : 2, minor = version && *end == '.' ? strtol(end + 1, NULL, 10) : 0;
  k->v3 = major >= 3;
  k->old_tf = version && (major < 2 || (major == 2 && minor < 3)) && !strstr(version, "-tf");
}

static hone_status read_with(keras *k, const json_t *topology, const char *version, const char *backend, hn_graph **out) {
  kr_model *m;
  read_version(k, version);
  HN_TRY(kr_parse(k, topology, &m));
  if (k->unknown.n) return hn_fail(k->cx, HONE_UNSUPPORTED, "unsupported layers: %s", k->unknown.p);
  HN_TRY(kr_bind(k, m));
  if (k->missing.n) return hn_fail(k->cx, HONE_BAD_GRAPH, "weights that are not in the file: %s", k->missing.p);
  if (!(k->g = hn_graph_create(k->cx, m->name))) return hn_nomem(k->cx);
  set_meta(k, version, backend);
  hn_meta_set(k->g, "graph", m->name);
  HN_TRY(kr_build(k, m));
  hn_remove_dead(k->g);
  HN_TRY(hn_graph_verify(k->g));
  *out = k->g;
  k->g = NULL;
  return HONE_OK;
}

static hone_status begin(hone_context *cx, keras *k) {
  *k = (keras){.cx = cx, .arena = hn_arena_create()};
  k->store.cx = cx;
  k->store.arena = k->arena;
  return k->arena ? HONE_OK : hn_nomem(cx);
}

static hone_status finish(keras *k, const char *path, hone_status st) {
  if (st) hn_fail_within(k->cx, st, "%s", path);
  for (size_t i = 0; i < k->layers.n; i++)
    for (int w = 0; w < KR_MAX_WEIGHTS; w++) hn_tensor_unref(k->layers.p[i]->w[w]);
  hn_vec_free(&k->layers);
  hn_vec_free(&k->masks);
  hn_map_free(&k->owners);
  hn_str_free(&k->unknown);
  hn_str_free(&k->missing);
  kr_store_close(&k->store);
  hn_graph_destroy(k->g);
  hn_arena_destroy(k->arena);
  return st;
}

static hone_status parse_json(keras *k, const char *what, const char *text, size_t size, json_t **out) {
  json_error_t e;
  if (size > MAX_JSON) return hn_fail(k->cx, HONE_BAD_FORMAT, "%s has %zu bytes, which no model needs", what, size);
  *out = json_loadb(text, size, 0, &e);
  if (*out) return HONE_OK;
  return hn_fail(k->cx, HONE_BAD_FORMAT, "%s is not JSON: line %d: %s", what, e.line, e.text);
}

/* ---- .h5 */

bool hn_keras_h5_probe(const hn_source *s) { return !s->directory && s->size >= 8 && memcmp(s->data, "\x89HDF\r\n\x1a\n", 8) == 0; }

static hone_status read_h5(keras *k, hn_graph **out) {
  char *config = NULL, *version = NULL, *backend = NULL;
  json_t *topology = NULL;
  hone_status st = hn_h5_text(k->store.h5, "/", "model_config", &config);
  if (!st) st = hn_h5_text(k->store.h5, "/", "keras_version", &version);
  if (!st) st = hn_h5_text(k->store.h5, "/", "backend", &backend);
  if (!st && !config)
    st = hn_fail(k->cx, HONE_BAD_FORMAT, hn_h5_has(k->store.h5, "/layers") || hn_h5_has(k->store.h5, "/_layer_checkpoint_dependencies")
                                             ? "it holds weights without the model: give the .keras file they come from"
                                             : "there is no model_config in it: it holds weights without the model (save it with model.save)");
  if (!st) st = parse_json(k, "model_config", config, strlen(config), &topology);
  if (!st) st = kr_store_groups(&k->store, "/model_weights");
  if (!st) st = read_with(k, topology, version, backend, out);
  json_decref(topology);
  hn_free(config);
  hn_free(version);
  hn_free(backend);
  return st;
}

hone_status hn_keras_h5_read(hone_context *cx, const hn_source *s, hn_graph **out) {
  keras k;
  hone_status st = begin(cx, &k);
  if (!st) st = hn_h5_open(cx, s->path, s->data, s->size, &k.store.h5);
  if (!st) st = read_h5(&k, out);
  return finish(&k, s->path, st);
}

/* ---- .keras */

static zip_t *open_zip(const void *data, size_t size) {
  zip_error_t e;
  zip_error_init(&e);
  zip_source_t *source = zip_source_buffer_create(data, size, 0, &e);
  zip_t *z = source ? zip_open_from_source(source, ZIP_RDONLY, &e) : NULL;
  if (!z && source) zip_source_free(source);
  zip_error_fini(&e);
  return z;
}

bool hn_keras_zip_probe(const hn_source *s) {
  if (s->directory || s->size < 4 || memcmp(s->data, "PK\x03\x04", 4) != 0) return false;
  if (hn_library_need(NULL, &zip_library)) return true; /* reading it will say what is missing */
  zip_t *z = open_zip(s->data, s->size);
  bool found = z && zip_name_locate(z, "config.json", 0) >= 0 &&
               (zip_name_locate(z, "model.weights.h5", 0) >= 0 || zip_name_locate(z, "metadata.json", 0) >= 0);
  if (z) zip_discard(z);
  return found;
}

/* The whole entry, with a 0 behind it; hn_free. */
static hone_status read_entry(keras *k, zip_t *z, const char *name, char **bytes, size_t *n) {
  zip_stat_t s;
  zip_stat_init(&s);
  if (zip_stat(z, name, 0, &s) || !(s.valid & ZIP_STAT_SIZE) || !(s.valid & ZIP_STAT_COMP_SIZE))
    return hn_fail(k->cx, HONE_BAD_FORMAT, "there is no %s in it", name);
  if (s.size > SMALL_ENTRY && s.size / MOST_PACKED > s.comp_size)
    return hn_fail(k->cx, HONE_BAD_FORMAT, "%s claims to unpack from %llu to %llu bytes, which weights do not", name,
                   (unsigned long long)s.comp_size, (unsigned long long)s.size);
  char *p = hn_malloc((size_t)s.size + 1);
  if (!p) return hn_fail(k->cx, HONE_NOMEM, "out of memory: %llu bytes for %s", (unsigned long long)s.size, name);
  zip_file_t *f = zip_fopen(z, name, 0);
  uint64_t have = 0;
  for (zip_int64_t got = 1; f && have < s.size && got > 0; have += got > 0 ? (uint64_t)got : 0) got = zip_fread(f, p + have, s.size - have);
  char beyond;
  bool whole = f && have == s.size && zip_fread(f, &beyond, 1) == 0; /* the checksum is looked at when the end is reached */
  if (f) whole = zip_fclose(f) == 0 && whole;
  if (!whole) {
    hn_free(p);
    return hn_fail(k->cx, HONE_BAD_FORMAT, "%s cannot be unpacked: the archive is truncated or damaged", name);
  }
  p[s.size] = 0;
  *bytes = p;
  *n = (size_t)s.size;
  return HONE_OK;
}

static hone_status read_json_entry(keras *k, zip_t *z, const char *name, json_t **out) {
  char *text;
  size_t n;
  HN_TRY(read_entry(k, z, name, &text, &n));
  hone_status st = parse_json(k, name, text, n, out);
  hn_free(text);
  return st;
}

hone_status hn_keras_zip_read(hone_context *cx, const hn_source *s, hn_graph **out) {
  keras k;
  json_t *config = NULL, *about = NULL;
  char *weights = NULL;
  size_t n = 0;
  HN_TRY(hn_library_need(cx, &zip_library));
  hone_status st = begin(cx, &k);
  zip_t *z = st ? NULL : open_zip(s->data, s->size);
  if (!st && !z) st = hn_fail(cx, HONE_BAD_FORMAT, "not a readable archive: it is truncated or damaged");
  if (!st) st = read_json_entry(&k, z, "config.json", &config);
  if (!st && zip_name_locate(z, "metadata.json", 0) >= 0) st = read_json_entry(&k, z, "metadata.json", &about);
  if (!st) st = read_entry(&k, z, "model.weights.h5", &weights, &n);
  if (!st) st = hn_h5_open(cx, "model.weights.h5", weights, n, &k.store.h5);
  k.store.form = KR_PATHS;
  if (!st) st = read_with(&k, config, kj_text(about, "keras_version", "3"), NULL, out);
  json_decref(config);
  json_decref(about);
  if (z) zip_discard(z);
  st = finish(&k, s->path, st);
  hn_free(weights);
  return st;
}

/* ---- tfjs */

static const char *model_json(hn_arena *a, const char *folder) { return hn_arena_printf(a, "%s/model.json", folder); }

bool hn_tfjs_probe(const hn_source *s) {
  const char *p = s->data;
  size_t i = 0, look = s->size < 1 << 16 ? s->size : 1 << 16;
  if (s->directory) {
    hn_arena *a = hn_arena_create();
    const char *path = a ? model_json(a, s->path) : NULL;
    bool there = path && access(path, R_OK) == 0;
    hn_arena_destroy(a);
    return there;
  }
  while (i < s->size && (p[i] == ' ' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t')) i++;
  if (i >= s->size || p[i] != '{') return false;
  return memmem(p, look, "\"modelTopology\"", 15) || memmem(p, look, "\"weightsManifest\"", 17);
}

static hone_status read_tfjs(keras *k, const char *dir, const json_t *root, hn_graph **out) {
  const json_t *topology = json_object_get(root, "modelTopology"), *config = json_object_get(topology, "model_config");
  const char *format = kj_text(root, "format", "layers-model");
  if (!hn_streq(format, "layers-model"))
    return hn_fail(k->cx, HONE_UNSUPPORTED, "it is a TensorFlow.js %s; the layers-model form is read: convert the original model instead", format);
  if (json_is_string(config)) return hn_fail(k->cx, HONE_BAD_FORMAT, "its model_config is text, not an object");
  HN_TRY(kr_store_tfjs(&k->store, dir, json_object_get(root, "weightsManifest")));
  return read_with(k, config ? config : topology, kj_text(topology, "keras_version", NULL), kj_text(topology, "backend", NULL), out);
}

hone_status hn_tfjs_read(hone_context *cx, const hn_source *s, hn_graph **out) {
  keras k;
  json_t *root = NULL;
  hn_mapping *file = NULL;
  hone_status st = begin(cx, &k);
  const char *slash = strrchr(s->path, '/'), *dir = s->path, *path = NULL;
  if (!st && !s->directory) dir = slash ? hn_arena_strndup(k.arena, s->path, (size_t)(slash - s->path) + (slash == s->path)) : ".";
  if (!st && s->directory) path = model_json(k.arena, s->path);
  if (!st && (!dir || (s->directory && !path))) st = hn_nomem(cx);
  if (!st && !s->directory && !s->m) st = hn_fail(cx, HONE_UNSUPPORTED, "the weights of a TensorFlow.js model are files beside it; it cannot be read from memory");
  if (!st && path) st = hn_map_file(cx, path, &file);
  if (!st) st = parse_json(&k, "the model", file ? hn_mapping_data(file) : s->data, file ? hn_mapping_size(file) : s->size, &root);
  if (!st) st = read_tfjs(&k, dir, root, out);
  json_decref(root);
  hn_mapping_unref(file);
  return finish(&k, s->path, st);
}
