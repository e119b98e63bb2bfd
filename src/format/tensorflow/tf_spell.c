/* tf_spell.c - all nodes of a graph in TensorFlow's operators, between tensors of given names. */
#include <stdlib.h>
#include <string.h>

#include "format/tensorflow/tf_graph.h"

#define MOST_BYTES ((size_t)INT32_MAX)

static void write_inputs(tg *t, const tg_port *in, bool placeholders) {
  for (size_t i = 0; i < t->g->inputs.n; i++) {
    const tg_port *p = &in[i];
    const hn_value *v = hn_value_at(t->g, p->value);
    if (!placeholders) {
      tg_set_plain(t, p->value, p->index ? p->tensor : p->node);
      continue;
    }
    if (p->index) t->st = hn_fail(t->cx, HONE_UNSUPPORTED, "input '%s' is the tensor '%s', which no placeholder has", p->key, p->tensor);
    tg_node *n = tg_add(t, "Placeholder", p->node);
    tg_type(t, n, "dtype", v->dtype);
    tg_shape(t, n, "shape", &v->shape);
    tg_set_plain(t, p->value, tg_out(t, n, 0));
  }
}

hone_status tg_write_nodes(tg *t) {
  hn_id *order;
  uint32_t n;
  hn_str refused = {0};
  hone_status st = HONE_OK;
  HN_TRY(hn_graph_order(t->g, &order, &n));
  for (uint32_t i = 0; i < n; i++) { /* what cannot be said is said first, all at once */
    const hn_node *node = hn_node_at(t->g, order[i]);
    const char *op;
    if (!tg_spelling(node->op, &op)) hn_str_printf(&refused, "%s%s (node '%s')", refused.n ? ", " : "", hn_op_name(node->op), node->name);
  }
  if (refused.n) st = hn_fail(t->cx, HONE_UNSUPPORTED, "operators that have no spelling in TensorFlow's: %s", refused.p ? refused.p : "");
  hn_str_free(&refused);
  for (uint32_t i = 0; i < n && !st; i++) {
    const char *op;
    t->at = hn_node_at(t->g, order[i]);
    tg_spelling(t->at->op, &op)(t, t->at, op);
    st = t->st;
  }
  t->at = NULL;
  hn_free(order);
  return st;
}

/* An output's node has the name it had, and as many outputs. */
static void write_outputs(tg *t, const tg_port *in, const tg_port *out) {
  hn_map done = {0};
  uint32_t seen;
  for (size_t i = 0; i < t->g->outputs.n && !t->st; i++) {
    const tg_port *p = &out[i];
    uint32_t count = 1;
    if (hn_map_get(&done, p->node, &seen)) continue;
    for (size_t k = 0; k < t->g->outputs.n; k++)
      if (strcmp(out[k].node, p->node) == 0 && out[k].index >= count) count = out[k].index + 1;
    bool is_input = false;
    for (size_t k = 0; k < t->g->inputs.n; k++) is_input = is_input || strcmp(in[k].node, p->node) == 0;
    if (is_input || !hn_map_put(&done, p->node, 1)) continue; /* a tensor that goes in and comes out */
    const char *from[TG_MOST_OUTPUTS];
    hn_dtype types[TG_MOST_OUTPUTS];
    for (uint32_t c = 0; c < count; c++) { /* gaps are filled with what is at hand */
      hn_id v = p->value;
      for (size_t k = 0; k < t->g->outputs.n; k++)
        if (strcmp(out[k].node, p->node) == 0 && out[k].index == c) v = out[k].value;
      from[c] = tg_plain(t, v);
      types[c] = tg_dtype(t, v);
    }
    tg_node *n = tg_add(t, count > 1 ? "IdentityN" : "Identity", p->node);
    if (count > 1) tg_types(t, n, "T", types, count);
    else tg_type(t, n, "T", types[0]);
    for (uint32_t c = 0; c < count; c++) tg_input(t, n, from[c]);
  }
  hn_map_free(&done);
}

