/* test_tf_reader.c - small TensorFlow graphs mean what TensorFlow says: each is read, run as it is and optimized, and
   compared with numbers worked out by hand. */
#include "../tf_build.h"

static void run(hone_context *cx, hone_model *m, uint32_t rank, const int64_t *dims, const float *x, const float *want, size_t n, bool reference) {
  hone_session_options o;
  hone_session *s = NULL;
  const void *data;
  size_t bytes, count = 1;
  hone_session_options_init(&o);
  o.threads = 1;
  o.reference = reference;
  for (uint32_t i = 0; i < rank; i++) count *= (size_t)dims[i];
  hone_status st = hone_session_create(m, &o, &s);
  if (!st && x) st = hone_session_set_input_shape(s, 0, rank, dims);
  if (!st && x) st = hone_session_set_input(s, 0, x, count * sizeof *x);
  if (!st) st = hone_session_run(s);
  if (!st) st = hone_session_output(s, 0, NULL, &data, &bytes);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (!st) CHECK_MSG(bytes == n * sizeof *want, "%zu bytes", bytes);
  for (size_t i = 0; !st && i < n && bytes == n * sizeof *want; i++) {
    float got = ((const float *)data)[i];
    CHECK_MSG(got - want[i] < 1e-4f && want[i] - got < 1e-4f, "element %zu is %g, not %g", i, (double)got, (double)want[i]);
  }
  hone_session_destroy(&s);
}

