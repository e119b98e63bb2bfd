/* test_tf_writer.c - what is written for TensorFlow follows its operators' definitions (names of attributes that must and
   that may be there, number of inputs), its rules for names, and keeps the names that the model had. */
#include <ctype.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "hone.h"
#include "tensorflow.pb-c.h"

typedef Tensorflow__NodeDef NodeDef;
typedef Tensorflow__GraphDef GraphDef;

/* Operators, as TensorFlow registers them: inputs (-1: N), attributes without a default, attributes with one. Written
   from the definitions, not from the writer. */
static const struct {
  const char *op;
  int inputs;
  const char *must, *may;
} definitions[] = {
    {"Placeholder", 0, "dtype", "shape"}, {"Const", 0, "dtype value", ""}, {"Identity", 1, "T", ""}, {"IdentityN", -1, "T", ""},
    {"Abs", 1, "T", ""}, {"Erf", 1, "T", ""}, {"Exp", 1, "T", ""}, {"Expm1", 1, "T", ""}, {"Log", 1, "T", ""}, {"Neg", 1, "T", ""},
    {"Relu", 1, "T", ""}, {"Relu6", 1, "T", ""}, {"Elu", 1, "T", ""}, {"Selu", 1, "T", ""}, {"Sigmoid", 1, "T", ""}, {"Tanh", 1, "T", ""},
    {"Softplus", 1, "T", ""}, {"Softsign", 1, "T", ""}, {"Softmax", 1, "T", ""}, {"LogSoftmax", 1, "T", ""}, {"Sqrt", 1, "T", ""},
    {"Rsqrt", 1, "T", ""}, {"Square", 1, "T", ""}, {"Round", 1, "T", ""}, {"Floor", 1, "T", ""}, {"Reciprocal", 1, "T", ""},
    {"LeakyRelu", 1, "", "T alpha"}, {"LogicalNot", 1, "", ""}, {"LogicalAnd", 2, "", ""}, {"LogicalOr", 2, "", ""},
    {"Cast", 1, "SrcT DstT", "Truncate"}, {"AddV2", 2, "T", ""}, {"Sub", 2, "T", ""}, {"Mul", 2, "T", ""}, {"RealDiv", 2, "T", ""},
    {"Maximum", 2, "T", ""}, {"Minimum", 2, "T", ""}, {"Pow", 2, "T", ""}, {"Greater", 2, "T", ""}, {"GreaterEqual", 2, "T", ""},
    {"Less", 2, "T", ""}, {"Equal", 2, "T", "incompatible_shape_error"}, {"FloorMod", 2, "T", ""}, {"SelectV2", 3, "T", ""},
    {"BiasAdd", 2, "T", "data_format"}, {"MatMul", 2, "T", "transpose_a transpose_b"}, {"BatchMatMulV2", 2, "T", "adj_x adj_y"},
    {"Einsum", -1, "equation N T", ""},
    {"Conv2D", 2, "T strides padding", "use_cudnn_on_gpu explicit_paddings data_format dilations"},
    {"DepthwiseConv2dNative", 2, "T strides padding", "explicit_paddings data_format dilations"},
    {"Conv3D", 2, "T strides padding", "data_format dilations"},
    {"Conv2DBackpropInput", 3, "T strides padding", "use_cudnn_on_gpu explicit_paddings data_format dilations"},
    {"Conv3DBackpropInputV2", 3, "T strides padding", "data_format dilations Tshape"},
    {"MaxPool", 1, "ksize strides padding", "T explicit_paddings data_format"}, {"AvgPool", 1, "ksize strides padding T", "data_format"},
    {"MaxPool3D", 1, "ksize strides padding T", "data_format"}, {"AvgPool3D", 1, "ksize strides padding T", "data_format"},
    {"FusedBatchNormV3", 5, "T U", "epsilon exponential_avg_factor data_format is_training"},
    {"Sum", 2, "T", "keep_dims Tidx"}, {"Mean", 2, "T", "keep_dims Tidx"}, {"Max", 2, "T", "keep_dims Tidx"}, {"Min", 2, "T", "keep_dims Tidx"},
    {"Reshape", 2, "T", "Tshape"}, {"Transpose", 2, "T", "Tperm"}, {"ConcatV2", -1, "N T", "Tidx"}, {"Split", 2, "num_split T", ""},
    {"SplitV", 3, "num_split T", "Tlen"}, {"StridedSlice", 4, "T Index", "begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask"},
    {"Pad", 2, "T", "Tpaddings"}, {"PadV2", 3, "T", "Tpaddings"}, {"ExpandDims", 2, "T", "Tdim"}, {"Squeeze", 1, "T", "squeeze_dims"},
    {"Tile", 2, "T", "Tmultiples"}, {"GatherV2", 3, "Tparams Tindices Taxis", "batch_dims"}, {"Shape", 1, "T", "out_type"},
    {"BroadcastArgs", 2, "", "T"}, {"BroadcastTo", 2, "T", "Tidx"}, {"Cumsum", 2, "T", "exclusive reverse Tidx"}, {"Range", 3, "", "Tidx"}, {"TopKV2", 2, "T", "sorted Tk index_type"}, {"ZerosLike", 1, "T", ""},
    {"Enter", 1, "T frame_name", "is_constant parallel_iterations"}, {"Exit", 1, "T", ""}, {"NextIteration", 1, "T", ""}, {"Merge", -1, "T N", ""},
    {"Switch", 2, "T", ""}, {"LoopCond", 1, "", ""}, {"TensorArrayV3", 1, "dtype", "element_shape dynamic_size clear_after_read identical_element_shapes tensor_array_name"},
    {"TensorArraySizeV3", 2, "", ""}, {"TensorArrayWriteV3", 4, "T", ""}, {"TensorArrayGatherV3", 3, "dtype", "element_shape"},
    {"Pack", -1, "N T", "axis"}, {"Unpack", 1, "num T", "axis"}, {"ResizeBilinear", 2, "T", "align_corners half_pixel_centers"},
    {"ResizeNearestNeighbor", 2, "T", "align_corners half_pixel_centers"}};

