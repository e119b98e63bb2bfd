/* engine_write.c - writing a .hone file. */
#include <string.h>

#include "base/str.h"
#include "engine/container.h"
#include "engine/engine.h"
#include "plan/plan.h"

/* A piece of the data section. */
typedef struct blob {
  const void *data;
  size_t bytes;
  uint64_t offset;
} blob;

/* The records of a section grow in memory while offsets in the data section are handed out; then the file is written:
   header, data in the order of the offsets, the plan's section, the graph's. */
typedef struct sink {
  hone_context *cx;
  hn_str text;
  HN_VEC(blob) blobs;
  uint64_t end; /* of the data section so far */
} sink;

static uint64_t aligned(uint64_t at, uint64_t to) { return (at + to - 1) / to * to; }

static void put_u64(sink *s, uint64_t v) {
  unsigned char b[8];
  for (int i = 0; i < 8; i++) b[i] = (unsigned char)(v >> (8 * i));
  hn_str_addn(&s->text, (const char *)b, 8);
}
static void put_u32(sink *s, uint32_t v) {
  unsigned char b[4];
  for (int i = 0; i < 4; i++) b[i] = (unsigned char)(v >> (8 * i));
  hn_str_addn(&s->text, (const char *)b, 4);
}
static void put_f64(sink *s, double v) {
  uint64_t u;
  memcpy(&u, &v, 8);
  put_u64(s, u);
}
static void put_text(sink *s, const char *t) {
  size_t n = t ? strlen(t) : 0;
  put_u32(s, (uint32_t)n);
  hn_str_addn(&s->text, t ? t : "", n);
}

/* Where the bytes will lie; shared weights are stored once. */
static hone_status place(sink *s, const void *data, size_t bytes, uint64_t align, uint64_t *at) {
  for (size_t i = 0; i < s->blobs.n; i++)
    if (s->blobs.p[i].data == data && s->blobs.p[i].bytes == bytes) {
      *at = s->blobs.p[i].offset;
      return HONE_OK;
    }
  *at = aligned(s->end, align);
  s->end = *at + bytes;
  return hn_push(&s->blobs, ((blob){data, bytes, *at})) ? HONE_OK : hn_nomem(s->cx);
}

static hone_status put_tensor(sink *s, const hn_tensor *t) {
  if (t->dtype == HONE_DTYPE_STRING)
    return hn_fail(s->cx, HONE_UNSUPPORTED, "a tensor of strings cannot be stored in an engine");
  uint64_t at;
  HN_TRY(place(s, t->data, t->bytes, HN_ENGINE_ALIGN, &at));
  put_u32(s, (uint32_t)t->dtype);
  put_u32(s, (uint32_t)t->rank);
  for (int32_t k = 0; k < t->rank; k++) put_u64(s, (uint64_t)t->dims[k]);
  put_u64(s, at);
  put_u64(s, hn_tensor_hash((hn_tensor *)(uintptr_t)t));
  return HONE_OK;
}

static void put_dim(sink *s, hn_dims *dims, hn_dim d) {
  put_u64(s, hn_dim_fixed(d) ? (uint64_t)d : UINT64_MAX);
  if (!hn_dim_fixed(d)) put_text(s, hn_dim_text(dims, d));
}

static hone_status put_graph(sink *s, const hn_graph *g);

static hone_status put_attr(sink *s, const hn_attr *a) {
  put_text(s, a->name);
  put_u32(s, (uint32_t)a->type);
  switch (a->type) {
    case HN_ATTR_INT: put_u64(s, (uint64_t)a->v.i); break;
    case HN_ATTR_FLOAT: put_f64(s, a->v.f); break;
    case HN_ATTR_STRING: put_text(s, a->v.s); break;
    case HN_ATTR_INTS:
      put_u32(s, a->n);
      for (uint32_t i = 0; i < a->n; i++) put_u64(s, (uint64_t)a->v.ints[i]);
      break;
    case HN_ATTR_FLOATS:
      put_u32(s, a->n);
      for (uint32_t i = 0; i < a->n; i++) put_f64(s, a->v.floats[i]);
      break;
    case HN_ATTR_TENSOR: return put_tensor(s, a->v.tensor);
    case HN_ATTR_GRAPH: return put_graph(s, a->v.graph);
  }
  return HONE_OK;
}

