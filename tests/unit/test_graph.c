#include <unistd.h>

#include "engine/engine.h"
#include "harness.h"
#include "ir/graph.h"
#include "op/infer.h"
#include "plan/plan.h"

/* y = Relu(Conv(x, w) + r), with the Add as an epilogue. */
static hn_graph *sample(hone_context *cx) {
  hn_graph *g = hn_graph_create(cx, "sample");
  hn_shape s = hn_shape_of(4, (hn_dim[]){hn_dim_symbol(g->dims, "N"), 3, 8, 8});
  hn_id x = hn_graph_add_input(g, "x", HONE_DTYPE_F32, &s), r = hn_graph_add_input(g, "r", HONE_DTYPE_F32, &s);
  hn_tensor *w;
  if (hn_tensor_create(cx, HONE_DTYPE_F32, 4, (int64_t[]){3, 3, 1, 1}, &w)) return NULL;
  for (size_t i = 0; i < 9; i++) ((float *)w->data)[i] = (float)i;
  hn_id wid = hn_graph_add_constant(g, "w", w);
  hn_id conv = hn_graph_add_node(g, HN_Conv, "conv", (hn_id[]){x, wid}, 2, 1);
  hn_set_ints(g, conv, "strides", (int64_t[]){1, 1}, 2);
  hn_add_post(g, conv, HN_Add, r, false, 0, 0);
  hn_id relu = hn_graph_add_node(g, HN_Relu, "relu", hn_node_at(g, conv)->out, 1, 1);
  hn_graph_add_output(g, "y", hn_node_at(g, relu)->out[0]);
  return g;
}

TEST(graph_edits_keep_use_lists) {
  hone_context *cx;
  REQUIRE(!hone_context_create(&cx));
  hn_graph *g = sample(cx);
  REQUIRE(g && !g->oom);
  CHECK_MSG(!hn_graph_verify(g), "%s", hone_context_error(cx));
  hn_id bias = hn_graph_add_input(g, "b", HONE_DTYPE_F32, NULL);
  hn_add_main_input(g, 0, bias); /* the operand of the epilogue moves up */
  CHECK(hn_node_at(g, 0)->n_main == 3 && hn_node_at(g, 0)->post[0].operand == 3);
  CHECK_MSG(!hn_graph_verify(g), "%s", hone_context_error(cx));
  hn_id relu_out = hn_node_at(g, 1)->out[0], conv_out = hn_node_at(g, 0)->out[0];
  hn_replace_uses(g, relu_out, conv_out);
  CHECK(hn_remove_dead(g) == 1);
  CHECK(hn_is_output(g, conv_out));
  CHECK_MSG(!hn_graph_verify(g), "%s", hone_context_error(cx));
  hn_graph_destroy(g);
  hone_context_destroy(&cx);
}

TEST(graph_cycles_are_named) {
  hone_context *cx;
  REQUIRE(!hone_context_create(&cx));
  hn_graph *g = sample(cx);
  REQUIRE(g);
  hn_set_input(g, 0, 0, hn_node_at(g, 1)->out[0]);
  CHECK(hn_graph_verify(g) == HONE_BAD_GRAPH);
  CHECK(strstr(hone_context_error(cx), "cycle"));
  hn_graph_destroy(g);
  hone_context_destroy(&cx);
}

TEST(graph_survives_the_engine_file) {
  hone_context *cx;
  char path[] = "test_graph_XXXXXX.hone", *before, *after;
  int fd = mkstemps(path, 5);
  REQUIRE(fd >= 0 && !hone_context_create(&cx));
  close(fd);
  hn_graph *g = sample(cx), *copy, *read;
  REQUIRE(g && (copy = hn_graph_clone(g)));
  REQUIRE(!hn_engine_write(copy, path));
  hn_mapping *m;
  REQUIRE(!hn_map_file(cx, path, &m));
  hone_status st = hn_engine_read(cx, path, hn_mapping_data(m), hn_mapping_size(m), m, &read);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (!st) {
    REQUIRE(!hn_graph_print(g, &before) && !hn_graph_print(read, &after));
    CHECK_STR(before, after);
    hn_free(before);
    hn_free(after);
    hn_graph_destroy(read);
  }
  /* Every truncation and every damaged byte of the graph is refused. */
  unsigned char *bytes = hn_malloc(hn_mapping_size(m));
  size_t size = hn_mapping_size(m);
  for (size_t n = 0; n < size; n++) {
    memcpy(bytes, hn_mapping_data(m), size);
    CHECK(hn_engine_read(cx, "cut", bytes, n, NULL, &read) != HONE_OK);
    bytes[n] ^= 0x20;
    st = hn_engine_read(cx, "damaged", bytes, size, NULL, &read);
    if (!st) hn_graph_destroy(read); /* the weights and the padding are not hashed */
    CHECK(st || (n >= 48 && n < size - 64));
  }
  hn_free(bytes);
  hn_mapping_unref(m);
  unlink(path);
  hn_graph_destroy(g);
  hn_graph_destroy(copy);
  hone_context_destroy(&cx);
}

TEST(memory_plan_never_overlaps) {
  hn_block b[40];
  size_t total, bound;
  uint32_t seed = 1;
  for (int round = 0; round < 50; round++) {
    for (int i = 0; i < 40; i++) {
      seed = seed * 1664525u + 1013904223u;
      b[i] = (hn_block){.bytes = seed % 5000, .first = (seed >> 8) % 30};
      b[i].last = b[i].first + (seed >> 20) % 6;
    }
    REQUIRE(!hn_plan_memory(NULL, b, 40, &total, &bound));
    CHECK(bound <= total);
    for (int i = 0; i < 40; i++)
      for (int k = 0; k < i; k++) {
        bool time = b[i].first <= b[k].last && b[k].first <= b[i].last;
        bool space = b[i].offset < b[k].offset + b[k].bytes && b[k].offset < b[i].offset + b[i].bytes;
        CHECK(!(time && space));
      }
  }
}
