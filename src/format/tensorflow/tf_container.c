#include "format/tensorflow/tf_container.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "format/wire/nesting.h"
#include "format/wire/textproto.h"

enum { MAX_NESTING = 200 };

/* ------------------------------------------------------------------------------------- which file is it */

static bool varint(const unsigned char *p, size_t n, size_t *at, uint64_t *v) {
  *v = 0;
  for (int shift = 0; shift < 64 && *at < n; shift += 7) {
    unsigned char b = p[(*at)++];
    *v |= (uint64_t)(b & 127) << shift;
    if (!(b & 128)) return true;
  }
  return false;
}

/* The first message or text of this number; writers put fields in any order. */
static bool find_field(const unsigned char *p, size_t n, unsigned field, const unsigned char **in, size_t *size) {
  uint64_t key, length;
  for (size_t at = 0; at < n; at += (size_t)length) {
    if (!varint(p, n, &at, &key)) return false;
    length = (key & 7) == 1 ? 8 : (key & 7) == 5 ? 4 : 0;
    if ((key & 7) == 0 && !varint(p, n, &at, &(uint64_t){0})) return false;
    if ((key & 7) == 2 && !varint(p, n, &at, &length)) return false;
    if ((key & 7) == 3 || (key & 7) == 4 || (key & 7) > 5 || length > n - at) return false;
    *in = p + at;
    *size = (size_t)length;
    if ((key & 7) == 2 && key >> 3 == field) return true;
  }
  return false;
}

static bool is_word(const unsigned char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!(p[i] > ' ' && p[i] < 127)) return false;
  return n > 0;
}

/* A GraphDef has nodes: name and operator are plain text. */
static bool looks_like_graph(const unsigned char *p, size_t n) {
  const unsigned char *node, *name, *op;
  size_t node_size, name_size, op_size;
  return find_field(p, n, 1, &node, &node_size) && find_field(node, node_size, 1, &name, &name_size) && is_word(name, name_size) &&
         find_field(node, node_size, 2, &op, &op_size) && is_word(op, op_size);
}

/* A MetaGraphDef: meta information (no node: its second field is no text), and a graph. */
static bool looks_like_meta(const unsigned char *p, size_t n) {
  const unsigned char *graph;
  size_t size;
  return !looks_like_graph(p, n) && find_field(p, n, 2, &graph, &size) && looks_like_graph(graph, size);
}

/* A SavedModel: the version of its schema, 1, and MetaGraphs. */
static bool looks_like_saved_model(const unsigned char *p, size_t n) {
  const unsigned char *meta;
  size_t size;
  return n > 2 && (p[0] == 0x08 || p[0] == 0x12) && find_field(p, n, 2, &meta, &size) && looks_like_meta(meta, size);
}

/* Text: what it is says its first field. NULL: nothing of TensorFlow's. */
static const ProtobufCMessageDescriptor *text_kind(const char *p, size_t n) {
  static const struct {
    const char *field;
    const ProtobufCMessageDescriptor *d;
  } kinds[] = {{"saved_model_schema_version", &tensorflow__saved_model__descriptor}, {"meta_graphs", &tensorflow__saved_model__descriptor},
               {"node", &tensorflow__graph_def__descriptor}, {"versions", &tensorflow__graph_def__descriptor}, {"library", &tensorflow__graph_def__descriptor},
               {"meta_info_def", &tensorflow__meta_graph_def__descriptor}, {"graph_def", &tensorflow__meta_graph_def__descriptor}};
  char name[32];
  if (!n || memchr(p, 0, n < 512 ? n : 512) || !hn_textproto_first(p, n, name, sizeof name)) return NULL;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(name, kinds[i].field) == 0) return kinds[i].d;
  return NULL;
}

static char *join(hn_arena *a, const char *folder, const char *name) { return hn_arena_printf(a, "%s/%s", folder, name); }

static bool has_file(const char *folder, const char *name) {
  hn_str path = {0};
  hn_str_printf(&path, "%s/%s", folder, name);
  bool is = path.p && hn_is_file(path.p);
  hn_str_free(&path);
  return is;
}