static bool in_list(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *p = list; (p = strstr(p, word)); p += n)
    if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) return true;
  return false;
}

static const Tensorflow__AttrValue *attr(const NodeDef *n, const char *key) {
  for (size_t i = 0; i < n->n_attr; i++)
    if (strcmp(n->attr[i]->key, key) == 0) return n->attr[i]->value;
  return NULL;
}

static void check_node(const char *model, const NodeDef *n) {
  size_t d = 0;
  while (d < sizeof definitions / sizeof *definitions && strcmp(definitions[d].op, n->op) != 0) d++;
  if (d == sizeof definitions / sizeof *definitions) {
    CHECK_MSG(false, "%s: operator %s is not in this test's table", model, n->op);
    return;
  }
  size_t inputs = n->n_input;
  while (inputs && *n->input[inputs - 1] == '^') inputs--;
  CHECK_MSG(definitions[d].inputs < 0 || (size_t)definitions[d].inputs == inputs, "%s: %s '%s' has %zu inputs", model, n->op, n->name, inputs);
  char must[128];
  strcpy(must, definitions[d].must);
  for (char *w = strtok(must, " "); w; w = strtok(NULL, " ")) CHECK_MSG(attr(n, w), "%s: %s '%s' lacks %s", model, n->op, n->name, w);
  for (size_t i = 0; i < n->n_attr; i++)
    CHECK_MSG(in_list(definitions[d].must, n->attr[i]->key) || in_list(definitions[d].may, n->attr[i]->key), "%s: %s has no attribute %s", model, n->op, n->attr[i]->key);
  const Tensorflow__AttrValue *count = attr(n, "N");
  if (count) CHECK_MSG((size_t)count->i + (strcmp(n->op, "ConcatV2") == 0) == n->n_input, "%s: %s '%s': N is %lld", model, n->op, n->name, (long long)count->i);
  CHECK_MSG(isalnum((unsigned char)n->name[0]) || n->name[0] == '.', "%s: name '%s'", model, n->name);
  for (const char *p = n->name + 1; *p; p++) CHECK_MSG(isalnum((unsigned char)*p) || strchr("_.\\-/>", *p), "%s: name '%s'", model, n->name);
}

