/* keras_call.c - models run symbolically: each call of a layer, in an order in which its inputs are known. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/keras/keras.h"

enum { MAX_CALLS = 1 << 18, MAX_NODES = 4096 };

/* ---- what has been computed: the outputs of call i of each layer of a model */

typedef struct result {
  hn_id out[KR_MAX_OUTPUTS];
  uint32_t n;
} result;

typedef struct run { /* of one model, once */
  keras *k;
  kr_model *m;
  hn_map index;              /* layer name -> index */
  result **results;          /* [layer][call]; n 0: not yet */
  uint32_t *n_calls, *first; /* calls of each layer, and the number that references give the first */
  const char *prefix;
} run;

/* ---- references to tensors */

/* ["layer", call, output], also with keywords behind; of Keras 3 within a __keras_tensor__. */
static bool is_reference(const json_t *j) {
  return json_is_array(j) && json_array_size(j) >= 3 && json_is_string(json_array_get(j, 0)) &&
         json_is_integer(json_array_get(j, 1)) && json_is_integer(json_array_get(j, 2)) && json_integer_value(json_array_get(j, 1)) >= 0;
}

static const json_t *reference_in(const json_t *j) {
  if (json_is_object(j) && hn_streq(kj_text(j, "class_name", ""), "__keras_tensor__"))
    j = json_object_get(json_object_get(j, "config"), "keras_history");
  return is_reference(j) ? j : NULL;
}

typedef hone_status (*reference_fn)(void *user, const json_t *reference);

static hone_status each_reference(const json_t *j, int depth, reference_fn fn, void *user) {
  const json_t *r = reference_in(j), *item;
  const char *key;
  size_t i;
  if (depth > KR_MAX_DEPTH) return HONE_OK;
  if (r) return fn(user, r);
  if (json_is_array(j)) {
    json_array_foreach(j, i, item) HN_TRY(each_reference(item, depth + 1, fn, user));
  }
  if (json_is_object(j)) {
    json_object_foreach((json_t *)(uintptr_t)j, key, item) HN_TRY(each_reference(item, depth + 1, fn, user));
  }
  return HONE_OK;
}

static hone_status resolve(run *r, const json_t *reference, hn_id *v, bool *ready) {
  const char *name = json_string_value(json_array_get(reference, 0));
  int64_t call = json_integer_value(json_array_get(reference, 1)), out = json_integer_value(json_array_get(reference, 2));
  uint32_t i;
  if (!hn_map_get(&r->index, name, &i)) return hn_fail(r->k->cx, HONE_BAD_GRAPH, "there is no layer '%s'", name);
  call -= r->first[i];
  if (call < 0 || call >= r->n_calls[i])
    return hn_fail(r->k->cx, HONE_BAD_GRAPH, "layer '%s' is called %u times; something takes the result of call %lld", name,
                   r->n_calls[i], (long long)call);
  const result *from = &r->results[i][call];
  *ready = from->n > 0;
  if (!*ready) return HONE_OK;
  if (out < 0 || out >= from->n)
    return hn_fail(r->k->cx, HONE_BAD_GRAPH, "layer '%s' has %u outputs; something takes output %lld", name, from->n, (long long)out);
  *v = from->out[out];
  return HONE_OK;
}

/* ---- the arguments of a call */

typedef struct gather {
  run *r;
  kr_call *c;
  const char *keyword; /* NULL: by position */
  bool ready;
} gather;

static hone_status take_reference(void *user, const json_t *reference) {
  gather *a = user;
  kr_call *c = a->c;
  hn_id v = HN_NONE;
  bool ready;
  HN_TRY(resolve(a->r, reference, &v, &ready));
  a->ready = a->ready && ready;
  if (a->keyword) {
    if (c->n_named == KR_MAX_NAMED) return kr_fail(c, HONE_UNSUPPORTED, "it is called with more than %d tensors by keyword", KR_MAX_NAMED);
    c->named[c->n_named] = a->keyword;
    c->named_value[c->n_named++] = v;
  } else {
    if (c->n_in == KR_MAX_INPUTS) return kr_fail(c, HONE_UNSUPPORTED, "it is called on more than %d tensors", KR_MAX_INPUTS);
    c->in[c->n_in++] = v;
  }
  return HONE_OK;
}

