#include <math.h>

#include "harness.h"
#include "hone.h"
#include "onnx.pb-c.h"

/* y = Relu(Conv(x, w, b)), x: N x 1 x 3 x 3, w: one 2 x 2 filter of ones, b = -10. */
typedef struct sample {
  Onnx__ModelProto model;
  Onnx__GraphProto graph;
  Onnx__NodeProto conv, relu, *nodes[2];
  Onnx__TensorProto w, b, *constants[2];
  Onnx__ValueInfoProto x, y, *inputs[1], *outputs[1];
  Onnx__TypeProto type;
  Onnx__TypeProto__Tensor tensor;
  Onnx__TensorShapeProto shape;
  Onnx__TensorShapeProto__Dimension d[4], *dims[4];
  Onnx__OperatorSetIdProto opset, *opsets[1];
  char *conv_in[3], *conv_out[1], *relu_in[1], *relu_out[1];
  int64_t w_dims[4], b_dims[1];
  float w_data[4], b_data[1];
  uint8_t bytes[4096];
  size_t size;
} sample;

static void fill(sample *s) {
  onnx__model_proto__init(&s->model);
  onnx__graph_proto__init(&s->graph);
  onnx__node_proto__init(&s->conv);
  onnx__node_proto__init(&s->relu);
  onnx__tensor_proto__init(&s->w);
  onnx__tensor_proto__init(&s->b);
  onnx__value_info_proto__init(&s->x);
  onnx__value_info_proto__init(&s->y);
  onnx__type_proto__init(&s->type);
  onnx__type_proto__tensor__init(&s->tensor);
  onnx__tensor_shape_proto__init(&s->shape);
  onnx__operator_set_id_proto__init(&s->opset);
  for (int i = 0; i < 4; i++) {
    onnx__tensor_shape_proto__dimension__init(&s->d[i]);
    s->dims[i] = &s->d[i];
    s->d[i].has_dim_value = i > 0;
    s->d[i].dim_value = i == 1 ? 1 : 3;
    s->w_dims[i] = i < 2 ? 1 : 2;
    s->w_data[i] = 1;
  }
  s->d[0].dim_param = "N";
  s->b_dims[0] = 1;
  s->b_data[0] = -10;
  s->conv_in[0] = "x", s->conv_in[1] = "w", s->conv_in[2] = "b", s->conv_out[0] = "c";
  s->relu_in[0] = "c", s->relu_out[0] = "y";
  s->conv.name = "conv1", s->conv.op_type = "Conv", s->conv.n_input = 3, s->conv.input = s->conv_in;
  s->conv.n_output = 1, s->conv.output = s->conv_out;
  s->relu.name = "relu1", s->relu.op_type = "Relu", s->relu.n_input = 1, s->relu.input = s->relu_in;
  s->relu.n_output = 1, s->relu.output = s->relu_out;
  s->w.name = "w", s->w.has_data_type = 1, s->w.data_type = 1, s->w.n_dims = 4, s->w.dims = s->w_dims;
  s->w.n_float_data = 4, s->w.float_data = s->w_data;
  s->b.name = "b", s->b.has_data_type = 1, s->b.data_type = 1, s->b.n_dims = 1, s->b.dims = s->b_dims;
  s->b.has_raw_data = 1, s->b.raw_data = (ProtobufCBinaryData){4, (uint8_t *)s->b_data};
  s->shape.n_dim = 4, s->shape.dim = s->dims;
  s->tensor.has_elem_type = 1, s->tensor.elem_type = 1, s->tensor.shape = &s->shape;
  s->type.tensor_type = &s->tensor;
  s->x.name = "x", s->x.type = &s->type, s->y.name = "y";
  s->nodes[0] = &s->conv, s->nodes[1] = &s->relu, s->constants[0] = &s->w, s->constants[1] = &s->b;
  s->inputs[0] = &s->x, s->outputs[0] = &s->y;
  s->graph.name = "g", s->graph.n_node = 2, s->graph.node = s->nodes, s->graph.n_initializer = 2;
  s->graph.initializer = s->constants, s->graph.n_input = 1, s->graph.input = s->inputs;
  s->graph.n_output = 1, s->graph.output = s->outputs;
  s->opset.has_version = 1, s->opset.version = 13, s->opsets[0] = &s->opset;
  s->model.has_ir_version = 1, s->model.ir_version = 8, s->model.graph = &s->graph;
  s->model.n_opset_import = 1, s->model.opset_import = s->opsets;
}

