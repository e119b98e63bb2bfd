/* pool.cu - MaxPool, AveragePool, that of whole images of bytes, and LpPool: a thread makes an output, or eight channels of one where they lie innermost. */
#include "device/cuda/scalar.cuh"


template <typename T, int N> static __device__ __forceinline__ void take(const T *p, float *v) {
  if (N == 1) v[0] = hn_to_float(*p);
  else hn_load8(p, v);
}
template <> __device__ __forceinline__ void take<int8_t, 1>(const int8_t *p, float *v) { v[0] = *p; }
template <> __device__ __forceinline__ void take<uint8_t, 1>(const uint8_t *p, float *v) { v[0] = *p; }
template <typename T, int N> static __device__ __forceinline__ void give(T *p, const float *v) {
  if (N == 1) hn_from_float(p, v[0]);
  else hn_store8(p, v);
}
template <> __device__ __forceinline__ void give<int8_t, 1>(int8_t *p, const float *v) { *p = static_cast<int8_t>(v[0]); }
template <> __device__ __forceinline__ void give<uint8_t, 1>(uint8_t *p, const float *v) { *p = static_cast<uint8_t>(v[0]); }

template <typename T, int N> static __global__ void __launch_bounds__(HN_GPU_BLOCK) pool(const __grid_constant__ hn_gpu_pool p) {
  const hn_gpu_window &w = p.w;
  const T *in = static_cast<const T *>(p.in);
  bool largest = p.kind == HN_MaxPool, norm = p.kind == HN_LpPool;
  HN_GRID_LOOP(u, p.n / N) {
    uint32_t rest = u * N, c = w.last ? hn_peel(&rest, w.channels) : 0;
    int at[HN_GPU_SPATIAL];
    HN_UNROLL for (int d = HN_GPU_SPATIAL - 1; d >= 0; d--) at[d] = static_cast<int>(hn_peel(&rest, w.out_dim[d])) * w.stride[d] - w.pad_begin[d];
    if (!w.last) c = hn_peel(&rest, w.channels);
    const T *plane = in + rest * w.in.image + c * w.in.channel;
    float value[N], sum[N];
    int where = -1, met = 0, counted = 0;
    HN_UNROLL for (int e = 0; e < N; e++) value[e] = -INFINITY, sum[e] = 0;
    for (int a = 0; a < w.kernel[0]; a++) {
      int z = at[0] + a * w.dilation[0];
      for (int b = 0; b < w.kernel[1]; b++) {
        int y = at[1] + b * w.dilation[1];
        for (int k = 0; k < w.kernel[2]; k++) {
          int x = at[2] + k * w.dilation[2];
          counted += z < w.in.dim[0] + w.pad_end[0] && y < w.in.dim[1] + w.pad_end[1] && x < w.in.dim[2] + w.pad_end[2];
          if (z < 0 || z >= w.in.dim[0] || y < 0 || y >= w.in.dim[1] || x < 0 || x >= w.in.dim[2]) continue;
          float v[N];
          take<T, N>(plane + z * w.in.step[0] + y * w.in.step[1] + x * w.in.step[2], v);
          if (N == 1 && p.where && (where < 0 || v[0] > value[0] || (v[0] != v[0] && value[0] == value[0]))) where = (z * w.in.dim[1] + y) * w.in.dim[2] + x;
          HN_UNROLL for (int e = 0; e < N; e++) {
            if (largest) value[e] = v[e] > value[e] || v[e] != v[e] ? v[e] : value[e];
            else sum[e] += norm ? (p.p == 2 ? v[e] * v[e] : powf(fabsf(v[e]), p.p)) : v[e];
          }
          met++;
        }
      }
    }
    int divisor = p.count_pad ? counted : met;
    HN_UNROLL for (int e = 0; e < N; e++) {
      if (norm) value[e] = p.p == 2 ? sqrtf(sum[e]) : powf(sum[e], 1 / p.p);
      else if (!largest) value[e] = divisor ? sum[e] / static_cast<float>(divisor) : 0;
      if (sizeof(T) == 1 && !largest)
        static_cast<float *>(p.out)[u + e] = divisor ? (sum[e] - p.zero * static_cast<float>(met)) * p.scale / static_cast<float>(divisor) : 0;
    }
    if (sizeof(T) > 1 || largest) give<T, N>(static_cast<T *>(p.out) + u * N, value);
    if (N == 1 && p.where) {
      int size = w.in.dim[0] * w.in.dim[1] * w.in.dim[2], flat = where;
      if (p.columns && where >= 0) flat = where / (w.in.dim[1] * w.in.dim[2]) + w.in.dim[0] * (where / w.in.dim[2] % w.in.dim[1] + w.in.dim[1] * (where % w.in.dim[2]));
      p.where[u] = static_cast<int64_t>(rest * w.channels.d + c) * size + flat;
    }
  }
}

void hn_gpu_pool_run(cudaStream_t s, const hn_gpu_pool *p) {
  if (!p->n) return;
  if (p->dtype == HONE_DTYPE_I8) HN_LAUNCH((pool<int8_t, 1>), hn_gpu_blocks(p->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *p);
  else if (p->dtype == HONE_DTYPE_U8) HN_LAUNCH((pool<uint8_t, 1>), hn_gpu_blocks(p->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *p);
  else if (p->vector) HN_BY_FLOAT(p->dtype, HN_LAUNCH((pool<T, HN_GPU_VECTOR>), hn_gpu_blocks(p->n / HN_GPU_VECTOR, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *p));
  else HN_BY_FLOAT(p->dtype, HN_LAUNCH((pool<T, 1>), hn_gpu_blocks(p->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *p));
}