static hone_status take_keywords(gather *a, const json_t *kwargs) {
  const char *key;
  const json_t *item;
  json_object_foreach((json_t *)(uintptr_t)kwargs, key, item) {
    a->keyword = key;
    HN_TRY(each_reference(item, 0, take_reference, a));
  }
  a->keyword = NULL;
  return HONE_OK;
}

/* Keras 2: references in any nesting, each with keywords behind it, of which the first's count. */
static hone_status take_nested(gather *a, const json_t *j, int depth) {
  const json_t *item;
  const char *key;
  size_t i;
  if (depth > KR_MAX_DEPTH) return HONE_OK;
  if (json_is_array(j) && json_is_string(json_array_get(j, 0))) {
    const json_t *kwargs = json_array_get(j, 3);
    if (is_reference(j)) HN_TRY(take_reference(a, j));
    if (!a->c->kwargs && json_is_object(kwargs)) a->c->kwargs = kwargs;
    return HONE_OK;
  }
  if (json_is_array(j)) {
    json_array_foreach(j, i, item) HN_TRY(take_nested(a, item, depth + 1));
  }
  if (json_is_object(j)) {
    json_object_foreach((json_t *)(uintptr_t)j, key, item) HN_TRY(take_nested(a, item, depth + 1));
  }
  return HONE_OK;
}

static hone_status gather_arguments(run *r, kr_call *c, const json_t *node, bool *ready) {
  gather a = {.r = r, .c = c, .ready = true};
  const json_t *args = json_object_get(node, "args");
  if (json_is_object(node) && args) { /* Keras 3 */
    c->args = args;
    c->kwargs = json_object_get(node, "kwargs");
    HN_TRY(each_reference(args, 0, take_reference, &a));
  } else {
    c->args = node;
    HN_TRY(take_nested(&a, node, 0));
  }
  HN_TRY(take_keywords(&a, c->kwargs));
  *ready = a.ready;
  return HONE_OK;
}

/* ---- masks */

/* A list of masks, one for each input, is left and so refused. */
static bool one_mask_given(const kr_call *c) {
  const json_t *mask = json_object_get(c->kwargs, "mask");
  return !json_is_array(mask) || json_is_string(json_array_get(mask, 0)); /* ["name", 0, 0] is one, too */
}

hn_id kr_mask(kr_call *c, hn_id v) {
  hn_id given = c->n_in && v == c->in[0] && one_mask_given(c) ? kr_named(c, "mask") : HN_NONE;
  if (given != HN_NONE) return hn_make_type(&c->m, given) == HONE_DTYPE_BOOL ? given : hn_make_cast(&c->m, given, HONE_DTYPE_BOOL);
  return v < c->k->masks.n ? c->k->masks.p[v] : HN_NONE;
}

hone_status kr_set_mask(kr_call *c, hn_id v, hn_id mask) {
  keras *k = c->k;
  if (c->m.st || mask == HN_NONE) return c->m.st;
  if (v == HN_NONE || !hn_reserve(&k->masks, (size_t)v + 1)) return hn_nomem(k->cx);
  while (k->masks.n <= v) k->masks.p[k->masks.n++] = HN_NONE;
  k->masks.p[v] = mask;
  return HONE_OK;
}

/* What a layer that hands masks on gives its outputs: steps that count in all inputs; behind one another where the inputs are. */
static hn_id passed_mask(kr_call *c) {
  hn_id all = HN_NONE, parts[KR_MAX_INPUTS];
  bool behind = hn_streq(c->l->kind, "Concatenate") && kj_int(c->config, "axis", -1) == 1;
  for (uint32_t i = 0; i < c->n_in && c->l->row->flags & KR_MASK_PASSES; i++) {
    hn_id one = kr_mask(c, c->in[i]);
    if (one != HN_NONE) all = all == HN_NONE ? one : hn_make2(&c->m, HN_And, all, one);
  }
  if (all == HN_NONE || !behind) return all;
  for (uint32_t i = 0; i < c->n_in; i++) {
    parts[i] = kr_mask(c, c->in[i]);
    hn_id yes = parts[i] == HN_NONE ? hn_make_cast(&c->m, hn_make_scalar(&c->m, HONE_DTYPE_I32, 1), HONE_DTYPE_BOOL) : HN_NONE;
    if (yes != HN_NONE) parts[i] = hn_make2(&c->m, HN_Expand, yes, kr_dims_of(c, c->in[i], 0, 2));
  }
  hn_id node = hn_make_node(&c->m, HN_Concat, parts, c->n_in, 1);
  if (!c->m.st) hn_set_i(c->k->g, node, "axis", 1);
  return hn_make_done(&c->m, node);
}

