/* cuda_device.c - the CUDA device in the table of devices: what is there, opening it, the order between its streams. */
#include "device/cuda/cuda_device.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "device/cuda/blas.h"
#include "device/cuda/cuda_memory.h"
#include "device/cuda/dnn.h"

static const hn_device_kind kind;

/* ------------------------------------------------------------------------------------------------ errors */

/* Nothing runs on the device in this process after one of these: memory errors of the hardware, then illegal address, launch
   timeout, assertion, and from hardware stack error to launch failure. */
static bool is_lost(cudaError_t e) {
  static const int fatal[] = {214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719};
  for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
    if ((int)e == fatal[i]) return true;
  return false;
}

hone_status hn_cuda_fail(hn_cuda_device *d, cudaError_t e, const char *what) {
  cudaGetLastError(); /* what can be forgotten, is */
  if (is_lost(e) && !d->lost[0]) snprintf(d->lost, sizeof d->lost, "%s: %s", what, cudaGetErrorString(e));
  if (!is_lost(e)) return hn_fail(d->head.cx, HONE_DEVICE, "device '%s': %s: %s", d->head.name, what, cudaGetErrorString(e));
  return hn_fail(d->head.cx, HONE_DEVICE, "device '%s' is lost: %s: %s; start the program again%s", d->head.name, what,
                 cudaGetErrorString(e), d->check ? "" : " (with cuda:check=1 the error names the layer)");
}

hone_status hn_cuda_there(hn_cuda_device *d) {
  if (!d->lost[0]) return HONE_OK;
  return hn_fail(d->head.cx, HONE_DEVICE, "device '%s' was lost before (%s): start the program again", d->head.name, d->lost);
}

hone_status hn_cuda_launched(const hn_exec *x) {
  hn_cuda_device *d = hn_cuda_of(x->task);
  cudaError_t e = cudaGetLastError();
  if (!e && d->check) e = cudaStreamSynchronize(hn_cuda_stream(x));
  if (!e) return HONE_OK;
  const hn_node *n = x->task->node;
  hone_status st = hn_cuda_fail(d, e, "running");
  return n ? hn_fail_within(x->cx, st, "node '%s' (%s)", n->name, hn_op_name(n->op)) : hn_fail_within(x->cx, st, "a change of layout");
}

/* ------------------------------------------------------------------------------------------- what is there */

static void version_text(int v, char *text, size_t size) { snprintf(text, size, "%d.%d", v / 1000, v % 1000 / 10); }

/* Why no device can be used; false: some can. */
static bool why_none(int *count, char *reason, size_t size) {
  char has[16], wants[16];
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  cudaError_t e = cudaGetDeviceCount(count);
  if (!e && *count) return false;
  cudaGetLastError();
  version_text(driver, has, sizeof has);
  version_text(runtime, wants, sizeof wants);
  *count = 0;
  if (e == cudaErrorInsufficientDriver && !driver) snprintf(reason, size, "no NVIDIA driver is loaded");
  else if (e == cudaErrorInsufficientDriver)
    snprintf(reason, size, "the NVIDIA driver is too old: it knows CUDA %s, and this build needs %s; update the driver", has, wants);
  else if (!e || e == cudaErrorNoDevice) snprintf(reason, size, "the driver finds no NVIDIA GPU (is it visible: CUDA_VISIBLE_DEVICES?)");
  else snprintf(reason, size, "the driver does not start: %s", cudaGetErrorString(e));
  return true;
}

static int attribute(int ordinal, enum cudaDeviceAttr which) {
  int v = 0;
  return cudaDeviceGetAttribute(&v, which, ordinal) ? 0 : v;
}

/* What computes with it: the libraries' versions, or what is missing. */
static void describe_libraries(char *text, size_t size) {
  char dnn[64], blas[64];
  hn_dnn_version(dnn, sizeof dnn);
  hn_blas_version(blas, sizeof blas);
  size_t n = strlen(text);
  snprintf(text + n, size - n, ", %s, %s", dnn, blas);
}

