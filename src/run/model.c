/* model.c - the public face of graphs: loading, saving, asking. */
#include "plan/plan.h"
#include "run/model.h"
#include "run/options.h"

#include <string.h>

#include "base/str.h"
#include "engine/engine.h"
#include "format/keras/keras_reader.h"
#include "format/onnx/reader.h"
#include "format/onnx/writer.h"
#include "format/probe.h"
#include "format/tensorflow/tf_reader.h"
#include "format/tensorflow/tf_writer.h"
#include "op/infer.h"
#include "quant/absorb.h"
#include "run/eval.h"

hone_status hn_model_wrap(hone_context *cx, hn_graph *g, hone_model **out) {
  hone_model *m = hn_calloc(1, sizeof *m);
  if (m) m->strings = hn_arena_create();
  if (!g->store) g->store = hn_store_create();
  if (!m || !m->strings || !g->store) {
    if (m) hn_arena_destroy(m->strings);
    hn_free(m);
    hn_graph_destroy(g);
    return hn_nomem(cx);
  }
  m->cx = cx;
  m->g = g;
  *out = m;
  return HONE_OK;
}

void hn_model_changed(hone_model *m) {
  hn_free(m->order);
  m->order = NULL;
}

/* The engine's room knows nothing of formats. */
static bool engine_probe(const hn_source *s) { return !s->directory && hn_engine_probe(s->data, s->size); }
static hone_status engine_read(hone_context *cx, const hn_source *s, hn_graph **out) {
  return hn_engine_read(cx, s->path, s->data, s->size, s->m, out);
}

hone_status hn_open_weights(const hn_graph *g, hn_graph **out) {
  enum { ROUNDS = 2 }; /* what was opened may be turned before it is a weight */
  hone_optimize_options o;
  hone_optimize_options_init(&o);
  o.passes = "fold-constants";
  o.fold_limit = UINT64_MAX;
  hn_graph *copy = hn_graph_clone(g);
  hone_status st = copy ? HONE_OK : hn_nomem(g->cx);
  for (int round = 0; round < ROUNDS && !st; round++) {
    hn_report r = {0};
    st = hn_passes_run(copy, &o, hn_eval_constant, &r);
    hn_report_free(&r);
    if (!st) st = hn_quant_open_constants(copy, hn_eval_constant);
  }
  if (st) hn_graph_destroy(copy);
  else *out = copy;
  return st;
}

static bool has_small_weights(const hn_graph *g) {
  for (size_t i = 0; i < g->nodes.n; i++)
    if (!g->nodes.p[i].dead && g->nodes.p[i].op == HN_DequantizeLinear) return true;
  return false;
}

static hone_status write_opened(const hn_graph *g, const char *path, hone_status (*write)(const hn_graph *, const char *)) {
  hn_graph *opened = NULL;
  if (!has_small_weights(g)) return write(g, path);
  HN_TRY(hn_open_weights(g, &opened));
  hone_status st = write(opened, path);
  hn_graph_destroy(opened);
  return st;
}

static hone_status write_saved_model(const hn_graph *g, const char *path) { return write_opened(g, path, hn_tf_write_saved_model); }
static hone_status write_graph_def(const hn_graph *g, const char *path) { return write_opened(g, path, hn_tf_write_graph_def); }

/* Every format this build reads, most particular first. */
static const hn_format formats[] = {
    {"hone engines", engine_probe, engine_read, NULL, ".hone", hn_engine_write, "hone"},
    {"Keras .h5", hn_keras_h5_probe, hn_keras_h5_read, NULL, NULL, NULL, NULL},
    {"Keras .keras", hn_keras_zip_probe, hn_keras_zip_read, NULL, NULL, NULL, NULL},
    {"TensorFlow.js layers models", hn_tfjs_probe, hn_tfjs_read, NULL, NULL, NULL, NULL},
    {"TensorFlow models", hn_tf_probe, hn_tf_read, hn_tf_catalog, NULL, NULL, NULL},
    {"ONNX", hn_onnx_probe, hn_onnx_read, NULL, ".onnx", hn_onnx_write, "onnx"},
    {"TensorFlow SavedModels", NULL, NULL, NULL, "/", write_saved_model, "savedmodel"},
    {"TensorFlow GraphDefs", NULL, NULL, NULL, ".pb", write_graph_def, "graphdef"},
    {.name = NULL},
};