static hone_status refuse_masks(kr_call *c) {
  for (uint32_t i = 0; i < c->n_in && c->l->row->flags & KR_MASK_REFUSED; i++)
    if (kr_mask(c, c->in[i]) != HN_NONE)
      return kr_fail(c, HONE_UNSUPPORTED, "its input comes with a mask (Embedding with mask_zero, or Masking), which this layer would have to "
                     "heed; that is not supported");
  return HONE_OK;
}

static hone_status refuse_unheeded(const kr_call *c) {
  for (uint32_t i = 0; i < c->n_named; i++)
    if (!(c->heeded >> i & 1)) return kr_fail(c, HONE_UNSUPPORTED, "it is called with a tensor as '%s', which is not supported", c->named[i]);
  return HONE_OK;
}

/* ---- calls */

static hone_status call_model(keras *k, kr_model *m, const char *prefix, const hn_id *in, uint32_t n_in, hn_id *out, uint32_t *n_out);

hone_status kr_call_layer(kr_call *c) {
  keras *k = c->k;
  kr_layer *l = c->l;
  if (++k->calls > MAX_CALLS) return hn_fail(k->cx, HONE_BAD_FORMAT, "its layers are called more than %d times", MAX_CALLS);
  if (l->model) {
    hone_status st = call_model(k, l->model, c->m.name, c->in, c->n_in, c->out, &c->n_out);
    return st;
  }
  if (!c->n_in) return kr_fail(c, HONE_BAD_GRAPH, "it is called on nothing");
  HN_TRY(refuse_masks(c));
  hn_id mask = passed_mask(c);
  hone_status st = l->row->lower(c, l->row->variant);
  if (!st) st = c->m.st;
  if (!st && k->g->oom) st = hn_nomem(k->cx);
  if (!st) st = refuse_unheeded(c);
  if (!st && !c->n_out) st = kr_fail(c, HONE_BAD_GRAPH, "it gives no result");
  for (uint32_t i = 0; i < c->n_out && !st; i++) st = kr_set_mask(c, c->out[i], mask);
  return st;
}

/* The name of this call: a shared layer's later ones get a number. */
static const char *call_name(keras *k, const char *prefix, kr_layer *l) {
  const char *name = *prefix ? hn_arena_printf(k->arena, "%s/%s", prefix, l->name) : l->name;
  l->calls++;
  return l->calls > 1 && name ? hn_arena_printf(k->arena, "%s_call%u", name, (unsigned)l->calls) : name;
}

static hone_status begin_call(keras *k, const char *prefix, kr_layer *l, kr_call **out) {
  kr_call *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(k->cx);
  *c = (kr_call){.k = k, .l = l, .config = l->config, .m = {.g = k->g}};
  c->m.name = *prefix ? prefix : l->name;
  *out = c;
  return HONE_OK;
}

hn_id kr_call_child(kr_call *c, kr_layer *child, hn_id x) {
  kr_call *inner;
  if (c->m.st) return HN_NONE;
  hone_status st = begin_call(c->k, "", child, &inner);
  if (st) {
    c->m.st = st;
    return HN_NONE;
  }
  inner->m.name = call_name(c->k, c->m.name, child);
  inner->in[0] = x;
  inner->n_in = 1;
  c->m.st = inner->m.name ? kr_call_layer(inner) : hn_nomem(c->k->cx);
  hn_id v = c->m.st ? HN_NONE : inner->out[0];
  hn_free(inner);
  return v;
}

static hone_status keep_result(result *to, const kr_call *c) {
  memcpy(to->out, c->out, sizeof *c->out * c->n_out);
  to->n = c->n_out;
  return HONE_OK;
}

/* Call `call` of layer i, if what it takes is known by now. */
static hone_status try_call(run *r, uint32_t i, uint32_t call, bool *done) {
  kr_layer *l = r->m->layers[i];
  kr_call *c;
  bool ready;
  HN_TRY(begin_call(r->k, r->prefix, l, &c));
  hone_status st = gather_arguments(r, c, json_array_get(l->inbound, call), &ready);
  *done = !st && ready;
  if (*done) {
    c->m.name = call_name(r->k, r->prefix, l);
    st = c->m.name ? kr_call_layer(c) : hn_nomem(r->k->cx);
    if (!st) st = keep_result(&r->results[i][call], c);
  }
  hn_free(c);
  return st;
}