/* Nodes from `first` on that nothing needs are dropped: what is unread would be taken for an output. */
static hone_status drop_unread(tg *t, size_t first, const tg_port *out) {
  hn_map index = {0};
  HN_VEC(uint32_t) stack = {0};
  uint8_t *read = hn_calloc(t->nodes.n + 1, 1);
  hone_status st = read ? HONE_OK : hn_nomem(t->cx);
  for (size_t i = first; i < t->nodes.n && !st; i++)
    if (!hn_map_put(&index, t->nodes.p[i]->name, (uint32_t)i)) st = hn_nomem(t->cx);
  for (size_t i = 0; i < t->g->outputs.n && !st; i++) {
    uint32_t at;
    if (hn_map_get(&index, out[i].node, &at) && !hn_push(&stack, at)) st = hn_nomem(t->cx);
  }
  while (stack.n && !st) {
    const tg_node *n = t->nodes.p[stack.p[--stack.n]];
    if (read[stack.p[stack.n]]) continue;
    read[stack.p[stack.n]] = 1;
    for (size_t i = 0; i < n->n_input && !st; i++) {
      uint32_t at;
      const char *from = n->input[i] + (*n->input[i] == '^');
      char *name = hn_arena_strndup(t->arena, from, strcspn(from, ":"));
      if (!name || (hn_map_get(&index, name, &at) && !hn_push(&stack, at))) st = hn_nomem(t->cx);
    }
  }
  size_t kept = first;
  for (size_t i = first; i < t->nodes.n && !st; i++)
    if (read[i] || strcmp(t->nodes.p[i]->op, "Placeholder") == 0) t->nodes.p[kept++] = t->nodes.p[i];
  if (!st) t->nodes.n = kept;
  hn_free(read);
  hn_vec_free(&stack);
  hn_map_free(&index);
  return st;
}

hone_status tg_write(tg *t, const hn_graph *g, const tg_port *in, const tg_port *out, bool placeholders) {
  size_t first = t->nodes.n;
  t->g = g;
  t->counts_back = hn_streq(hn_meta_get(g, "format"), "ONNX");
  t->values = hn_arena_alloc(t->arena, sizeof *t->values * (g->values.n + 1));
  if (!t->values) return hn_nomem(t->cx);
  write_inputs(t, in, placeholders);
  if (!t->st) t->st = tg_write_nodes(t);
  if (!t->st) write_outputs(t, in, out);
  if (!t->st) t->st = drop_unread(t, first, out);
  return t->st;
}

/* Tensors that the names say. */
static hone_status ports_by_name(tg *t, const hn_graph *g, tg_port *in, tg_port *out) {
  if (!in || !out) return hn_nomem(t->cx);
  for (size_t i = 0; i < g->inputs.n; i++) {
    in[i] = (tg_port){.key = "", .tensor = hn_value_at(g, g->inputs.p[i])->name, .value = g->inputs.p[i]};
    HN_TRY(tg_split_port(t, &in[i]));
  }
  for (size_t i = 0; i < g->outputs.n; i++) {
    out[i] = (tg_port){.key = "", .tensor = g->outputs.p[i].name, .value = g->outputs.p[i].value};
    HN_TRY(tg_split_port(t, &out[i]));
  }
  return HONE_OK;
}

hone_status tg_write_segment(tg *t, const hn_graph *g) {
  tg_port *in = hn_arena_alloc(t->arena, sizeof *in * (g->inputs.n + 1)), *out = hn_arena_alloc(t->arena, sizeof *out * (g->outputs.n + 1));
  HN_TRY(ports_by_name(t, g, in, out));
  return tg_write(t, g, in, out, false);
}

hone_status tg_split_port(tg *t, tg_port *p) {
  const char *colon = strrchr(p->tensor, ':');
  p->node = p->tensor;
  if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1) || !colon[1]) return HONE_OK;
  p->node = hn_arena_strndup(t->arena, p->tensor, (size_t)(colon - p->tensor));
  p->index = (uint32_t)strtoul(colon + 1, NULL, 10);
  if (!p->node) return hn_nomem(t->cx);
  return p->index < TG_MOST_OUTPUTS ? HONE_OK : hn_fail(t->cx, HONE_UNSUPPORTED, "tensor '%s' is one of too many", p->tensor);
}

void tg_close(tg *t) {
  for (size_t i = 0; i < t->own.n; i++) hn_tensor_unref(t->own.p[i]);
  hn_vec_free(&t->own);
  hn_vec_free(&t->nodes);
  hn_vec_free(&t->consts);
  hn_map_free(&t->used);
}

hone_status tg_put(hone_context *cx, const char *path, const ProtobufCMessage *m) {
  size_t size = protobuf_c_message_get_packed_size(m);
  hn_writer *file = NULL;
  if (size > MOST_BYTES) return hn_fail(cx, HONE_UNSUPPORTED, "%s: the model has %zu bytes; what TensorFlow reads ends at 2 GiB: write .onnx or .hone", path, size);
  uint8_t *bytes = hn_malloc(size ? size : 1);
  if (!bytes) return hn_fail(cx, HONE_NOMEM, "out of memory: %zu bytes for %s", size, path);
  protobuf_c_message_pack(m, bytes);
  hone_status st = hn_writer_open(cx, path, &file);
  if (!st) st = hn_writer_put(file, bytes, size);
  if (!st) st = hn_writer_commit(&file);
  hn_writer_abort(&file);
  hn_free(bytes);
  return st;
}
