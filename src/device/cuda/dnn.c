#include "device/cuda/dnn.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* handles in descriptors: cuDNN before 9.8 knows nothing else */

#define LIBRARY "libcudnn.so.9"
enum { CONFIGS = 32, ALIGNMENT = 16 };

/* ------------------------------------------------------------------------------------------------ library */

void hn_dnn_open(hn_dnn **out, char *reason, size_t size) {
  *out = NULL;
  void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  hn_dnn *d = lib ? hn_calloc(1, sizeof *d) : NULL;
  if (!lib) snprintf(reason, size, LIBRARY " is not found");
  if (!d) return;
  const char *missing = NULL;
#define F(name)                                      \
  *(void **)(void *)&d->name = dlsym(lib, #name); \
  if (!d->name) missing = #name;
  HN_DNN_FUNCTIONS(F)
#undef F
  cudnnStatus_t st = missing ? CUDNN_STATUS_NOT_INITIALIZED : d->cudnnCreate(&d->handle);
  if (missing) snprintf(reason, size, LIBRARY " has no %s", missing);
  else if (st) snprintf(reason, size, "cuDNN does not start: %s", d->cudnnGetErrorString(st));
  if (st) {
    hn_free(d);
    return;
  }
  d->version = d->cudnnGetVersion();
  *out = d;
}

void hn_dnn_version(char *text, size_t size) {
  void *lib = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  size_t (*version)(void) = NULL;
  if (lib) *(void **)(void *)&version = dlsym(lib, "cudnnGetVersion");
  if (!version) snprintf(text, size, "no convolutions: " LIBRARY " is not found");
  else snprintf(text, size, "cuDNN %zu.%zu.%zu", version() / 10000, version() / 100 % 100, version() % 100);
}

void hn_dnn_close(hn_dnn *d) {
  if (d) d->cudnnDestroy(d->handle);
  hn_free(d);
}

bool hn_dnn_type(hn_dtype t, cudnnDataType_t *out) {
  *out = t == HONE_DTYPE_F16 ? CUDNN_DATA_HALF : t == HONE_DTYPE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  return t == HONE_DTYPE_F32 || t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16;
}

/* -------------------------------------------------------------------------------------------- descriptors */

static cudnnBackendDescriptor_t make(hn_dnn_graph *g, cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t d = NULL;
  if (!g->status && g->n == HN_DNN_DESCRIPTORS) g->status = CUDNN_STATUS_NOT_SUPPORTED;
  if (!g->status) g->status = g->dnn->cudnnBackendCreateDescriptor(type, &d);
  if (g->status) return NULL;
  return g->all[g->n++] = d;
}

static void set(hn_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t n, const void *values) {
  if (!g->status) g->status = g->dnn->cudnnBackendSetAttribute(d, name, type, n, values);
}
static void set_number(hn_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, int64_t v) {
  set(g, d, name, CUDNN_TYPE_INT64, 1, &v);
}
static void set_float(hn_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, float v) {
  set(g, d, name, CUDNN_TYPE_FLOAT, 1, &v);
}
static void set_type(hn_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnDataType_t v) {
  set(g, d, name, CUDNN_TYPE_DATA_TYPE, 1, &v);
}
static void set_part(hn_dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t v) {
  set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &v);
}
static void finish(hn_dnn_graph *g, cudnnBackendDescriptor_t d) {
  if (!g->status) g->status = g->dnn->cudnnBackendFinalize(d);
}

void hn_dnn_graph_begin(const hn_dnn *dnn, hn_dnn_graph *g) { *g = (hn_dnn_graph){.dnn = dnn}; }

void hn_dnn_graph_end(hn_dnn_graph *g) {
  while (g->n) g->dnn->cudnnBackendDestroyDescriptor(g->all[--g->n]);
  g->plan = NULL;
  g->n_operations = 0;
}

hn_dnn_tensor hn_dnn_image(hn_dnn_graph *g, cudnnDataType_t type, int rank, const int64_t *dims, bool kept, int64_t *uid) {
  int64_t stride[HN_MAX_RANK], step = dims[1], number = ++g->n_tensors;
  bool between = !kept;
  stride[1] = 1;
  for (int i = rank - 1; i >= 2; i--) {
    stride[i] = step;
    step *= dims[i];
  }
  stride[0] = step;
  cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  set_type(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, between ? CUDNN_DATA_FLOAT : type);
  set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dims);
  set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, stride);
  set_number(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, number);
  set_number(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, ALIGNMENT);
  if (between) set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &between);
  finish(g, d);
  if (uid) *uid = number;
  return d;
}

