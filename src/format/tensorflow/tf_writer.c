#include "format/tensorflow/tf_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/lower.h"
#include "format/tensorflow/tf_graph.h"


typedef struct writer {
  tg t;
  const hn_graph *g;
  tg_port *in, *out;
} writer;

/* ---- names that the world knows */

/* "x:0" is called after its node. */
static const char *without_port(writer *w, const char *key) {
  size_t n = strlen(key);
  return n > 2 && strcmp(key + n - 2, ":0") == 0 ? hn_arena_strndup(w->t.arena, key, n - 2) : key;
}

/* The tensor the model had under this key, or one named after it. */
static void name_port(writer *w, tg_port *p, const char *what, const char *key, hn_id value) {
  char meta[600];
  snprintf(meta, sizeof meta, "tf.%s.%.500s", what, key);
  *p = (tg_port){.key = key, .tensor = hn_meta_get(w->g, meta), .value = value};
  if (p->tensor) {
    w->t.st = tg_split_port(&w->t, p);
  } else if ((p->node = tg_free_name(&w->t, without_port(w, key)))) {
    p->tensor = hn_arena_printf(w->t.arena, "%s:0", p->node);
    return;
  }
  uint32_t taken;
  if (!w->t.st && !hn_map_get(&w->t.used, p->node, &taken) && !hn_map_put(&w->t.used, p->node, 1)) w->t.st = hn_nomem(w->t.cx);
}

static hone_status name_ports(writer *w) {
  const hn_graph *g = w->g;
  w->in = hn_arena_alloc(w->t.arena, sizeof *w->in * (g->inputs.n + 1));
  w->out = hn_arena_alloc(w->t.arena, sizeof *w->out * (g->outputs.n + 1));
  if (!w->in || !w->out) return hn_nomem(w->t.cx);
  for (int known = 1; known >= 0; known--) { /* names that are given first, so that none is taken away */
    for (size_t i = 0; i < g->inputs.n + g->outputs.n && !w->t.st; i++) {
      bool in = i < g->inputs.n;
      const hn_port *o = in ? NULL : &g->outputs.p[i - g->inputs.n];
      const char *key = in ? hn_value_at(g, g->inputs.p[i])->name : o->name;
      char meta[600];
      snprintf(meta, sizeof meta, "tf.%s.%.500s", in ? "input" : "output", key);
      if ((hn_meta_get(g, meta) != NULL) != (known == 1)) continue;
      name_port(w, in ? &w->in[i] : &w->out[i - g->inputs.n], in ? "input" : "output", key, in ? g->inputs.p[i] : o->value);
    }
  }
  return w->t.st;
}

static hone_status spell(writer *w, const hn_graph *g) {
  w->g = w->t.g = g;
  HN_TRY(name_ports(w));
  return tg_write(&w->t, g, w->in, w->out, true);
}

/* ---- messages */

static int32_t producer_of(const hn_graph *g) {
  const char *v = hn_meta_get(g, "tf.graph_version");
  long n = v ? strtol(v, NULL, 10) : 0;
  return n > TG_PRODUCER && n < 100000 ? (int32_t)n : TG_PRODUCER;
}

static void graph_message(writer *w, Tensorflow__GraphDef *g, Tensorflow__VersionDef *v) {
  tensorflow__graph_def__init(g);
  tensorflow__version_def__init(v);
  v->producer = producer_of(w->g);
  g->versions = v;
  g->n_node = w->t.nodes.n;
  g->node = w->t.nodes.p;
}

static Tensorflow__TensorInfoEntry *port_message(writer *w, const tg_port *p) {
  Tensorflow__TensorInfoEntry *e = hn_arena_alloc(w->t.arena, sizeof *e);
  Tensorflow__TensorInfo *i = hn_arena_alloc(w->t.arena, sizeof *i);
  const hn_value *v = hn_value_at(w->g, p->value);
  if (!e || !i) return NULL;
  tensorflow__tensor_info_entry__init(e);
  tensorflow__tensor_info__init(i);
  e->key = (char *)(uintptr_t)p->key;
  e->value = i;
  i->encoding_case = TENSORFLOW__TENSOR_INFO__ENCODING_NAME;
  i->name = (char *)(uintptr_t)p->tensor;
  i->dtype = (Tensorflow__DataType)hn_tf_dtype_of(v->dtype);
  i->tensor_shape = tg_shape_proto(&w->t, &v->shape);
  return i->tensor_shape ? e : NULL;
}

