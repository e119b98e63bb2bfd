/* keras_model.c - the configuration as models and layers. */
#include <string.h>

#include "format/keras/keras.h"

static bool is_model(const char *kind) {
  return hn_streq(kind, "Functional") || hn_streq(kind, "Model") || hn_streq(kind, "Sequential");
}

/* A Sequential may be a list (Keras 2.2 and older) or have one; a Model has one. */
static const json_t *layer_list(const json_t *config) {
  return json_is_array(config) ? config : json_object_get(config, "layers");
}

/* Classes nobody knows, each once, with a layer of it. */
static hone_status note_unknown(keras *k, const char *kind, const char *name, const char *why) {
  char *quoted = hn_arena_printf(k->arena, "%s (", kind);
  if (!quoted) return hn_nomem(k->cx);
  for (const char *at = k->unknown.p; at && (at = strstr(at, quoted)); at++)
    if (at == k->unknown.p || at[-1] == ' ') return HONE_OK;
  hn_str_printf(&k->unknown, "%s%s%s'%s')", k->unknown.n ? ", " : "", quoted, why, name);
  return k->unknown.failed ? hn_nomem(k->cx) : HONE_OK;
}

static hone_status parse_model(keras *k, const json_t *j, const char *full, int depth, kr_model **out);
static hone_status parse_layer(keras *k, const json_t *j, const char *outer, int depth, kr_layer **out);

static hone_status parse_wrapped(keras *k, kr_layer *l, int depth) {
  const json_t *inner = json_object_get(l->config, "layer"), *backward = json_object_get(l->config, "backward_layer");
  if (!json_is_object(inner)) return HONE_OK;
  HN_TRY(parse_layer(k, inner, l->full, depth + 1, &l->child[0]));
  if (!hn_streq(l->kind, "Bidirectional")) return HONE_OK;
  return parse_layer(k, json_is_object(backward) ? backward : inner, l->full, depth + 1, &l->child[1]);
}

/* The table's row: of operations where the class is one, which TensorFlow says by the class and Keras 3 by the module. */
static const kr_row *row_of(kr_layer *l, const json_t *j, bool *op) {
  const char *module = kj_text(j, "module", "");
  bool lambda = hn_streq(l->kind, "TFOpLambda");
  *op = lambda || hn_streq(l->kind, "SlicingOpLambda") || strncmp(module, "keras.src.ops", 13) == 0 || strncmp(module, "keras.ops", 9) == 0;
  if (lambda) l->kind = kj_text(l->config, "function", l->kind);
  return *op ? kr_op_row(l->kind) : kr_layer_row(l->kind);
}

static hone_status parse_layer(keras *k, const json_t *j, const char *outer, int depth, kr_layer **out) {
  kr_layer *l = hn_arena_alloc(k->arena, sizeof *l);
  bool op = false;
  if (!l || !hn_push(&k->layers, l)) return hn_nomem(k->cx);
  *out = l;
  *l = (kr_layer){.kind = kj_text(j, "class_name", ""), .config = json_object_get(j, "config"),
                  .inbound = json_object_get(j, "inbound_nodes"), .first = HN_NONE, .last = HN_NONE,
                  .index = (uint32_t)k->layers.n - 1};
  l->name = kj_text(j, "name", kj_text(l->config, "name", ""));
  l->full = *outer ? hn_arena_printf(k->arena, "%s/%s", outer, l->name) : l->name;
  if (!l->full) return hn_nomem(k->cx);
  if (depth > KR_MAX_DEPTH) return hn_fail(k->cx, HONE_BAD_FORMAT, "layers are nested more than %d deep", KR_MAX_DEPTH);
  if (!*l->kind) return hn_fail(k->cx, HONE_BAD_FORMAT, "layer '%s' has no class", l->full);
  if (is_model(l->kind)) return parse_model(k, j, l->full, depth + 1, &l->model);
  l->row = row_of(l, j, &op);
  if (l->row) return parse_wrapped(k, l, depth);
  return note_unknown(k, l->kind, l->full,
                      hn_streq(l->kind, "Lambda") ? "Python code, which cannot be run: replace it by layers; first layer "
                      : op                        ? "operation, first "
                                                  : "first layer ");
}

static hone_status parse_model(keras *k, const json_t *j, const char *full, int depth, kr_model **out) {
  const json_t *config = json_object_get(j, "config"), *list = layer_list(config), *item;
  kr_model *m = hn_arena_alloc(k->arena, sizeof *m);
  size_t i;
  if (!m) return hn_nomem(k->cx);
  *m = (kr_model){.name = kj_text(config, "name", "model"), .config = config,
                  .sequential = hn_streq(kj_text(j, "class_name", ""), "Sequential")};
  *out = m;
  if (!json_is_array(list)) return hn_fail(k->cx, HONE_BAD_FORMAT, "model '%s' has no list of layers", m->name);
  m->layers = hn_arena_alloc(k->arena, sizeof *m->layers * (json_array_size(list) + 1));
  if (!m->layers) return hn_nomem(k->cx);
  json_array_foreach(list, i, item) {
    HN_TRY(parse_layer(k, item, full, depth, &m->layers[m->n_layers]));
    m->n_layers++;
  }
  return m->n_layers ? HONE_OK : hn_fail(k->cx, HONE_BAD_FORMAT, "model '%s' has no layers", m->name);
}

hone_status kr_parse(keras *k, const json_t *root, kr_model **out) {
  const char *kind = kj_text(root, "class_name", "");
  if (!is_model(kind))
    return hn_fail(k->cx, HONE_UNSUPPORTED, "the model is of class '%s': only Sequential and functional models say what they compute; "
                   "a subclass of Model has to be exported as a SavedModel or as ONNX", kind);
  return parse_model(k, root, "", 0, out);
}