/* Values in use get new numbers in the order inputs, constants, outputs of nodes in execution order. */
static hone_status put_values(sink *s, const hn_graph *g, const hn_id *order, uint32_t n, uint32_t *number) {
  HN_VEC(hn_id) list = {0};
  bool ok = true;
  memset(number, 0xff, sizeof *number * g->values.n);
  for (size_t i = 0; ok && i < g->inputs.n; i++) ok = hn_push(&list, g->inputs.p[i]);
  for (size_t i = 0; ok && i < g->values.n; i++)
    if (g->values.p[i].data && (g->values.p[i].n_users || hn_is_output(g, (hn_id)i))) ok = hn_push(&list, (hn_id)i);
  for (uint32_t i = 0; ok && i < n; i++) {
    const hn_node *node = hn_node_at(g, order[i]);
    for (uint32_t k = 0; ok && k < node->n_out; k++)
      if (node->out[k] != HN_NONE) ok = hn_push(&list, node->out[k]);
  }
  hone_status st = ok ? HONE_OK : hn_nomem(s->cx);
  put_u32(s, (uint32_t)list.n);
  for (size_t i = 0; i < list.n && !st; i++) {
    const hn_value *v = hn_value_at(g, list.p[i]);
    number[list.p[i]] = (uint32_t)i;
    put_text(s, v->name);
    put_u32(s, (uint32_t)v->dtype);
    put_u32(s, (uint32_t)v->shape.rank);
    for (int32_t k = 0; k < v->shape.rank; k++) put_dim(s, g->dims, v->shape.d[k]);
    put_u32(s, v->data != NULL);
    if (v->data) st = put_tensor(s, v->data);
  }
  hn_vec_free(&list);
  return st;
}

static hone_status put_node(sink *s, const hn_node *n, const uint32_t *number) {
  put_text(s, hn_op_name(n->op));
  put_text(s, n->name);
  put_text(s, n->source);
  put_u32(s, n->n_in);
  put_u32(s, n->n_main);
  for (uint32_t i = 0; i < n->n_in; i++) put_u32(s, n->in[i] == HN_NONE ? HN_NONE : number[n->in[i]]);
  put_u32(s, n->n_out);
  for (uint32_t i = 0; i < n->n_out; i++) put_u32(s, n->out[i] == HN_NONE ? HN_NONE : number[n->out[i]]);
  put_u32(s, n->n_post);
  for (uint32_t i = 0; i < n->n_post; i++) {
    const hn_step *p = &n->post[i];
    put_text(s, hn_op_name(p->op));
    put_u32(s, p->swapped);
    put_u32(s, p->operand);
    put_f64(s, (double)p->alpha);
    put_f64(s, (double)p->beta);
  }
  put_u32(s, n->n_attr);
  for (uint32_t i = 0; i < n->n_attr; i++) HN_TRY(put_attr(s, &n->attr[i]));
  put_text(s, n->tactic);
  put_f64(s, n->tactic_ms);
  put_text(s, n->tactic_layout);
  put_u32(s, n->fork);
  put_u32(s, n->branch);
  return HONE_OK;
}

/* Is it said of the file, not of the model? */
static bool of_container(const char *key) {
  static const char *const keys[] = {HN_META_CONTAINER, HN_META_PACKED_FOR, HN_META_PACKS};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (strcmp(key, keys[i]) == 0) return true;
  return false;
}

static hone_status put_graph(sink *s, const hn_graph *g) {
  hn_id *order;
  uint32_t n;
  HN_TRY(hn_graph_order(g, &order, &n));
  uint32_t *number = hn_calloc(g->values.n, sizeof *number);
  put_text(s, g->name);
  uint32_t n_meta = 0;
  for (size_t i = 0; i < g->meta.n; i++) n_meta += !of_container(g->meta.p[i].key);
  put_u32(s, n_meta);
  for (size_t i = 0; i < g->meta.n; i++) {
    if (of_container(g->meta.p[i].key)) continue;
    put_text(s, g->meta.p[i].key);
    put_text(s, g->meta.p[i].value);
  }
  put_u32(s, (uint32_t)g->inputs.n);
  hone_status st = number ? put_values(s, g, order, n, number) : hn_nomem(s->cx);
  put_u32(s, n);
  for (uint32_t i = 0; i < n && !st; i++) st = put_node(s, hn_node_at(g, order[i]), number);
  put_u32(s, (uint32_t)g->outputs.n);
  for (size_t i = 0; i < g->outputs.n && !st; i++) {
    put_text(s, g->outputs.p[i].name);
    put_u32(s, number[g->outputs.p[i].value]);
  }
  hn_free(number);
  hn_free(order);
  return st ? st : s->text.failed ? hn_nomem(s->cx) : HONE_OK;
}

/* ------------------------------------------------------------------------------------ the plan's section */

static hone_status put_packs(sink *s, const hn_plan *p) {
  HN_VEC(const hn_pack *) packs = {0};
  hone_status st = HONE_OK;
  uint64_t align = HN_ENGINE_PAGE; /* of the first: they are read in one go */
  for (size_t i = 0; i < p->steps.n && !st; i++)
    for (uint32_t k = 0; k < p->steps.p[i].task.n_packs && !st; k++) {
      const hn_pack *pack = &p->steps.p[i].task.pack[k];
      bool known = !pack->key || !pack->bytes;
      for (size_t j = 0; j < packs.n && !known; j++) known = packs.p[j]->key == pack->key;
      if (!known && !hn_push(&packs, pack)) st = hn_nomem(s->cx);
    }
  put_u32(s, (uint32_t)packs.n);
  for (size_t i = 0; i < packs.n && !st; i++, align = HN_ENGINE_ALIGN) {
    uint64_t at;
    st = place(s, packs.p[i]->data, packs.p[i]->bytes, align, &at);
    put_u64(s, packs.p[i]->key);
    put_u64(s, packs.p[i]->bytes);
    put_u64(s, at);
    put_u64(s, hn_digest(packs.p[i]->data, packs.p[i]->bytes, packs.p[i]->key));
  }
  hn_vec_free(&packs);
  return st;
}

