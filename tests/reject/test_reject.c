/* test_reject.c - models that must be refused, with one line that says why; and forms that must be read. Models are
   built here with the protobuf classes: each case is a few lines. */
#include "harness.h"
#include "hone.h"
#include "onnx.pb-c.h"

enum { ROOM = 64 };

/* What a model is built of; everything is static and thrown away by fresh(). */
static struct {
  Onnx__ModelProto model;
  Onnx__GraphProto graphs[4], *main;
  Onnx__NodeProto nodes[ROOM];
  Onnx__TensorProto tensors[ROOM];
  Onnx__ValueInfoProto values[ROOM];
  Onnx__TypeProto types[ROOM];
  Onnx__TypeProto__Tensor type_tensors[ROOM];
  Onnx__TensorShapeProto shapes[ROOM];
  Onnx__TensorShapeProto__Dimension dims[ROOM];
  Onnx__AttributeProto attrs[ROOM];
  Onnx__OperatorSetIdProto opset, other;
  Onnx__FunctionProto functions[4];
  Onnx__SparseTensorProto sparse[4];
  void *pointers[1024];
  int64_t numbers[1024];
  int n_graphs, n_nodes, n_tensors, n_values, n_attrs, n_dims, n_pointers, n_numbers, n_functions;
} b;

static void *list(size_t n) {
  void *p = &b.pointers[b.n_pointers];
  b.n_pointers += (int)n;
  return p;
}

/* A list of names separated by blanks. */
static char **words(const char *text, size_t *n) {
  static char copy[16384];
  static size_t used;
  char **out = list(16);
  if (used > sizeof copy - 512) used = 0;
  char *p = strcpy(copy + used, text);
  used += strlen(text) + 1;
  *n = 0;
  for (char *w = strtok(p, " "); w; w = strtok(NULL, " ")) out[(*n)++] = strcmp(w, "_") == 0 ? "" : w;
  return out;
}

static Onnx__GraphProto *graph(void) {
  Onnx__GraphProto *g = &b.graphs[b.n_graphs++];
  onnx__graph_proto__init(g);
  g->name = "g";
  g->node = list(ROOM);
  g->input = list(16);
  g->output = list(16);
  g->initializer = list(16);
  g->sparse_initializer = list(4);
  return g;
}

static void fresh(void) {
  memset(&b, 0, sizeof b);
  onnx__model_proto__init(&b.model);
  onnx__operator_set_id_proto__init(&b.opset);
  onnx__operator_set_id_proto__init(&b.other);
  b.opset.has_version = 1;
  b.opset.version = 17;
  b.other.domain = "mine";
  b.other.has_version = 1;
  b.other.version = 1;
  b.model.has_ir_version = 1;
  b.model.ir_version = 8;
  b.model.opset_import = list(2);
  b.model.opset_import[0] = &b.opset;
  b.model.opset_import[1] = &b.other;
  b.model.n_opset_import = 2;
  b.model.functions = list(4);
  b.main = b.model.graph = graph();
}

static Onnx__ValueInfoProto *value(const char *name, int type, int rank, const int64_t *dims) {
  int i = b.n_values++;
  Onnx__ValueInfoProto *v = &b.values[i];
  onnx__value_info_proto__init(v);
  onnx__type_proto__init(&b.types[i]);
  onnx__type_proto__tensor__init(&b.type_tensors[i]);
  onnx__tensor_shape_proto__init(&b.shapes[i]);
  v->name = (char *)(uintptr_t)name;
  v->type = &b.types[i];
  v->type->tensor_type = &b.type_tensors[i];
  v->type->tensor_type->has_elem_type = 1;
  v->type->tensor_type->elem_type = type;
  if (rank < 0) return v;
  v->type->tensor_type->shape = &b.shapes[i];
  b.shapes[i].n_dim = (size_t)rank;
  b.shapes[i].dim = list((size_t)rank);
  for (int k = 0; k < rank; k++) {
    Onnx__TensorShapeProto__Dimension *d = b.shapes[i].dim[k] = &b.dims[b.n_dims++];
    onnx__tensor_shape_proto__dimension__init(d);
    d->has_dim_value = 1;
    d->dim_value = dims[k];
  }
  return v;
}

static void input(Onnx__GraphProto *g, const char *name, int rank, const int64_t *dims) { g->input[g->n_input++] = value(name, 1, rank, dims); }
static void output(Onnx__GraphProto *g, const char *name) { g->output[g->n_output++] = value(name, 1, -1, NULL); }

