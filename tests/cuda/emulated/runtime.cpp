/* runtime.cpp - the host's side: memory that only kernels and copies may touch, streams that do their work when somebody
   waits for it, graphs. Settings for tests come from the environment:
     HONE_EMULATED_MEMORY=BYTES   how much memory the device has
     HONE_EMULATED_LOST=N         the device is lost after N launches
     HONE_EMULATED_DRIVER=VERSION what cudaDriverGetVersion says; HONE_EMULATED_DEVICES=N how many devices there are
     HONE_EMULATED_BUSY=1         another process has the device; HONE_EMULATED_PROHIBITED=1 its compute mode is that
   A test program finds hn_emulated_count() and hn_emulated_fail() in the library that is loaded. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "fibers.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

namespace {

/* Calls of one sort: how many there were, and which of them are refused. */
struct calls {
  const char *name;
  long n, first, last; /* from the first-th on, counted from 1, to the last-th; 0: none is refused */
} all_calls[] = {{"allocations", 0, 0, 0}, {"launches", 0, 0, 0}, {"replays", 0, 0, 0}};
enum { ALLOCATIONS, LAUNCHES, REPLAYS };

bool refused(int which) {
  calls *c = &all_calls[which];
  c->n++;
  return c->first && c->n >= c->first && c->n <= c->last;
}
calls *calls_of(const char *name) {
  for (calls &c : all_calls)
    if (!strcmp(c.name, name)) return &c;
  abort();
}

typedef std::function<void()> work;
struct event_state {
  bool done = true;
  double time = 0;
  hn_emulated_stream *on = nullptr; /* whose queue the mark is in while it is not done */
};
struct op {
  work run;
  std::shared_ptr<event_state> waits; /* for another stream's mark */
};

double now_seconds() {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

enum : size_t { ARENA = size_t(64) << 30, PAGE = 4096, GUARD = 256 };

struct piece {
  size_t bytes, pages;
};

struct device_state {
  std::recursive_mutex lock;
  unsigned char *arena = nullptr;
  size_t top = 0, used = 0, limit = size_t(8) << 30;
  int open = 0;
  long launches = 0, lost_after = -1;
  cudaError_t sticky = cudaSuccess;
  std::map<unsigned char *, piece> pieces;
  std::multimap<size_t, unsigned char *> spare; /* pages -> place */
  std::map<const unsigned char *, size_t> pinned;
  std::set<hn_emulated_stream *> streams;
  device_state() {
    const char *v = getenv("HONE_EMULATED_MEMORY");
    if (v) limit = strtoull(v, nullptr, 0);
    v = getenv("HONE_EMULATED_LOST");
    if (v) lost_after = atol(v);
    void *p = mmap(nullptr, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED) arena = static_cast<unsigned char *>(p);
  }
};

device_state &dev() {
  static device_state *d = new device_state();
  return *d;
}
typedef std::lock_guard<std::recursive_mutex> guard;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t result(cudaError_t e) {
  if (e && e != cudaErrorNotReady) last_error = e;
  return e;
}

/* The device's memory can be touched while one of these lives. */
struct opened {
  opened() {
    device_state &d = dev();
    if (!d.open++ && d.top) mprotect(d.arena, d.top, PROT_READ | PROT_WRITE);
  }
  ~opened() {
    device_state &d = dev();
    if (!--d.open && d.top) mprotect(d.arena, d.top, PROT_NONE);
  }
};

/* Bytes in front of and behind an allocation, which nobody may write. */
void paint(unsigned char *p, const piece &k) {
  memset(p - GUARD, 0xd5, GUARD);
  memset(p + k.bytes, 0xd5, k.pages * PAGE - GUARD - k.bytes);
  ASAN_POISON_MEMORY_REGION(p - GUARD, GUARD);
  ASAN_POISON_MEMORY_REGION(p + k.bytes, k.pages * PAGE - GUARD - k.bytes);
}
void inspect(unsigned char *p, const piece &k) {
  ASAN_UNPOISON_MEMORY_REGION(p - GUARD, k.pages * PAGE);
  bool whole = true;
  for (size_t i = 0; i < GUARD; i++) whole = whole && p[-1 - static_cast<long>(i)] == 0xd5;
  for (size_t i = k.bytes; i < k.pages * PAGE - GUARD; i++) whole = whole && p[i] == 0xd5;
  if (whole) return;
  fprintf(stderr, "emulated device: something was written outside an allocation of %zu bytes\n", k.bytes);
  abort();
}

bool on_device(const void *p, size_t bytes) {
  device_state &d = dev();
  unsigned char *c = const_cast<unsigned char *>(static_cast<const unsigned char *>(p));
  auto k = d.pieces.upper_bound(c);
  if (k == d.pieces.begin()) return false;
  --k;
  return c >= k->first && bytes <= k->second.bytes && c - k->first <= static_cast<long>(k->second.bytes - bytes);
}
bool in_arena(const void *p) { return p >= dev().arena && p < dev().arena + ARENA; }
bool is_pinned(const void *p, size_t bytes) {
  device_state &d = dev();
  const unsigned char *c = static_cast<const unsigned char *>(p);
  auto k = d.pinned.upper_bound(c);
  if (k == d.pinned.begin()) return false;
  --k;
  return c + bytes <= k->first + k->second;
}

} // namespace

