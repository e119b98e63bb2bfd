/* quantize.cu - QuantizeLinear and DequantizeLinear, with one scale, one for each index of an axis, or one for each block of them;
   rows of bytes as libraries multiply them. */
#include "device/cuda/scalar.cuh"

/* As type t holds v. */
static __device__ __forceinline__ float rounded_to(int t, float v) {
  if (t == HONE_DTYPE_F16) return __half2float(__float2half_rn(v));
  return t == HONE_DTYPE_BF16 ? __bfloat162float(__float2bfloat16_rn(v)) : v;
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) quantize(const __grid_constant__ hn_gpu_quantize q) {
  HN_GRID_LOOP(i, q.n) {
    uint32_t s = 0;
    if (!q.one) {
      uint32_t outer = i, inside = hn_peel(&outer, q.inner), k = hn_peel(&outer, q.axis);
      s = q.blocks ? (outer * q.blocks + hn_quotient(k, q.block)) * q.inner.d + inside : k;
    }
    float v = hn_get_float(q.in_dtype, q.in, i), scale = hn_get_float(q.scale_dtype, q.scale, s);
    int64_t zero = q.zero ? hn_get_int(q.zero_dtype, q.zero, s) : 0;
    if (q.back) {
      if (q.in_dtype == HONE_DTYPE_I32) v = static_cast<float>(hn_get_int(q.in_dtype, q.in, i) - zero);
      else v -= static_cast<float>(zero);
      hn_put_float(q.out_dtype, q.out, i, v * scale);
    } else {
      v = rounded_to(q.scale_dtype, __fdiv_rn(v, scale));
      float r = v != v ? static_cast<float>(zero) : rintf(v) + static_cast<float>(zero);
      hn_put_int(q.out_dtype, q.out, i, static_cast<int64_t>(clamp(r, static_cast<float>(q.low), static_cast<float>(q.high))));
    }
  }
}

void hn_gpu_quantize_run(cudaStream_t s, const hn_gpu_quantize *q) {
  if (q->n) HN_LAUNCH(quantize, hn_gpu_blocks(q->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *q);
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) signed_rows(const __grid_constant__ hn_gpu_signed r) {
  HN_GRID_LOOP(i, r.n) {
    uint32_t row = i, first = 4 * hn_peel(&row, r.words), word = 0;
    const uint8_t *from = static_cast<const uint8_t *>(r.from) + row * r.row;
    HN_UNROLL for (uint32_t e = 0; e < 4; e++)
      if (first + e < r.row) word |= static_cast<uint32_t>(from[first + e] ^ r.flip) << 8 * e;
    static_cast<uint32_t *>(r.to)[i] = word;
  }
}

void hn_gpu_signed_run(cudaStream_t s, const hn_gpu_signed *r) {
  if (r->n) HN_LAUNCH(signed_rows, hn_gpu_blocks(r->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *r);
}