hone_status hone_catalog_open(hone_context *cx, const char *path, hone_catalog **catalog) {
  hn_catalog *c = hn_calloc(1, sizeof *c);
  if (c) c->arena = hn_arena_create();
  hone_status st = c && c->arena ? hn_format_list(cx, formats, path, c) : hn_nomem(cx);
  if (st) hone_catalog_destroy(&c);
  else *catalog = c;
  return st;
}

void hone_catalog_destroy(hone_catalog **catalog) {
  if (!catalog || !*catalog) return;
  hn_vec_free(&(*catalog)->rows);
  hn_arena_destroy((*catalog)->arena);
  hn_free(*catalog);
  *catalog = NULL;
}

bool hone_catalog_row_at(const hone_catalog *c, uint32_t index, hone_catalog_row *row) {
  if (index >= c->rows.n) return false;
  *row = c->rows.p[index];
  return true;
}

void hone_load_options_init(hone_load_options *options) { *options = (hone_load_options){.size = sizeof *options}; }

hone_status hone_model_load_with(hone_context *cx, const char *path, const hone_load_options *given, hone_model **model) {
  hone_load_options o;
  hn_graph *g;
  HN_TRY(HN_OPTIONS(cx, hone_load_options, given, &o));
  HN_TRY(hn_format_read(cx, formats, path, &o, &g));
  return hn_model_wrap(cx, g, model);
}

hone_status hone_model_load(hone_context *cx, const char *path, hone_model **model) {
  return hone_model_load_with(cx, path, NULL, model);
}

hone_status hone_model_load_memory(hone_context *cx, const void *data, size_t size, hone_model **model) {
  hn_graph *g;
  HN_TRY(hn_format_read_memory(cx, formats, data, size, &g));
  return hn_model_wrap(cx, g, model);
}

void hone_model_destroy(hone_model **model) {
  if (!model || !*model) return;
  hn_graph_destroy((*model)->g);
  hn_report_free(&(*model)->report);
  hn_free((*model)->order);
  hn_arena_destroy((*model)->strings);
  hn_free(*model);
  *model = NULL;
}

hone_status hone_model_clone(const hone_model *model, hone_model **copy) {
  hn_graph *g = hn_graph_clone(model->g);
  if (!g) return hn_nomem(model->cx);
  return hn_model_wrap(model->cx, g, copy);
}

hone_status hone_model_save(const hone_model *model, const char *path) {
  return hn_format_write(model->g, formats, path, NULL);
}

hone_status hone_model_save_as(const hone_model *model, const char *path, const char *format) {
  return hn_format_write(model->g, formats, path, format);
}

const char *hone_format_of_path(const char *path) {
  const hn_format *f = hn_format_to_write(formats, path, NULL);
  return f ? f->key : NULL;
}