static void add_operation(hn_dnn_graph *g, cudnnBackendDescriptor_t d) {
  finish(g, d);
  if (!g->status && g->n_operations == HN_DNN_OPERATIONS) g->status = CUDNN_STATUS_NOT_SUPPORTED;
  if (!g->status) g->operations[g->n_operations++] = d;
}

void hn_dnn_convolve(hn_dnn_graph *g, const hn_dnn_window *w, bool transposed, cudnnDataType_t sums, hn_dnn_tensor x, hn_dnn_tensor weights,
                     hn_dnn_tensor y) {
  cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  cudnnBackendDescriptor_t c = make(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  set_number(g, c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, w->n);
  set_type(g, c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, sums);
  set(g, c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  set(g, c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, w->n, w->begin);
  set(g, c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, w->n, w->end);
  set(g, c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, w->n, w->dilation);
  set(g, c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, w->n, w->stride);
  finish(g, c);
  if (transposed) { /* the gradient of the forward convolution from y's shape to x's */
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
    set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, c);
    set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, x);
    set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, weights);
    set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, y);
    set_float(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1);
    set_float(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, 0);
    add_operation(g, d);
    return;
  }
  cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, c);
  set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
  set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, weights);
  set_part(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
  set_float(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1);
  set_float(g, d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0);
  add_operation(g, d);
}

void hn_dnn_pointwise(hn_dnn_graph *g, const hn_dnn_step *s, hn_dnn_tensor x, hn_dnn_tensor b, hn_dnn_tensor y) {
  cudnnBackendDescriptor_t p = make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  set(g, p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &s->mode);
  set_type(g, p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  if (s->extra.name) set(g, p, s->extra.name, CUDNN_TYPE_DOUBLE, 1, &s->extra.value);
  finish(g, p);
  cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p);
  set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  if (b) set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
  set_part(g, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  if (b && s->alpha1 != 1) set_float(g, d, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, s->alpha1);
  if (b && s->alpha2 != 1) set_float(g, d, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, s->alpha2);
  add_operation(g, d);
}

/* -------------------------------------------------------------------------------------------------- plans */

/* May an engine of this configuration be used? */
static bool admissible(hn_dnn_graph *g, cudnnBackendDescriptor_t config, bool exact) {
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  cudnnBackendDescriptor_t engine = NULL;
  int64_t n = 0;
  if (!exact) return true;
  if (g->dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine)) return false;
  bool ok = !g->dnn->cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine) &&
            !g->dnn->cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                              CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, notes);
  for (int64_t i = 0; i < n && ok; i++)
    ok = notes[i] != CUDNN_NUMERICAL_NOTE_TENSOR_CORE && notes[i] != CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS &&
         notes[i] != CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION && notes[i] != CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13;
  g->dnn->cudnnBackendDestroyDescriptor(engine);
  return ok;
}

/* What a descriptor is for: the device of the handle, or the one whose properties are given. */
static cudnnStatus_t set_device(const hn_dnn *dnn, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t handle, cudnnBackendAttributeName_t properties) {
  return dnn->properties ? dnn->cudnnBackendSetAttribute(d, properties, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &dnn->properties)
                         : dnn->cudnnBackendSetAttribute(d, handle, CUDNN_TYPE_HANDLE, 1, &dnn->handle);
}

/* The plan of a configuration, if there is one that fits. */
static bool realize(hn_dnn_graph *g, cudnnBackendDescriptor_t config, size_t limit) {
  const hn_dnn *dnn = g->dnn;
  cudnnBackendDescriptor_t plan = NULL;
  int64_t bytes = 0, n = 0;
  if (dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan)) return false;
  bool ok = !set_device(dnn, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP) &&
            !dnn->cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config) &&
            !dnn->cudnnBackendFinalize(plan) &&
            !dnn->cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &bytes) &&
            bytes >= 0 && (size_t)bytes <= limit;
  if (!ok) {
    dnn->cudnnBackendDestroyDescriptor(plan);
    return false;
  }
  g->plan = plan;
  g->workspace = (size_t)bytes;
  return true;
}