static hone_status signature_message(writer *w, Tensorflow__SignatureDef *s) {
  const char *method = hn_meta_get(w->g, "tf.method");
  tensorflow__signature_def__init(s);
  s->method_name = (char *)(uintptr_t)(method ? method : "tensorflow/serving/predict");
  s->inputs = hn_arena_alloc(w->t.arena, sizeof *s->inputs * (w->g->inputs.n + 1));
  s->outputs = hn_arena_alloc(w->t.arena, sizeof *s->outputs * (w->g->outputs.n + 1));
  if (!s->inputs || !s->outputs) return hn_nomem(w->t.cx);
  for (size_t i = 0; i < w->g->inputs.n; i++)
    if (!(s->inputs[s->n_inputs++] = port_message(w, &w->in[i]))) return hn_nomem(w->t.cx);
  for (size_t i = 0; i < w->g->outputs.n; i++)
    if (!(s->outputs[s->n_outputs++] = port_message(w, &w->out[i]))) return hn_nomem(w->t.cx);
  return HONE_OK;
}

/* "serve,gpu" as a list. */
static hone_status tags_message(writer *w, Tensorflow__MetaGraphDef__MetaInfoDef *info) {
  const char *tags = hn_meta_get(w->g, "tf.tag_set");
  if (!tags) tags = "serve";
  info->tags = hn_arena_alloc(w->t.arena, sizeof *info->tags * (strlen(tags) + 1));
  if (!info->tags) return hn_nomem(w->t.cx);
  for (const char *p = tags; *p; p += strcspn(p, ","), p += *p == ',')
    if (!(info->tags[info->n_tags++] = hn_arena_strndup(w->t.arena, p, strcspn(p, ",")))) return hn_nomem(w->t.cx);
  return HONE_OK;
}

static hone_status write_saved_model(writer *w, const char *path) {
  Tensorflow__GraphDef graph;
  Tensorflow__VersionDef version;
  Tensorflow__MetaGraphDef meta, *metas[1] = {&meta};
  Tensorflow__MetaGraphDef__MetaInfoDef info;
  Tensorflow__SignatureDef signature;
  Tensorflow__SignatureDefEntry entry, *entries[1] = {&entry};
  Tensorflow__SavedModel model;
  const char *key = hn_meta_get(w->g, "tf.signature"), *made_by = hn_meta_get(w->g, "tf.version");
  graph_message(w, &graph, &version);
  tensorflow__meta_graph_def__init(&meta);
  tensorflow__meta_graph_def__meta_info_def__init(&info);
  tensorflow__signature_def_entry__init(&entry);
  tensorflow__saved_model__init(&model);
  HN_TRY(tags_message(w, &info));
  HN_TRY(signature_message(w, &signature));
  info.tensorflow_version = (char *)(uintptr_t)(made_by ? made_by : "2.10.0");
  info.stripped_default_attrs = true;
  entry.key = (char *)(uintptr_t)(key ? key : "serving_default");
  entry.value = &signature;
  meta.meta_info_def = &info;
  meta.graph_def = &graph;
  meta.n_signature_def = 1;
  meta.signature_def = entries;
  model.saved_model_schema_version = 1;
  model.n_meta_graphs = 1;
  model.meta_graphs = metas;
  return tg_put(w->t.cx, path, &model.base);
}

static hone_status write_graph_def(writer *w, const char *path) {
  Tensorflow__GraphDef graph;
  Tensorflow__VersionDef version;
  graph_message(w, &graph, &version);
  return tg_put(w->t.cx, path, &graph.base);
}

static hone_status write_with(const hn_graph *g, const char *path, hone_status (*message)(writer *, const char *)) {
  writer w = {.t = {.cx = g->cx, .arena = hn_arena_create()}};
  hn_graph *own = hn_graph_clone(g);
  hone_status st = own && w.t.arena ? hn_lower(own) : hn_nomem(g->cx);
  if (!st) st = spell(&w, own);
  if (!st) st = message(&w, path);
  tg_close(&w.t);
  hn_arena_destroy(w.t.arena);
  hn_graph_destroy(own);
  return st;
}

hone_status hn_tf_write_graph_def(const hn_graph *g, const char *path) { return write_with(g, path, write_graph_def); }

/* Variables of another model beside the new graph would be restored into it. */
hone_status hn_tf_write_saved_model(const hn_graph *g, const char *path) {
  hn_str file = {0}, variables = {0};
  struct stat s;
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  hn_str_printf(&file, "%.*s/saved_model.pb", (int)n, path);
  hn_str_printf(&variables, "%.*s/variables", (int)n, path);
  bool made = false;
  hone_status st = file.p && variables.p ? HONE_OK : hn_nomem(g->cx);
  if (!st && stat(variables.p, &s) == 0)
    st = hn_fail(g->cx, HONE_IO, "%s: the folder holds the variables of another SavedModel; give a new one", path);
  if (!st) made = mkdir(path, 0777) == 0;
  if (!st && !made && errno != EEXIST) st = hn_fail(g->cx, HONE_IO, "%s: cannot make the folder: %s", path, strerror(errno));
  if (!st && !made && (stat(path, &s) != 0 || !S_ISDIR(s.st_mode))) st = hn_fail(g->cx, HONE_IO, "%s: it is there and is no folder", path);
  if (!st) st = write_with(g, file.p, write_saved_model);
  if (st && made) rmdir(path);
  hn_str_free(&file);
  hn_str_free(&variables);
  return st;
}