struct hn_emulated_stream {
  std::list<op> queue;
  hn_emulated_graph *capture = nullptr;
  bool origin = false;
};
struct hn_emulated_event {
  std::shared_ptr<event_state> state = std::make_shared<event_state>();
  hn_emulated_graph *captured = nullptr;
};
struct hn_emulated_graph {
  std::vector<work> nodes;
  std::set<hn_emulated_stream *> streams;
};
struct hn_emulated_graph_exec {
  std::vector<work> nodes;
};

namespace {

hn_emulated_stream *stream_of(cudaStream_t s) {
  static hn_emulated_stream *legacy = new hn_emulated_stream();
  dev().streams.insert(legacy);
  return s ? s : legacy;
}
bool known(cudaStream_t s) { return !s || dev().streams.count(s); }

void drain(hn_emulated_stream *s);
void await(const std::shared_ptr<event_state> &e) {
  while (!e->done) {
    hn_emulated_stream *s = e->on;
    op o = std::move(s->queue.front());
    s->queue.pop_front();
    if (o.waits) await(o.waits);
    else o.run();
  }
}
void drain(hn_emulated_stream *s) {
  opened o;
  while (!s->queue.empty()) {
    op next = std::move(s->queue.front());
    s->queue.pop_front();
    if (next.waits) await(next.waits);
    else next.run();
  }
}
void drain_all() {
  for (hn_emulated_stream *s : dev().streams) drain(s);
}

cudaError_t lost() { return dev().sticky; }

/* Work is counted when it is done: the piece with which the device is lost shows when somebody waits for it. */
work counted(work w) {
  return [w]() {
    device_state &d = dev();
    if (d.lost_after >= 0 && d.launches++ >= d.lost_after) d.sticky = cudaErrorIllegalAddress;
    if (!d.sticky) w();
  };
}

cudaError_t enqueue(cudaStream_t st, work w, bool mark = false) {
  hn_emulated_stream *s = stream_of(st);
  if (!mark) w = counted(w);
  if (s->capture) s->capture->nodes.push_back(std::move(w));
  else s->queue.push_back({std::move(w), nullptr});
  return cudaSuccess;
}

cudaError_t check_copy(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind, bool *host_from, bool *host_to) {
  bool df = on_device(from, bytes), dt = on_device(to, bytes);
  if ((in_arena(from) && !df) || (in_arena(to) && !dt)) {
    fprintf(stderr, "emulated device: a copy of %zu bytes reaches outside an allocation\n", bytes);
    abort();
  }
  *host_from = !df;
  *host_to = !dt;
  bool want_df = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  bool want_dt = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  return kind == cudaMemcpyDefault || (df == want_df && dt == want_dt) ? cudaSuccess : cudaErrorInvalidValue;
}

} // namespace

/* ---- for test programs */
long hn_emulated_count(const char *name) {
  guard g(dev().lock);
  return calls_of(name)->n;
}
void hn_emulated_fail(const char *name, long after, long n) {
  guard g(dev().lock);
  calls *c = calls_of(name);
  c->first = n ? c->n + 1 + after : 0;
  c->last = n ? c->n + after + n : 0;
}

