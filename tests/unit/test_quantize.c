/* test_quantize.c - observers, and what quantization puts into a graph. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "ir/graph.h"
#include "quant/equalize.h"
#include "quant/observer.h"
#include "quant/quantize.h"

static hn_observer bell_with_outliers(void) {
  hn_observer o = {0};
  uint32_t seed = 1;
  for (int batch = 0; batch < 10; batch++) {
    float v[1000];
    for (int i = 0; i < 1000; i++) {
      float sum = 0;
      for (int k = 0; k < 12; k++) {
        seed = seed * 1664525u + 1013904223u;
        sum += (float)(seed >> 8) / 16777216.0f;
      }
      v[i] = sum - 6;
    }
    if (batch == 3) v[7] = 40;
    size_t bad;
    CHECK(hn_observe(&o, v, 1000, true, &bad) && bad == 1000);
  }
  return o;
}

TEST(observers_choose_ranges) {
  hn_observer o = bell_with_outliers();
  float low, high;
  hn_observer_range(&o, HONE_OBSERVER_MINMAX, 0, &low, &high);
  CHECK(high == 40 && low < -2.5f && low > -6);
  hn_observer_range(&o, HONE_OBSERVER_MOVING_AVERAGE, 0, &low, &high);
  CHECK(high > 3 && high < 10);
  hn_observer_range(&o, HONE_OBSERVER_PERCENTILE, 99.9, &low, &high);
  CHECK(high > 2 && high < 6 && low < -2 && low > -6);
  hn_observer_range(&o, HONE_OBSERVER_MSE, 0, &low, &high); /* cutting it off would cost more than coarser steps do */
  CHECK_MSG(high > 38 && high < 40, "%g", (double)high);
  hn_observer_range(&o, HONE_OBSERVER_ENTROPY, 0, &low, &high);
  CHECK_MSG(high > 2 && high < 20, "%g", (double)high);
  hn_observer_free(&o);
}

TEST(observers_refuse_what_is_no_number) {
  hn_observer o = {0};
  size_t bad;
  const float v[3] = {1, INFINITY, 2};
  CHECK(hn_observe(&o, v, 3, true, &bad) && bad == 1);
  CHECK(o.batches == 0);
  hn_observer_free(&o);
}

static uint32_t count(const hn_graph *g, hn_op op) {
  uint32_t n = 0;
  for (size_t i = 0; i < g->nodes.n; i++) n += !g->nodes.p[i].dead && g->nodes.p[i].op == op;
  return n;
}

static const char text[] =
    "graph \"g\" {\n  input %x : f32[1, 4, 8, 8]\n  const %w : f32[4, 4, 3, 3] = digest:1\n  const %v : f32[4, 4, 1, 1] = digest:2\n"
    "  const %b : f32[4] = digest:3\n"
    "  %a = Conv(%x, %w, %b) {pads=[1, 1, 1, 1]} post [Relu] : f32[1, 4, 8, 8]  # one\n"
    "  %p = MaxPool(%a) {kernel_shape=[2, 2] strides=[2, 2]} : f32[1, 4, 4, 4]  # pool\n"
    "  %y = Conv(%p, %v) : f32[1, 4, 4, 4]  # two\n  %z = Softmax(%y) : f32[1, 4, 4, 4]  # last\n  output \"z\" = %z\n}\n";

static hn_graph *graph(hone_context *cx, hn_range **ranges) {
  hn_graph *g = NULL;
  if (hn_graph_parse(cx, text, &g)) abort();
  *ranges = calloc(g->values.n, sizeof **ranges);
  for (size_t i = 0; i < g->values.n; i++) (*ranges)[i] = (hn_range){true, -1, (float)(2 + (int)i)};
  return g;
}