hone_status hone_model_check(const hone_model *model, uint64_t *weight_bytes, uint64_t *packed_bytes) {
  uint64_t weights, packs;
  HN_TRY(hn_engine_check(model->g, &weights, &packs));
  if (weight_bytes) *weight_bytes = weights;
  if (packed_bytes) *packed_bytes = packs;
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------ inputs, outputs */

void hn_tensor_info_of(const hn_graph *g, hn_id value, const char *name, hone_tensor_info *info) {
  memset(info, 0, sizeof *info);
  info->name = name ? name : "";
  if (value == HN_NONE) {
    info->rank = -1;
    return;
  }
  const hn_value *v = hn_value_at(g, value);
  if (!name) info->name = v->name;
  info->dtype = v->dtype;
  info->rank = v->shape.rank;
  for (int32_t i = 0; i < v->shape.rank; i++) {
    info->dims[i] = hn_dim_fixed(v->shape.d[i]) ? v->shape.d[i] : -1;
    info->dim_names[i] = hn_dim_fixed(v->shape.d[i]) ? "" : hn_dim_text(g->dims, v->shape.d[i]);
  }
}

uint32_t hone_model_input_count(const hone_model *m) { return (uint32_t)m->g->inputs.n; }
uint32_t hone_model_output_count(const hone_model *m) { return (uint32_t)m->g->outputs.n; }

static hone_status bad_index(const hone_model *m, const char *what, uint32_t index, size_t n) {
  return hn_fail(m->cx, HONE_BAD_ARG, "there is no %s %u; the model has %zu", what, index, n);
}

hone_status hone_model_input_info(const hone_model *m, uint32_t i, hone_tensor_info *info) {
  if (i >= m->g->inputs.n) return bad_index(m, "input", i, m->g->inputs.n);
  hn_tensor_info_of(m->g, m->g->inputs.p[i], NULL, info);
  return HONE_OK;
}

hone_status hone_model_output_info(const hone_model *m, uint32_t i, hone_tensor_info *info) {
  if (i >= m->g->outputs.n) return bad_index(m, "output", i, m->g->outputs.n);
  hn_tensor_info_of(m->g, m->g->outputs.p[i].value, m->g->outputs.p[i].name, info);
  return HONE_OK;
}

const char *hone_model_metadata(const hone_model *m, const char *key) { return hn_meta_get(m->g, key); }

hone_status hone_model_set_metadata(hone_model *m, const char *key, const char *value) {
  hn_meta_set(m->g, key, value);
  return m->g->oom ? hn_nomem(m->cx) : HONE_OK;
}

bool hone_model_metadata_at(const hone_model *m, uint32_t i, const char **key, const char **value) {
  if (i >= m->g->meta.n) return false;
  *key = m->g->meta.p[i].key;
  *value = m->g->meta.p[i].value;
  return true;
}

/* Names of the inputs, for messages. */
static void input_names(const hn_graph *g, hn_str *s) {
  for (size_t i = 0; i < g->inputs.n; i++)
    hn_str_printf(s, "%s'%s'", i ? ", " : "", hn_value_at(g, g->inputs.p[i])->name);
}

static hone_status no_input(const hone_model *m, const char *name) {
  hn_str s = {0};
  input_names(m->g, &s);
  hone_status st = hn_fail(m->cx, HONE_BAD_ARG, "there is no input '%s'; the model has %s", name, s.p ? s.p : "none");
  hn_str_free(&s);
  return st;
}

static hone_status find_input(const hone_model *m, const char *name, size_t *at) {
  for (*at = 0; *at < m->g->inputs.n; ++*at)
    if (hn_streq(hn_value_at(m->g, m->g->inputs.p[*at])->name, name)) return HONE_OK;
  return no_input(m, name);
}

hone_status hn_model_take(hone_model *m, hn_graph *g, hone_status st) {
  if (st) {
    hn_graph_destroy(g);
    return st;
  }
  hn_graph_destroy(m->g);
  m->g = g;
  hn_model_changed(m);
  return HONE_OK;
}

/* What was tried on a clone becomes the model, or on failure leaves it as it was. */
static hone_status take_graph(hone_model *m, hn_graph *g, hone_status st) {
  if (!st && g->oom) st = hn_nomem(m->cx);
  if (!st) st = hn_infer_again(g);
  return hn_model_take(m, g, st);
}

hone_status hone_model_set_input_shape(hone_model *m, const char *input, uint32_t rank, const int64_t *dims) {
  size_t at;
  HN_TRY(find_input(m, input, &at));
  if (rank > HN_MAX_RANK) return hn_fail(m->cx, HONE_BAD_ARG, "input '%s': %u dimensions; at most %d", input, rank, HN_MAX_RANK);
  for (uint32_t k = 0; k < rank; k++)
    if (dims[k] < 0) return hn_fail(m->cx, HONE_BAD_ARG, "input '%s': dimension %u is negative", input, k);
  hn_shape shape = hn_shape_of((int32_t)rank, dims);
  hn_graph *g = hn_graph_clone(m->g);
  return g ? take_graph(m, g, hn_bind_input(g, g->inputs.p[at], &shape)) : hn_nomem(m->cx);
}

hone_status hone_model_fix_input(hone_model *m, const char *input, const void *data, size_t bytes) {
  size_t at;
  HN_TRY(find_input(m, input, &at));
  const hn_value *v = hn_value_at(m->g, m->g->inputs.p[at]);
  hn_tensor *t;
  if (!hn_shape_fixed(&v->shape) || !hone_dtype_size(v->dtype))
    return hn_fail(m->cx, HONE_BAD_ARG, "input '%s' has no fixed shape and type, so it cannot be made a constant: set its shape first", input);
  HN_TRY(hn_tensor_create(m->cx, v->dtype, v->shape.rank, v->shape.d, &t));
  if (t->bytes != bytes) {
    hone_status st = hn_fail(m->cx, HONE_BAD_ARG, "input '%s' has %zu bytes, not %zu", input, t->bytes, bytes);
    hn_tensor_unref(t);
    return st;
  }
  if (bytes) memcpy(t->data, data, bytes);
  hn_graph *g = hn_graph_clone(m->g);
  if (!g) {
    hn_tensor_unref(t);
    return hn_nomem(m->cx);
  }
  hn_id id = g->inputs.p[at];
  hn_set_data(g, id, t);
  hn_value_at(g, id)->is_input = false;
  memmove(g->inputs.p + at, g->inputs.p + at + 1, sizeof *g->inputs.p * (--g->inputs.n - at));
  return take_graph(m, g, HONE_OK);
}

hone_status hone_model_add_output(hone_model *m, const char *tensor) {
  uint32_t id;
  if (!hn_map_get(&m->g->names, tensor, &id)) return hn_fail(m->cx, HONE_BAD_ARG, "there is no tensor '%s'", tensor);
  for (size_t i = 0; i < m->g->outputs.n; i++)
    if (hn_streq(m->g->outputs.p[i].name, tensor)) return HONE_OK;
  hn_graph_add_output(m->g, tensor, id);
  return m->g->oom ? hn_nomem(m->cx) : HONE_OK;
}

/* --------------------------------------------------------------------------------------------- figures */

static bool is_weight(hn_dtype t) { return hn_is_float(t) || hone_dtype_size(t) == 1 || t == HONE_DTYPE_I4 || t == HONE_DTYPE_U4; }

static void count_constant(const hn_value *v, uint64_t *parameters, uint64_t *bytes) {
  if (!v->data || !v->n_users) return;
  *bytes += v->data->bytes;
  if (is_weight(v->dtype)) *parameters += (uint64_t)v->data->count;
}

static void count_graph(const hn_graph *g, hone_model_stats *s) {
  for (size_t i = 0; i < g->values.n; i++) count_constant(&g->values.p[i], &s->parameters, &s->weight_bytes);
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    if (n->dead) continue;
    s->layers++;
    s->macs += hn_node_macs(g, n, &s->symbolic);
    for (uint32_t k = 0; k < n->n_out; k++) {
      size_t bytes;
      const hn_value *v = n->out[k] == HN_NONE ? NULL : hn_value_at(g, n->out[k]);
      if (v && hn_dtype_bytes(v->dtype, hn_shape_elements(&v->shape, &s->symbolic), &bytes)) s->activation_bytes += bytes;
    }
    for (uint32_t k = 0; k < n->n_attr; k++)
      if (n->attr[k].type == HN_ATTR_GRAPH) count_graph(n->attr[k].v.graph, s);
  }
}