static Onnx__NodeProto *node_into(Onnx__NodeProto **nodes, size_t *count, const char *op, const char *in, const char *out) {
  Onnx__NodeProto *n = nodes[(*count)++] = &b.nodes[b.n_nodes++];
  onnx__node_proto__init(n);
  n->op_type = (char *)(uintptr_t)op;
  n->name = (char *)(uintptr_t)op;
  n->input = words(in, &n->n_input);
  n->output = words(out, &n->n_output);
  n->attribute = list(4);
  return n;
}
static Onnx__NodeProto *node(Onnx__GraphProto *g, const char *op, const char *in, const char *out) {
  return node_into(g->node, &g->n_node, op, in, out);
}

static Onnx__AttributeProto *attribute(Onnx__NodeProto *n, const char *name) {
  Onnx__AttributeProto *a = n->attribute[n->n_attribute++] = &b.attrs[b.n_attrs++];
  onnx__attribute_proto__init(a);
  a->name = (char *)(uintptr_t)name;
  return a;
}
static void attribute_i(Onnx__NodeProto *n, const char *name, int64_t v) {
  Onnx__AttributeProto *a = attribute(n, name);
  a->has_type = 1, a->type = 2, a->has_i = 1, a->i = v;
}
static void attribute_g(Onnx__NodeProto *n, const char *name, Onnx__GraphProto *g) {
  Onnx__AttributeProto *a = attribute(n, name);
  a->has_type = 1, a->type = 5, a->g = g;
}

static Onnx__TensorProto *tensor(const char *name, int type, int rank, const int64_t *dims, const void *data, size_t bytes) {
  Onnx__TensorProto *t = &b.tensors[b.n_tensors++];
  onnx__tensor_proto__init(t);
  t->name = (char *)(uintptr_t)name;
  t->has_data_type = 1;
  t->data_type = type;
  t->n_dims = (size_t)rank;
  t->dims = &b.numbers[b.n_numbers];
  for (int i = 0; i < rank; i++) b.numbers[b.n_numbers++] = dims[i];
  t->has_raw_data = 1;
  t->raw_data = (ProtobufCBinaryData){bytes, (uint8_t *)(uintptr_t)data};
  return t;
}
static void constant(const char *name, int type, int rank, const int64_t *dims, const void *data, size_t bytes) {
  b.main->initializer[b.main->n_initializer++] = tensor(name, type, rank, dims, data, bytes);
}

/* ---- what becomes of it */

static hone_status load(hone_context *cx, hone_model **m) {
  static uint8_t bytes[1 << 16];
  size_t n = onnx__model_proto__get_packed_size(&b.model);
  if (n > sizeof bytes) abort();
  onnx__model_proto__pack(&b.model, bytes);
  return hone_model_load_memory(cx, bytes, n, m);
}