static hone_status run_layers(run *r) {
  for (bool again = true; again;) {
    again = false;
    const kr_layer *waits = NULL;
    for (uint32_t i = 0; i < r->m->n_layers; i++)
      for (uint32_t call = 0; call < r->n_calls[i]; call++) {
        bool done;
        if (r->results[i][call].n) continue;
        HN_TRY(try_call(r, i, call, &done));
        if (done) again = true;
        else waits = r->m->layers[i];
      }
    if (waits && !again) return hn_fail(r->k->cx, HONE_BAD_GRAPH, "layer '%s' waits for its own result: the model has a cycle", waits->full);
    if (!waits) break;
  }
  return HONE_OK;
}

/* References count the calls of a nested model from 1 where it had one of its own when it was made: seen from the
   largest number used. */
typedef struct numbering {
  run *r;
} numbering;

static hone_status note_number(void *user, const json_t *reference) {
  run *r = ((numbering *)user)->r;
  uint32_t i;
  if (!hn_map_get(&r->index, json_string_value(json_array_get(reference, 0)), &i)) return HONE_OK;
  if (r->m->layers[i]->model && json_integer_value(json_array_get(reference, 1)) == r->n_calls[i]) r->first[i] = 1;
  return HONE_OK;
}

static hone_status open_run(run *r) {
  keras *k = r->k;
  size_t n = r->m->n_layers;
  numbering numbers = {r};
  r->results = hn_arena_alloc(k->arena, sizeof *r->results * n);
  r->n_calls = hn_arena_alloc(k->arena, sizeof *r->n_calls * n);
  r->first = hn_arena_alloc(k->arena, sizeof *r->first * n);
  if (!r->results || !r->n_calls || !r->first) return hn_nomem(k->cx);
  for (uint32_t i = 0; i < n; i++) {
    const kr_layer *l = r->m->layers[i];
    uint32_t taken;
    size_t calls = json_array_size(l->inbound);
    if (calls > MAX_NODES) return hn_fail(k->cx, HONE_BAD_FORMAT, "layer '%s' is called more than %d times", l->full, MAX_NODES);
    r->n_calls[i] = (uint32_t)calls;
    if (!calls && hn_streq(l->kind, "InputLayer")) r->n_calls[i] = 1;
    if (hn_map_get(&r->index, l->name, &taken)) return hn_fail(k->cx, HONE_BAD_GRAPH, "two layers are named '%s'", l->full);
    r->results[i] = hn_arena_alloc(k->arena, sizeof **r->results * (r->n_calls[i] + 1));
    if (!r->results[i] || !hn_map_put(&r->index, l->name, i)) return hn_nomem(k->cx);
  }
  for (uint32_t i = 0; i < n; i++) HN_TRY(each_reference(r->m->layers[i]->inbound, 0, note_number, &numbers));
  return each_reference(json_object_get(r->m->config, "output_layers"), 0, note_number, &numbers);
}

typedef struct ports {
  run *r;
  const hn_id *in;
  uint32_t n_in, at;
  hn_id *out;
  const char **names;
} ports;

static hone_status bind_input(void *user, const json_t *reference) {
  ports *p = user;
  uint32_t i;
  const char *name = json_string_value(json_array_get(reference, 0));
  if (p->at >= p->n_in) return hn_fail(p->r->k->cx, HONE_BAD_GRAPH, "model '%s' is called on %u tensors; it takes more", p->r->m->name, p->n_in);
  if (!hn_map_get(&p->r->index, name, &i) || !p->r->n_calls[i])
    return hn_fail(p->r->k->cx, HONE_BAD_GRAPH, "model '%s' has no input layer '%s'", p->r->m->name, name);
  p->r->results[i][0] = (result){.out = {p->in[p->at++]}, .n = 1};
  return HONE_OK;
}

static hone_status bind_output(void *user, const json_t *reference) {
  ports *p = user;
  bool ready;
  if (p->at >= KR_MAX_OUTPUTS) return hn_fail(p->r->k->cx, HONE_UNSUPPORTED, "model '%s' has more than %d outputs", p->r->m->name, KR_MAX_OUTPUTS);
  HN_TRY(resolve(p->r, reference, &p->out[p->at], &ready));
  if (!ready) return hn_fail(p->r->k->cx, HONE_BAD_GRAPH, "an output of model '%s' is never computed", p->r->m->name);
  p->at++;
  return HONE_OK;
}