/* TensorFlow Serving keeps versions of a model in folders that are numbers; the newest counts. */
static char *newest_version(hn_arena *a, const char *folder) {
  DIR *d = opendir(folder);
  char *newest = NULL;
  unsigned long long most = 0;
  for (struct dirent *e; d && (e = readdir(d));) {
    char *end;
    unsigned long long v = strtoull(e->d_name, &end, 10);
    if (e->d_name[0] < '0' || e->d_name[0] > '9' || *end || (newest && v < most)) continue;
    char *path = join(a, folder, e->d_name);
    if (!path || (!has_file(path, "saved_model.pb") && !has_file(path, "saved_model.pbtxt"))) continue;
    newest = path;
    most = v;
  }
  if (d) closedir(d);
  return newest;
}

bool hn_tf_probe(const hn_source *s) {
  if (!s->directory)
    return looks_like_saved_model(s->data, s->size) || looks_like_graph(s->data, s->size) || looks_like_meta(s->data, s->size) || text_kind(s->data, s->size);
  if (has_file(s->path, "saved_model.pb") || has_file(s->path, "saved_model.pbtxt") || has_file(s->path, "checkpoint") ||
      has_file(s->path, "variables/variables.index"))
    return true;
  hn_arena *a = hn_arena_create();
  bool is = a && newest_version(a, s->path);
  hn_arena_destroy(a);
  return is;
}

/* --------------------------------------------------------------------------------------------- opening */

/* `named`: what the file's name says it is, where the content does not tell: one without nodes. */
static hone_status unpack_wire(tf_container *c, const char *path, const void *data, size_t size, const ProtobufCMessageDescriptor *named) {
  const ProtobufCMessageDescriptor *d = looks_like_saved_model(data, size) ? &tensorflow__saved_model__descriptor
                                        : looks_like_graph(data, size)     ? &tensorflow__graph_def__descriptor
                                        : looks_like_meta(data, size)      ? &tensorflow__meta_graph_def__descriptor
                                                                           : named;
  if (!d) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: neither a SavedModel, nor a MetaGraph, nor a GraphDef: it is damaged or something else", path);
  int depth = hn_wire_nesting(d, data, size, MAX_NESTING);
  if (depth > MAX_NESTING) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: messages are nested more than %d deep", path, MAX_NESTING);
  void *m = depth < 0 ? NULL : protobuf_c_message_unpack(d, NULL, size, data);
  if (!m) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: not a readable TensorFlow model: it is truncated or damaged", path);
  if (d == &tensorflow__saved_model__descriptor) {
    c->model = m;
    c->kind = "TensorFlow SavedModel";
  } else if (d == &tensorflow__meta_graph_def__descriptor) {
    c->only = m;
    c->kind = "TensorFlow MetaGraph";
  } else {
    c->frozen = m;
    c->kind = "TensorFlow GraphDef";
  }
  return HONE_OK;
}

static bool looks_like_any(const void *data, size_t size) { return looks_like_saved_model(data, size) || looks_like_graph(data, size) || looks_like_meta(data, size); }

static hone_status unpack(tf_container *c, const char *path, const void *data, size_t size, const ProtobufCMessageDescriptor *named) {
  const ProtobufCMessageDescriptor *d = looks_like_any(data, size) ? NULL : text_kind(data, size);
  uint8_t *bytes;
  size_t n;
  if (!d) return unpack_wire(c, path, data, size, named);
  HN_TRY(hn_textproto_encode(c->cx, path, d, data, size, &bytes, &n));
  hone_status st = unpack_wire(c, path, bytes, n, d);
  hn_free(bytes);
  return st;
}

static hone_status unpack_file(tf_container *c, const char *path, const ProtobufCMessageDescriptor *named) {
  hn_mapping *m;
  if (!path) return hn_nomem(c->cx);
  HN_TRY(hn_map_file(c->cx, path, &m));
  hone_status st = unpack(c, path, hn_mapping_data(m), hn_mapping_size(m), named);
  hn_mapping_unref(m);
  return st;
}

/* Shards of the first format are named with "-?????-of-00002" behind the prefix. */
static void cut_shards(char *prefix) {
  static const char pattern[] = "-\?\?\?\?\?-of-";
  size_t n = strlen(prefix), behind = strlen(pattern) + 5;
  if (n > behind && strncmp(prefix + n - behind, pattern, strlen(pattern)) == 0) prefix[n - behind] = 0;
}

