/* control_v2.c - conditions and loops whose branches and bodies are functions, and calls. */
#include <string.h>

#include "format/tensorflow/tf_lower.h"
#include "format/tensorflow/loop.h"

static tf_body *function_of(tf_lower *x, const char *attr) {
  const char *name = hn_tf_attr_func(x, attr);
  tf_body *f = hn_tf_function(x->s->im, name);
  if (!f) hn_tf_fail(x, HONE_BAD_GRAPH, "there is no function '%s' in the library", name ? name : attr);
  return f;
}

static void call_function(tf_lower *x, tf_body *f) {
  uint32_t n_out = f->function->signature ? (uint32_t)f->function->signature->n_output_arg : 0;
  tf_value *out = hn_arena_alloc(x->s->im->arena, sizeof *out * (n_out + 1));
  if (!out) {
    x->m.st = hn_nomem(x->s->im->cx);
    return;
  }
  x->m.st = hn_tf_call(x->s, x->s->nest, f, x->n, x->m.name, x->in, x->n_in, out, n_out);
  for (uint32_t i = 0; i < n_out && !x->m.st; i++) hn_tf_out_value(x, i, out[i]);
}

void hn_tf_lower_call(tf_lower *x) {
  tf_body *f = function_of(x, "f");
  if (f) call_function(x, f);
}

/* An engine of TensorRT keeps the part of the graph it stands for as a function: that is what is read. */
void hn_tf_lower_trt(tf_lower *x) {
  const char *name = hn_tf_attr_func(x, "segment_func");
  if (!name || !*name) name = hn_tf_attr_s(x, "segment_funcdef_name", NULL);
  tf_body *f = hn_tf_function(x->s->im, name);
  if (!f) {
    hn_tf_fail(x, HONE_UNSUPPORTED, "only a serialized engine of TensorRT is there, not the graph it was made from; convert the "
               "model without static engines, or give the model before the conversion");
    return;
  }
  if (!hn_push(&x->s->im->segments, hn_arena_strdup(x->s->im->arena, x->n->name))) x->m.st = hn_nomem(x->s->im->cx);
  call_function(x, f);
}

/* ---- If */

static void read_branch(tf_lower *x, tf_body *f, tf_nest *nest) {
  tf_scope *s = x->s;
  uint32_t n_out = (uint32_t)f->function->signature->n_output_arg;
  tf_value *args = hn_arena_alloc(s->im->arena, sizeof *args * (x->n_in + n_out + 1)), *out = args + x->n_in;
  nest->g = hn_graph_create_nested(s->nest->g, f->name);
  nest->outer = s->nest;
  if (!args || !nest->g) x->m.st = hn_nomem(s->im->cx);
  for (uint32_t i = 1; i < x->n_in && !x->m.st; i++) x->m.st = hn_tf_captured(nest, x->in[i], &args[i - 1]);
  if (!x->m.st) x->m.st = hn_tf_call(s, nest, f, x->n, "", args, x->n_in - 1, out, n_out);
  for (uint32_t i = 0; i < n_out && !x->m.st; i++) {
    if (out[i].kind != TF_TENSOR) hn_tf_fail(x, HONE_UNSUPPORTED, "output %u of branch '%s' is not a tensor", i, f->name);
    else hn_graph_add_output(nest->g, hn_value_at(nest->g, out[i].id)->name, out[i].id);
  }
}

void hn_tf_lower_if(tf_lower *x) {
  static const char *const attrs[2] = {"then_branch", "else_branch"};
  tf_body *f[2] = {function_of(x, attrs[0]), function_of(x, attrs[1])};
  hn_id cond = HN_NONE, node;
  if (x->m.st) return;
  if (!x->n_in || !f[0]->function->signature || !f[1]->function->signature ||
      f[0]->function->signature->n_output_arg != f[1]->function->signature->n_output_arg) {
    hn_tf_fail(x, HONE_BAD_GRAPH, "its branches give different numbers of outputs");
    return;
  }
  tf_value c = x->in[0];
  c.id = hn_tf_in(x, 0);
  c.kind = TF_TENSOR;
  if (!x->m.st) x->m.st = hn_tf_condition(x->s, x->s->nest, x->m.name, c, &cond);
  if (x->m.st) return;
  const hn_tensor *known = hn_const(x->m.g, c.id);
  if (known && known->count == 1) { /* decided: the other branch need not be read */
    x->in++;
    x->n_in--;
    call_function(x, f[hn_tensor_f(known, 0) == 0]);
    return;
  }
  tf_nest nests[2] = {{0}, {0}};
  uint32_t n_out = (uint32_t)f[0]->function->signature->n_output_arg;
  for (int k = 0; k < 2 && !x->m.st; k++) read_branch(x, f[k], &nests[k]);
  if (!x->m.st) x->m.st = hn_tf_add_nested(x->s, HN_If, x->m.name, &cond, 1, nests, attrs, (const size_t[]){0, 0}, 2, n_out, &node);
  for (uint32_t i = 0; i < n_out && !x->m.st; i++) hn_tf_out(x, i, hn_make_out(&x->m, node, i));
  for (int k = 0; k < 2; k++) {
    hn_graph_destroy(nests[k].g);
    hn_vec_free(&nests[k].captures);
    hn_vec_free(&nests[k].puts);
  }
}