hone_status hone_model_get_stats(const hone_model *m, hone_model_stats *stats) {
  memset(stats, 0, sizeof *stats);
  count_graph(m->g, stats);
  return HONE_OK;
}

static hone_status need_order(hone_model *m) {
  return m->order ? HONE_OK : hn_graph_order(m->g, &m->order, &m->n_layers);
}

uint32_t hone_model_layer_count(const hone_model *m) {
  uint32_t n = 0;
  for (size_t i = 0; i < m->g->nodes.n; i++) n += !m->g->nodes.p[i].dead;
  return n;
}

static hone_status layer_node(hone_model *m, uint32_t index, const hn_node **n) {
  HN_TRY(need_order(m));
  if (index >= m->n_layers) return bad_index(m, "layer", index, m->n_layers);
  *n = hn_node_at(m->g, m->order[index]);
  return HONE_OK;
}

static const char *keep_text(hone_model *m, hn_str *s) {
  const char *kept = hn_arena_strdup(m->strings, s->p ? s->p : "");
  hn_str_free(s);
  return kept ? kept : "";
}

static uint64_t bytes_of(const hn_graph *g, hn_id v) {
  bool symbolic;
  return v == HN_NONE ? 0 : hn_shape_elements(&hn_value_at(g, v)->shape, &symbolic) * hone_dtype_size(hn_value_at(g, v)->dtype);
}