/* The prefix that a folder's `checkpoint` file names: model_checkpoint_path: "model" */
static hone_status newest_checkpoint(tf_container *c, const char *folder) {
  static const char key[] = "model_checkpoint_path: \"";
  hn_mapping *m;
  char *path = join(c->arena, folder, "checkpoint");
  if (!path) return hn_nomem(c->cx);
  HN_TRY(hn_map_file(c->cx, path, &m));
  char *text = hn_arena_strndup(c->arena, hn_mapping_data(m), hn_mapping_size(m));
  hn_mapping_unref(m);
  char *at = text ? strstr(text, key) : NULL, *end = at ? strchr(at + sizeof key - 1, '"') : NULL;
  if (!end) return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: it names no checkpoint", path);
  *end = 0;
  at += sizeof key - 1;
  cut_shards(at);
  const char *slash = strrchr(at, '/'); /* where it was written need not be where it is */
  c->checkpoint = join(c->arena, folder, slash ? slash + 1 : at);
  return c->checkpoint ? HONE_OK : hn_nomem(c->cx);
}

static hone_status open_folder(tf_container *c, const char *folder) {
  if (!has_file(folder, "saved_model.pb") && !has_file(folder, "saved_model.pbtxt")) {
    char *newest = newest_version(c->arena, folder);
    if (newest) folder = newest;
  }
  c->folder = hn_arena_strdup(c->arena, folder);
  const char *graph = has_file(folder, "saved_model.pb") ? "saved_model.pb" : has_file(folder, "saved_model.pbtxt") ? "saved_model.pbtxt" : NULL;
  if (graph) {
    c->checkpoint = join(c->arena, folder, "variables/variables");
    HN_TRY(unpack_file(c, join(c->arena, folder, graph), &tensorflow__saved_model__descriptor));
    return c->model ? HONE_OK : hn_fail(c->cx, HONE_BAD_FORMAT, "%s/%s: it is not a SavedModel but a %s", folder, graph, c->kind);
  }
  if (has_file(folder, "variables/variables.index"))
    return hn_fail(c->cx, HONE_BAD_FORMAT, "%s: there are variables but no saved_model.pb: the SavedModel is not complete", folder);
  HN_TRY(newest_checkpoint(c, folder));
  HN_TRY(unpack_file(c, hn_arena_printf(c->arena, "%s.meta", c->checkpoint), &tensorflow__meta_graph_def__descriptor));
  return c->only ? HONE_OK : hn_fail(c->cx, HONE_BAD_FORMAT, "%s.meta: it is not a MetaGraph", c->checkpoint);
}

hone_status hn_tf_container_open(hone_context *cx, const hn_source *s, tf_container *c) {
  *c = (tf_container){.cx = cx, .arena = hn_arena_create()};
  hone_status st = c->arena ? HONE_OK : hn_nomem(cx);
  if (!st && s->directory) {
    st = open_folder(c, s->path);
  } else if (!st) {
    st = unpack(c, s->path, s->data, s->size, NULL);
    const char *slash = strrchr(s->path, '/');
    if (!st && s->m) c->folder = slash ? hn_arena_strndup(c->arena, s->path, (size_t)(slash - s->path) + (slash == s->path)) : ".";
    size_t length = strlen(s->path), meta = strlen(".meta");
    if (!st && s->m && c->model) c->checkpoint = join(c->arena, c->folder, "variables/variables");
    if (!st && s->m && c->only && length > meta && strcmp(s->path + length - meta, ".meta") == 0)
      c->checkpoint = hn_arena_strndup(c->arena, s->path, length - meta);
  }
  if (st) hn_tf_container_close(c);
  return st;
}

void hn_tf_container_close(tf_container *c) {
  tensorflow__saved_model__free_unpacked(c->model, NULL);
  tensorflow__meta_graph_def__free_unpacked(c->only, NULL);
  tensorflow__graph_def__free_unpacked(c->frozen, NULL);
  hn_arena_destroy(c->arena);
  *c = (tf_container){0};
}