/* Loads, runs, optimizes, runs again. */
static void means(const Tensorflow__GraphDef *g, uint32_t rank, const int64_t *dims, const float *x, const float *want, size_t n) {
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = tf_load(cx, g, &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (m) {
    run(cx, m, rank, dims, x, want, n, true);
    run(cx, m, rank, dims, x, want, n, false);
    st = hone_model_optimize(m, NULL);
    CHECK_MSG(!st, "%s", hone_context_error(cx));
    run(cx, m, rank, dims, x, want, n, false);
  }
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}
#define MEANS(g, dims, x, want) means(g, sizeof(dims) / sizeof *(dims), dims, x, want, sizeof(want) / sizeof *(want))

#define X "x Placeholder - dtype=t:1 shape=S:-1\n"
static const int64_t two[1] = {2};
static const float x2[2] = {1, -3};

TEST(tf_padding_same_is_more_at_the_end) { /* 4x4, window 3x3 of ones, stride 2: rows 0..2 and 2..3 */
  static const int64_t dims[4] = {1, 4, 4, 1};
  static const float x[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, want[4] = {54 + 1, 45 + 1, 72 + 1, 54 + 1};
  MEANS(tf_graph("x Placeholder - dtype=t:1 shape=S:-1,4,4,1\nw Const - value=F:1/3x3x1x1\nb Const - value=F:1/1\n"
                 "c Conv2D x,w strides=L:1,2,2,1 padding=s:SAME data_format=s:NHWC\ny BiasAdd c,b\n"), dims, x, want);
}

TEST(tf_average_pool_leaves_out_what_is_padded) {
  static const int64_t dims[4] = {1, 3, 3, 1};
  static const float x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, want[4] = {3, 4.5f, 7.5f, 9};
  MEANS(tf_graph("x Placeholder - dtype=t:1 shape=S:-1,3,3,1\n"
                 "y AvgPool x ksize=L:1,2,2,1 strides=L:1,2,2,1 padding=s:SAME\n"), dims, x, want);
}

TEST(tf_depthwise_multiplies_channels) { /* one pixel, 2 channels, multiplier 2 */
  static const int64_t dims[4] = {1, 1, 1, 2};
  static const float x[2] = {2, 3}, want[4] = {2, 4, 9, 12};
  MEANS(tf_graph("x Placeholder - dtype=t:1 shape=S:-1,1,1,2\nw Const - value=F:1,2,3,4/1x1x2x2\n"
                 "y DepthwiseConv2dNative x,w strides=L:1,1,1,1 padding=s:VALID\n"), dims, x, want);
}

TEST(tf_resize_has_three_answers) { /* 1x2 pixels to 1x4 */
  static const int64_t dims[4] = {1, 1, 2, 1};
  static const float x[2] = {0, 4}, legacy[4] = {0, 2, 4, 4}, aligned[4] = {0, 4 / 3.f, 8 / 3.f, 4}, centers[4] = {0, 1, 3, 4};
  MEANS(tf_graph("x Placeholder - dtype=t:1 shape=S:-1,1,2,1\ns Const - value=I:1,4/2\ny ResizeBilinear x,s\n"), dims, x, legacy);
  MEANS(tf_graph("x Placeholder - dtype=t:1 shape=S:-1,1,2,1\ns Const - value=I:1,4/2\ny ResizeBilinear x,s align_corners=b:1\n"), dims, x, aligned);
  MEANS(tf_graph("x Placeholder - dtype=t:1 shape=S:-1,1,2,1\ns Const - value=I:1,4/2\ny ResizeBilinear x,s half_pixel_centers=b:1\n"), dims, x, centers);
}

TEST(tf_strided_slice_masks) { /* x[1:, ..., newaxis, -1] of 2x3x2: picks the last of the last axis, a new one before it */
  static const int64_t dims[3] = {2, 3, 2};
  static const float x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, want[3] = {7, 9, 11};
  MEANS(tf_graph("x Placeholder - dtype=t:1 shape=S:-1,3,2\nb Const - value=I:1,0,0,-1/4\ne Const - value=I:0,0,0,0/4\ns Const - value=I:1,1,1,1/4\n"
                 "y StridedSlice x,b,e,s end_mask=i:1 ellipsis_mask=i:2 new_axis_mask=i:4 shrink_axis_mask=i:8\n"), dims, x, want);
}

TEST(tf_remainders_and_quotients_round_down) {
  static const float x[2] = {7, -7}, want[2] = {1 + 2, 2 + -3};
  MEANS(tf_graph(X "c Const - value=F:3\nm FloorMod x,c\nd FloorDiv x,c\ny Add m,d\n"), two, x, want);
}

#define LOOP                                                                                                       \
  X "zero Const - value=I:0\none Const - value=I:1\nthree Const - value=I:3\ntwo Const - value=F:2\n"                 \
    "e0 Enter zero frame_name=s:loop\ne1 Enter x frame_name=s:loop\nen Enter three frame_name=s:loop is_constant=b:1\n" \
    "m0 Merge e0,n0\nm1 Merge e1,n1\nless Less m0,en\nlc LoopCond less\ns0 Switch m0,lc\ns1 Switch m1,lc\n"

TEST(tf_loop_of_version_1) {
  static const float want[2] = {8, -24};
  MEANS(tf_graph(LOOP "i0 Identity s0:1\ni1 Identity s1:1\na0 Add i0,one\na1 Mul i1,two\nn0 NextIteration a0\nn1 NextIteration a1\n"
                 "y Exit s1\n"), two, x2, want);
}

TEST(tf_condition_within_a_loop) { /* doubled in even rounds, 1 added in odd ones */
  static const float want[2] = {6, -10};
  MEANS(tf_graph(LOOP "i0 Identity s0:1\ni1 Identity s1:1\na0 Add i0,one\ntwoi Const - value=I:2\nodd FloorMod i0,twoi\nisodd Equal odd,one\n"
                 "cs Switch i1,isodd\nonef Const - value=F:1\nplus Add cs:1,onef\ntimes Mul cs,two\na1 Merge times,plus\n"
                 "n0 NextIteration a0\nn1 NextIteration a1\ny Exit s1\n"), two, x2, want);
}

TEST(tf_condition_of_version_1) {
  static const float want[2] = {2, -6};
  MEANS(tf_graph(X "axes Const - value=I:0/1\nsum Sum x,axes\nzero Const - value=F:0\np Less sum,zero\ns Switch x,p\n"
                 "c Const - value=F:2\nm Mul s:1,c\ny Merge s,m\n"), two, x2, want);
}

TEST(tf_array_in_a_loop) { /* squares of the elements, collected; the elements' shape is not declared */
  static const float want[2] = {1, 9};
  MEANS(tf_graph(X "zero Const - value=I:0\none Const - value=I:1\nn Const - value=I:2\nidx Const - value=I:0,1/2\n"
                 "ta TensorArrayV3 n dtype=t:1\nin TensorArrayV3 n dtype=t:1\nsc TensorArrayScatterV3 in,idx,x,in:1\n"
                 "e0 Enter zero frame_name=s:w\ne1 Enter ta:1 frame_name=s:w\nen Enter n frame_name=s:w is_constant=b:1\n"
                 "eh Enter ta frame_name=s:w is_constant=b:1\nei Enter in frame_name=s:w is_constant=b:1\nef Enter sc frame_name=s:w is_constant=b:1\n"
                 "m0 Merge e0,n0\nm1 Merge e1,n1\nless Less m0,en\nlc LoopCond less\ns0 Switch m0,lc\ns1 Switch m1,lc\n"
                 "r TensorArrayReadV3 ei,s0:1,ef\nsq Mul r,r\nw TensorArrayWriteV3 eh,s0:1,sq,s1:1\na0 Add s0:1,one\n"
                 "n0 NextIteration a0\nn1 NextIteration w\nx1 Exit s1\ny TensorArrayGatherV3 ta,idx,x1\n"), two, x2, want);
}

TEST(tf_functions_loops_and_conditions_of_version_2) {
  static const float want[2] = {8, -24};
  Tensorflow__GraphDef *g = tf_graph(X "zero Const - value=I:0\nthree Const - value=I:3\ny While zero,x,three cond=n:go body=n:step\nout Identity y:1\n");
  tf_function(g, "go", "i v n", "r=l:z:0", "l Less i,n\n");
  tf_function(g, "step", "i v n", "a=ad:z:0 b=call:output:0 c=n", "o Const - value=I:1\nad AddV2 i,o:output:0\ncall PartitionedCall v f=n:twice\n");
  tf_function(g, "twice", "v", "r=m:z:0", "c Const - value=F:2\nm Mul v,c:output:0\n");
  MEANS(g, two, x2, want);
  static const float neg[2] = {-1, 3};
  g = tf_graph(X "axes Const - value=I:0/1\nsum Sum x,axes\nzero Const - value=F:0\np Less sum,zero\ny StatelessIf p,x then_branch=n:neg else_branch=n:same\n");
  tf_function(g, "neg", "v", "r=m:y:0", "m Neg v\n");
  tf_function(g, "same", "v", "r=v", "");
  MEANS(g, two, x2, neg);
}

TEST(tf_lists_in_a_loop) { /* as Keras' recurrent layers do it */
  static const float want[2] = {2, -6};
  Tensorflow__GraphDef *g = tf_graph(X "zero Const - value=I:0\nn Const - value=I:2\nes Const - value=I:-1\nls Const - value=I:0/0\nin TensorListFromTensor x,ls element_dtype=t:1\n"
                                       "acc TensorListReserve es,n element_dtype=t:1\nw While zero,acc,in,n cond=n:go body=n:step\ny TensorListStack w:1,es element_dtype=t:1\n");
  tf_function(g, "go", "i acc in n", "r=l:z:0", "l Less i,n\n");
  tf_function(g, "step", "i acc in n", "a=ad:z:0 b=set:output_handle:0 c=in d=n",
              "o Const - value=I:1\nad AddV2 i,o:output:0\nes Const - value=I:0/0\nget TensorListGetItem in,i,es:output:0 element_dtype=t:1\n"
              "dbl AddV2 get:item:0,get:item:0\nset TensorListSetItem acc,i,dbl:z:0 element_dtype=t:1\n");
  MEANS(g, two, x2, want);
}

TEST(tf_boxes_are_chosen) { /* the second overlaps the first, the third has too low a score */
  static const int64_t dims[1] = {3};
  static const float x[3] = {0.9f, 0.8f, 0.1f}, want[1] = {0.9f};
  MEANS(tf_graph("x Placeholder - dtype=t:1 shape=S:-1\nb Const - value=F:0,0,1,1,0,0,1,0.9,2,2,3,3/3x4\nm Const - value=I:3\n"
                 "t Const - value=F:0.5\ns Const - value=F:0.3\nn NonMaxSuppressionV3 b,x,m,t,s\na Const - value=I:0\ny GatherV2 x,n,a\n"), dims, x, want);
}

TEST(tf_nhwc_graph_loses_its_transposes) {
  hone_context *cx;
  hone_model *m = NULL;
  hone_layer_info l;
  uint32_t transposes = 0;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = tf_load(cx, tf_graph("x Placeholder - dtype=t:1 shape=S:1,8,8,3\nw Const - value=F:1/3x3x3x4\nb Const - value=F:1/4\n"
                                        "c Conv2D x,w strides=L:1,1,1,1 padding=s:SAME\nd BiasAdd c,b\ne Relu6 d\nv Const - value=F:1/3x3x4x1\n"
                                        "f DepthwiseConv2dNative e,v strides=L:1,2,2,1 padding=s:SAME\n"
                                        "g FusedBatchNormV3 f,b,b,b,b is_training=b:0 epsilon=f:0.001\nh Relu g\nax Const - value=I:1,2/2\n"
                                        "y Mean h,ax\n"), &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (m) CHECK(!hone_model_optimize(m, NULL));
  for (uint32_t i = 0; m && i < hone_model_layer_count(m) && !hone_model_layer_info(m, i, &l); i++) transposes += strcmp(l.op, "Transpose") == 0;
  CHECK_MSG(transposes <= 1, "%u transposes are left; one, of the input, is needed", transposes);
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

TEST(tf_trt_engines_run_their_native_segment) {
  static const float want[2] = {2, -6};
  Tensorflow__GraphDef *g = tf_graph(X "y TRTEngineOp x segment_func=n:seg precision_mode=s:FP16\n");
  tf_function(g, "seg", "v", "r=a:z:0", "a AddV2 v,v\n");
  MEANS(g, two, x2, want);
}

TEST(tf_examples_are_left_to_the_caller) { /* the features that are read become inputs */
  static const int64_t dims[2] = {2, 1};
  static const float want[2] = {2, -6};
  Tensorflow__GraphDef *g = tf_graph("s Placeholder - dtype=t:7 shape=S:-1\nn Const - value=X:,\nk Const - value=X:x\nd Const - value=F:0/1\n"
                                     "p ParseExample s,n,k,d Nsparse=i:0 Ndense=i:1\ny Add p,p\n");
  Tensorflow__NodeDef *p = g->node[4];
  for (int k = 0; k < 2; k++) { /* lists of types and of shapes */
    static char *keys[2] = {"Tdense", "dense_shapes"};
    static Tensorflow__DataType type = 1;
    Tensorflow__AttrEntry *e = p->attr[p->n_attr++] = tf_take(sizeof *e);
    tensorflow__attr_entry__init(e);
    e->key = keys[k];
    char one[2] = "1", *text = tf_copy(one, 1);
    e->value = tf_value('L', tf_copy("", 0));
    e->value->list->n_type = !k, e->value->list->type = &type;
    e->value->list->n_shape = (size_t)k, e->value->list->shape = tf_take(sizeof(void *));
    e->value->list->shape[0] = tf_shape(text, ",");
  }
  MEANS(g, dims, x2, want);
}

/* As tf.io.write_graph prints it, with what the text format allows besides. */
static const char as_text[] =
    "# a comment\nnode {\n  name: \"x\"\n  op: \"Placeholder\"\n  attr {\n    key: \"dtype\"\n    value {\n      type: DT_FLOAT\n    }\n  }\n"
    "  attr {\n    key: \"shape\"\n    value {\n      shape {\n        dim {\n          size: -1\n        }\n      }\n    }\n  }\n}\n"
    "node {\n  name: \"c\"\n  op: 'Const'\n  attr { key: \"dtype\" value { type: 1 } }\n  attr <\n    key: \"value\"; value: {\n      tensor {\n        dtype: DT_FLOAT\n"
    "        tensor_shape {\n          dim {\n            size: 2\n          }\n        }\n        tensor_content: \"\\000\\000\\200?\" \"\\0\\0\\x40\\100\"\n      }\n    },\n  >\n}\n"
    "node { name: \"l\" op: \"LeakyRelu\" input: [\"x\"] attr { key: \"alpha\" value { f: 5e-1f } } experimental_debug_info { original_node_names: \"l\" } }\n"
    "node {\n  name: \"y\"\n  op: \"Mul\"\n  input: \"l\"\n  input: \"c\"\n  attr {\n    key: \"_future\"\n    value {\n      b: true\n    }\n  }\n}\nversions {\n  producer: 0x2a\n}\n";

TEST(tf_text_is_read) {
  static const float want[2] = {1, -4.5f};
  hone_context *cx;
  hone_model *m = NULL;
  REQUIRE(!hone_context_create(&cx));
  hone_status st = hone_model_load_memory(cx, as_text, sizeof as_text - 1, &m);
  CHECK_MSG(!st, "%s", hone_context_error(cx));
  if (m) run(cx, m, 1, two, x2, want, 2, false);
  if (m) CHECK_STR(hone_model_metadata(m, "tf.graph_version"), "42");
  hone_model_destroy(&m);
  static const char head[] = "node { name: \"x\" op: \"Relu\" ";
  static const struct { const char *tail, *error; } faults[] = {
    {"", "line 1: a message does not end"}, {"\n input \"x\" }", "line 2: ':' is expected"}, {"input: \"x }\n", "a string does not end"}, {"input: \"\\q\" }", "no such escape"},
    {"attr { key: \"a\" value { i: seven } } }", "a number is expected"}, {"attr: 3 }", "a message in braces"}, {"input: [\"x\" \"y\" \"z\"; ] }", "',' or ']'"}, {"unknown [ 3 } }", "':' is expected"}};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    char text[256];
    snprintf(text, sizeof text, "%s%s", head, faults[i].tail);
    CHECK(hone_model_load_memory(cx, text, strlen(text), &m) == HONE_BAD_FORMAT);
    CHECK_MSG(strstr(hone_context_error(cx), faults[i].error), "\"%s\" does not say \"%s\"", hone_context_error(cx), faults[i].error);
  }
  static char deep[4096];
  for (int kind = 0; kind < 2; kind++) { /* recursion ends */
    strcpy(deep, head);
    for (int i = 0; i < 400; i++) strcat(deep, kind ? "attr{value{" + (i > 0) * 5 : "u{");
    CHECK(hone_model_load_memory(cx, deep, strlen(deep), &m) == HONE_BAD_FORMAT);
  }
  for (size_t n = 0; n < sizeof as_text - 1; n++) /* cut anywhere */
    if (!hone_model_load_memory(cx, as_text, n, &m)) hone_model_destroy(&m);
  hone_context_destroy(&cx);
}