/* Free memory is asked last: it is what fails where others have the device for themselves. */
static void describe_one(int ordinal, hone_device_info *info) {
  struct cudaDeviceProp p;
  char driver[16], runtime[16];
  int v = 0;
  size_t available, all;
  snprintf(info->name, sizeof info->name, "cuda:%d", ordinal);
  if (cudaGetDeviceProperties(&p, ordinal)) memset(&p, 0, sizeof p);
  info->memory = p.totalGlobalMem;
  cudaDriverGetVersion(&v);
  version_text(v, driver, sizeof driver);
  cudaRuntimeGetVersion(&v);
  version_text(v, runtime, sizeof runtime);
  snprintf(info->description, sizeof info->description, "%.100s", p.name);
  snprintf(info->features, sizeof info->features, "compute capability %d.%d, %d multiprocessors, driver for CUDA %s, runtime %s",
           p.major, p.minor, p.multiProcessorCount, driver, runtime);
  describe_libraries(info->features, sizeof info->features);
  cudaError_t e = cudaSuccess;
  if (attribute(ordinal, cudaDevAttrComputeMode) == cudaComputeModeProhibited)
    snprintf(info->reason, sizeof info->reason, "its compute mode is 'prohibited' (nvidia-smi -c 0 changes it)");
  else if ((e = cudaSetDevice(ordinal)) || (e = cudaMemGetInfo(&available, &all)))
    snprintf(info->reason, sizeof info->reason, "%s%s", cudaGetErrorString(e),
             e == cudaErrorDevicesUnavailable ? ": another process has it for itself" : "");
  else info->free_memory = available;
  if (e) cudaGetLastError();
  info->available = !info->reason[0];
}

static bool cuda_describe(uint32_t index, hone_device_info *info) {
  int count;
  if (!why_none(&count, info->reason, sizeof info->reason)) {
    if (index >= (uint32_t)count) return false;
    describe_one((int)index, info);
    return true;
  }
  if (index) return false;
  snprintf(info->name, sizeof info->name, "cuda");
  snprintf(info->description, sizeof info->description, "NVIDIA GPUs");
  info->available = false;
  return true;
}

/* ------------------------------------------------------------------------------------------- open and close */

static void cuda_close(hn_device *head) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  cudaSetDevice(d->ordinal);
  hn_dnn_close(d->dnn);
  hn_blas_close(d->blas);
  hn_staging_destroy(d->staging);
  for (uint32_t i = 0; i < d->n_events; i++)
    if (d->events[i]) cudaEventDestroy(d->events[i]);
  if (d->zero) cudaEventDestroy(d->zero);
  cudaFreeHost((void *)d->fault);
  cudaFreeHost(d->count);
  if (d->fork) cudaEventDestroy(d->fork);
  if (d->join) cudaEventDestroy(d->join);
  for (int l = 0; l < HN_LANE_KINDS; l++)
    if (d->stream[l]) cudaStreamDestroy(d->stream[l]);
  hn_free(d->events);
  hn_free(d);
}

static hone_status open_streams(hn_cuda_device *d) {
  cudaError_t e = cudaSetDevice(d->ordinal);
  for (int l = 0; l < HN_LANE_KINDS && !e; l++) e = cudaStreamCreateWithFlags(&d->stream[l], cudaStreamNonBlocking);
  if (!e) e = cudaHostAlloc((void **)&d->fault, sizeof *d->fault, cudaHostAllocMapped);
  if (!e) *d->fault = NULL;
  if (!e) e = cudaHostAlloc((void **)&d->count, sizeof *d->count, cudaHostAllocMapped);
  if (!e) e = cudaEventCreateWithFlags(&d->fork, cudaEventDisableTiming);
  if (!e) e = cudaEventCreateWithFlags(&d->join, cudaEventDisableTiming);
  if (!e) e = cudaEventCreate(&d->zero);
  if (!e) e = cudaEventRecord(d->zero, d->stream[HN_LANE_COMPUTE]);
  if (!e) e = cudaEventSynchronize(d->zero);
  if (e) return hn_cuda_fail(d, e, "opening it");
  d->major = attribute(d->ordinal, cudaDevAttrComputeCapabilityMajor);
  d->minor = attribute(d->ordinal, cudaDevAttrComputeCapabilityMinor);
  d->processors = attribute(d->ordinal, cudaDevAttrMultiProcessorCount);
  return hn_staging_create(d, &d->staging);
}

