/* tile.cuh - a product of matrices in squares of 64 x 64 through shared memory, 16 of the sum at a time; each of 256 threads keeps
   4 x 4 sums. What the operands are is for the callers: convolutions and products. For where no library has the case. */
#ifndef HN_CUDA_TILE_CUH
#define HN_CUDA_TILE_CUH
#include "device/cuda/scalar.cuh"

enum { HN_TILE = 64, HN_TILE_DEPTH = 16, HN_TILE_EACH = 4 };

static __device__ __forceinline__ float hn_get_real(const hn_gpu_real &r, uint32_t i) {
  float v = hn_get_float(r.dtype, r.p, i);
  return r.integer ? v - r.zero : v;
}
static __device__ __forceinline__ void hn_put_real(const hn_gpu_real &r, uint32_t i, float v) {
  if (r.integer) static_cast<uint8_t *>(const_cast<void *>(r.p))[i] = static_cast<uint8_t>(hn_quantize(v, r.scale, r.zero, r.dtype == HONE_DTYPE_I8));
  else hn_put_float(r.dtype, const_cast<void *>(r.p), i, v);
}
static __device__ __forceinline__ float hn_scale_at(const hn_gpu_real &r, uint32_t channel) { return r.scales ? r.scales[channel] : r.scale; }

/* a(row, k), b(k, column): operands, asked for only where they exist; put(row, column, sum). across: which of row and k, and of
   k and column, neighbouring threads should differ in. */
template <typename A, typename B, typename P>
static __device__ __forceinline__ void hn_tile_product(uint32_t m, uint32_t n, uint32_t depth, uint32_t row0, uint32_t column0, bool a_by_row, bool b_by_row, A a, B b, P put) {
  __shared__ float left[HN_TILE_DEPTH][HN_TILE + 4], right[HN_TILE_DEPTH][HN_TILE + 4];
  uint32_t t = threadIdx.x, tx = t % (HN_TILE / HN_TILE_EACH), ty = t / (HN_TILE / HN_TILE_EACH);
  float sum[HN_TILE_EACH][HN_TILE_EACH] = {};
  for (uint32_t k0 = 0; k0 < depth; k0 += HN_TILE_DEPTH) {
    for (uint32_t e = t; e < HN_TILE * HN_TILE_DEPTH; e += HN_GPU_BLOCK) {
      uint32_t k = a_by_row ? e / HN_TILE : e % HN_TILE_DEPTH, r = a_by_row ? e % HN_TILE : e / HN_TILE_DEPTH;
      left[k][r] = k0 + k < depth && row0 + r < m ? a(row0 + r, k0 + k) : 0;
      uint32_t kb = b_by_row ? e % HN_TILE_DEPTH : e / HN_TILE, c = b_by_row ? e / HN_TILE_DEPTH : e % HN_TILE;
      right[kb][c] = k0 + kb < depth && column0 + c < n ? b(k0 + kb, column0 + c) : 0;
    }
    __syncthreads();
    HN_UNROLL for (int k = 0; k < HN_TILE_DEPTH; k++) {
      float4 u = *reinterpret_cast<const float4 *>(&left[k][ty * HN_TILE_EACH]), v = *reinterpret_cast<const float4 *>(&right[k][tx * HN_TILE_EACH]);
      float p[HN_TILE_EACH] = {u.x, u.y, u.z, u.w}, q[HN_TILE_EACH] = {v.x, v.y, v.z, v.w};
      HN_UNROLL for (int i = 0; i < HN_TILE_EACH; i++)
        HN_UNROLL for (int j = 0; j < HN_TILE_EACH; j++) sum[i][j] += p[i] * q[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < HN_TILE_EACH; i++)
    for (int j = 0; j < HN_TILE_EACH; j++)
      if (row0 + ty * HN_TILE_EACH + i < m && column0 + tx * HN_TILE_EACH + j < n) put(row0 + ty * HN_TILE_EACH + i, column0 + tx * HN_TILE_EACH + j, sum[i][j]);
}
#endif