static size_t find(const GraphDef *g, const char *tensor) {
  tensor += *tensor == '^';
  size_t n = strcspn(tensor, ":"), i = 0;
  while (i < g->n_node && (strlen(g->node[i]->name) != n || strncmp(g->node[i]->name, tensor, n) != 0)) i++;
  return i;
}

/* In order: what a node reads stands before it, but for what comes round in a loop; no name twice. */
static void check_graph(const char *model, const GraphDef *g) {
  for (size_t i = 0; i < g->n_node; i++) {
    check_node(model, g->node[i]);
    CHECK_MSG(find(g, g->node[i]->name) == i, "%s: two nodes are named '%s'", model, g->node[i]->name);
    for (size_t k = 0; k < g->node[i]->n_input; k++) {
      size_t from = find(g, g->node[i]->input[k]);
      bool turns = strcmp(g->node[i]->op, "Merge") == 0 && from < g->n_node && strcmp(g->node[from]->op, "NextIteration") == 0;
      CHECK_MSG(from < i || turns, "%s: '%s' reads '%s' before it is there", model, g->node[i]->name, g->node[i]->input[k]);
    }
  }
  CHECK(g->versions && g->versions->producer > 0);
}

static uint8_t *read_file(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  uint8_t *p = NULL;
  *n = 0;
  if (!f) return NULL;
  fseek(f, 0, SEEK_END);
  *n = (size_t)ftell(f);
  rewind(f);
  p = malloc(*n + 1);
  if (fread(p, 1, *n, f) != *n) *n = 0;
  fclose(f);
  return p;
}

static void check_signature(const char *name, const hone_model *m, const Tensorflow__MetaGraphDef *meta) {
  REQUIRE(meta->n_signature_def == 1);
  const Tensorflow__SignatureDef *s = meta->signature_def[0]->value;
  CHECK_STR(meta->signature_def[0]->key, "serving_default");
  CHECK_STR(s->method_name, "tensorflow/serving/predict");
  CHECK(meta->meta_info_def->n_tags == 1 && strcmp(meta->meta_info_def->tags[0], "serve") == 0);
  CHECK(s->n_inputs == hone_model_input_count(m) && s->n_outputs == hone_model_output_count(m));
  for (size_t i = 0; i < s->n_inputs; i++) {
    hone_tensor_info info;
    hone_model_input_info(m, (uint32_t)i, &info);
    CHECK_STR(s->inputs[i]->key, info.name);
    CHECK_MSG(find(meta->graph_def, s->inputs[i]->value->name) < meta->graph_def->n_node, "%s: no tensor '%s'", name, s->inputs[i]->value->name);
    CHECK((int32_t)s->inputs[i]->value->tensor_shape->n_dim == info.rank && s->inputs[i]->value->tensor_shape->dim[0]->size == -1);
  }
  for (size_t i = 0; i < s->n_outputs; i++) {
    hone_tensor_info info;
    hone_model_output_info(m, (uint32_t)i, &info);
    CHECK_STR(s->outputs[i]->key, info.name);
    CHECK_MSG(find(meta->graph_def, s->outputs[i]->value->name) < meta->graph_def->n_node, "%s: no tensor '%s'", name, s->outputs[i]->value->name);
  }
}