static hone_status cuda_open(hone_context *cx, uint32_t index, const hn_setting *s, uint32_t n, hn_device **out) {
  hn_cuda_device *d = hn_calloc(1, sizeof *d);
  double workspace, tf32, check, graphs;
  if (!d) return hn_nomem(cx);
  d->head = (hn_device){.kind = &kind, .cx = cx};
  d->ordinal = (int)index;
  snprintf(d->head.name, sizeof d->head.name, "cuda:%u", index);
  hone_status st = hn_setting_number(cx, s, n, "workspace", 256, &workspace);
  if (!st) st = hn_setting_number(cx, s, n, "tf32", 0, &tf32);
  if (!st) st = hn_setting_number(cx, s, n, "check", 0, &check);
  if (!st) st = hn_setting_number(cx, s, n, "graphs", 1, &graphs);
  if (!st && workspace > 1e6) st = hn_fail(cx, HONE_BAD_ARG, "device cuda: a workspace of %g MiB is more than any device has", workspace);
  if (!st) {
    d->workspace = (size_t)(workspace * (1 << 20));
    d->tf32 = tf32 > 0;
    d->check = check > 0;
    d->graphs = graphs > 0 && !d->check;
    st = open_streams(d);
  }
  if (!st) {
    hn_dnn_open(&d->dnn, d->no_dnn, sizeof d->no_dnn);
    hn_blas_open(&d->blas, d->no_blas, sizeof d->no_blas);
    if (!d->dnn) hn_log(cx, HONE_LOG_WARNING, "device '%s': %s: convolutions stay on the CPU", d->head.name, d->no_dnn);
    if (!d->blas) hn_log(cx, HONE_LOG_WARNING, "device '%s': %s: matrix products stay on the CPU", d->head.name, d->no_blas);
  }
  if (st) cuda_close(&d->head);
  else *out = &d->head;
  return st;
}

/* ------------------------------------------------------------------------------------- order between lanes */

static hone_status event_at(hn_cuda_device *d, uint32_t number, cudaEvent_t *out) {
  if (number >= d->n_events) {
    uint32_t n = number + number / 2 + 16;
    cudaEvent_t *more = hn_realloc(d->events, n * sizeof *more);
    if (!more) return hn_nomem(d->head.cx);
    memset(more + d->n_events, 0, (n - d->n_events) * sizeof *more);
    d->events = more;
    d->n_events = n;
  }
  cudaError_t e = d->events[number] ? cudaSuccess : cudaEventCreate(&d->events[number]);
  if (e) return hn_cuda_fail(d, e, "making an event");
  *out = d->events[number];
  return HONE_OK;
}

static hone_status cuda_mark(hn_device *head, hn_lane_kind lane, uint32_t number) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  cudaEvent_t event;
  HN_TRY(hn_cuda_there(d));
  HN_TRY(event_at(d, number, &event));
  cudaError_t e = cudaEventRecord(event, d->stream[lane]);
  return e ? hn_cuda_fail(d, e, "recording an event") : HONE_OK;
}

static hone_status cuda_wait(hn_device *head, hn_lane_kind lane, uint32_t number) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  cudaEvent_t event;
  HN_TRY(hn_cuda_there(d));
  HN_TRY(event_at(d, number, &event));
  cudaError_t e = cudaStreamWaitEvent(d->stream[lane], event, 0);
  return e ? hn_cuda_fail(d, e, "waiting for an event") : HONE_OK;
}

static hone_status cuda_await(hn_device *head, uint32_t number) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  cudaEvent_t event;
  HN_TRY(hn_cuda_there(d));
  HN_TRY(event_at(d, number, &event));
  cudaError_t e = cudaEventSynchronize(event);
  if (e) return hn_cuda_fail(d, e, "waiting for its work");
  const hn_node *n = *(const hn_node *volatile *)d->fault;
  *d->fault = NULL;
  return n ? hn_fail(head->cx, HONE_BAD_GRAPH, "node '%s' (%s): an index is out of range", n->name, hn_op_name(n->op)) : HONE_OK;
}

static hone_status cuda_timestamp(hn_device *head, uint32_t number, double *seconds) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  cudaEvent_t event;
  float ms = 0;
  HN_TRY(event_at(d, number, &event));
  cudaError_t e = cudaEventElapsedTime(&ms, d->zero, event);
  if (e) return hn_cuda_fail(d, e, "reading a time");
  *seconds = (double)ms * 1e-3;
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------------ replay */