TEST(quantization_is_explicit) {
  hone_context *cx;
  hn_range *ranges;
  hone_quantize_result r;
  REQUIRE(!hone_context_create(&cx));
  hn_graph *g = graph(cx, &ranges);
  REQUIRE(!hn_quantize_int8(g, ranges, NULL, NULL, &r));
  CHECK(r.layers == 2 && r.candidates == 2);
  CHECK(!hn_graph_verify(g));
  CHECK(count(g, HN_QuantizeLinear) == 3);   /* x, a, p; y goes to Softmax as it is */
  CHECK(count(g, HN_DequantizeLinear) == 6); /* and two weights and a bias */
  double scale[2] = {0}; /* pooling keeps the scale */
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    if (n->dead || n->op != HN_QuantizeLinear) continue;
    const hn_value *from = hn_value_at(g, n->in[0]);
    if (strcmp(from->name, "a") == 0) scale[0] = hn_tensor_f(hn_const(g, n->in[1]), 0);
    if (strcmp(from->name, "p") == 0) scale[1] = hn_tensor_f(hn_const(g, n->in[1]), 0);
  }
  CHECK(scale[0] > 0 && scale[0] == scale[1]);
  hn_graph_destroy(g);
  free(ranges);
  hone_context_destroy(&cx);
}

TEST(equalization_keeps_the_function) {
  static const char *const two =
      "graph \"g\" {\n  input %x : f32[1, 2, 2, 2]\n  const %w : f32[2, 2, 1, 1] = {8, 4, 0.5, 0.25}\n  const %b : f32[2] = {4, 1}\n"
      "  const %v : f32[2, 2, 1, 1] = {1, 2, 1, 2}\n  %a = Conv(%x, %w, %b) post [Relu] : f32[1, 2, 2, 2]  # one\n"
      "  %y = Conv(%a, %v) : f32[1, 2, 2, 2]  # two\n  output \"y\" = %y\n}\n";
  hone_context *cx;
  hn_graph *g = NULL;
  uint32_t pairs = 0;
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(!hn_graph_parse(cx, two, &g));
  REQUIRE(!hn_equalize(g, &pairs));
  CHECK(pairs == 1);
  const hn_tensor *w = NULL, *b = NULL, *v = NULL;
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    if (strcmp(n->name, "one") == 0) w = hn_const(g, n->in[1]), b = hn_const(g, n->in[2]);
    if (strcmp(n->name, "two") == 0) v = hn_const(g, n->in[1]);
  }
  REQUIRE(w && b && v);
  for (size_t c = 0; c < 2; c++) { /* products along each channel stay, ranges meet */
    CHECK(fabs(hn_tensor_f(w, 2 * c) * hn_tensor_f(v, c) - (c ? 1.0 : 8.0)) < 1e-5);
    CHECK(fabs(hn_tensor_f(b, c) * hn_tensor_f(v, c) - (c ? 2.0 : 4.0)) < 1e-5);
    CHECK(fabs(hn_tensor_f(w, 2 * c) - hn_tensor_f(v, c)) < 1e-5);
  }
  hn_graph_destroy(g);
  hone_context_destroy(&cx);
}

TEST(layers_that_are_kept_and_unseen) {
  hone_context *cx;
  hn_range *ranges;
  hone_quantize_result r;
  REQUIRE(!hone_context_create(&cx));
  hn_graph *g = graph(cx, &ranges);
  bool keep[16] = {0};
  for (size_t i = 0; i < g->nodes.n; i++) keep[i] = strcmp(g->nodes.p[i].name, "one") == 0;
  REQUIRE(!hn_quantize_int8(g, ranges, keep, NULL, &r));
  CHECK(r.layers == 1 && count(g, HN_QuantizeLinear) == 1);
  hn_graph_destroy(g);
  free(ranges);
  g = graph(cx, &ranges);
  for (size_t i = 0; i < g->values.n; i++) ranges[i].known = false;
  CHECK(hn_quantize_int8(g, ranges, NULL, NULL, &r) == HONE_BAD_ARG);
  CHECK(strstr(hone_context_error(cx), "none of the 2") != NULL);
  hn_graph_destroy(g);
  free(ranges);
  hone_context_destroy(&cx);
}
