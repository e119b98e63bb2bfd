/* test_quantized_runs.c - graphs in 8 and 16 bits by the kernels: what they give against the references, and which kernels run them. */
#include <stdio.h>

#include "both_ways.h"
#include "op/infer.h"
#include "quant/dynamic.h"
#include "quant/quantize.h"
#include "quant/short_floats.h"

static hn_range *same_range(const hn_graph *g, float low, float high) {
  hn_range *r = calloc(g->values.n, sizeof *r);
  if (!r) abort();
  for (size_t i = 0; i < g->values.n; i++) r[i] = (hn_range){true, low, high};
  return r;
}

static uint32_t steps_of(const both_ways *b, hn_op op) {
  const hn_plan *plan = hn_program_plan(b->fast);
  uint32_t n = 0;
  for (size_t i = 0; i < plan->steps.n; i++) n += plan->steps.p[i].task.node && plan->steps.p[i].task.node->op == op;
  return n;
}

/* What is seen of a tensor is seen channel by channel, however it lies in memory. */
TEST(channels_are_seen_in_any_layout) {
  static const char net[] = "graph \"g\" {\n  input %x : f32[1, 16, 6, 6]\n  const %w : f32[32, 16, 3, 3] = digest:1\n  const %v : f32[24, 32, 1, 1] = digest:2\n"
                            "  %a = Conv(%x, %w) {pads=[1, 1, 1, 1]} post [Relu] : f32[1, 32, 6, 6]  # one\n"
                            "  %y = Conv(%a, %v) : f32[1, 24, 6, 6]  # two\n  output \"y\" = %y\n}\n";
  enum { CHANNELS = 32, INNER = 36 };
  static float x[16 * 36];
  both_ways b;
  hn_view want, got, in = both_input(x, 4, (int64_t[]){1, 16, 6, 6});
  float *room[2] = {NULL, NULL};
  bool there;
  hn_id a = HN_NONE;
  REQUIRE(both_open(&b, net) && both_run(&b, &in, true));
  for (hn_id i = 0; i < b.g->values.n; i++)
    if (strcmp(hn_value_at(b.g, i)->name, "a") == 0) a = i;
  REQUIRE(!hn_program_value(b.slow, a, &room[0], &want, &there) && there);
  REQUIRE(!hn_program_value(b.fast, a, &room[1], &got, &there) && there);
  REQUIRE(want.count == CHANNELS * INNER && got.count == want.count);
  for (int i = 0; i < CHANNELS * INNER; i++) {
    float w = ((const float *)want.data)[i], v = ((const float *)got.data)[i];
    CHECK_MSG(fabsf(v - w) <= 1e-4f * (1 + fabsf(w)), "channel %d, place %d: %g, not %g", i / INNER, i % INNER, (double)v, (double)w);
  }
  hn_free(room[0]);
  hn_free(room[1]);
  both_close(&b);
}

