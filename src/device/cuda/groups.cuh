/* groups.cuh - the threads of a block divided among groups of elements, and what the threads of a group find together. */
#ifndef HN_CUDA_GROUPS_CUH
#define HN_CUDA_GROUPS_CUH
#include "device/cuda/scalar.cuh"

struct hn_member {
  uint32_t group, element, base; /* element: where this thread begins */
  bool some;                     /* there is such a group */
};

static __device__ __forceinline__ hn_member hn_member_of(const hn_gpu_groups &g) {
  uint32_t side = HN_GPU_BLOCK / g.threads, t = threadIdx.x;
  hn_member m;
  m.group = blockIdx.x * side + (g.along ? t / g.threads : t % side);
  m.element = g.along ? t % g.threads : t / side;
  m.some = m.group < g.groups;
  m.base = 0;
  uint32_t rest = m.some ? m.group : 0;
  for (int d = g.kept_rank - 1; d >= 0; d--) m.base += hn_peel(&rest, g.kept[d]) * g.kept_stride[d];
  return m;
}

static __device__ __forceinline__ uint32_t hn_element_at(const hn_gpu_groups &g, uint32_t k) {
  uint32_t at = 0;
  for (int d = g.inner_rank - 1; d > 0; d--) at += hn_peel(&k, g.inner[d]) * g.inner_stride[d];
  return at + k * g.inner_stride[0];
}

/* f over the values of a group's threads, known to all of them. `shared` has room for a value of each thread of the block. All
   threads of the block must call. */
template <typename V, typename F> static __device__ __forceinline__ V hn_together(const hn_gpu_groups &g, V v, V *shared, F f) {
  uint32_t t = threadIdx.x, side = HN_GPU_BLOCK / g.threads;
  if (g.along) {
    uint32_t width = g.threads < 32 ? g.threads : 32;
    for (uint32_t k = width / 2; k; k /= 2) v = f(v, __shfl_xor_sync(HN_ALL, v, static_cast<int>(k)));
    if (g.threads <= 32) return v;
    if (t % 32 == 0) shared[t / 32] = v;
    __syncthreads();
    uint32_t first = t / g.threads * (g.threads / 32);
    v = shared[first];
    for (uint32_t k = 1; k < g.threads / 32; k++) v = f(v, shared[first + k]);
    __syncthreads();
    return v;
  }
  shared[t] = v;
  __syncthreads();
  for (uint32_t half = g.threads / 2; half; half /= 2) {
    if (t / side < half) shared[t] = f(shared[t], shared[t + half * side]);
    __syncthreads();
  }
  v = shared[t % side];
  __syncthreads();
  return v;
}

struct hn_add {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};
struct hn_larger {
  __device__ __forceinline__ float operator()(float a, float b) const { return larger(a, b); }
};

/* Calls body(v) for each of this thread's elements of its group. */
template <typename T, bool VECTOR, typename F>
static __device__ __forceinline__ void hn_each(const hn_gpu_groups &g, const hn_member &m, const T *in, F body) {
  if (!m.some) return;
  if (VECTOR) {
    for (uint32_t k = m.element * HN_GPU_VECTOR; k < g.n; k += g.threads * HN_GPU_VECTOR) {
      float v[HN_GPU_VECTOR];
      hn_load8(in + m.base + k, v);
      HN_UNROLL for (int e = 0; e < HN_GPU_VECTOR; e++) body(v[e]);
    }
  } else {
    for (uint32_t k = m.element; k < g.n; k += g.threads) body(hn_to_float(in[m.base + hn_element_at(g, k)]));
  }
}

/* out = body(k, v) for each of them, k its number in the group. */
template <typename T, bool VECTOR, typename F>
static __device__ __forceinline__ void hn_rewrite(const hn_gpu_groups &g, const hn_member &m, const T *in, T *out, F body) {
  if (!m.some) return;
  if (VECTOR) {
    for (uint32_t k = m.element * HN_GPU_VECTOR; k < g.n; k += g.threads * HN_GPU_VECTOR) {
      float v[HN_GPU_VECTOR];
      hn_load8(in + m.base + k, v);
      HN_UNROLL for (int e = 0; e < HN_GPU_VECTOR; e++) v[e] = body(k + e, v[e]);
      hn_store8(out + m.base + k, v);
    }
  } else {
    for (uint32_t k = m.element; k < g.n; k += g.threads) {
      uint32_t at = m.base + hn_element_at(g, k);
      hn_from_float(out + at, body(k, hn_to_float(in[at])));
    }
  }
}

static inline unsigned hn_group_blocks(const hn_gpu_groups *g) {
  uint32_t side = HN_GPU_BLOCK / g->threads;
  return (g->groups + side - 1) / side;
}
#endif