/* ---- While */

/* Does the body return argument i as it is? Through identities. */
static bool unchanged(tf_lower *x, const tf_body *f, uint32_t i) {
  const Tensorflow__FunctionDef *def = f->function;
  const char *from = NULL;
  tf_ref r;
  if (i >= def->signature->n_output_arg) return false;
  for (size_t k = 0; k < def->n_ret; k++)
    if (strcmp(def->ret[k]->key, def->signature->output_arg[i]->name) == 0) from = def->ret[k]->value;
  for (int steps = 0; from && steps < 64 && hn_tf_find_ref(x->s->im, f, from, &r); steps++) {
    if (r.node >= f->n) return r.node - f->n == i;
    const tf_node *n = f->nodes[r.node];
    if (strcmp(n->op, "Identity") != 0 || !n->n_input) return false;
    from = n->input[0];
  }
  return false;
}

static void read_while(tf_lower *x, tf_loop *l, tf_body *cond, tf_body *body) {
  tf_scope *s = x->s;
  tf_value first, again;
  const tf_attr *a = hn_tf_attr(s, x->n, "output_shapes");
  hn_shape *shapes = hn_arena_alloc(s->im->arena, sizeof *shapes * (l->n + 1));
  if (!shapes) x->m.st = hn_nomem(s->im->cx);
  for (uint32_t i = 0; i < l->n && !x->m.st; i++) {
    bool has = a && a->value_case == TENSORFLOW__ATTR_VALUE__VALUE_LIST && i < a->list->n_shape;
    shapes[i] = hn_shape_unknown();
    if (has) x->m.st = hn_tf_shape(s->im->cx, x->m.g->dims, a->list->shape[i], &shapes[i]);
    l->init[i] = x->in[i];
    l->carried[i] = !unchanged(x, body, i);
    if (l->init[i].kind == TF_VARIABLE && l->carried[i]) l->carried[i] = false;
  }
  if (!x->m.st) x->m.st = hn_tf_call(s, s->nest, cond, x->n, x->m.name, l->init, l->n, &first, 1);
  if (!x->m.st) x->m.st = hn_tf_loop_begin(l, shapes);
  if (!x->m.st) x->m.st = hn_tf_call(s, &l->nest, body, x->n, "", l->inner, l->n, l->next, l->n);
  for (uint32_t i = 0; i < l->n && !x->m.st; i++)
    if (!l->carried[i]) l->next[i] = l->inner[i];
  if (!x->m.st) x->m.st = hn_tf_call(s, &l->nest, cond, x->n, "again", l->next, l->n, &again, 1);
  if (!x->m.st) x->m.st = hn_tf_loop_end(l, first, again);
  for (uint32_t i = 0; i < l->n && !x->m.st; i++) hn_tf_out_value(x, i, l->result[i]);
}

void hn_tf_lower_while(tf_lower *x) {
  tf_body *cond = function_of(x, "cond"), *body = cond ? function_of(x, "body") : NULL;
  tf_loop l;
  if (x->m.st) return;
  if (!body->function->signature || body->function->signature->n_output_arg != x->n_in) {
    hn_tf_fail(x, HONE_BAD_GRAPH, "its body '%s' does not give as many values as it takes", body->name);
    return;
  }
  x->m.st = hn_tf_loop_open(&l, x->s, x->m.name, x->n_in);
  if (x->m.st) return;
  read_while(x, &l, cond, body);
  hn_tf_loop_close(&l);
}