static void check_written(hone_context *cx, const hone_model *m, const char *name, const char *dir) {
  char path[600];
  size_t n;
  snprintf(path, sizeof path, "%s/saved/", dir);
  hone_status st = hone_model_save(m, path);
  CHECK_MSG(!st, "%s: %s", name, hone_context_error(cx));
  snprintf(path, sizeof path, "%s/saved/saved_model.pb", dir);
  uint8_t *bytes = read_file(path, &n);
  Tensorflow__SavedModel *model = bytes ? tensorflow__saved_model__unpack(NULL, n, bytes) : NULL;
  CHECK(model && model->saved_model_schema_version == 1 && model->n_meta_graphs == 1);
  if (model) {
    check_graph(name, model->meta_graphs[0]->graph_def);
    check_signature(name, m, model->meta_graphs[0]);
    tensorflow__saved_model__free_unpacked(model, NULL);
  }
  free(bytes);
  unlink(path);
  snprintf(path, sizeof path, "%s/saved", dir);
  rmdir(path);
  snprintf(path, sizeof path, "%s/frozen.pb", dir);
  CHECK(!hone_model_save(m, path));
  bytes = read_file(path, &n);
  GraphDef *g = bytes ? tensorflow__graph_def__unpack(NULL, n, bytes) : NULL;
  CHECK(g != NULL);
  if (g) tensorflow__graph_def__free_unpacked(g, NULL);
  free(bytes);
  unlink(path);
}

#define MODELS HONE_SOURCE_DIR "/tests/keras/models"

TEST(graphs_follow_the_definitions) {
  char dir[] = "/tmp/test-tf-XXXXXX";
  static const char *const forms[] = {".h5", ".keras"};
  int written = 0;
  REQUIRE(mkdtemp(dir) != NULL);
  DIR *d = opendir(MODELS);
  REQUIRE(d != NULL);
  for (struct dirent *f; (f = readdir(d));) {
    const char *dot = strrchr(f->d_name, '.');
    bool known = false;
    for (int i = 0; i < 2; i++) known = known || (dot && strcmp(dot, forms[i]) == 0);
    if (!known) continue;
    char path[600];
    hone_context *cx;
    hone_model *m = NULL;
    REQUIRE(hone_context_create(&cx) == HONE_OK);
    snprintf(path, sizeof path, MODELS "/%s", f->d_name);
    hone_status st = hone_model_load(cx, path, &m);
    if (!st) check_written(cx, m, f->d_name, dir);
    if (!st) st = hone_model_optimize(m, NULL);
    if (!st) check_written(cx, m, f->d_name, dir);
    CHECK_MSG(!st, "%s: %s", f->d_name, hone_context_error(cx));
    hone_model_destroy(&m);
    hone_context_destroy(&cx);
    written++;
  }
  closedir(d);
  rmdir(dir);
  CHECK(written >= 18);
}

TEST(a_folder_with_variables_is_left_alone) {
  char dir[] = "/tmp/test-tf-XXXXXX", path[600];
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(mkdtemp(dir) != NULL && hone_context_create(&cx) == HONE_OK);
  CHECK(!hone_model_load(cx, MODELS "/sequential.h5", &m));
  snprintf(path, sizeof path, "%s/variables", dir);
  mkdir(path, 0777);
  CHECK(hone_model_save(m, dir) == HONE_IO && strstr(hone_context_error(cx), "variables"));
  rmdir(path);
  CHECK(!hone_model_save(m, dir)); /* an existing folder without a name's end */
  CHECK(hone_model_save_as(m, dir, "pbtxt") == HONE_BAD_ARG);
  CHECK_STR(hone_format_of_path("a.b/c"), "savedmodel");
  CHECK_STR(hone_format_of_path("c.pb"), "graphdef");
  CHECK(hone_format_of_path("c.txt") == NULL);
  snprintf(path, sizeof path, "%s/saved_model.pb", dir);
  unlink(path);
  rmdir(dir);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}
