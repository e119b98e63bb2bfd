/* reduce.cu - reductions over axes, and the places of extremes. */
#include "device/cuda/groups.cuh"

/* What an element adds to the sum. */
static __device__ __forceinline__ float taken(int op, float v, float shift) {
  switch (op) {
    case HN_ReduceL1: return fabsf(v);
    case HN_ReduceL2:
    case HN_ReduceSumSquare: return v * v;
    case HN_ReduceLogSumExp: return expf(v - shift);
    default: return v;
  }
}

struct combine {
  int op;
  __device__ __forceinline__ float operator()(float a, float b) const {
    return op == HN_ReduceMax ? larger(a, b) : op == HN_ReduceMin ? smaller(a, b) : op == HN_ReduceProd ? a * b : a + b;
  }
};

static __device__ __forceinline__ float start(int op) {
  return op == HN_ReduceProd ? 1.0f : op == HN_ReduceMax ? -INFINITY : op == HN_ReduceMin ? INFINITY : 0.0f;
}

template <typename T, bool VECTOR> static __global__ void __launch_bounds__(HN_GPU_BLOCK) reduce_floats(const __grid_constant__ hn_gpu_reduce r) {
  __shared__ float shared[HN_GPU_BLOCK];
  hn_member m = hn_member_of(r.g);
  const T *in = static_cast<const T *>(r.in);
  int op = r.op;
  float shift = 0;
  if (op == HN_ReduceLogSumExp) { /* shifted by the largest, so that no exponential overflows */
    shift = -INFINITY;
    hn_each<T, VECTOR>(r.g, m, in, [&](float v) { shift = larger(shift, v); });
    shift = hn_together(r.g, shift, shared, hn_larger());
    if (!(fabsf(shift) <= 3.402823466e38f)) shift = 0;
  }
  combine f = {op};
  float acc = start(op);
  hn_each<T, VECTOR>(r.g, m, in, [&](float v) { acc = f(acc, taken(op, v, shift)); });
  acc = hn_together(r.g, acc, shared, f);
  if (!m.some || m.element) return;
  if (op == HN_ReduceMean) acc /= static_cast<float>(r.g.n);
  if (op == HN_ReduceL2) acc = sqrtf(acc);
  if (op == HN_ReduceLogSum) acc = logf(acc);
  if (op == HN_ReduceLogSumExp) acc = logf(acc) + shift;
  hn_from_float(static_cast<T *>(r.out) + m.group, acc);
}

struct combine_ints {
  int op;
  uint64_t flip;
  __device__ __forceinline__ uint64_t operator()(uint64_t a, uint64_t b) const {
    bool more = static_cast<int64_t>(b ^ flip) > static_cast<int64_t>(a ^ flip);
    switch (op) {
      case HN_ReduceMax: return more ? b : a;
      case HN_ReduceMin: return more ? a : b;
      case HN_ReduceProd: return a * b;
      default: return a + b;
    }
  }
};

static __device__ __forceinline__ uint64_t start_ints(int op, uint64_t flip) {
  if (op == HN_ReduceProd) return 1;
  if (op == HN_ReduceMax) return flip ^ 0x8000000000000000ull;
  return op == HN_ReduceMin ? flip ^ 0x7fffffffffffffffull : 0;
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) reduce_ints(const __grid_constant__ hn_gpu_reduce r) {
  __shared__ uint64_t shared[HN_GPU_BLOCK];
  hn_member m = hn_member_of(r.g);
  int op = r.op;
  combine_ints f = {op, r.u64 ? 0x8000000000000000ull : 0ull};
  uint64_t acc = start_ints(op, f.flip);
  for (uint32_t k = m.element; m.some && k < r.g.n; k += r.g.threads) {
    int64_t v = hn_get_int(r.dtype, r.in, m.base + hn_element_at(r.g, k));
    if (op == HN_ReduceL1 && !r.u64 && v < 0) v = wrap(0 - static_cast<uint64_t>(v));
    if (op == HN_ReduceSumSquare) v = wrap(static_cast<uint64_t>(v) * static_cast<uint64_t>(v));
    acc = f(acc, static_cast<uint64_t>(v));
  }
  acc = hn_together(r.g, acc, shared, f);
  if (!m.some || m.element) return;
  int64_t v = wrap(acc);
  if (op == HN_ReduceMean) v = r.u64 ? wrap(acc / r.g.n) : v / static_cast<int64_t>(r.g.n);
  hn_put_int(r.dtype, r.out, m.group, v);
}