/* Layers in 8 and in 16 bits side by side: what one precision added is nothing to the other, transposed convolutions are in both. */
TEST(layers_of_two_precisions) {
  static const char three[] = "graph \"g\" {\n  input %x : f32[1, 4, 8, 8]\n  const %w : f32[4, 4, 3, 3] = digest:1\n  const %v : f32[4, 4, 1, 1] = digest:2\n"
                              "  const %u : f32[4, 4, 2, 2] = digest:3\n"
                              "  %a = Conv(%x, %w) {pads=[1, 1, 1, 1]} post [Relu] : f32[1, 4, 8, 8]  # one\n"
                              "  %b = Conv(%a, %v) : f32[1, 4, 8, 8]  # two\n  %y = ConvTranspose(%b, %u) {strides=[2, 2]} : f32[1, 4, 16, 16]  # three\n"
                              "  output \"y\" = %y\n}\n";
  static float x[4 * 8 * 8];
  both_ways b;
  hone_quantize_result r;
  bool keep[64];
  hn_view in = both_input(x, 4, (int64_t[]){1, 4, 8, 8});
  REQUIRE(both_open(&b, three) && both_keep(&b, &in));
  hn_range *ranges = same_range(b.g, -1, 1);
  for (size_t i = 0; i < 64; i++) keep[i] = i >= b.g->nodes.n || strcmp(b.g->nodes.p[i].name, "one") != 0;
  REQUIRE(!hn_quantize_int8(b.g, ranges, keep, NULL, &r) && r.layers == 1 && r.candidates == 3);
  REQUIRE(b.g->nodes.n <= 64);
  for (size_t i = 0; i < 64; i++) keep[i] = i >= b.g->nodes.n || strcmp(b.g->nodes.p[i].name, "one") == 0;
  REQUIRE(!hn_quantize_half(b.g, HONE_DTYPE_BF16, keep, &r) && r.layers == 2);
  CHECK(!hn_graph_verify(b.g));
  uint32_t convolutions[HONE_ARITHMETICS] = {0}, casts = 0;
  for (size_t i = 0; i < b.g->nodes.n; i++) {
    const hn_node *n = &b.g->nodes.p[i];
    if (!n->dead && n->op == HN_Conv) convolutions[hn_node_arithmetic(b.g, n)]++;
    casts += !n->dead && n->op == HN_Cast;
  }
  CHECK(convolutions[HONE_ARITHMETIC_INT8] == 1 && convolutions[HONE_ARITHMETIC_BF16] == 1);
  CHECK(casts == 2); /* into the second layer, out of the third */
  REQUIRE(both_run(&b, &in, false));
  double noise = both_noise(&b);
  CHECK_MSG(noise > 0 && noise < 0.05 * 0.05, "%g", noise);
  free(ranges);
  both_close(&b);
}

/* A step that oneDNN does not know comes behind its convolution; neither falls to the references. */
TEST(bf16_steps_behind_a_convolution) {
  static const char conv[] = "graph \"g\" {\n  input %x : f32[1, 16, 9, 9]\n  const %w : f32[24, 16, 3, 3] = digest:1\n"
                             "  %y = Conv(%x, %w) {pads=[1, 1, 1, 1]} post [Mish] : f32[1, 24, 9, 9]  # one\n  output \"y\" = %y\n}\n";
  static float x[16 * 9 * 9];
  both_ways b;
  hone_quantize_result r;
  hn_view in = both_input(x, 4, (int64_t[]){1, 16, 9, 9});
  if (!hn_isa_has_bf16()) SKIP("this processor has no AVX-512");
  REQUIRE(both_open(&b, conv) && !hn_quantize_half(b.g, HONE_DTYPE_BF16, NULL, &r) && both_run(&b, &in, false));
  bool found = false;
  for (size_t i = 0; i < hn_program_plan(b.fast)->steps.n; i++) {
    const hn_planned *s = &hn_program_plan(b.fast)->steps.p[i];
    if (s->task.node && s->task.node->op == HN_Conv) found = strcmp(s->task.kernel->name, "conv_onednn") == 0 && s->task.fused == 0 && s->tail;
  }
  CHECK(found);
  CHECK(both_near(&b, 0, 0.02f, 0.02f) > 0.1f);
  both_close(&b);
}

