#include "format/tensorflow/tf_saved.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/lower.h"
#include "format/tensorflow/tf_graph.h"
#include "format/tensorflow/tf_segments.h"
#include "format/tensorflow/variables.h"

typedef struct part { /* a MetaGraph */
  tf_container c;     /* whose choice it is */
  tf_variables *variables;
  tf_cut cut;
  const char *tags;
} part;

struct hn_tf_saved {
  hone_context *cx;
  tf_container c;
  part *parts;
  size_t n;
};

/* ------------------------------------------------------------------------------------------------- opening */

/* Of the initializer there is no result to optimize. */
static bool initializes(const Tensorflow__SignatureDefEntry *e) { return strcmp(e->key, "__saved_model_init_op") == 0; }

static hone_status add_end(part *p, const Tensorflow__TensorInfo *t, bool fed) {
  tf_end e = {NULL, hn_tf_dtype((int)t->dtype), t->tensor_shape};
  if (t->encoding_case == TENSORFLOW__TENSOR_INFO__ENCODING_NAME) {
    e.tensor = t->name;
    return (fed ? hn_push(&p->cut.fed, e) : hn_push(&p->cut.fetched, e)) ? HONE_OK : hn_nomem(p->c.cx);
  }
  const char *const sparse[3] = {t->coo_sparse ? t->coo_sparse->values_tensor_name : NULL, t->coo_sparse ? t->coo_sparse->indices_tensor_name : NULL,
                                 t->coo_sparse ? t->coo_sparse->dense_shape_tensor_name : NULL};
  if (t->encoding_case == TENSORFLOW__TENSOR_INFO__ENCODING_COO_SPARSE && t->coo_sparse) {
    for (int i = 0; i < 3; i++) {
      tf_end one = {sparse[i], i ? HONE_DTYPE_I64 : e.dtype, NULL};
      if (!(fed ? hn_push(&p->cut.fed, one) : hn_push(&p->cut.fetched, one))) return hn_nomem(p->c.cx);
    }
    return HONE_OK;
  }
  return hn_fail(p->c.cx, HONE_UNSUPPORTED, "MetaGraph '%s': a signature has a composite tensor, which is not supported", p->tags);
}

static hone_status add_ends(part *p) {
  const Tensorflow__MetaGraphDef *m = p->c.meta;
  for (size_t i = 0; i < m->n_signature_def; i++) {
    const Tensorflow__SignatureDef *s = m->signature_def[i]->value;
    for (size_t k = 0; s && k < s->n_inputs; k++)
      if (s->inputs[k]->value) HN_TRY(add_end(p, s->inputs[k]->value, true));
    for (size_t k = 0; s && k < s->n_outputs; k++)
      if (s->outputs[k]->value) HN_TRY(add_end(p, s->outputs[k]->value, false));
  }
  return HONE_OK;
}

static bool keep(part *p, const char *tensor) { return !tensor || !*tensor || hn_push(&p->cut.kept, tensor); }

