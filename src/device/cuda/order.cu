/* order.cu - TopK: blocks sort pieces of a group as 64-bit keys, the value above and the place below, so that equal values come in the
   order of their places; of each piece the first k go on, until one piece is left. */
#include "device/cuda/scalar.cuh"

/* A number as 32 bits that are ordered as it is; a NaN is larger than any number. */
static __device__ __forceinline__ uint32_t order_of(int dtype, const void *p, uint32_t i) {
  if (dtype == HONE_DTYPE_F32 || dtype == HONE_DTYPE_F16 || dtype == HONE_DTYPE_BF16) {
    float v = hn_get_float(dtype, p, i);
    if (v != v) return 0xffffffffu;
    uint32_t bits = __float_as_uint(v + 0.0f);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
  }
  int64_t v = hn_get_int(dtype, p, i);
  return dtype == HONE_DTYPE_U32 ? static_cast<uint32_t>(v) : static_cast<uint32_t>(v) ^ 0x80000000u;
}

/* From the largest down; n a power of two. */
static __device__ __forceinline__ void sort_down(uint64_t *key, uint32_t n) {
  for (uint32_t size = 2; size <= n; size *= 2)
    for (uint32_t step = size / 2; step; step /= 2) {
      __syncthreads();
      for (uint32_t t = threadIdx.x; t < n / 2; t += HN_GPU_BLOCK) {
        uint32_t i = 2 * t - (t & (step - 1)), k = i + step;
        bool down = (i & size) == 0;
        uint64_t a = key[i], b = key[k];
        if ((a < b) == down) key[i] = b, key[k] = a;
      }
    }
  __syncthreads();
}

/* One piece: `n` keys of the group in `from` (NULL: made from the data) to `to`, or to the results. */
static __global__ void __launch_bounds__(HN_GPU_BLOCK) top(const __grid_constant__ hn_gpu_top t, const uint64_t *from, uint64_t *to, uint32_t n, hn_gpu_div pieces, uint32_t width) {
  HN_SHARED(uint64_t, key);
  uint32_t group = blockIdx.x, piece = hn_peel(&group, pieces), rest = group, base = 0, k = static_cast<uint32_t>(t.k);
  for (int d = t.g.kept_rank - 1; d >= 0; d--) base += hn_peel(&rest, t.g.kept[d]) * t.g.kept_stride[d];
  for (uint32_t e = threadIdx.x; e < width; e += HN_GPU_BLOCK) {
    uint32_t i = piece * width + e;
    uint64_t v = 0;
    if (i < n && from) v = from[static_cast<uint64_t>(group) * n + i];
    else if (i < n) {
      uint32_t o = order_of(t.dtype, t.in, base + i * t.g.inner_stride[0]);
      v = static_cast<uint64_t>(t.largest ? o : ~o) << 32 | (0xffffffffu - i);
    }
    key[e] = v;
  }
  sort_down(key, width);
  for (uint32_t e = threadIdx.x; e < k; e += HN_GPU_BLOCK) {
    if (to) {
      to[(static_cast<uint64_t>(group) * pieces.d + piece) * k + e] = e < width ? key[e] : 0;
      continue;
    }
    uint32_t place = 0xffffffffu - static_cast<uint32_t>(key[e]), outer = group, inside = hn_peel(&outer, t.inner_div);
    uint32_t out = (outer * k + e) * t.inner + inside, in = base + place * t.g.inner_stride[0];
    if (t.dtype == HONE_DTYPE_F32 || t.dtype == HONE_DTYPE_U32 || t.dtype == HONE_DTYPE_I32) static_cast<uint32_t *>(t.values)[out] = static_cast<const uint32_t *>(t.in)[in];
    else if (t.dtype == HONE_DTYPE_U8 || t.dtype == HONE_DTYPE_I8 || t.dtype == HONE_DTYPE_BOOL) static_cast<uint8_t *>(t.values)[out] = static_cast<const uint8_t *>(t.in)[in];
    else static_cast<uint16_t *>(t.values)[out] = static_cast<const uint16_t *>(t.in)[in];
    t.places[out] = place;
  }
}

void hn_gpu_top_run(cudaStream_t s, const hn_gpu_top *t) {
  uint32_t n = t->g.n;
  const uint64_t *from = NULL;
  if (!t->g.groups || !t->k) return;
  for (int pass = 0;; pass++) {
    uint32_t width = 2;
    while (width < n && width < HN_GPU_SORTED) width *= 2;
    uint32_t pieces = (n + width - 1) / width;
    uint64_t *to = pieces > 1 ? t->spare[pass % 2] : NULL;
    HN_LAUNCH(top, t->g.groups * pieces, HN_GPU_BLOCK, width * sizeof(uint64_t), s, *t, from, to, n, hn_gpu_div_of(pieces), width);
    if (!to) return;
    from = to;
    n = pieces * static_cast<uint32_t>(t->k);
  }
}