/* Between a layer in 8 and one in 16 bits there is one step, both ways. */
TEST(bytes_and_short_floats_side_by_side) {
  static const char both[] = "graph \"g\" {\n  input %x : f32[1, 16, 9, 9]\n  const %s : f32[] = {0.02}\n  const %z : u8[] = {128}\n"
                             "  %q = QuantizeLinear(%x, %s, %z) : u8[1, 16, 9, 9]\n  %d = DequantizeLinear(%q, %s, %z) : f32[1, 16, 9, 9]\n"
                             "  %h = Cast(%d) {to=16} : bf16[1, 16, 9, 9]\n  %r = Abs(%h) : bf16[1, 16, 9, 9]\n  %f = Cast(%r) {to=1} : f32[1, 16, 9, 9]\n"
                             "  %q2 = QuantizeLinear(%f, %s, %z) : u8[1, 16, 9, 9]\n  %y = DequantizeLinear(%q2, %s, %z) : f32[1, 16, 9, 9]\n"
                             "  output \"y\" = %y\n}\n";
  enum { N = 16 * 9 * 9 };
  static float x[N];
  both_ways b;
  hn_view in = both_input(x, 4, (int64_t[]){1, 16, 9, 9});
  uint32_t casts = 0;
  REQUIRE(both_open(&b, both) && both_run(&b, &in, false) && b.got[0].count == N);
  for (size_t i = 0; i < hn_program_plan(b.fast)->steps.n; i++) {
    const hn_task *t = &hn_program_plan(b.fast)->steps.p[i].task;
    if (!t->node || t->node->op != HN_Cast) continue;
    casts++;
    CHECK(strcmp(t->kernel->name, "cast_vec") == 0 && hn_is_8bit(casts == 1 ? t->in[0].dtype : t->out[0].dtype));
  }
  CHECK_MSG(casts == 2, "%u", casts);
  for (int i = 0; i < N; i++) {
    float y = ((const float *)b.got[0].data)[i];
    CHECK_MSG(fabsf(y - fabsf(x[i])) <= 0.03f, "[%d] is %g of %g", i, (double)y, (double)x[i]);
  }
  both_close(&b);
}

/* PyTorch writes conversions that change nothing, and some graphs read the integers as numbers, too: neither may be taken for reals. */
TEST(integers_that_others_count_with) {
  static const char conv[] =
      "graph \"g\" {\n  input %x : f32[1, 2, 5, 5]\n  const %s : f32[] = {0.02}\n  const %z : u8[] = {100}\n"
      "  const %w : i8[3, 2, 3, 3] = digest:1\n  const %ws : f32[] = {0.01}\n"
      "  %q = QuantizeLinear(%x, %s, %z) : u8[1, 2, 5, 5]  # q\n  %c = Cast(%q) {to=2} : u8[1, 2, 5, 5]  # same\n"
      "  %d = DequantizeLinear(%c, %s, %z) : f32[1, 2, 5, 5]  # d\n  %wd = DequantizeLinear(%w, %ws) : f32[3, 2, 3, 3]  # wd\n"
      "  %y = Conv(%d, %wd) {pads=[1, 1, 1, 1]} : f32[1, 3, 5, 5]  # conv\n  %r = QuantizeLinear(%y, %s, %z) : u8[1, 3, 5, 5]  # r\n"
      "  %e = DequantizeLinear(%r, %s, %z) : f32[1, 3, 5, 5]  # e\n  %v = Relu(%e) : f32[1, 3, 5, 5]  # relu\n"
      "  %n = Cast(%r) {to=1} : f32[1, 3, 5, 5]  # count\n  output \"v\" = %v\n  output \"n\" = %n\n}\n";
  static float x[50];
  both_ways b;
  hn_view in = both_input(x, 4, (int64_t[]){1, 2, 5, 5});
  REQUIRE(both_open(&b, conv) && both_run(&b, &in, false));
  both_near(&b, 0, 0.0201f, 0); /* one step */
  CHECK(both_near(&b, 1, 1, 0) > 100);
  both_close(&b);
}