/* Collections that loading asks for by name: what initializes tables, what assets are fed to. */
static bool keeps_collection(const char *key) {
  static const char *const keys[] = {"saved_model_main_op", "legacy_init_op", "table_initializer", "saved_model_assets", "asset_filepaths"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (strcmp(key, keys[i]) == 0) return true;
  return false;
}

static hone_status add_kept(part *p) {
  const Tensorflow__MetaGraphDef *m = p->c.meta;
  bool ok = true;
  if (m->saver_def) ok = keep(p, m->saver_def->filename_tensor_name) && keep(p, m->saver_def->save_tensor_name) && keep(p, m->saver_def->restore_op_name);
  for (size_t i = 0; i < m->n_collection_def && ok; i++) {
    const Tensorflow__CollectionDef *c = m->collection_def[i]->value;
    if (!c || !keeps_collection(m->collection_def[i]->key) || c->kind_case != TENSORFLOW__COLLECTION_DEF__KIND_NODE_LIST) continue;
    for (size_t k = 0; k < c->node_list->n_value && ok; k++) ok = keep(p, c->node_list->value[k]);
  }
  for (size_t i = 0; i < m->n_asset_file_def && ok; i++) {
    const Tensorflow__TensorInfo *t = m->asset_file_def[i]->tensor_info;
    if (t && t->encoding_case == TENSORFLOW__TENSOR_INFO__ENCODING_NAME) ok = keep(p, t->name);
  }
  return ok ? HONE_OK : hn_nomem(p->c.cx);
}

static hone_status open_part(hn_tf_saved *s, part *p, const Tensorflow__MetaGraphDef *m, uint32_t minimum) {
  p->c = s->c;
  p->c.meta = m;
  p->c.graph = m->graph_def;
  p->tags = hn_tf_tags(&s->c, m);
  if (!m->graph_def) return hn_fail(s->cx, HONE_BAD_FORMAT, "MetaGraph '%s' has no graph", p->tags);
  HN_TRY(hn_tf_variables_open(&p->c, &p->variables));
  p->cut = (tf_cut){.cx = s->cx, .arena = s->c.arena, .graph = *m->graph_def, .variable_of = hn_tf_variable, .variable_user = p->variables, .minimum = minimum};
  HN_TRY(add_ends(p));
  HN_TRY(add_kept(p));
  hone_status st = hn_tf_cut(&p->cut);
  return st ? hn_fail_within(s->cx, st, "MetaGraph '%s'", p->tags) : HONE_OK;
}

static hone_status open_parts(hn_tf_saved *s, const char *path, const char *tag_set, uint32_t minimum) {
  if (!s->c.model) return hn_fail(s->cx, HONE_BAD_ARG, "%s: it is a %s, not a SavedModel", path, s->c.kind);
  if (tag_set) HN_TRY(hn_tf_choose_meta(&s->c, path, tag_set));
  const Tensorflow__MetaGraphDef *chosen = tag_set ? s->c.meta : NULL;
  size_t n = s->c.model->n_meta_graphs;
  if (!(s->parts = hn_arena_alloc(s->c.arena, sizeof *s->parts * (n + 1)))) return hn_nomem(s->cx);
  for (size_t i = 0; i < n; i++) {
    if (chosen && s->c.model->meta_graphs[i] != chosen) continue;
    hone_status st = open_part(s, &s->parts[s->n++], s->c.model->meta_graphs[i], minimum);
    if (st) return hn_fail_within(s->cx, st, "%s", path);
  }
  return HONE_OK;
}

hone_status hn_tf_saved_open(hone_context *cx, const hn_source *source, const char *tag_set, uint32_t minimum, hn_tf_saved **out) {
  hn_tf_saved *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(cx);
  s->cx = cx;
  hone_status st = hn_tf_container_open(cx, source, &s->c);
  if (st) {
    hn_free(s);
    return st;
  }
  st = open_parts(s, source->path, tag_set, minimum);
  if (st) hn_tf_saved_close(&s);
  else *out = s;
  return st;
}

void hn_tf_saved_close(hn_tf_saved **ps) {
  hn_tf_saved *s = *ps;
  if (!s) return;
  for (size_t i = 0; i < s->n; i++) {
    hn_tf_cut_close(&s->parts[i].cut);
    hn_tf_variables_close(&s->parts[i].variables);
  }
  hn_tf_container_close(&s->c);
  hn_free(s);
  *ps = NULL;
}

/* --------------------------------------------------------------------------------------------------- asking */

hn_graph *hn_tf_saved_take(hn_tf_saved *s, uint32_t i, hone_segment_info *info) {
  for (size_t p = 0; p < s->n; p++) {
    tf_cut *c = &s->parts[p].cut;
    if (i >= c->segments.n) {
      i -= (uint32_t)c->segments.n;
      continue;
    }
    hn_graph *g = c->segments.p[i].g;
    c->segments.p[i].g = NULL;
    *info = (hone_segment_info){.tag_set = s->parts[p].tags, .nodes = c->segments.p[i].nodes};
    return g;
  }
  return NULL;
}

bool hn_tf_saved_left(const hn_tf_saved *s, uint32_t i, hone_left_node *row) {
  for (size_t p = 0; p < s->n; p++) {
    const tf_cut *c = &s->parts[p].cut;
    for (uint32_t k = 0; k < c->n; k++) {
      if (c->fate[k] != TF_LEFT || !c->why[k] || !*c->why[k] || i--) continue;
      *row = (hone_left_node){s->parts[p].tags, c->im.main.nodes[k]->name, c->im.main.nodes[k]->op, c->why[k]};
      return true;
    }
  }
  return false;
}

bool hn_tf_saved_is_plain(const hn_tf_saved *s) {
  hone_left_node row;
  size_t signatures = 0;
  if (s->c.model->n_meta_graphs != 1 || s->n != 1 || hn_tf_saved_left(s, 0, &row)) return false;
  for (size_t i = 0; i < s->parts[0].c.meta->n_signature_def; i++) signatures += !initializes(s->parts[0].c.meta->signature_def[i]);
  return signatures == 1;
}

/* -------------------------------------------------------------------------------------------------- writing */

typedef struct output { /* a MetaGraph that is being written */
  tg t;
  Tensorflow__GraphDef graph;
  Tensorflow__FunctionDefLibrary library;
  Tensorflow__VersionDef version;
  Tensorflow__MetaGraphDef meta;
  Tensorflow__MetaGraphDef__MetaInfoDef info;
  hn_graph **own; /* lowered segments, which constants point into */
  size_t n_own;
} output;

/* Names that stay, so that no new node takes one. */
static hone_status reserve(output *o, const part *p, const hn_graph *const *graphs) {
  const tf_cut *c = &p->cut;
  bool ok = true;
  for (uint32_t i = 0; i < c->n && ok; i++)
    if (c->copy[i]) ok = hn_map_put(&o->t.used, c->im.main.nodes[i]->name, 1);
  for (size_t i = 0; i < c->segments.n && ok; i++)
    for (size_t k = 0; k < graphs[i]->outputs.n && ok; k++) {
      tg_port port = {.tensor = graphs[i]->outputs.p[k].name};
      HN_TRY(tg_split_port(&o->t, &port));
      ok = hn_map_put(&o->t.used, hn_arena_strdup(o->t.arena, port.node), 1);
    }
  return ok ? HONE_OK : hn_nomem(o->t.cx);
}

static hone_status write_segment(output *o, const hn_graph *g) {
  hn_graph *own = hn_graph_clone(g);
  if (!own) return hn_nomem(o->t.cx);
  o->own[o->n_own++] = own;
  HN_TRY(hn_lower(own));
  return tg_write_segment(&o->t, own);
}

/* As it was, but for wishes to lie beside nodes that may be gone. */
static hone_status copy_node(output *o, const tf_node *n) {
  tf_node *c = hn_arena_memdup(o->t.arena, n, sizeof *n);
  if (!c || !(c->attr = hn_arena_alloc(o->t.arena, sizeof *c->attr * (n->n_attr + 1)))) return hn_nomem(o->t.cx);
  c->n_attr = 0;
  for (size_t i = 0; i < n->n_attr; i++)
    if (strcmp(n->attr[i]->key, "_class") != 0) c->attr[c->n_attr++] = n->attr[i];
  return hn_push(&o->t.nodes, c) ? HONE_OK : hn_nomem(o->t.cx);
}

static hone_status use_function(output *o, const part *p, hn_map *used, const char *name);

static hone_status use_functions(output *o, const part *p, hn_map *used, const tf_node *n) {
  HN_TRY(use_function(o, p, used, n->op));
  for (size_t i = 0; i < n->n_attr; i++) {
    const tf_attr *a = n->attr[i]->value;
    if (a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_FUNC) HN_TRY(use_function(o, p, used, a->func->name));
    for (size_t k = 0; a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_LIST && k < a->list->n_func; k++)
      HN_TRY(use_function(o, p, used, a->list->func[k]->name));
  }
  return HONE_OK;
}

/* Functions that what is left calls, and that those call. The library is at most as large as it was, so recursion ends. */
static hone_status use_function(output *o, const part *p, hn_map *used, const char *name) {
  uint32_t seen;
  tf_body *f = hn_tf_function((tf_import *)(uintptr_t)&p->cut.im, name);
  if (!f || hn_map_get(used, f->name, &seen)) return HONE_OK;
  if (!hn_map_put(used, f->name, 1)) return hn_nomem(o->t.cx);
  o->library.function[o->library.n_function++] = (Tensorflow__FunctionDef *)(uintptr_t)f->function;
  for (uint32_t i = 0; i < f->n; i++) HN_TRY(use_functions(o, p, used, f->nodes[i]));
  return HONE_OK;
}

static hone_status write_nodes(output *o, const part *p, const hn_graph *const *graphs) {
  const tf_cut *c = &p->cut;
  hn_map used = {0};
  hone_status st = reserve(o, p, graphs);
  o->own = hn_arena_alloc(o->t.arena, sizeof *o->own * (c->segments.n + 1));
  o->library.function = hn_arena_alloc(o->t.arena, sizeof *o->library.function * (c->im.n_library + 1));
  if (!st && (!o->own || !o->library.function)) st = hn_nomem(o->t.cx);
  for (uint32_t i = 0; i < c->n && !st; i++) {
    if (!c->copy[i]) continue;
    st = copy_node(o, c->im.main.nodes[i]);
    if (!st) st = use_functions(o, p, &used, c->im.main.nodes[i]);
  }
  for (size_t i = 0; i < c->segments.n && !st; i++) st = write_segment(o, graphs[i]);
  hn_map_free(&used);
  return st;
}

/* What the MetaGraph said, as far as it still holds. */
static hone_status write_meta(output *o, const part *p) {
  const Tensorflow__MetaGraphDef *m = p->c.meta;
  tensorflow__graph_def__init(&o->graph);
  tensorflow__version_def__init(&o->version);
  if (m->graph_def->versions) o->version = *m->graph_def->versions;
  if (o->version.producer < TG_PRODUCER) o->version.producer = TG_PRODUCER;
  o->graph.versions = &o->version;
  o->graph.n_node = o->t.nodes.n;
  o->graph.node = o->t.nodes.p;
  if (o->library.n_function) o->graph.library = &o->library;
  o->meta = *m;
  o->meta.graph_def = &o->graph;
  o->meta.object_graph_def = NULL; /* it speaks of functions and variables that are constants now */
  if (m->meta_info_def) {
    o->info = *m->meta_info_def;
    o->info.stripped_op_list = NULL;
    o->info.n_function_aliases = 0;
    o->meta.meta_info_def = &o->info;
  }
  bool state = p->cut.stateful;
  if (!state) o->meta.saver_def = NULL, o->meta.n_asset_file_def = 0;
  o->meta.collection_def = hn_arena_alloc(o->t.arena, sizeof *o->meta.collection_def * (m->n_collection_def + 1));
  if (!o->meta.collection_def) return hn_nomem(o->t.cx);
  o->meta.n_collection_def = 0;
  for (size_t i = 0; i < m->n_collection_def && state; i++)
    if (keeps_collection(m->collection_def[i]->key)) o->meta.collection_def[o->meta.n_collection_def++] = m->collection_def[i];
  return HONE_OK;
}

static hone_status write_part(output *o, const part *p, const hn_graph *const *graphs) {
  o->t.cx = p->c.cx;
  if (!(o->t.arena = hn_arena_create())) return hn_nomem(o->t.cx);
  tensorflow__function_def_library__init(&o->library);
  HN_TRY(write_nodes(o, p, graphs));
  return write_meta(o, p);
}

static void close_output(output *o) {
  tg_close(&o->t);
  for (size_t i = 0; i < o->n_own; i++) hn_graph_destroy(o->own[i]);
  hn_arena_destroy(o->t.arena);
}

/* ---- files beside the graph */

static hone_status copy_file(hone_context *cx, const char *from, const char *to) {
  hn_mapping *m;
  hn_writer *w = NULL;
  HN_TRY(hn_map_file(cx, from, &m));
  hone_status st = hn_writer_open(cx, to, &w);
  if (!st) st = hn_writer_put(w, hn_mapping_data(m), hn_mapping_size(m));
  if (!st) st = hn_writer_commit(&w);
  hn_writer_abort(&w);
  hn_mapping_unref(m);
  return st;
}

/* The files of a folder of the model, in one of the new model; where it is not there nothing is made. */
static hone_status copy_folder(const hn_tf_saved *s, const char *path, const char *name) {
  char *from = hn_arena_printf(s->c.arena, "%s/%s", s->c.folder ? s->c.folder : ".", name), *to = hn_arena_printf(s->c.arena, "%s/%s", path, name);
  if (!from || !to) return hn_nomem(s->cx);
  DIR *d = opendir(from);
  hone_status st = HONE_OK;
  if (!d) return HONE_OK;
  if (mkdir(to, 0777) != 0 && errno != EEXIST) st = hn_fail(s->cx, HONE_IO, "%s: cannot make the folder: %s", to, strerror(errno));
  for (struct dirent *e; !st && (e = readdir(d));) {
    char *file = hn_arena_printf(s->c.arena, "%s/%s", from, e->d_name), *copy = hn_arena_printf(s->c.arena, "%s/%s", to, e->d_name);
    if (!file || !copy) st = hn_nomem(s->cx);
    else if (hn_is_file(file)) st = copy_file(s->cx, file, copy);
  }
  closedir(d);
  return st;
}

static void remove_folder(const hn_tf_saved *s, const char *path, const char *name) {
  char *folder = hn_arena_printf(s->c.arena, *name ? "%s/%s" : "%s%s", path, name);
  DIR *d = folder ? opendir(folder) : NULL;
  for (struct dirent *e; d && (e = readdir(d));) {
    char *file = hn_arena_printf(s->c.arena, "%s/%s", folder, e->d_name);
    if (file && hn_is_file(file)) unlink(file);
  }
  if (d) closedir(d);
  if (d) rmdir(folder);
}

static const char *const folders[] = {"variables", "assets", "assets.extra"};
enum { N_FOLDERS = sizeof folders / sizeof *folders };

/* Nothing of another model may be mixed in. */
static hone_status make_folder(const hn_tf_saved *s, const char *path, bool *made) {
  struct stat st;
  for (int i = 0; i < N_FOLDERS; i++) {
    char *f = hn_arena_printf(s->c.arena, "%s/%s", path, folders[i]);
    if (!f) return hn_nomem(s->cx);
    if (stat(f, &st) == 0) return hn_fail(s->cx, HONE_IO, "%s: the folder holds the %s of another SavedModel; give a new one", path, folders[i]);
  }
  *made = mkdir(path, 0777) == 0;
  if (!*made && errno != EEXIST) return hn_fail(s->cx, HONE_IO, "%s: cannot make the folder: %s", path, strerror(errno));
  return *made || hn_is_directory(path) ? HONE_OK : hn_fail(s->cx, HONE_IO, "%s: it is there and is no folder", path);
}

static hone_status put_files(const hn_tf_saved *s, const Tensorflow__SavedModel *model, const char *path) {
  bool made = false, state = false;
  char *file = hn_arena_printf(s->c.arena, "%s/saved_model.pb", path);
  if (!file) return hn_nomem(s->cx);
  for (size_t i = 0; i < s->n; i++) state = state || s->parts[i].cut.stateful;
  HN_TRY(make_folder(s, path, &made));
  hone_status st = HONE_OK;
  for (int i = 0; i < N_FOLDERS && !st; i++)
    if (state || strcmp(folders[i], "assets.extra") == 0) st = copy_folder(s, path, folders[i]);
  if (!st) st = tg_put(s->cx, file, &model->base);
  for (int i = 0; i < N_FOLDERS && st; i++) remove_folder(s, path, folders[i]);
  if (st && made) rmdir(path);
  return st;
}

hone_status hn_tf_saved_write(hn_tf_saved *s, const hn_graph *const *graphs, const char *given) {
  output *o = hn_calloc(s->n + 1, sizeof *o);
  Tensorflow__SavedModel model;
  Tensorflow__MetaGraphDef **metas = hn_arena_alloc(s->c.arena, sizeof *metas * (s->n + 1));
  size_t length = strlen(given);
  while (length > 1 && given[length - 1] == '/') length--;
  char *path = hn_arena_strndup(s->c.arena, given, length);
  hone_status st = o && metas && path ? HONE_OK : hn_nomem(s->cx);
  tensorflow__saved_model__init(&model);
  for (size_t i = 0; i < s->n && !st; i++) {
    st = write_part(&o[i], &s->parts[i], graphs);
    graphs += s->parts[i].cut.segments.n;
    metas[i] = &o[i].meta;
  }
  model.saved_model_schema_version = 1;
  model.meta_graphs = metas;
  model.n_meta_graphs = s->n;
  if (!st) st = put_files(s, &model, path);
  for (size_t i = 0; i < s->n && o; i++) close_output(&o[i]);
  hn_free(o);
  return st;
}