/* -------------------------------------------------------------------------------------------- choosing */

const char *hn_tf_tags(const tf_container *c, const Tensorflow__MetaGraphDef *m) {
  hn_str s = {0};
  for (size_t i = 0; m->meta_info_def && i < m->meta_info_def->n_tags; i++) hn_str_printf(&s, "%s%s", i ? "," : "", m->meta_info_def->tags[i]);
  const char *kept = hn_arena_strdup(c->arena, s.p ? s.p : "");
  hn_str_free(&s);
  return kept ? kept : "";
}

/* Tags in any order. */
static bool has_tags(const Tensorflow__MetaGraphDef *m, const char *tag_set) {
  size_t n = 0, have = m->meta_info_def ? m->meta_info_def->n_tags : 0;
  for (const char *p = tag_set; *p; n++) {
    while (*p == ' ') p++;
    size_t size = strcspn(p, ","), i = 0, end = size;
    while (end && p[end - 1] == ' ') end--;
    while (i < have && (strlen(m->meta_info_def->tags[i]) != end || memcmp(m->meta_info_def->tags[i], p, end) != 0)) i++;
    if (i == have) return false;
    p += size + (p[size] == ',');
  }
  return n == have;
}

hone_status hn_tf_choose_meta(tf_container *c, const char *path, const char *tag_set) {
  c->meta = c->only;
  size_t n = c->model ? c->model->n_meta_graphs : 0;
  if (!c->model && tag_set) return hn_fail(c->cx, HONE_BAD_ARG, "%s: a %s has no tag sets to choose from", path, c->kind);
  for (size_t i = 0; i < n && !c->meta; i++)
    if (has_tags(c->model->meta_graphs[i], tag_set ? tag_set : "serve")) c->meta = c->model->meta_graphs[i];
  if (!c->meta && n == 1 && !tag_set) c->meta = c->model->meta_graphs[0];
  if (!c->meta && !c->frozen) {
    hn_str known = {0};
    for (size_t i = 0; i < n; i++) hn_str_printf(&known, "%s'%s'", i ? ", " : "", hn_tf_tags(c, c->model->meta_graphs[i]));
    hone_status st = hn_fail(c->cx, HONE_BAD_ARG, "%s: there is no MetaGraph with tag set '%s'; there are %s", path, tag_set ? tag_set : "serve",
                             known.p ? known.p : "none");
    hn_str_free(&known);
    return st;
  }
  c->graph = c->meta ? c->meta->graph_def : c->frozen;
  return c->graph ? HONE_OK : hn_fail(c->cx, HONE_BAD_FORMAT, "%s: its MetaGraph has no graph", path);
}

/* The signature that initializes a model is not one to run. */
static bool can_run(const Tensorflow__SignatureDefEntry *e) { return e->value && strcmp(e->key, "__saved_model_init_op") != 0; }

hone_status hn_tf_choose_signature(const tf_container *c, const char *path, const char *key, const Tensorflow__SignatureDefEntry **out) {
  const Tensorflow__SignatureDefEntry *found = NULL, *last = NULL;
  size_t n = c->meta ? c->meta->n_signature_def : 0, runnable = 0;
  for (size_t i = 0; i < n; i++) {
    const Tensorflow__SignatureDefEntry *e = c->meta->signature_def[i];
    if (e->value && strcmp(e->key, key ? key : "serving_default") == 0) found = e;
    if (!can_run(e)) continue;
    last = e;
    runnable++;
  }
  if (!found && !key && runnable == 1) found = last;
  *out = found;
  if (found || (!key && !runnable)) return HONE_OK;
  hn_str known = {0};
  for (size_t i = 0; i < n; i++) hn_str_printf(&known, "%s'%s'", i ? ", " : "", c->meta->signature_def[i]->key);
  hone_status st = key ? hn_fail(c->cx, HONE_BAD_ARG, "%s: there is no signature '%s'; there are %s", path, key, known.p ? known.p : "none")
                       : hn_fail(c->cx, HONE_BAD_ARG, "%s: it has several signatures and none is serving_default; choose one with --signature-def: %s",
                                 path, known.p ? known.p : "");
  hn_str_free(&known);
  return st;
}