static void refused(const char *part) {
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = load(cx, &m);
  CHECK_MSG(st != HONE_OK, "read, where '%s' was to be said", part);
  CHECK_MSG(strstr(hone_context_error(cx), part), "\"%s\" does not say \"%s\"", hone_context_error(cx), part);
  CHECK_MSG(!strchr(hone_context_error(cx), '\n'), "\"%s\" is more than one line", hone_context_error(cx));
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

/* Runs with float inputs and compares the first output. */
static void gives(const float *in, size_t n_in, const float *want, size_t n_want) {
  hone_context *cx;
  hone_model *m = NULL;
  hone_session *s = NULL;
  hone_tensor_info info;
  const void *data;
  size_t bytes;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = load(cx, &m);
  for (int optimized = 0; optimized < 2 && !st; optimized++) {
    if (optimized) st = hone_model_optimize(m, NULL);
    if (!st) st = hone_session_create(m, NULL, &s);
    if (!st && hone_model_input_count(m)) st = hone_session_set_input(s, 0, in, n_in * sizeof *in);
    if (!st) st = hone_session_run(s);
    if (!st) st = hone_session_output(s, 0, &info, &data, &bytes);
    if (!st) CHECK(bytes == n_want * sizeof *want);
    for (size_t i = 0; !st && i < n_want && bytes == n_want * sizeof *want; i++)
      CHECK_MSG(((const float *)data)[i] == want[i], "[%zu] is %g, not %g", i, (double)((const float *)data)[i], (double)want[i]);
    hone_session_destroy(&s);
  }
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

static const int64_t two[1] = {2};
static const float pair[2] = {1, -2};

TEST(faulty_graphs) {
  fresh(), output(b.main, "y");
  refused("nothing produces the output 'y'");
  fresh(), input(b.main, "x", 1, two), node(b.main, "Relu", "z", "y"), output(b.main, "y");
  refused("nothing produces its input 'z'");
  fresh(), input(b.main, "x", 1, two), node(b.main, "Add", "x y", "z"), node(b.main, "Relu", "z", "y"), output(b.main, "y");
  refused("nothing produces its input 'y'"); /* a cycle: nodes come in order */
  fresh(), input(b.main, "x", 1, two), node(b.main, "Relu", "x", "y"), node(b.main, "Neg", "x", "y"), output(b.main, "y");
  refused("two tensors are named 'y'");
  fresh(), input(b.main, "x", 1, two), node(b.main, "Add", "x", "y"), output(b.main, "y");
  refused("node 'Add' (Add)");
  fresh(), input(b.main, "x", 1, two), node(b.main, "Nonsense", "x", "y"), node(b.main, "Folly", "x", "z"), output(b.main, "y");
  refused("Nonsense (1, first node 'Nonsense'), Folly");
  fresh(), input(b.main, "x", 1, two), node(b.main, "Own", "x", "y")->domain = "com.example", output(b.main, "y");
  refused("com.example.Own");
  fresh(), input(b.main, "x", 1, two), attribute_i(node(b.main, "Relu", "x", "y"), "slope", 1), output(b.main, "y");
  refused("slope");
  fresh(), input(b.main, "x", 1, two), node(b.main, "Relu", "x", "y");
  refused("no outputs");
  fresh(), b.model.graph = NULL;
  refused("no graph");
  fresh(), b.opset.version = 0, input(b.main, "x", 1, two), node(b.main, "Relu", "x", "y"), output(b.main, "y");
  refused("opset 0");
}

TEST(faulty_shapes_and_tensors) {
  const int64_t negative[1] = {-7}, huge[3] = {1ll << 40, 1ll << 40, 4}, three[1] = {3}, square[2] = {2, 2};
  fresh(), input(b.main, "x", 1, negative), node(b.main, "Relu", "x", "y"), output(b.main, "y");
  refused("dimension 0 is -7");
  fresh(), constant("w", 1, 3, huge, pair, 8), node(b.main, "Relu", "w", "y"), output(b.main, "y");
  refused("w");
  fresh(), constant("w", 1, 1, three, pair, 8), node(b.main, "Relu", "w", "y"), output(b.main, "y");
  refused("w");
  fresh(), constant("w", 77, 1, two, pair, 8), node(b.main, "Relu", "w", "y"), output(b.main, "y");
  refused("77");
  fresh(), input(b.main, "x", 1, two), constant("w", 1, 1, three, "123456789012", 12), node(b.main, "Add", "x w", "y"), output(b.main, "y");
  refused("cannot be broadcast together");
  fresh(), input(b.main, "x", 2, square), constant("w", 1, 1, three, "123456789012", 12), node(b.main, "Gemm", "x x w", "y"), output(b.main, "y");
  b.main->node[0]->n_input = 2, b.main->node[0]->op_type = "Conv";
  refused("node 'Gemm' (Conv)");
  static char *keys[] = {"location", "../secret", "/etc/passwd"};
  for (int i = 1; i < 3; i++) {
    static Onnx__StringStringEntryProto entry, *entries[1] = {&entry};
    onnx__string_string_entry_proto__init(&entry);
    entry.key = keys[0], entry.value = keys[i];
    fresh(), constant("w", 1, 1, two, NULL, 0), node(b.main, "Relu", "w", "y"), output(b.main, "y");
    Onnx__TensorProto *w = b.main->initializer[0];
    w->has_raw_data = 0, w->has_data_location = 1, w->data_location = 1, w->n_external_data = 1, w->external_data = entries;
    refused("lies in the file");
  }
}

/* y = If(positive(x0), x + x, -x), where both branches read x of the graph around them. */
static void conditional(void) {
  fresh();
  input(b.main, "x", 1, two);
  static const int64_t zero = 0;
  constant("at", 7, 0, NULL, &zero, 8);
  node(b.main, "Gather", "x at", "first");
  static const float nothing = 0;
  constant("zero", 1, 0, NULL, &nothing, 4);
  node(b.main, "Greater", "first zero", "positive");
  Onnx__NodeProto *n = node(b.main, "If", "positive", "y");
  Onnx__GraphProto *yes = graph(), *no = graph();
  node(yes, "Add", "x x", "sum"), output(yes, "sum");
  node(no, "Neg", "x", "minus"), output(no, "minus");
  attribute_g(n, "then_branch", yes);
  attribute_g(n, "else_branch", no);
  output(b.main, "y");
}

TEST(nested_graphs_read_what_is_around_them) {
  conditional();
  gives(pair, 2, (float[]){2, -4}, 2);
  gives((float[]){-1, 5}, 2, (float[]){1, -5}, 2);
  conditional();
  b.main->node[2]->n_attribute = 1;
  refused("has no graph 'else_branch'");
  conditional();
  b.graphs[2].n_output = 0;
  refused("no outputs");
  conditional();
  b.graphs[2].node[0]->input[0] = "nowhere";
  refused("nothing produces its input 'nowhere'");
}

/* mine.Twice(x) = x + Half(x), with Half of an attribute... as functions of the model. */
static Onnx__FunctionProto *function(const char *name, const char *in, const char *out) {
  Onnx__FunctionProto *f = b.model.functions[b.model.n_functions++] = &b.functions[b.n_functions++];
  onnx__function_proto__init(f);
  f->name = (char *)(uintptr_t)name;
  f->domain = "mine";
  f->input = words(in, &f->n_input);
  f->output = words(out, &f->n_output);
  f->node = list(8);
  f->opset_import = b.model.opset_import;
  f->n_opset_import = 2;
  return f;
}

TEST(functions_are_read_in_place) {
  fresh();
  input(b.main, "x", 1, two);
  Onnx__FunctionProto *leaky = function("Leaky", "a", "r"), *twice = function("Twice", "a unused", "r");
  Onnx__AttributeProto *slope = attribute(node_into(leaky->node, &leaky->n_node, "LeakyRelu", "a", "r"), "alpha");
  slope->has_type = 1, slope->type = 1, slope->ref_attr_name = "slope";
  Onnx__NodeProto *inner = node_into(twice->node, &twice->n_node, "Leaky", "a", "l");
  inner->domain = "mine";
  Onnx__AttributeProto *given = attribute(inner, "slope");
  given->has_type = 1, given->type = 1, given->has_f = 1, given->f = 0.5f;
  node_into(twice->node, &twice->n_node, "Add", "l l", "r");
  node(b.main, "Twice", "x", "y")->domain = "mine";
  output(b.main, "y");
  gives(pair, 2, (float[]){2, -2}, 2);

  fresh();
  input(b.main, "x", 1, two);
  Onnx__FunctionProto *self = function("Self", "a", "r");
  node_into(self->node, &self->n_node, "Self", "a", "r")->domain = "mine";
  node(b.main, "Self", "x", "y")->domain = "mine";
  output(b.main, "y");
  refused("in a circle");
}

TEST(sparse_tensors_become_dense) {
  static const int64_t at[2] = {1, 3}, four[1] = {4}, bad[2] = {1, 9};
  for (int i = 0; i < 2; i++) {
    fresh();
    input(b.main, "x", 1, four);
    Onnx__SparseTensorProto *s = b.main->sparse_initializer[b.main->n_sparse_initializer++] = &b.sparse[0];
    onnx__sparse_tensor_proto__init(s);
    s->values = tensor("w", 1, 1, two, pair, 8);
    s->indices = tensor("", 7, 1, two, i ? bad : at, 16);
    s->n_dims = 1;
    s->dims = (int64_t *)(uintptr_t)four;
    node(b.main, "Add", "x w", "y");
    output(b.main, "y");
    if (i) refused("index out of range");
    else gives((float[]){10, 20, 30, 40}, 4, (float[]){10, 21, 30, 38}, 4);
  }
}

/* A tiny file may not ask for gigabytes while it is read or optimized. */
TEST(small_files_do_not_grow) {
  static const int64_t shape[2] = {1 << 20, 1 << 20};
  fresh();
  constant("shape", 7, 1, two, shape, 16);
  node(b.main, "ConstantOfShape", "shape", "big");
  node(b.main, "Neg", "big", "y");
  output(b.main, "y");
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(!hone_context_create(&cx));
  CHECK_MSG(!load(cx, &m), "%s", hone_context_error(cx));
  if (m) CHECK_MSG(!hone_model_optimize(m, NULL), "%s", hone_context_error(cx));
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}