static hone_status call_sequential(keras *k, kr_model *m, const char *prefix, hn_id x, hn_id *out) {
  for (size_t i = 0; i < m->n_layers; i++) {
    kr_layer *l = m->layers[i];
    kr_call *c;
    HN_TRY(begin_call(k, prefix, l, &c));
    c->m.name = call_name(k, prefix, l);
    c->in[0] = x;
    c->n_in = 1;
    hone_status st = c->m.name ? kr_call_layer(c) : hn_nomem(k->cx);
    x = c->out[0];
    hn_free(c);
    HN_TRY(st);
  }
  *out = x;
  return HONE_OK;
}

static hone_status call_functional(run *r, const hn_id *in, uint32_t n_in, hn_id *out, uint32_t *n_out) {
  ports p = {.r = r, .in = in, .n_in = n_in, .out = out};
  HN_TRY(open_run(r));
  HN_TRY(each_reference(json_object_get(r->m->config, "input_layers"), 0, bind_input, &p));
  if (p.at != n_in) return hn_fail(r->k->cx, HONE_BAD_GRAPH, "model '%s' is called on %u tensors; it takes %u", r->m->name, n_in, p.at);
  HN_TRY(run_layers(r));
  p.at = 0;
  HN_TRY(each_reference(json_object_get(r->m->config, "output_layers"), 0, bind_output, &p));
  *n_out = p.at;
  return p.at ? HONE_OK : hn_fail(r->k->cx, HONE_BAD_GRAPH, "model '%s' has no outputs", r->m->name);
}

static hone_status call_model(keras *k, kr_model *m, const char *prefix, const hn_id *in, uint32_t n_in, hn_id *out, uint32_t *n_out) {
  run r = {.k = k, .m = m, .prefix = prefix};
  if (m->sequential) {
    if (n_in != 1) return hn_fail(k->cx, HONE_BAD_GRAPH, "model '%s' is called on %u tensors; it takes one", m->name, n_in);
    *n_out = 1;
    return call_sequential(k, m, prefix, in[0], out);
  }
  hone_status st = call_functional(&r, in, n_in, out, n_out);
  hn_map_free(&r.index);
  return st;
}

/* ---- the outermost model: its inputs and outputs are the graph's */

static hn_dtype input_dtype(const json_t *config) {
  const json_t *policy = json_object_get(config, "dtype");
  const char *name = json_is_object(policy) ? kj_text(json_object_get(policy, "config"), "name", "float32") : kj_text(config, "dtype", "float32");
  static const struct {
    const char *name;
    hn_dtype dtype;
  } known[] = {{"float32", HONE_DTYPE_F32}, {"float64", HONE_DTYPE_F64}, {"float16", HONE_DTYPE_F16}, {"int32", HONE_DTYPE_I32},
               {"int64", HONE_DTYPE_I64},   {"uint8", HONE_DTYPE_U8},    {"int8", HONE_DTYPE_I8},     {"bool", HONE_DTYPE_BOOL},
               {"mixed_float16", HONE_DTYPE_F32}, {"mixed_bfloat16", HONE_DTYPE_F32}, {"string", HONE_DTYPE_STRING}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (hn_streq(known[i].name, name)) return known[i].dtype;
  return HONE_DTYPE_UNDEFINED;
}

/* [null, 224, 224, 3]: what is open has a symbol, the first dimension of all inputs the same. */
static hone_status add_input(keras *k, const char *name, const json_t *config, const json_t *dims, hn_id *v) {
  hn_shape s = {.rank = (int32_t)json_array_size(dims)};
  hn_dtype t = input_dtype(config);
  if (!json_is_array(dims))
    return hn_fail(k->cx, HONE_BAD_FORMAT, "nothing says what shape input '%s' has: the model was saved before it was built", name);
  if (json_array_size(dims) > HN_MAX_RANK) return hn_fail(k->cx, HONE_UNSUPPORTED, "input '%s' has more than %d dimensions", name, HN_MAX_RANK);
  if (!t || t == HONE_DTYPE_STRING) return hn_fail(k->cx, HONE_UNSUPPORTED, "input '%s': its element type is not supported", name);
  for (int32_t i = 0; i < s.rank; i++) {
    const json_t *d = json_array_get(dims, (size_t)i);
    char symbol[160];
    snprintf(symbol, sizeof symbol, "%.120s_d%d", name, i);
    for (char *p = symbol; *p; p++) /* symbols are words */
      if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *p)) *p = '_';
    if (json_is_integer(d) && json_integer_value(d) >= 0) s.d[i] = json_integer_value(d);
    else s.d[i] = hn_dim_symbol(k->g->dims, i ? symbol : "batch");
    if (s.d[i] == HN_DIM_BAD) return hn_nomem(k->cx);
  }
  *v = hn_graph_add_input(k->g, name, t, &s);
  return *v == HN_NONE ? hn_nomem(k->cx) : HONE_OK;
}