static void pack(sample *s) { s->size = onnx__model_proto__pack(&s->model, s->bytes); }

/* Loads what is packed and expects the status and a part of the message. */
static void refused(sample *s, hone_status want, const char *part) {
  hone_context *cx;
  hone_model *m = NULL;
  pack(s);
  REQUIRE(!hone_context_create(&cx));
  hone_status st = hone_model_load_memory(cx, s->bytes, s->size, &m);
  CHECK_MSG(st == want, "%s: %s", hone_status_name(st), hone_context_error(cx));
  CHECK_MSG(strstr(hone_context_error(cx), part), "\"%s\" does not say \"%s\"", hone_context_error(cx), part);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

static void run(hone_model *m, bool reference, const float *want) {
  hone_session_options o;
  hone_session *s;
  float x[18];
  const void *data;
  size_t bytes;
  for (int i = 0; i < 18; i++) x[i] = (float)(i % 9);
  hone_session_options_init(&o);
  o.threads = 1;
  o.reference = reference;
  REQUIRE(!hone_session_create(m, &o, &s));
  CHECK(hone_session_run(s) == HONE_BAD_ARG); /* no data yet */
  REQUIRE(!hone_session_set_input_shape(s, 0, 4, (int64_t[]){2, 1, 3, 3}));
  CHECK(hone_session_set_input(s, 0, x, 4) == HONE_BAD_ARG);
  REQUIRE(!hone_session_set_input(s, 0, x, sizeof x));
  for (int round = 0; round < 2; round++) {
    hone_tensor_info info;
    REQUIRE(!hone_session_run(s) && !hone_session_output(s, 0, &info, &data, &bytes));
    REQUIRE(bytes == 8 * sizeof(float) && info.rank == 4 && info.dims[0] == 2 && info.dims[2] == 2);
    for (int i = 0; i < 8; i++) CHECK(((const float *)data)[i] == want[i % 4]);
  }
  hone_session_destroy(&s);
}

TEST(onnx_model_reads_and_runs) {
  static sample s;
  static const float want[4] = {0, 2, 10, 14}; /* 8-10, 12-10, 20-10, 24-10 */
  hone_context *cx;
  hone_model *m;
  hone_tensor_info info;
  hone_model_stats stats;
  fill(&s);
  pack(&s);
  REQUIRE(!hone_context_create(&cx));
  hone_status st = hone_model_load_memory(cx, s.bytes, s.size, &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  REQUIRE(!st && !hone_model_output_info(m, 0, &info));
  CHECK(info.rank == 4 && info.dims[0] == -1 && info.dims[2] == 2);
  CHECK_STR(info.dim_names[0], "N");
  REQUIRE(!hone_model_get_stats(m, &stats));
  CHECK(stats.layers == 2 && stats.parameters == 5);
  run(m, true, want);
  run(m, false, want);
  CHECK_MSG(!hone_model_optimize(m, NULL), "%s", hone_context_error(cx));
  run(m, false, want);
  CHECK(hone_model_set_input_shape(m, "x", 4, (int64_t[]){1, 2, 3, 3}) == HONE_BAD_ARG);
  CHECK(hone_model_set_input_shape(m, "z", 1, (int64_t[]){1}) == HONE_BAD_ARG);
  REQUIRE(!hone_model_set_input_shape(m, "x", 4, (int64_t[]){1, 1, 3, 3}) && !hone_model_get_stats(m, &stats));
  CHECK(stats.macs == 16);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

/* y = LSTM(x) of both directions as ONNX Runtime writes it, with weights of bytes and a scale for each column, or as ONNX does with
   the same weights in floats. */
enum { STEPS = 3, SIZE = 5, HIDDEN = 4, ROWS = 4 * HIDDEN };
static size_t write_lstm(bool bytes, int64_t zero, uint8_t *to) {
  static const char *const names[] = {"x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"};
  static uint8_t small[2][2 * SIZE * ROWS];
  static float large[2][2 * SIZE * ROWS], bias[2 * 2 * ROWS], scale[2][2 * ROWS];
  static uint8_t zeros[1];
  sample s;
  fill(&s);
  Onnx__TensorProto t[7], *constants[7];
  Onnx__AttributeProto a[2], *attributes[2] = {&a[0], &a[1]};
  Onnx__OperatorSetIdProto own, *opsets[2] = {&s.opset, &own};
  char *inputs[12], *outputs[1] = {"y"};
  int64_t dims[2][3] = {{2, bytes ? SIZE : ROWS, bytes ? ROWS : SIZE}, {2, bytes ? HIDDEN : ROWS, bytes ? ROWS : HIDDEN}}, wide[2] = {2, 2 * ROWS}, each[2] = {2, ROWS};
  for (int m = 0; m < 2; m++) {
    int64_t k = m ? HIDDEN : SIZE;
    for (int64_t i = 0; i < 2 * ROWS; i++) scale[m][i] = 1.0f / (float)(100 + 7 * (i % 13));
    for (int64_t i = 0; i < 2 * ROWS; i++)
      for (int64_t j = 0; j < k; j++) {
        int64_t v = (i * 37 + j * 51 + m * 11) % 201 - 100;
        small[m][(i / ROWS * k + j) * ROWS + i % ROWS] = (uint8_t)(v + zero);
        large[m][i * k + j] = (float)v * scale[m][i];
      }
  }
  for (int i = 0; i < 4 * ROWS; i++) bias[i] = (float)(i % 9 - 4) / 16;
  zeros[0] = (uint8_t)zero;
  const struct {
    const char *name;
    int type;
    size_t n_dims;
    int64_t *dims;
    void *data;
    size_t bytes;
  } of[7] = {{"w", bytes ? 2 : 1, 3, dims[0], bytes ? (void *)small[0] : large[0], bytes ? 2 * SIZE * ROWS : sizeof *large},
             {"r", bytes ? 2 : 1, 3, dims[1], bytes ? (void *)small[1] : large[1], (bytes ? 1 : sizeof(float)) * 2 * HIDDEN * ROWS},
             {"b", 1, 2, wide, bias, sizeof bias}, {"ws", 1, 2, each, scale[0], sizeof scale[0]}, {"wz", 2, 0, NULL, zeros, 1},
             {"rs", 1, 2, each, scale[1], sizeof scale[1]}, {"rz", 2, 0, NULL, zeros, 1}};
  for (int i = 0; i < 7; i++) {
    onnx__tensor_proto__init(&t[i]);
    t[i].name = (char *)(uintptr_t)of[i].name, t[i].has_data_type = 1, t[i].data_type = of[i].type, t[i].n_dims = of[i].n_dims, t[i].dims = of[i].dims;
    t[i].has_raw_data = 1, t[i].raw_data = (ProtobufCBinaryData){of[i].bytes, of[i].data};
    constants[i] = &t[i];
  }
  for (int i = 0; i < 12; i++) inputs[i] = (char *)(uintptr_t)names[i];
  for (int i = 0; i < 2; i++) onnx__attribute_proto__init(&a[i]);
  a[0].name = "hidden_size", a[0].has_type = 1, a[0].type = 2, a[0].has_i = 1, a[0].i = HIDDEN;
  a[1].name = "direction", a[1].has_type = 1, a[1].type = 3, a[1].has_s = 1, a[1].s = (ProtobufCBinaryData){13, (uint8_t *)(uintptr_t)"bidirectional"};
  onnx__operator_set_id_proto__init(&own);
  own.domain = "com.microsoft", own.has_version = 1, own.version = 1;
  s.conv.op_type = bytes ? "DynamicQuantizeLSTM" : "LSTM", s.conv.domain = bytes ? "com.microsoft" : NULL;
  s.conv.n_input = bytes ? 12 : 4, s.conv.input = inputs, s.conv.output = outputs, s.conv.n_attribute = 2, s.conv.attribute = attributes;
  s.graph.n_node = 1, s.graph.initializer = constants, s.graph.n_initializer = bytes ? 7 : 3;
  s.model.n_opset_import = 2, s.model.opset_import = opsets;
  s.shape.n_dim = 3;
  s.d[0].dim_param = NULL, s.d[0].has_dim_value = 1, s.d[0].dim_value = STEPS, s.d[1].dim_value = 1, s.d[2].dim_value = SIZE;
  return onnx__model_proto__pack(&s.model, to);
}

static void run_lstm(const uint8_t *model, size_t size, bool reference, float y[STEPS * 2 * HIDDEN]) {
  hone_context *cx;
  hone_model *m;
  hone_session *s;
  hone_session_options o;
  hone_tensor_info info;
  const void *data;
  size_t bytes;
  float x[STEPS * SIZE];
  for (int i = 0; i < STEPS * SIZE; i++) x[i] = (float)(i * 29 % 17 - 8) / 8;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = hone_model_load_memory(cx, model, size, &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  REQUIRE(!st);
  hone_session_options_init(&o);
  o.threads = 1, o.reference = reference;
  REQUIRE(!hone_session_create(m, &o, &s) && !hone_session_set_input(s, 0, x, sizeof x));
  st = hone_session_run(s);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  REQUIRE(!st && !hone_session_output(s, 0, &info, &data, &bytes));
  REQUIRE(bytes == sizeof(float) * STEPS * 2 * HIDDEN);
  memcpy(y, data, bytes);
  hone_session_destroy(&s);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

TEST(dynamically_quantized_lstm) {
  static uint8_t model[16384];
  float want[STEPS * 2 * HIDDEN], exact[STEPS * 2 * HIDDEN], got[STEPS * 2 * HIDDEN];
  size_t size = write_lstm(false, 0, model);
  run_lstm(model, size, true, want);
  for (int zero = 128; zero >= 127; zero--) {
    size = write_lstm(true, zero, model);
    run_lstm(model, size, true, exact);
    run_lstm(model, size, false, got);
    float off = 0;
    for (int i = 0; i < STEPS * 2 * HIDDEN; i++) {
      CHECK(fabsf(exact[i] - want[i]) < 0.03f);
      CHECK(fabsf(got[i] - exact[i]) < 0.005f);
      off = fmaxf(off, fabsf(exact[i] - want[i]));
    }
    CHECK(off > 1e-5f); /* rounded it was */
  }
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(!hone_context_create(&cx));
  size = write_lstm(true, 250, model); /* -350..-150 */
  CHECK(hone_model_load_memory(cx, model, size, &m) == HONE_UNSUPPORTED && strstr(hone_context_error(cx), "no signed byte"));
  hone_context_destroy(&cx);
}

TEST(onnx_faults_are_named) {
  static sample s;
  fill(&s), s.conv.op_type = "Frobnicate";
  refused(&s, HONE_UNSUPPORTED, "Frobnicate (1, first node 'conv1')");
  fill(&s), s.conv.op_type = "Frobnicate", s.conv.name = NULL; /* then what it makes says which */
  refused(&s, HONE_UNSUPPORTED, "Frobnicate (1, first node 'c')");
  fill(&s), s.conv_in[0] = "nowhere";
  refused(&s, HONE_BAD_GRAPH, "node 'conv1' (Conv): nothing produces its input 'nowhere'");
  fill(&s), s.w_dims[3] = 3;
  refused(&s, HONE_BAD_FORMAT, "tensor 'w'");
  fill(&s), s.w_dims[0] = -1;
  refused(&s, HONE_BAD_FORMAT, "tensor 'w'");
  fill(&s), s.w_dims[0] = INT64_MAX;
  refused(&s, HONE_BAD_FORMAT, "tensor 'w'");
  fill(&s), s.d[1].dim_value = 7;
  refused(&s, HONE_BAD_GRAPH, "7 input channels");
  fill(&s), s.relu_out[0] = "c";
  refused(&s, HONE_BAD_GRAPH, "two tensors are named 'c'");
  fill(&s), s.opset.version = 99;
  refused(&s, HONE_UNSUPPORTED, "opset 99");
  fill(&s), s.y.name = "other";
  refused(&s, HONE_BAD_GRAPH, "nothing produces the output 'other'");
  fill(&s), s.w.data_type = 8;
  refused(&s, HONE_UNSUPPORTED, "strings");
}

TEST(onnx_damaged_files_are_refused_cleanly) {
  static sample s;
  static unsigned char copy[sizeof s.bytes];
  hone_context *cx;
  fill(&s);
  pack(&s);
  REQUIRE(!hone_context_create(&cx));
  for (size_t n = 0; n < s.size; n++) {
    hone_model *m = NULL;
    if (!hone_model_load_memory(cx, s.bytes, n, &m)) hone_model_destroy(&m);
    for (int bit = 0; bit < 8; bit++) {
      memcpy(copy, s.bytes, s.size);
      copy[n] ^= (unsigned char)(1 << bit);
      hone_status st = hone_model_load_memory(cx, copy, s.size, &m);
      if (!st) hone_model_destroy(&m);
      else CHECK(hone_context_error(cx)[0]);
    }
  }
  hone_context_destroy(&cx);
}
