/* test_cudnn_descriptors.c - what can be asked of the real libcudnn without a device: does it take our descriptors? Tensors,
   convolutions, pointwise steps and the operations of both are checked when they are finalized. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/cuda/dnn.c"
#include "harness.h"

/* What dnn.c takes from the device, which is not here. */
hone_status hn_cuda_launched(const hn_exec *x) { return x ? HONE_OK : HONE_DEVICE; }
hone_status hn_cuda_fail(hn_cuda_device *d, cudaError_t e, const char *what) { return d && e && what ? HONE_DEVICE : HONE_OK; }

static hn_dnn dnn;

static void open_real(void) {
  void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  bool all = lib != NULL;
  if (dnn.cudnnGetVersion) return;
#define F(name)                                       \
  if (lib) *(void **)(void *)&dnn.name = dlsym(lib, #name); \
  all = all && dnn.name;
  HN_DNN_FUNCTIONS(F)
#undef F
  if (!all) {
    printf("skipped: %s is not here\n", LIBRARY);
    exit(77);
  }
  dnn.version = dnn.cudnnGetVersion();
  printf("cuDNN %zu\n", dnn.version);
}

static void convolution(cudnnDataType_t type, int rank, int64_t groups, bool transposed) {
  hn_dnn_graph g;
  hn_dnn_window w = {.n = rank - 2, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .begin = {1, 1, 1}, .end = {1, 1, 1}};
  int64_t x[] = {2, 16, 9, 11, 7}, k[] = {32, 16 / groups, 3, 3, 3}, y[] = {2, 32, 9, 11, 7}, row[] = {1, 32, 1, 1, 1}, uid;
  static const hn_dnn_step steps[] = {
      {CUDNN_POINTWISE_ADD, 1, 1, {0, 0}},
      {CUDNN_POINTWISE_ADD, 1, -1, {0, 0}},
      {CUDNN_POINTWISE_MUL, 1, 1, {0, 0}},
      {CUDNN_POINTWISE_RELU_FWD, 1, 1, {CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, 6}},
      {CUDNN_POINTWISE_RELU_FWD, 1, 1, {CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0.1}},
      {CUDNN_POINTWISE_ELU_FWD, 1, 1, {CUDNN_ATTR_POINTWISE_ELU_ALPHA, 1}},
      {CUDNN_POINTWISE_SWISH_FWD, 1, 1, {CUDNN_ATTR_POINTWISE_SWISH_BETA, 1}},
      {CUDNN_POINTWISE_GELU_FWD, 1, 1, {0, 0}},
      {CUDNN_POINTWISE_SIGMOID_FWD, 1, 1, {0, 0}}};
  hn_dnn_graph_begin(&dnn, &g);
  if (transposed) x[1] = 32, y[1] = 16;
  hn_dnn_tensor xt = hn_dnn_image(&g, type, rank, x, true, &uid), wt = hn_dnn_image(&g, type, rank, k, true, &uid);
  if (transposed) row[1] = 16;
  hn_dnn_tensor at = hn_dnn_image(&g, type, rank, y, false, NULL);
  hn_dnn_convolve(&g, &w, transposed, CUDNN_DATA_FLOAT, xt, wt, at);
  CHECK_MSG(!g.status, "a convolution: %s", dnn.cudnnGetErrorString(g.status));
  for (size_t i = 0; i < sizeof steps / sizeof *steps && !g.status; i++) {
    hn_dnn_tensor b = i < 3 ? hn_dnn_image(&g, type, rank, i == 1 ? y : row, true, &uid) : NULL;
    hn_dnn_tensor next = hn_dnn_image(&g, type, rank, y, i + 1 == sizeof steps / sizeof *steps, &uid);
    hn_dnn_pointwise(&g, &steps[i], at, b, next);
    CHECK_MSG(!g.status, "step %zu: %s", i, dnn.cudnnGetErrorString(g.status));
    at = next;
  }
  hn_dnn_graph_end(&g);
}

TEST(the_real_library_takes_our_descriptors) {
  static const cudnnDataType_t types[] = {CUDNN_DATA_FLOAT, CUDNN_DATA_HALF, CUDNN_DATA_BFLOAT16};
  open_real();
  for (int i = 0; i < 3; i++) {
    convolution(types[i], 4, 1, false);
    convolution(types[i], 4, 16, false);
    convolution(types[i], 5, 1, false);
    convolution(types[i], 4, 1, true);
  }
}

/* An H100, as cuDNN describes one. */
static const char h100[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,\"multiProcessorCount\":132,"
    "\"smClockRateKHz\":1980000,\"memClockRateKHz\":2619000,\"l2CacheSize\":52428800,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"
    "\"maxSharedMemoryPerBlockOptin\":232448,\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"pciDeviceId\":0,"
    "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"isTccDriver\":0,\"supportCoopLaunch\":1,"
    "\"deviceName\":\"NVIDIA H100\",\"totalGlobalMem\":85000000000,\"deviceVer\":900,\"driverVer\":13000,\"cudaDeviceId\":0}";

/* Convolution, bias, residual, activation as conv_cudnn.c makes them, `steps` of them, of integers none: is there a plan? */
static bool has_plan(cudnnDataType_t type, const int64_t *x, const int64_t *k, const int64_t *y, const hn_dnn_window *w, bool transposed,
                     int steps, bool exact, size_t *workspace) {
  static const hn_dnn_step all[] = {{CUDNN_POINTWISE_ADD, 1, 1, {0, 0}}, {CUDNN_POINTWISE_ADD, 1, 1, {0, 0}}, {CUDNN_POINTWISE_RELU_FWD, 1, 1, {0, 0}}};
  const int64_t row[] = {1, y[1], 1, 1};
  hn_dnn_graph g;
  int64_t uid;
  hn_dnn_graph_begin(&dnn, &g);
  bool integers = type == CUDNN_DATA_INT8 || type == CUDNN_DATA_UINT8;
  hn_dnn_tensor xt = hn_dnn_image(&g, type, 4, x, true, &uid), wt = hn_dnn_image(&g, integers ? CUDNN_DATA_INT8 : type, 4, k, true, &uid);
  hn_dnn_tensor at = hn_dnn_image(&g, integers ? CUDNN_DATA_INT32 : type, 4, y, !steps, &uid);
  hn_dnn_convolve(&g, w, transposed, integers ? CUDNN_DATA_INT32 : CUDNN_DATA_FLOAT, xt, wt, at);
  for (int i = 0; i < steps; i++) {
    hn_dnn_tensor b = i < 2 ? hn_dnn_image(&g, type, 4, i ? y : row, true, &uid) : NULL, next = hn_dnn_image(&g, type, 4, y, i + 1 == steps, &uid);
    hn_dnn_pointwise(&g, &all[i], at, b, next);
    at = next;
  }
  bool found = hn_dnn_plan(&g, &(hn_dnn_choice){.workspace = (size_t)256 << 20, .exact = exact});
  CHECK_MSG(!g.status, "%s", dnn.cudnnGetErrorString(g.status));
  *workspace = g.workspace;
  hn_dnn_graph_end(&g);
  return found;
}

TEST(plans_are_made_for_a_device_that_is_not_here) {
  static const struct {
    const char *name;
    int64_t x[4], k[4], y[4], stride, begin, end;
    bool transposed;
  } layers[] = {{"3x3", {1, 64, 56, 56}, {64, 64, 3, 3}, {1, 64, 56, 56}, 1, 1, 1, false},
                {"7x7 of 3 channels", {1, 3, 224, 224}, {64, 3, 7, 7}, {1, 64, 112, 112}, 2, 3, 3, false},
                {"1x1", {8, 256, 14, 14}, {1024, 256, 1, 1}, {8, 1024, 14, 14}, 1, 0, 0, false},
                {"depthwise", {1, 32, 112, 112}, {32, 1, 3, 3}, {1, 32, 112, 112}, 1, 1, 1, false},
                {"32 groups", {1, 128, 56, 56}, {128, 4, 3, 3}, {1, 128, 56, 56}, 1, 1, 1, false},
                {"uneven padding", {1, 32, 112, 112}, {64, 32, 3, 3}, {1, 64, 56, 56}, 2, 0, 1, false},
                {"transposed", {1, 64, 32, 32}, {64, 32, 2, 2}, {1, 32, 64, 64}, 2, 0, 0, true}};
  static const struct {
    const char *name;
    cudnnDataType_t type;
    bool exact;
  } types[] = {{"f32", CUDNN_DATA_FLOAT, true}, {"tf32", CUDNN_DATA_FLOAT, false}, {"f16", CUDNN_DATA_HALF, false}, {"bf16", CUDNN_DATA_BFLOAT16, false}, {"i8", CUDNN_DATA_INT8, false}, {"u8", CUDNN_DATA_UINT8, false}};
  open_real();
  if (dnn.version < 90800) return; /* properties came with 9.8 */
  REQUIRE(!dnn.cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &dnn.properties));
  REQUIRE(!dnn.cudnnBackendSetAttribute(dnn.properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, sizeof h100 - 1, h100));
  if (dnn.cudnnBackendFinalize(dnn.properties)) {
    printf("this cuDNN describes devices in another way: no plans are made\n");
    return;
  }
  for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
    hn_dnn_window w = {.n = 2, .stride = {layers[l].stride, layers[l].stride}, .dilation = {1, 1}, .begin = {layers[l].begin, layers[l].begin},
                       .end = {layers[l].end, layers[l].end}};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
      size_t workspace = 0;
      bool integers = types[t].type == CUDNN_DATA_INT8 || types[t].type == CUDNN_DATA_UINT8;
      int steps = integers ? 1 : 4;
      if (integers && layers[l].transposed) continue;
      while (steps-- > 0 && !has_plan(types[t].type, layers[l].x, layers[l].k, layers[l].y, &w, layers[l].transposed, steps, types[t].exact, &workspace)) {}
      printf("%s, %s: %d of 3 steps, %zu bytes of workspace\n", layers[l].name, types[t].name, steps, workspace);
      bool must = layers[l].begin == layers[l].end; /* conv_cudnn.c pads first where it is uneven */
      CHECK_MSG(!must || steps >= 0, "%s, %s: no plan", layers[l].name, types[t].name);
    }
  }
}