/* Between conversions: windows over three dimensions, which no integer kernel takes, are averaged by a kernel of floats. */
TEST(integers_that_no_kernel_takes) {
  static const char pool[] =
      "graph \"g\" {\n  input %x : u8[1, 2, 4, 4, 4]\n  const %s : f32[] = {0.02}\n  const %z : u8[] = {100}\n  const %t : f32[] = {0.03}\n"
      "  %d = DequantizeLinear(%x, %s, %z) : f32[1, 2, 4, 4, 4]\n  %a = AveragePool(%d) {kernel_shape=[2, 2, 2]} : f32[1, 2, 3, 3, 3]  # pool\n"
      "  %q = QuantizeLinear(%a, %t, %z) : u8[1, 2, 3, 3, 3]  # q\n  %y = DequantizeLinear(%q, %t, %z) : f32[1, 2, 3, 3, 3]\n  output \"y\" = %y\n}\n";
  enum { N = 128 };
  uint8_t x[N];
  both_ways b;
  for (int i = 0; i < N; i++) x[i] = (uint8_t)(i * 37 % 251);
  hn_view in = {.dtype = HONE_DTYPE_U8, .rank = 5, .dims = {1, 2, 4, 4, 4}, .count = N, .data = x};
  REQUIRE(both_open(&b, pool) && both_run(&b, &in, false));
  const hn_task *t = both_step(&b, "pool");
  CHECK(t && !strstr(t->kernel->name, "_ref") && t->in[0].dtype == HONE_DTYPE_F32 && t->out[0].dtype == HONE_DTYPE_F32);
  CHECK(b.want[0].count == 54);
  both_near(&b, 0, 0.0301f, 0);
  both_close(&b);
}

/* What lies between layers stays in bytes: larger images, a part of a Concat that is constant, padding by the zero point. */
TEST(bytes_from_layer_to_layer) {
  static const char net[] =
      "graph \"g\" {\n  input %x : f32[1, 4, 6, 6]\n  const %w : f32[4, 4, 2, 2] = digest:1\n  const %b : f32[4] = digest:2\n  const %v : f32[8, 8, 1, 1] = digest:3\n"
      "  const %k : f32[1, 4, 26, 26] = digest:4\n  const %f : f32[4] = {1, 1, 2, 2}\n  const %p : i64[8] = {0, 0, 1, 1, 0, 0, 1, 1}\n"
      "  %a = ConvTranspose(%x, %w, %b) {strides=[2, 2]} post [Relu] : f32[1, 4, 12, 12]  # up\n"
      "  %r = Resize(%a, _, %f) {coordinate_transformation_mode=\"asymmetric\" mode=\"nearest\" nearest_mode=\"floor\"} : f32[1, 4, 24, 24]  # larger\n"
      "  %e = Pad(%r, %p) : f32[1, 4, 26, 26]  # edge\n  %c = Concat(%e, %k) {axis=1} : f32[1, 8, 26, 26]  # both\n"
      "  %y = Conv(%c, %v) : f32[1, 8, 26, 26]  # last\n  output \"y\" = %y\n}\n";
  static float x[144];
  both_ways b;
  hone_quantize_result r;
  hn_view in = both_input(x, 4, (int64_t[]){1, 4, 6, 6});
  REQUIRE(both_open(&b, net));
  hn_range *ranges = same_range(b.g, -1, 2);
  REQUIRE(!hn_quantize_int8(b.g, ranges, NULL, NULL, &r));
  CHECK(r.layers == 2 && r.candidates == 2);
  REQUIRE(both_run(&b, &in, false));
  CHECK(both_runs(&b, "up", "deconv_int8") && both_runs(&b, "larger", "resize_int8") && both_runs(&b, "edge", "pad_move"));
  CHECK(both_step(&b, "last") && both_step(&b, "last")->in[0].dtype == HONE_DTYPE_U8);
  CHECK(!steps_of(&b, HN_DequantizeLinear));
  CHECK(b.want[0].count == 8 * 26 * 26);
  CHECK(both_near(&b, 0, 0.05f, 0) > 0.1f);
  free(ranges);
  both_close(&b);
}

