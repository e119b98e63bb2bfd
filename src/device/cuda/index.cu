/* index.cu - elements picked or placed by index, and tensors made from indices. */
#include "device/cuda/groups.cuh"

/* An index in [-limit, limit) as one in [0, limit); else 0, and the fault is reported: the caller must not use it. */
static __device__ __forceinline__ bool in_range(int64_t i, int64_t limit, const hn_gpu_fault &f, uint32_t *out) {
  bool good = i >= -limit && i < limit;
  if (!good) *static_cast<volatile unsigned long long *>(f.word) = f.who;
  *out = good ? static_cast<uint32_t>(i < 0 ? i + limit : i) : 0;
  return good;
}

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) gather(const __grid_constant__ hn_gpu_gather g) {
  HN_GRID_LOOP(i, g.n) {
    uint32_t o = i, k = hn_peel(&o, g.inner), p = hn_peel(&o, g.count), at;
    T v = {};
    if (in_range(hn_get_int(g.at_dtype, g.at, p), g.limit, g.fault, &at)) v = static_cast<const T *>(g.in)[(o * static_cast<uint32_t>(g.limit) + at) * g.inner.d + k];
    static_cast<T *>(g.out)[i] = v;
  }
}

/* Starts kernel<T> with T a unit of so many bytes. */
#define BY_SIZE(bytes, kernel, blocks, s, arg)                                         \
  do {                                                                                 \
    if ((bytes) == 1) HN_LAUNCH(kernel<uint8_t>, blocks, HN_GPU_BLOCK, 0, s, arg);     \
    else if ((bytes) == 2) HN_LAUNCH(kernel<uint16_t>, blocks, HN_GPU_BLOCK, 0, s, arg); \
    else if ((bytes) == 4) HN_LAUNCH(kernel<uint32_t>, blocks, HN_GPU_BLOCK, 0, s, arg); \
    else if ((bytes) == 8) HN_LAUNCH(kernel<uint2>, blocks, HN_GPU_BLOCK, 0, s, arg);  \
    else HN_LAUNCH(kernel<uint4>, blocks, HN_GPU_BLOCK, 0, s, arg);                    \
  } while (0)

void hn_gpu_gather_run(cudaStream_t s, const hn_gpu_gather *g) {
  if (g->n) BY_SIZE(g->size, gather, hn_gpu_blocks(g->n, HN_GPU_BLOCK), s, *g);
}

/* p[i] = p[i] op v, by whoever comes; types of one or two bytes in the word around them. */
static __device__ __forceinline__ void combine_into(int dtype, int size, int op, void *p, uint32_t i, const void *from, uint32_t k) {
  bool real = dtype == HONE_DTYPE_F32 || dtype == HONE_DTYPE_F16 || dtype == HONE_DTYPE_BF16;
  float fv = real ? hn_get_float(dtype, from, k) : 0;
  int64_t iv = real ? 0 : hn_get_int(dtype, from, k);
  if (size == 8) {
    unsigned long long *w = static_cast<unsigned long long *>(p) + i, seen = *w, was;
    do {
      was = seen;
      seen = atomicCAS(w, was, static_cast<unsigned long long>(hn_binary_int(op, static_cast<int64_t>(was), iv, 0, dtype == HONE_DTYPE_U64)));
    } while (seen != was);
    return;
  }
  uint64_t byte = static_cast<uint64_t>(i) * static_cast<uint32_t>(size);
  unsigned *w = static_cast<unsigned *>(p) + byte / 4, seen = *w, was;
  uint32_t inside = static_cast<uint32_t>(byte % 4) / static_cast<uint32_t>(size);
  do {
    uint64_t next = was = seen;
    if (real) {
      float x = hn_get_float(dtype, &next, inside);
      hn_binary<1, false>(op, &x, &fv, 0);
      hn_put_float(dtype, &next, inside, x);
    } else {
      hn_put_int(dtype, &next, inside, hn_binary_int(op, hn_get_int(dtype, &next, inside), iv, 0, false));
    }
    seen = atomicCAS(w, was, static_cast<unsigned>(next));
  } while (seen != was);
}

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) elements(const __grid_constant__ hn_gpu_elements e) {
  HN_GRID_LOOP(i, e.n) {
    uint32_t rest = i, offset = 0, at;
    bool good = in_range(hn_get_int(e.at_dtype, e.at, i), e.limit, e.fault, &at);
    for (int d = e.rank - 1; d >= 0; d--) {
      uint32_t k = hn_peel(&rest, e.dim[d]);
      offset += (d == e.axis ? at : k) * e.stride[d];
    }
    if (!e.scatter) {
      T v = {};
      if (good) v = static_cast<const T *>(e.from)[offset];
      static_cast<T *>(e.to)[i] = v;
    } else if (good && e.reduction) {
      combine_into(e.dtype, sizeof(T), e.reduction, e.to, offset, e.from, i);
    } else if (good) {
      static_cast<T *>(e.to)[offset] = static_cast<const T *>(e.from)[i];
    }
  }
}

