/* test_reject_tf.c - TensorFlow models that must be refused, with one line that says why. */
#include "../tf_build.h"

static void refused(const Tensorflow__GraphDef *g, hone_status want, const char *part) {
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = tf_load(cx, g, &m);
  CHECK_MSG(st == want, "%s: %s", hone_status_name(st), hone_context_error(cx));
  CHECK_MSG(strstr(hone_context_error(cx), part), "\"%s\" does not say \"%s\"", hone_context_error(cx), part);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

#define X "x Placeholder - dtype=t:1 shape=S:-1\n"

TEST(tf_faults_are_named) {
  refused(tf_graph(X "a Frobnicate x\nb Frobnicate a\ny Grind b\n"), HONE_UNSUPPORTED, "unsupported operators: Grind (1, first node 'y'), Frobnicate (2");
  refused(tf_graph(X "y Relu nowhere\n"), HONE_BAD_GRAPH, "nothing produces its input 'nowhere'");
  refused(tf_graph(X "y Relu x\ny Neg x\n"), HONE_BAD_GRAPH, "two nodes are named 'y'");
  refused(tf_graph(X "a Add x,b\nb Relu a\ny Relu b\n"), HONE_BAD_GRAPH, "cycle");
  refused(tf_graph("v VariableV2 - dtype=t:1 shape=S:1\ny Relu v\n"), HONE_BAD_ARG, "--outputs");
  refused(tf_graph(X "c Const - value=F:1,2,3/2\ny Add x,c\n"), HONE_BAD_FORMAT, "tensor 'c' has 3 elements");
  refused(tf_graph(X "c Const - value=X:a\ny Add x,c\n"), HONE_UNSUPPORTED, "string");
  refused(tf_graph(X "y Exit x\n"), HONE_BAD_GRAPH, "leaves no loop");
  refused(tf_graph(X "y Merge x,x\n"), HONE_UNSUPPORTED, "no Switch decides");
  refused(tf_graph(X "y TRTEngineOp x serialized_segment=s:zzz\n"), HONE_UNSUPPORTED, "serialized engine of TensorRT");
  refused(tf_graph(X "y PartitionedCall x f=n:gone\n"), HONE_BAD_GRAPH, "no function 'gone'");
}

TEST(tf_updates_that_only_control_inputs_reach) {
  static const char nodes[] = "v VarHandleOp - dtype=t:1 shape=S:1\nup AssignAddVariableOp v,u\nn NoOp ^up\nr Relu u,^n\n";
  Tensorflow__GraphDef *g = tf_graph(X "y PartitionedCall x f=n:f\n");
  tf_function(g, "f", "u", "r=r:activations:0", nodes);
  refused(g, HONE_UNSUPPORTED, "'f/up' (AssignAddVariableOp): it updates the variable 'v'");
  g = tf_graph(X "c PartitionedCall x f=n:f\ny Relu x,^c\n"); /* the call, too, is only run */
  tf_function(g, "f", "u", "r=u", "v VarHandleOp - dtype=t:1 shape=S:1\nup AssignSubVariableOp v,u\n");
  Tensorflow__StringEntry *e = tf_take(sizeof *e), **list = tf_take(sizeof *list);
  tensorflow__string_entry__init(e);
  e->key = e->value = tf_copy("up", 2);
  list[0] = e;
  g->library->function[0]->control_ret = list, g->library->function[0]->n_control_ret = 1;
  refused(g, HONE_UNSUPPORTED, "'f/up' (AssignSubVariableOp): it updates the variable 'v'");
}

/* A step of training: refused, with what it does; in a branch that is never taken it does not matter. */
TEST(tf_training_is_named_unless_it_never_runs) {
  Tensorflow__GraphDef *g = tf_graph(X "y PartitionedCall x f=n:f\n");
  tf_function(g, "f", "u", "r=i", "v VarHandleOp - dtype=t:1 shape=S:1\nlr Const - value=F:1\nup ResourceApplyGradientDescent v,lr,u\nall NoOp ^up\ni Relu u,^all\n");
  refused(g, HONE_UNSUPPORTED, "'f/up' (ResourceApplyGradientDescent): it updates the variable 'v'");
  g = tf_graph(X "y PartitionedCall x f=n:g\n"); /* by the data of a call that is only run */
  tf_function(g, "g", "u", "r=i", "c PartitionedCall u f=n:f\ni Relu u,^c\n");
  tf_function(g, "f", "u", "r=up", "v VarHandleOp - dtype=t:1 shape=S:1\nup AssignAdd v,u\n");
  refused(g, HONE_UNSUPPORTED, "'f/up' (AssignAdd): it updates the variable 'v'");
  for (int taken = 0; taken < 2; taken++) {
    hone_context *cx;
    hone_model *m = NULL;
    g = tf_graph(taken ? X "p Const - value=I:1\ny If p,x then_branch=n:learn else_branch=n:same\n" : X "p Const - value=I:0\ny If p,x then_branch=n:learn else_branch=n:same\n");
    tf_function(g, "learn", "u", "r=i", "v VarHandleOp - dtype=t:1 shape=S:1\nup AssignAddVariableOp v,u\ni Relu u,^up\n");
    tf_function(g, "same", "u", "r=u", "");
    if (taken) refused(g, HONE_UNSUPPORTED, "'learn/up' (AssignAddVariableOp)");
    REQUIRE(!hone_context_create(&cx));
    if (!taken) CHECK_MSG(!tf_load(cx, g, &m), "%s", hone_context_error(cx));
    hone_model_destroy(&m);
    hone_context_destroy(&cx);
  }
}

TEST(tf_conditions_in_a_circle) { /* found by fuzz_tf: the stack ended first */
  refused(tf_graph(X "a Merge x,b\nb Merge a,c\nc Merge b,a\ny Relu a\n"), HONE_BAD_GRAPH, "in a circle");
}

TEST(tf_functions_in_a_circle) {
  Tensorflow__GraphDef *g = tf_graph(X "y PartitionedCall x f=n:a\n");
  tf_function(g, "a", "v", "r=c:output:0", "c PartitionedCall v f=n:b\n");
  tf_function(g, "b", "v", "r=c:output:0", "c PartitionedCall v f=n:a\n");
  refused(g, HONE_UNSUPPORTED, "calls itself");
}

TEST(tf_damaged_graphs_are_refused_cleanly) {
  static uint8_t bytes[1 << 14], copy[1 << 14];
  hone_context *cx;
  Tensorflow__GraphDef *g = tf_graph(X "c Const - value=F:1,2/2\na Add x,c\nm Merge a,a\nt TensorArrayV3 c dtype=t:1\nw While x,x cond=n:f body=n:f\ny Relu a\n");
  tf_function(g, "f", "u v", "r=a:z:0 s=v", "a Add u,v\n");
  size_t size = tensorflow__graph_def__pack(g, bytes);
  REQUIRE(size < sizeof bytes && !hone_context_create(&cx));
  for (size_t n = 0; n < size; n++) {
    hone_model *m = NULL;
    if (!hone_model_load_memory(cx, bytes, n, &m)) hone_model_destroy(&m);
    for (int bit = 0; bit < 8; bit += 2) {
      memcpy(copy, bytes, size);
      copy[n] ^= (uint8_t)(1 << bit);
      if (!hone_model_load_memory(cx, copy, size, &m)) hone_model_destroy(&m);
      else CHECK(hone_context_error(cx)[0]);
    }
  }
  hone_context_destroy(&cx);
}