void hn_gpu_reduce_run(cudaStream_t s, const hn_gpu_reduce *r) {
  unsigned blocks = hn_group_blocks(&r->g);
  if (!r->g.groups) return;
  if (r->dtype != HONE_DTYPE_F32 && r->dtype != HONE_DTYPE_F16 && r->dtype != HONE_DTYPE_BF16) HN_LAUNCH(reduce_ints, blocks, HN_GPU_BLOCK, 0, s, *r);
  else if (r->g.vector) HN_BY_FLOAT(r->dtype, HN_LAUNCH((reduce_floats<T, true>), blocks, HN_GPU_BLOCK, 0, s, *r));
  else HN_BY_FLOAT(r->dtype, HN_LAUNCH((reduce_floats<T, false>), blocks, HN_GPU_BLOCK, 0, s, *r));
}

/* ---- places. Numbers are compared as integers that are ordered as they are, a NaN above all for both kinds of extreme. */

static __device__ __forceinline__ int64_t order_of(const hn_gpu_arg_reduce &r, uint32_t i) {
  int64_t v;
  if (r.floats) {
    float f = hn_get_float(r.dtype, r.in, i);
    if (f != f) return INT64_MAX;
    int bits = __float_as_int(f + 0.0f); /* -0 as 0 */
    v = bits < 0 ? static_cast<int64_t>(bits ^ 0x7fffffff) : bits;
  } else {
    v = hn_get_int(r.dtype, r.in, i);
    if (r.dtype == HONE_DTYPE_U64) v = static_cast<int64_t>(static_cast<uint64_t>(v) ^ 0x8000000000000000ull);
  }
  return r.least ? ~v : v;
}

static __device__ __forceinline__ bool better(const hn_gpu_arg_reduce &r, int64_t ak, uint32_t a, int64_t bk, uint32_t b) {
  if (ak != bk) return bk > ak;
  return r.last && !(r.floats && ak == INT64_MAX) ? b > a : b < a; /* of NaNs the first */
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) reduce_places(const __grid_constant__ hn_gpu_arg_reduce r) {
  __shared__ int64_t keys[HN_GPU_BLOCK];
  __shared__ uint32_t places[HN_GPU_BLOCK];
  hn_member m = hn_member_of(r.g);
  int64_t key = INT64_MIN;
  uint32_t at = 0xffffffffu;
  for (uint32_t k = m.element; m.some && k < r.g.n; k += r.g.threads) {
    int64_t v = order_of(r, m.base + hn_element_at(r.g, k));
    if (at == 0xffffffffu || better(r, key, at, v, k)) key = v, at = k;
  }
  uint32_t t = threadIdx.x, side = HN_GPU_BLOCK / r.g.threads, step = r.g.along ? 1 : side, e = m.element;
  keys[t] = key;
  places[t] = at;
  __syncthreads();
  for (uint32_t half = r.g.threads / 2; half; half /= 2) {
    uint32_t o = t + half * step;
    if (e < half && places[o] != 0xffffffffu && (places[t] == 0xffffffffu || better(r, keys[t], places[t], keys[o], places[o]))) {
      keys[t] = keys[o];
      places[t] = places[o];
    }
    __syncthreads();
  }
  if (m.some && !e) r.out[m.group] = places[t];
}

void hn_gpu_arg_reduce_run(cudaStream_t s, const hn_gpu_arg_reduce *r) {
  if (r->g.groups) HN_LAUNCH(reduce_places, hn_group_blocks(&r->g), HN_GPU_BLOCK, 0, s, *r);
}