static const json_t *shape_in(const json_t *config) {
  const json_t *s = json_object_get(config, "batch_input_shape");
  return s ? s : json_object_get(config, "batch_shape");
}

typedef struct outer {
  keras *k;
  kr_model *m;
  hn_id in[KR_MAX_INPUTS];
  uint32_t n_in;
  const char *names[KR_MAX_OUTPUTS];
  uint32_t n_names;
} outer;

static hone_status make_input(void *user, const json_t *reference) {
  outer *o = user;
  const char *name = json_string_value(json_array_get(reference, 0));
  const kr_layer *l = NULL;
  for (size_t i = 0; i < o->m->n_layers; i++)
    if (strcmp(o->m->layers[i]->name, name) == 0) l = o->m->layers[i];
  if (!l) return hn_fail(o->k->cx, HONE_BAD_GRAPH, "there is no input layer '%s'", name);
  if (o->n_in == KR_MAX_INPUTS) return hn_fail(o->k->cx, HONE_UNSUPPORTED, "the model has more than %d inputs", KR_MAX_INPUTS);
  return add_input(o->k, name, l->config, shape_in(l->config), &o->in[o->n_in++]);
}

/* Keras names outputs after the layers they come from, with a number where that is taken. */
static hone_status name_output(void *user, const json_t *reference) {
  outer *o = user;
  const char *name = json_string_value(json_array_get(reference, 0)), *own = name;
  if (o->n_names == KR_MAX_OUTPUTS) return HONE_OK;
  for (int n = 1;; n++) {
    bool taken = false;
    for (uint32_t i = 0; i < o->n_names; i++) taken = taken || strcmp(o->names[i], own) == 0;
    if (!taken) break;
    if (!(own = hn_arena_printf(o->k->arena, "%s_%d", name, n))) return hn_nomem(o->k->cx);
  }
  o->names[o->n_names++] = own;
  return HONE_OK;
}

/* A Sequential model's input is its first layer's; older versions keep no layer for it. */
static hone_status sequential_input(outer *o) {
  const kr_layer *first = o->m->layers[0];
  while (first->model && first->model->n_layers) first = first->model->layers[0];
  const json_t *dims = shape_in(first->config);
  bool is_input = hn_streq(first->kind, "InputLayer");
  if (!dims) dims = json_object_get(o->m->config, "build_input_shape");
  const char *name = is_input ? first->name : hn_arena_printf(o->k->arena, "%s_input", o->m->layers[0]->name);
  if (!name) return hn_nomem(o->k->cx);
  o->n_in = 1;
  o->names[o->n_names++] = o->m->layers[o->m->n_layers - 1]->name;
  return add_input(o->k, name, first->config, dims, &o->in[0]);
}

hone_status kr_build(keras *k, kr_model *m) {
  outer *o = hn_calloc(1, sizeof *o);
  hn_id out[KR_MAX_OUTPUTS];
  uint32_t n_out = 0;
  if (!o) return hn_nomem(k->cx);
  *o = (outer){.k = k, .m = m};
  hone_status st = m->sequential ? sequential_input(o) : each_reference(json_object_get(m->config, "input_layers"), 0, make_input, o);
  if (!st && !m->sequential) st = each_reference(json_object_get(m->config, "output_layers"), 0, name_output, o);
  if (!st) st = call_model(k, m, "", o->in, o->n_in, out, &n_out);
  for (uint32_t i = 0; i < n_out && !st; i++) hn_graph_add_output(k->g, o->names[i], out[i]);
  if (!st && k->g->oom) st = hn_nomem(k->cx);
  hn_free(o);
  return st;
}