/* A layer of a transformer: normalization, attention and what feeds it are of bytes, biases are taken by the products. */
TEST(attention_between_products) {
  static const char net[] =
      "graph \"g\" {\n  input %x : f32[1, 20, 32]\n  const %w : f32[32, 32] = digest:1\n  const %v : f32[32, 32] = digest:2\n"
      "  const %b : f32[32] = digest:3\n  const %s : f32[32] = digest:4\n"
      "  %e = MatMul(%x, %w) post [Add(.,%b)] : f32[1, 20, 32]  # embedding\n  %n = LayerNormalization(%e, %s, %b) : f32[1, 20, 32]  # norm\n"
      "  %q = MatMul(%n, %v) post [Add(.,%b)] : f32[1, 20, 32]  # queries\n  %k = MatMul(%n, %w) post [Add(.,%b)] : f32[1, 20, 32]  # keys\n"
      "  %u = MatMul(%n, %v) : f32[1, 20, 32]  # values\n  %a = Attention(%q, %k, %u) {q_num_heads=4 kv_num_heads=4 scale=0.01} : f32[1, 20, 32]  # attention\n"
      "  %y = MatMul(%a, %w) post [Add(.,%e)] : f32[1, 20, 32]  # last\n  output \"y\" = %y\n}\n";
  static const char *const layers[][2] = {{"embedding", "product_int8"}, {"norm", "norm_vec"}, {"queries", "product_int8"}, {"attention", "attention_int8"}};
  static float x[640];
  both_ways b;
  hone_quantize_result r;
  hn_view in = both_input(x, 3, (int64_t[]){1, 20, 32});
  REQUIRE(both_open(&b, net) && both_keep(&b, &in));
  hn_range *ranges = same_range(b.g, -20, 20);
  REQUIRE(!hn_quantize_int8(b.g, ranges, NULL, NULL, &r));
  CHECK(r.layers == 5 && r.candidates == 5);
  b.sources = 1 << HN_ORIGIN_HONE;
  REQUIRE(both_run(&b, &in, false));
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    CHECK_MSG(both_runs(&b, layers[i][0], layers[i][1]), "%s does not run by %s", layers[i][0], layers[i][1]);
    const hn_task *t = both_step(&b, layers[i][0]);
    CHECK(t && t->in[0].dtype == HONE_DTYPE_U8 && t->out[0].dtype == HONE_DTYPE_U8 && t->fused == t->node->n_post);
  }
  both_near(&b, 0, 0.2f, 0); /* a step of a tensor between, or two */
  double noise = both_noise(&b);
  CHECK_MSG(noise < 0.01, "%g", noise);
  free(ranges);
  both_close(&b);
}

/* A product in dynamic 8 bits gives floats itself: scales of rows and of columns, bias and bounds are its ending, and nothing reads its sums. */
TEST(dynamic_products_open_their_sums) {
  static const char net[] =
      "graph \"g\" {\n  input %x : f32[5, 24]\n  const %w : f32[24, 40] = digest:1\n  const %b : f32[40] = digest:2\n"
      "  %y = Gemm(%x, %w, %b) post [Relu] : f32[5, 40]  # product\n  output \"y\" = %y\n}\n";
  static float x[120];
  both_ways b;
  hone_quantize_result r;
  hn_view in = both_input(x, 2, (int64_t[]){5, 24});
  uint32_t products = 0;
  REQUIRE(both_open(&b, net) && !hn_quantize_dynamic(b.g, NULL, &r) && both_run(&b, &in, false));
  for (size_t i = 0; i < hn_program_plan(b.fast)->steps.n; i++) {
    const hn_planned *s = &hn_program_plan(b.fast)->steps.p[i];
    products += s->task.node && s->task.node->op == HN_MatMulInteger && s->task.out[0].dtype == HONE_DTYPE_F32 && s->task.fused == 4 && !s->tail;
  }
  CHECK(products == 1 && !steps_of(&b, HN_Cast));
  CHECK(both_near(&b, 0, 1e-5f, 1e-5f) > 0.1f);
  both_close(&b);
}