static bool cuda_wanted(const hn_device *head) { return ((const hn_cuda_device *)head)->graphs; }

/* The lanes of steps become one recording: the side lane forks off the other one, and joins it in the end. */
static hone_status cuda_record(hn_device *head) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  HN_TRY(hn_cuda_there(d));
  cudaError_t e = cudaStreamBeginCapture(d->stream[HN_LANE_COMPUTE], cudaStreamCaptureModeThreadLocal);
  if (!e) e = cudaEventRecord(d->fork, d->stream[HN_LANE_COMPUTE]);
  if (!e) e = cudaStreamWaitEvent(d->stream[HN_LANE_SIDE], d->fork, 0);
  return e ? hn_cuda_fail(d, e, "recording steps") : HONE_OK;
}

static hone_status cuda_keep(hn_device *head, void **recording) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  cudaGraph_t graph = NULL;
  cudaGraphExec_t exec = NULL;
  cudaError_t e = cudaEventRecord(d->join, d->stream[HN_LANE_SIDE]);
  if (!e) e = cudaStreamWaitEvent(d->stream[HN_LANE_COMPUTE], d->join, 0);
  cudaError_t ended = cudaStreamEndCapture(d->stream[HN_LANE_COMPUTE], &graph);
  if (!e) e = ended;
  if (!e) e = cudaGraphInstantiate(&exec, graph, 0);
  if (graph) cudaGraphDestroy(graph);
  if (e) return hn_cuda_fail(d, e, "recording steps");
  *recording = exec;
  return HONE_OK;
}

static hone_status cuda_replay(hn_device *head, void *recording) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  HN_TRY(hn_cuda_there(d));
  cudaError_t e = cudaGraphLaunch(recording, d->stream[HN_LANE_COMPUTE]);
  return e ? hn_cuda_fail(d, e, "replaying steps") : HONE_OK;
}

static void cuda_forget(hn_device *head, void *recording) {
  (void)head;
  if (recording && cudaGraphExecDestroy(recording)) cudaGetLastError();
}

static void cuda_limit(hn_device *head, uint64_t workspace) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  if (workspace < d->workspace) d->workspace = (size_t)workspace;
}

/* The workspace is halved, until it is not worth it. */
static bool cuda_shrink(hn_device *head) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  if (!d->workspace) return false;
  d->workspace = d->workspace > (size_t)1 << 20 ? d->workspace / 2 : 0;
  return true;
}

/* Nested graphs are the CPU's. */
static bool cuda_supports(const hn_device *d, const hn_task *t) {
  (void)d;
  return !hn_op_is(t->node->op, HN_OP_CONTROL);
}

/* What placement starts from: PCI Express 4 with 16 lanes, half used. */
static double cuda_copy_seconds(const hn_device *d, double bytes) {
  (void)d;
  return 10e-6 + bytes / 12e9;
}

static const hn_device_kind kind = {
    .name = "cuda", .doc = "an NVIDIA GPU", .settings = HN_CUDA_SETTINGS, .describe = cuda_describe, .open = cuda_open,
    .close = cuda_close, .alloc = hn_cuda_alloc, .release = hn_cuda_release, .copy = hn_cuda_copy,
    .host_alloc = hn_cuda_host_alloc, .host_release = hn_cuda_host_release,
    .kernel_at = hn_cuda_kernel_at, .reorder = &hn_cuda_reorder_kernel, .takes_epilogue = hn_cuda_takes_epilogue,
    .epilogue = hn_cuda_epilogue, .supports = cuda_supports, .mark = cuda_mark, .wait = cuda_wait, .await = cuda_await,
    .timestamp = cuda_timestamp, .side = true, .wanted = cuda_wanted, .record = cuda_record, .keep = cuda_keep,
    .replay = cuda_replay, .forget = cuda_forget, .limit = cuda_limit, .shrink = cuda_shrink, .copy_seconds = cuda_copy_seconds};

__attribute__((visibility("default"))) hn_cuda_entry hone_cuda_device;
const hn_device_kind *hone_cuda_device(const char *build) { return strcmp(build, hn_kernels_id) == 0 ? &kind : NULL; }