/* The plan that the engine holds has no step, and so no layout, for layers that run with the one before them. */
static int32_t chain_of(const hone_model *m, hn_id id) {
  hn_id head = id;
  while (head != HN_NONE && hn_node_at(m->g, head)->tactic && !hn_node_at(m->g, head)->tactic_layout)
    head = hn_producer(m->g, hn_in(hn_node_at(m->g, head), 0));
  if (head == HN_NONE || !hn_node_at(m->g, head)->tactic_layout) return -1;
  if (!hn_tactic_is(hn_node_at(m->g, head)->tactic, hn_strips_kernel.name)) return -1;
  for (uint32_t i = 0; i < m->n_layers; i++)
    if (m->order[i] == head) return (int32_t)i;
  return -1;
}

hone_status hone_model_layer_info(hone_model *m, uint32_t index, hone_layer_info *info) {
  const hn_node *n = NULL;
  HN_TRY(layer_node(m, index, &n));
  hn_str kind = {0}, detail = {0};
  hn_node_kind_text(n, &kind);
  hn_attrs_text(m->g, n, &detail);
  hone_layer_info r = {.name = n->name, .op = keep_text(m, &kind), .detail = keep_text(m, &detail),
                       .input_count = n->n_in, .output_count = n->n_out,
                       .tactic = n->tactic ? n->tactic : "", .tactic_ms = n->tactic_ms,
                       .layout = n->tactic_layout ? n->tactic_layout : ""};
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i] != HN_NONE) count_constant(hn_value_at(m->g, n->in[i]), &r.parameters, &r.weight_bytes);
  bool symbolic = false;
  r.macs = hn_node_macs(m->g, n, &symbolic);
  r.arithmetic = hn_node_arithmetic(m->g, n);
  for (uint32_t i = 0; i < n->n_in; i++) r.bytes += bytes_of(m->g, n->in[i]);
  for (uint32_t i = 0; i < n->n_out; i++) r.bytes += bytes_of(m->g, n->out[i]);
  r.chain = chain_of(m, m->order[index]);
  r.fork = n->fork;
  r.branch = n->fork ? n->branch + 1 : 0;
  *info = r;
  return HONE_OK;
}

hone_status hone_model_layer_input(hone_model *m, uint32_t layer, uint32_t index, hone_tensor_info *info) {
  const hn_node *n = NULL;
  HN_TRY(layer_node(m, layer, &n));
  if (index >= n->n_in) return bad_index(m, "input", index, n->n_in);
  hn_tensor_info_of(m->g, n->in[index], NULL, info);
  return HONE_OK;
}

hone_status hone_model_layer_output(hone_model *m, uint32_t layer, uint32_t index, hone_tensor_info *info) {
  const hn_node *n = NULL;
  HN_TRY(layer_node(m, layer, &n));
  if (index >= n->n_out) return bad_index(m, "output", index, n->n_out);
  hn_tensor_info_of(m->g, n->out[index], NULL, info);
  return HONE_OK;
}

hone_status hone_model_print(const hone_model *m, char **text) { return hn_graph_print(m->g, text); }

void hone_text_free(char **text) {
  if (!text) return;
  hn_free(*text);
  *text = NULL;
}