static hone_status put_plan(sink *s, const hn_plan *p, hn_isa isa, uint32_t threads) {
  char cpu[HN_CPU_NAME];
  hn_cpu_name(cpu);
  put_text(s, cpu);
  put_text(s, hn_kernels_id);
  put_text(s, hn_isa_name(isa));
  put_u32(s, threads);
  put_u64(s, p->arena_bytes);
  put_u32(s, (uint32_t)p->g->inputs.n);
  for (size_t i = 0; i < p->g->inputs.n; i++) {
    const hn_value *v = hn_value_at(p->g, p->g->inputs.p[i]);
    put_text(s, v->name);
    put_u32(s, (uint32_t)v->shape.rank);
    for (int32_t k = 0; k < v->shape.rank; k++) put_u64(s, (uint64_t)v->shape.d[k]);
  }
  return put_packs(s, p);
}

/* ---------------------------------------------------------------------------------------------- the file */

static hone_status pad_to(hn_writer *w, uint64_t to) {
  static const char zeros[HN_ENGINE_PAGE] = {0};
  return hn_writer_put(w, zeros, (size_t)(to - hn_writer_position(w)));
}

/* A section behind the data: its text is taken out of the sink. */
typedef struct section {
  hn_str text;
  uint64_t at, hash;
} section;

static section cut_section(sink *s) {
  section c = {.text = s->text, .hash = hn_hash(s->text.p, s->text.n, HN_ENGINE_VERSION)};
  s->text = (hn_str){0};
  return c;
}

static hone_status write_file(sink *s, section *graph, section *plan, hn_writer *w) {
  plan->at = aligned(s->end, HN_ENGINE_ALIGN);
  graph->at = aligned(plan->at + plan->text.n, HN_ENGINE_ALIGN);
  hn_str_addn(&s->text, HN_ENGINE_MAGIC, HN_ENGINE_MAGIC_SIZE);
  put_u32(s, HN_ENGINE_VERSION);
  put_u32(s, (uint32_t)plan->text.n);
  put_u64(s, graph->at);
  put_u64(s, graph->text.n);
  put_u64(s, graph->hash);
  put_u64(s, graph->at + graph->text.n);
  put_u64(s, plan->at);
  put_u64(s, plan->hash);
  hone_status st = s->text.failed ? hn_nomem(s->cx) : hn_writer_put(w, s->text.p, s->text.n);
  for (size_t i = 0; i < s->blobs.n && !st; i++) {
    st = pad_to(w, s->blobs.p[i].offset);
    if (!st) st = hn_writer_put(w, s->blobs.p[i].data, s->blobs.p[i].bytes);
  }
  if (!st) st = pad_to(w, plan->at);
  if (!st && plan->text.n) st = hn_writer_put(w, plan->text.p, plan->text.n);
  if (!st) st = pad_to(w, graph->at);
  return st ? st : hn_writer_put(w, graph->text.p, graph->text.n);
}

hone_status hn_engine_write_plan(const hn_graph *g, const hn_plan *p, hn_isa isa, uint32_t threads, const char *path) {
  sink s = {.cx = g->cx, .end = HN_ENGINE_HEADER};
  section graph = {0}, plan = {0};
  hn_writer *w = NULL;
  hone_status st = put_graph(&s, g);
  graph = cut_section(&s);
  if (!st && p) {
    st = put_plan(&s, p, isa, threads);
    plan = cut_section(&s);
  }
  if (!st && (graph.text.failed || plan.text.failed)) st = hn_nomem(g->cx);
  if (!st && plan.text.n > UINT32_MAX) st = hn_fail(g->cx, HONE_UNSUPPORTED, "%s: a plan of more than 4 GiB", path);
  if (!st) st = hn_writer_open(g->cx, path, &w);
  if (!st) st = write_file(&s, &graph, &plan, w);
  if (!st) st = hn_writer_commit(&w);
  else if (w) hn_writer_abort(&w);
  hn_str_free(&s.text);
  hn_str_free(&graph.text);
  hn_str_free(&plan.text);
  hn_vec_free(&s.blobs);
  return st;
}

hone_status hn_engine_write(const hn_graph *g, const char *path) {
  return hn_engine_write_plan(g, NULL, HN_ISA_PORTABLE, 0, path);
}