/* ---- launches */
cudaError_t hn_emulated_launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t s, std::function<void()> body) {
  device_state &d = dev();
  guard g(d.lock);
  if (lost()) return result(lost());
  size_t threads = size_t(block.x) * block.y * block.z;
  if (!known(s)) return result(cudaErrorInvalidResourceHandle);
  if (!threads || threads > 1024 || block.z > 64 || !grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return result(cudaErrorInvalidConfiguration);
  if (shared > 48 << 10) return result(cudaErrorInvalidValue);
  if (refused(LAUNCHES)) return result(cudaErrorInvalidConfiguration);
  return result(enqueue(s, [=]() { hn_emulated_run_grid(name, grid, block, shared, body); }));
}

cudaError_t hn_emulated_enqueue(cudaStream_t s, void (*fn)(const void *), const void *arg, size_t size) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  if (refused(LAUNCHES)) return result(cudaErrorInvalidConfiguration);
  std::vector<unsigned char> copy(static_cast<const unsigned char *>(arg), static_cast<const unsigned char *>(arg) + size);
  return result(enqueue(s, [=]() { fn(copy.data()); }));
}

/* ---- the device */
cudaError_t cudaGetDeviceCount(int *count) {
  const char *v = getenv("HONE_EMULATED_DEVICES");
  int driver;
  *count = v ? atoi(v) : 1;
  cudaDriverGetVersion(&driver);
  return result(driver < CUDART_VERSION ? cudaErrorInsufficientDriver : *count ? cudaSuccess : cudaErrorNoDevice);
}
static bool is_there(int device) {
  int n;
  cudaGetDeviceCount(&n);
  return device >= 0 && device < n;
}
cudaError_t cudaSetDevice(int device) {
  if (getenv("HONE_EMULATED_BUSY") || getenv("HONE_EMULATED_PROHIBITED")) return result(cudaErrorDevicesUnavailable);
  return result(is_there(device) ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int *device) { return *device = 0, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device) {
  if (!is_there(device)) return result(cudaErrorInvalidDevice);
  memset(p, 0, sizeof *p);
  snprintf(p->name, sizeof p->name, "emulated GPU");
  p->totalGlobalMem = dev().limit;
  p->sharedMemPerBlock = p->sharedMemPerBlockOptin = 48 << 10;
  p->sharedMemPerMultiprocessor = 96 << 10;
  p->regsPerBlock = 65536;
  p->warpSize = 32;
  p->maxThreadsPerBlock = 1024;
  p->maxThreadsPerMultiProcessor = 2048;
  p->major = 8;
  p->minor = 0;
  p->multiProcessorCount = 4;
  p->memoryBusWidth = 256;
  p->l2CacheSize = 4 << 20;
  p->asyncEngineCount = 2;
  p->concurrentKernels = p->canMapHostMemory = 1;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr a, int device) {
  cudaDeviceProp p;
  cudaError_t e = cudaGetDeviceProperties(&p, device);
  if (e) return e;
  switch (a) {
    case cudaDevAttrMaxSharedMemoryPerBlock:
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(p.sharedMemPerBlock); break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrComputeMode: *value = getenv("HONE_EMULATED_PROHIBITED") ? cudaComputeModeProhibited : 0; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = p.memoryBusWidth; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate: *value = 1000000; break; /* kHz */
    default: return result(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *v) {
  const char *set = getenv("HONE_EMULATED_DRIVER");
  *v = set ? atoi(set) : CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *v) { return *v = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaDeviceSynchronize(void) {
  guard g(dev().lock);
  drain_all();
  return result(lost());
}
cudaError_t cudaGetLastError(void) {
  cudaError_t e = last_error;
  last_error = dev().sticky;
  return e;
}
cudaError_t cudaPeekAtLastError(void) { return last_error; }

static const struct {
  cudaError_t e;
  const char *name, *text;
} errors[] = {{cudaSuccess, "cudaSuccess", "no error"},
              {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
              {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
              {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
              {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
              {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable", "CUDA-capable device(s) is/are busy or unavailable"},
              {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
              {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
              {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
              {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
              {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
              {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
              {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"}};
const char *cudaGetErrorString(cudaError_t e) {
  for (const auto &r : errors)
    if (r.e == e) return r.text;
  return "unknown error";
}
const char *cudaGetErrorName(cudaError_t e) {
  for (const auto &r : errors)
    if (r.e == e) return r.name;
  return "cudaErrorUnknown";
}

/* ---- memory */
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
  guard g(dev().lock);
  *total = dev().limit;
  *free_bytes = dev().limit > dev().used ? dev().limit - dev().used : 0;
  return result(lost());
}
cudaError_t cudaMalloc(void **p, size_t bytes) {
  device_state &d = dev();
  guard g(d.lock);
  if (lost()) return result(lost());
  *p = nullptr;
  if (!bytes) return cudaSuccess;
  if (refused(ALLOCATIONS)) return result(cudaErrorMemoryAllocation);
  size_t pages = (bytes + 2 * GUARD + PAGE - 1) / PAGE;
  if (bytes > d.limit || d.used > d.limit - bytes) return result(cudaErrorMemoryAllocation);
  unsigned char *place;
  auto s = d.spare.lower_bound(pages);
  if (s != d.spare.end() && s->first <= 2 * pages) {
    place = s->second;
    pages = s->first;
    d.spare.erase(s);
  } else {
    if (!d.arena || d.top + pages * PAGE > ARENA) return result(cudaErrorMemoryAllocation);
    place = d.arena + d.top;
    d.top += pages * PAGE;
    if (d.open) mprotect(place, pages * PAGE, PROT_READ | PROT_WRITE);
  }
  piece k = {bytes, pages};
  opened o;
  memset(place + GUARD, 0xcd, bytes); /* what memory holds at first is not known */
  paint(place + GUARD, k);
  d.pieces[place + GUARD] = k;
  d.used += bytes;
  *p = place + GUARD;
  return cudaSuccess;
}
cudaError_t cudaFree(void *p) {
  device_state &d = dev();
  guard g(d.lock);
  if (!p) return cudaSuccess;
  auto k = d.pieces.find(static_cast<unsigned char *>(p));
  if (k == d.pieces.end()) return result(cudaErrorInvalidValue);
  if (!lost()) drain_all();
  opened o;
  inspect(k->first, k->second);
  madvise(k->first - GUARD, k->second.pages * PAGE, MADV_DONTNEED); /* fewer pages to lock and unlock */
  d.used -= k->second.bytes;
  d.spare.insert({k->second.pages, k->first - GUARD});
  d.pieces.erase(k);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void **p, size_t bytes) {
  guard g(dev().lock);
  *p = nullptr;
  if (refused(ALLOCATIONS)) return result(cudaErrorMemoryAllocation);
  *p = aligned_alloc(64, (bytes + 64) / 64 * 64);
  if (!*p) return result(cudaErrorMemoryAllocation);
  dev().pinned[static_cast<unsigned char *>(*p)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned) { return cudaMallocHost(p, bytes); }
cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned) {
  guard g(dev().lock);
  dev().pinned[static_cast<unsigned char *>(p)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void *p) {
  guard g(dev().lock);
  if (!lost()) drain_all();
  return result(dev().pinned.erase(static_cast<unsigned char *>(p)) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaFreeHost(void *p) {
  if (!p) return cudaSuccess;
  cudaError_t e = cudaHostUnregister(p);
  if (!e) free(p);
  return e;
}
cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned) { return *device = host, cudaSuccess; }

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t s) {
  guard g(dev().lock);
  bool host_from, host_to;
  if (lost()) return result(lost());
  if (!known(s)) return result(cudaErrorInvalidResourceHandle);
  if (!bytes) return cudaSuccess;
  cudaError_t e = check_copy(to, from, bytes, kind, &host_from, &host_to);
  if (e) return result(e);
  e = enqueue(s, [=]() { memcpy(to, from, bytes); });
  bool pageable = (host_from && !is_pinned(from, bytes)) || (host_to && !is_pinned(to, bytes));
  if (!e && pageable && !stream_of(s)->capture) drain(stream_of(s)); /* such copies are over when they return */
  return result(e);
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
  cudaError_t e = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
  guard g(dev().lock);
  if (!e) drain(stream_of(nullptr));
  return e;
}
cudaError_t cudaMemcpy2DAsync(void *to, size_t tp, const void *from, size_t fp, size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t s) {
  for (size_t i = 0; i < height; i++) {
    cudaError_t e = cudaMemcpyAsync(static_cast<char *>(to) + i * tp, static_cast<const char *>(from) + i * fp, width, kind, s);
    if (e) return e;
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  if (!bytes) return cudaSuccess;
  if (!on_device(p, bytes)) return result(cudaErrorInvalidValue);
  return result(enqueue(s, [=]() { memset(p, value, bytes); }));
}
cudaError_t cudaMemset(void *p, int value, size_t bytes) { return cudaMemsetAsync(p, value, bytes, nullptr); }

/* ---- streams and events */
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned, int) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  *s = new hn_emulated_stream();
  dev().streams.insert(*s);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags) { return cudaStreamCreateWithPriority(s, flags, 0); }
cudaError_t cudaStreamCreate(cudaStream_t *s) { return cudaStreamCreateWithPriority(s, 0, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t s) {
  guard g(dev().lock);
  if (!s || !known(s)) return result(cudaErrorInvalidResourceHandle);
  if (!lost()) drain(s);
  for (op &o : s->queue) (void)o;
  dev().streams.erase(s);
  delete s;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  if (!known(s)) return result(cudaErrorInvalidResourceHandle);
  if (stream_of(s)->capture) return result(cudaErrorStreamCaptureUnsupported);
  drain(stream_of(s));
  return result(lost());
}
cudaError_t cudaStreamQuery(cudaStream_t s) { return cudaStreamSynchronize(s); }
cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t fn, void *arg) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  return result(enqueue(s, [=]() { fn(arg); }));
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) { return *e = new hn_emulated_event(), cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t *e) { return cudaEventCreateWithFlags(e, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t e) {
  guard g(dev().lock);
  delete e;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t st) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  hn_emulated_stream *s = stream_of(st);
  e->captured = s->capture;
  if (s->capture) return cudaSuccess;
  auto state = std::make_shared<event_state>();
  state->done = false;
  state->on = s;
  e->state = state;
  return result(enqueue(st, [=]() {
    state->time = now_seconds();
    state->done = true;
  }, true));
}
cudaError_t cudaStreamWaitEvent(cudaStream_t st, cudaEvent_t e, unsigned) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  hn_emulated_stream *s = stream_of(st);
  if (e->captured) {
    s->capture = e->captured;
    s->capture->streams.insert(s);
  } else if (s->capture) {
    return result(cudaErrorStreamCaptureUnsupported);
  } else if (!e->state->done) {
    s->queue.push_back({nullptr, e->state});
  }
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  opened o;
  await(e->state);
  return result(lost());
}
cudaError_t cudaEventQuery(cudaEvent_t e) { return cudaEventSynchronize(e); }
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
  guard g(dev().lock);
  if (!from->state->done || !to->state->done) return result(cudaErrorNotReady);
  *ms = static_cast<float>(1e3 * (to->state->time - from->state->time));
  return cudaSuccess;
}

/* ---- graphs: what was captured, in the order in which it was given */
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  if (!s || s->capture) return result(cudaErrorStreamCaptureUnsupported);
  drain(s);
  s->capture = new hn_emulated_graph();
  s->capture->streams.insert(s);
  s->origin = true;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *out) {
  guard g(dev().lock);
  *out = nullptr;
  if (!s || !s->capture || !s->origin) return result(cudaErrorStreamCaptureInvalidated);
  hn_emulated_graph *graph = s->capture;
  for (hn_emulated_stream *k : graph->streams) k->capture = nullptr;
  s->origin = false;
  *out = graph;
  return result(lost());
}
cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus *status) {
  *status = s && s->capture ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long) {
  *x = new hn_emulated_graph_exec();
  (*x)->nodes = g->nodes;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s) {
  guard g(dev().lock);
  if (lost()) return result(lost());
  if (refused(REPLAYS)) return result(cudaErrorLaunchFailure);
  for (const work &w : x->nodes) enqueue(s, w, true); /* counted when they were captured */
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x) { return delete x, cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t g) { return delete g, cudaSuccess; }