void hn_gpu_elements_run(cudaStream_t s, const hn_gpu_elements *e) {
  unsigned blocks = hn_gpu_blocks(e->n, HN_GPU_BLOCK);
  if (!e->n) return;
  if (e->size == 1) HN_LAUNCH(elements<uint8_t>, blocks, HN_GPU_BLOCK, 0, s, *e);
  else if (e->size == 2) HN_LAUNCH(elements<uint16_t>, blocks, HN_GPU_BLOCK, 0, s, *e);
  else if (e->size == 4) HN_LAUNCH(elements<uint32_t>, blocks, HN_GPU_BLOCK, 0, s, *e);
  else HN_LAUNCH(elements<uint2>, blocks, HN_GPU_BLOCK, 0, s, *e);
}

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) tuples(const __grid_constant__ hn_gpu_tuples t) {
  HN_GRID_LOOP(i, t.n) {
    uint32_t tuple = i, k = hn_peel(&tuple, t.run), place = hn_quotient(tuple, t.each), at;
    bool good = true;
    for (int d = 0; d < t.depth; d++) {
      good = in_range(hn_get_int(t.at_dtype, t.at, tuple * static_cast<uint32_t>(t.depth) + static_cast<uint32_t>(d)), t.dim[d], t.fault, &at) && good;
      place = place * static_cast<uint32_t>(t.dim[d]) + at;
    }
    uint32_t there = place * t.run.d + k;
    if (!t.scatter) {
      T v = {};
      if (good) v = static_cast<const T *>(t.from)[there];
      static_cast<T *>(t.to)[i] = v;
    } else if (good && t.reduction) {
      combine_into(t.dtype, sizeof(T), t.reduction, t.to, there, t.from, i);
    } else if (good) {
      static_cast<T *>(t.to)[there] = static_cast<const T *>(t.from)[i];
    }
  }
}

void hn_gpu_tuples_run(cudaStream_t s, const hn_gpu_tuples *t) {
  if (t->n) BY_SIZE(t->size, tuples, hn_gpu_blocks(t->n, HN_GPU_BLOCK), s, *t);
}

/* ---- tensors made from indices */

static __device__ __forceinline__ double index_value(const hn_gpu_fill &f, uint32_t i) {
  if (f.at_dtype == HONE_DTYPE_F32 || f.at_dtype == HONE_DTYPE_F16 || f.at_dtype == HONE_DTYPE_BF16) return hn_get_float(f.at_dtype, f.in, i);
  return static_cast<double>(hn_get_int(f.at_dtype, f.in, i));
}

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) fill(const __grid_constant__ hn_gpu_fill f) {
  const T *in = static_cast<const T *>(f.in), *values = static_cast<const T *>(f.values);
  HN_GRID_LOOP(i, f.n) {
    uint32_t rest = i, column = hn_peel(&rest, f.inner);
    T v = {};
    if (f.op == HN_OneHot) { /* out (o, d, column) is `on` where the index at (o, column) is d */
      uint32_t d = hn_peel(&rest, f.middle);
      double at = index_value(f, rest * f.inner.d + column);
      if (at < 0) at += static_cast<double>(f.k);
      v = values[at == static_cast<double>(d)];
    } else if (f.op == HN_Trilu) {
      int64_t row = hn_peel(&rest, f.middle), edge = row + (values ? *static_cast<const int64_t *>(f.values) : 0);
      if (f.upper ? column >= edge : column <= edge) v = in[i];
    } else if (f.op == HN_EyeLike) {
      if (static_cast<int64_t>(column) == static_cast<int64_t>(rest) + f.k) v = values[0];
    } else { /* ReverseSequence */
      uint32_t b = hn_quotient(i, f.batch_stride), t = hn_quotient(i, f.time_stride);
      b -= hn_quotient(b, f.batch) * f.batch.d;
      t -= hn_quotient(t, f.time) * f.time.d;
      int64_t n = hn_get_int(f.at_dtype, f.values, b);
      if (n < 0 || n > f.time.d) *static_cast<volatile unsigned long long *>(f.fault.word) = f.fault.who;
      else v = in[t < n ? static_cast<uint32_t>(i + (n - 1 - 2 * static_cast<int64_t>(t)) * f.time_stride.d) : i];
    }
    static_cast<T *>(f.out)[i] = v;
  }
}