/* Goes through what one kind of heuristics proposes. */
static bool choose(hn_dnn_graph *g, cudnnBackendDescriptor_t operations, cudnnBackendHeurMode_t mode, const hn_dnn_choice *c, uint32_t *skip) {
  const hn_dnn *dnn = g->dnn;
  cudnnBackendDescriptor_t configs[CONFIGS], heuristics = NULL;
  int64_t n = 0, made = 0;
  bool found = false;
  if (dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristics)) return false;
  bool ok = !dnn->cudnnBackendSetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operations) &&
            !dnn->cudnnBackendSetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode) &&
            !(dnn->properties && dnn->cudnnBackendSetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &dnn->properties)) &&
            !dnn->cudnnBackendFinalize(heuristics);
  while (ok && made < CONFIGS && !dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[made])) made++;
  ok = ok && !dnn->cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &n, configs);
  int64_t chosen = -1;
  for (int64_t i = 0; ok && i < n && i < made && !found; i++) {
    if (!admissible(g, configs[i], c->exact) || !realize(g, configs[i], c->workspace)) continue;
    found = !*skip;
    if (found) chosen = i;
    else {
      --*skip;
      dnn->cudnnBackendDestroyDescriptor(g->plan);
      g->plan = NULL;
    }
  }
  for (int64_t i = 0; i < made; i++) {
    if (i == chosen && g->n < HN_DNN_DESCRIPTORS - 1) g->all[g->n++] = configs[i]; /* the plan may refer to it */
    else dnn->cudnnBackendDestroyDescriptor(configs[i]);
  }
  if (found) g->all[g->n++] = g->plan;
  dnn->cudnnBackendDestroyDescriptor(heuristics);
  return found;
}

bool hn_dnn_plan(hn_dnn_graph *g, const hn_dnn_choice *c) {
  uint32_t skip = c->skip;
  cudnnBackendDescriptor_t operations = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  if (!g->dnn->properties) set(g, operations, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->dnn->handle);
  set(g, operations, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->n_operations, g->operations);
  finish(g, operations);
  if (g->status || g->n > HN_DNN_DESCRIPTORS - 2) return false;
  return choose(g, operations, CUDNN_HEUR_MODE_A, c, &skip) || choose(g, operations, CUDNN_HEUR_MODE_FALLBACK, c, &skip);
}

static hone_status failed(const hn_exec *x, const char *what, cudnnStatus_t st) {
  hn_cuda_device *d = hn_cuda_of(x->task);
  cudaError_t e = cudaGetLastError();
  if (e) return hn_fail_within(x->cx, hn_cuda_fail(d, e, what), "node '%s' (%s)", hn_xnode(x)->name, hn_op_name(hn_xnode(x)->op));
  return hn_xfail(x, HONE_DEVICE, "device '%s': cuDNN: %s: %s", d->head.name, what, d->dnn->cudnnGetErrorString(st));
}

hone_status hn_dnn_execute(const hn_exec *x, const hn_dnn_graph *g, hn_dnn_pack *p, void *const *pointers, void *scratch) {
  const hn_dnn *dnn = g->dnn;
  cudnnStatus_t st = CUDNN_STATUS_SUCCESS;
  if (!p->pack || memcmp(p->pointers, pointers, sizeof *pointers * (size_t)p->n) != 0 || p->scratch != scratch) {
    if (p->pack) dnn->cudnnBackendDestroyDescriptor(p->pack);
    p->pack = NULL;
    memcpy(p->pointers, pointers, sizeof *pointers * (size_t)p->n);
    p->scratch = scratch;
    st = dnn->cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &p->pack);
    if (!st) st = dnn->cudnnBackendSetAttribute(p->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, p->n, p->uids);
    if (!st) st = dnn->cudnnBackendSetAttribute(p->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, p->n, p->pointers);
    if (!st) st = dnn->cudnnBackendSetAttribute(p->pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &p->scratch);
    if (!st) st = dnn->cudnnBackendFinalize(p->pack);
    if (st) return failed(x, "binding memory", st);
  }
  st = dnn->cudnnSetStream(dnn->handle, hn_cuda_stream(x));
  if (!st) st = dnn->cudnnBackendExecute(dnn->handle, g->plan, p->pack);
  return st ? failed(x, "running", st) : hn_cuda_launched(x);
}