void hn_gpu_fill_run(cudaStream_t s, const hn_gpu_fill *f) {
  unsigned blocks = hn_gpu_blocks(f->n, HN_GPU_BLOCK);
  if (!f->n) return;
  if (f->size == 1) HN_LAUNCH(fill<uint8_t>, blocks, HN_GPU_BLOCK, 0, s, *f);
  else if (f->size == 2) HN_LAUNCH(fill<uint16_t>, blocks, HN_GPU_BLOCK, 0, s, *f);
  else if (f->size == 4) HN_LAUNCH(fill<uint32_t>, blocks, HN_GPU_BLOCK, 0, s, *f);
  else HN_LAUNCH(fill<uint2>, blocks, HN_GPU_BLOCK, 0, s, *f);
}

/* ---- running sums: a warp takes a group, 32 elements at a time; where neighbours belong to other groups, a thread does */

template <typename V> static __device__ __forceinline__ V get_as(int dtype, const void *p, uint32_t i);
template <> __device__ __forceinline__ float get_as<float>(int dtype, const void *p, uint32_t i) { return hn_get_float(dtype, p, i); }
template <> __device__ __forceinline__ int64_t get_as<int64_t>(int dtype, const void *p, uint32_t i) { return hn_get_int(dtype, p, i); }
static __device__ __forceinline__ void put_as(int dtype, void *p, uint32_t i, float v) { hn_put_float(dtype, p, i, v); }
static __device__ __forceinline__ void put_as(int dtype, void *p, uint32_t i, int64_t v) { hn_put_int(dtype, p, i, v); }
static __device__ __forceinline__ float joined(bool product, float a, float b) { return product ? a * b : a + b; }
static __device__ __forceinline__ int64_t joined(bool product, int64_t a, int64_t b) {
  uint64_t x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
  return wrap(product ? x * y : x + y);
}

template <typename V> static __global__ void __launch_bounds__(HN_GPU_BLOCK) scan(const __grid_constant__ hn_gpu_scan c) {
  hn_member m = hn_member_of(c.g);
  uint32_t n = c.g.n, lanes = c.g.threads, lane = m.element;
  V before = static_cast<V>(c.product ? 1 : 0), none = before;
  for (uint32_t first = 0; first < n; first += lanes) {
    uint32_t k = first + lane, at = 0;
    bool mine = m.some && k < n;
    V v = none, up;
    if (mine) {
      at = m.base + hn_element_at(c.g, c.reverse ? n - 1 - k : k);
      v = get_as<V>(c.dtype, c.in, at);
    }
    for (uint32_t step = 1; step < lanes; step *= 2) {
      up = __shfl_up_sync(HN_ALL, v, step);
      if (lane >= step) v = joined(c.product, up, v);
    }
    V whole = joined(c.product, before, v);
    if (lanes == 1) up = before;
    else {
      up = __shfl_up_sync(HN_ALL, whole, 1);
      if (lane == 0) up = before;
      before = __shfl_sync(HN_ALL, whole, 31);
    }
    if (mine) put_as(c.dtype, c.out, at, c.exclusive ? up : whole);
    if (lanes == 1) before = whole;
  }
}

void hn_gpu_scan_run(cudaStream_t s, const hn_gpu_scan *c) {
  if (!c->g.groups || !c->g.n) return;
  if (c->ints) HN_LAUNCH(scan<int64_t>, hn_group_blocks(&c->g), HN_GPU_BLOCK, 0, s, *c);
  else HN_LAUNCH(scan<float>, hn_group_blocks(&c->g), HN_GPU_BLOCK, 0, s, *c);
}
