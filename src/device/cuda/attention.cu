/* attention.cu - scaled dot-product attention in one pass over the keys: a block has 16 queries, eight threads each, and brings
   keys and values through shared memory tile by tile; sums are scaled down whenever a larger score turns up, so that the scores
   are never stored. Rotary position embeddings. */
#include "device/cuda/scalar.cuh"

enum { QUERIES = 16, EACH = 8, THREADS = QUERIES * EACH };

static __device__ __forceinline__ float masked(const hn_gpu_attention &a, uint32_t b, uint32_t h, int i, int j, float v) {
  if (a.causal && j > i + a.past) return -INFINITY;
  if (!a.mask) return v;
  if (a.mask_dim[3] != 1 && j >= a.mask_dim[3]) return -INFINITY; /* shorter than the keys: the rest is padding */
  uint32_t at = (a.mask_dim[0] == 1 ? 0 : b * a.mask_stride[0]) + (a.mask_dim[1] == 1 ? 0 : h * a.mask_stride[1]) +
                (a.mask_dim[2] == 1 ? 0 : static_cast<uint32_t>(i) * a.mask_stride[2]) + (a.mask_dim[3] == 1 ? 0 : static_cast<uint32_t>(j) * a.mask_stride[3]);
  if (a.mask_dtype == HONE_DTYPE_BOOL) return static_cast<const uint8_t *>(a.mask)[at] ? v : -INFINITY;
  return v + hn_get_float(a.mask_dtype, a.mask, at);
}

static __device__ __forceinline__ float over_each(float v, bool sum) {
  for (int k = EACH / 2; k; k /= 2) {
    float o = __shfl_xor_sync(HN_ALL, v, k);
    v = sum ? v + o : larger(v, o);
  }
  return v;
}

/* VALUES: elements of the result that a thread keeps. */
template <typename T, int VALUES> static __global__ void __launch_bounds__(THREADS) attention(const __grid_constant__ hn_gpu_attention a, int tile) {
  HN_SHARED(float, shared);
  int size = a.size, pitch = size + 1, vs = a.value_size;
  float *queries = shared, *keys = queries + QUERIES * size, *values = keys + tile * pitch, *weights = values + tile * vs;
  int row = static_cast<int>(threadIdx.x) / EACH, part = static_cast<int>(threadIdx.x) % EACH, first = static_cast<int>(blockIdx.x) * QUERIES, i = first + row;
  uint32_t h = blockIdx.y;
  for (uint32_t b = blockIdx.z; b < a.batches; b += gridDim.z) {
    const T *q = static_cast<const T *>(a.q.p) + b * a.q.batch + h * a.q.head;
    const T *k = static_cast<const T *>(a.k.p) + b * a.k.batch + h / a.per * a.k.head;
    const T *v = static_cast<const T *>(a.v.p) + b * a.v.batch + h / a.per * a.v.head;
    float acc[VALUES], most = -INFINITY, sum = 0;
    HN_UNROLL for (int e = 0; e < VALUES; e++) acc[e] = 0;
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < QUERIES * size; e += THREADS) {
      int r = e / size;
      queries[e] = first + r < a.nq ? hn_to_float(q[static_cast<uint32_t>(first + r) * a.q.row + static_cast<uint32_t>(e - r * size)]) * a.scale : 0;
    }
    int end = a.causal && a.softcap <= 0 ? min(a.nk, first + QUERIES + a.past) : a.nk;
    for (int j0 = 0; j0 < end; j0 += tile) {
      __syncthreads();
      for (int e = static_cast<int>(threadIdx.x); e < tile * size; e += THREADS) {
        int r = e / size, c = e - r * size;
        keys[r * pitch + c] = j0 + r < a.nk ? hn_to_float(k[static_cast<uint32_t>(j0 + r) * a.k.row + static_cast<uint32_t>(c)]) : 0;
      }
      for (int e = static_cast<int>(threadIdx.x); e < tile * vs; e += THREADS) {
        int r = e / vs;
        values[e] = j0 + r < a.nk ? hn_to_float(v[static_cast<uint32_t>(j0 + r) * a.v.row + static_cast<uint32_t>(e - r * vs)]) : 0;
      }
      __syncthreads();
      float tile_most = -INFINITY, tile_sum = 0;
      for (int j = part; j < tile; j += EACH) {
        float s = 0;
        const float *x = queries + row * size, *y = keys + j * pitch;
        for (int c = 0; c < size; c++) s += x[c] * y[c];
        s = i < a.nq && j0 + j < a.nk ? masked(a, b, h, i, j0 + j, s) : -INFINITY;
        if (a.softcap > 0 && j0 + j < a.nk) s = a.softcap * tanhf(s / a.softcap);
        weights[row * tile + j] = s;
        tile_most = larger(tile_most, s);
      }
      float now = larger(most, over_each(tile_most, false)), fade = most == -INFINITY ? 0 : expf(most - now);
      for (int j = part; j < tile; j += EACH) {
        float p = now == -INFINITY ? 0 : expf(weights[row * tile + j] - now);
        weights[row * tile + j] = p;
        tile_sum += p;
      }
      sum = sum * fade + over_each(tile_sum, true);
      most = now;
      __syncwarp();
      HN_UNROLL for (int e = 0; e < VALUES; e++) acc[e] *= fade;
      for (int j = 0; j < tile; j++) {
        float w = weights[row * tile + j];
        const float *y = values + j * vs + part;
        HN_UNROLL for (int e = 0; e < VALUES; e++)
          if (part + e * EACH < vs) acc[e] += w * y[e * EACH];
      }
      __syncwarp();
    }
    if (i < a.nq) {
      T *out = static_cast<T *>(const_cast<void *>(a.out.p)) + b * a.out.batch + h * a.out.head + static_cast<uint32_t>(i) * a.out.row;
      float inverse = sum == 0 ? 0 : 1 / sum;
      HN_UNROLL for (int e = 0; e < VALUES; e++)
        if (part + e * EACH < vs) hn_from_float(out + part + e * EACH, acc[e] * inverse);
    }
  }
}

void hn_gpu_attention_run(cudaStream_t s, const hn_gpu_attention *a) {
  enum { MOST = 48 << 10 };
  int tile = 32;
  size_t bytes;
  for (;; tile /= 2) {
    bytes = sizeof(float) * static_cast<size_t>(QUERIES * a->size + tile * (a->size + 1) + tile * a->value_size + QUERIES * tile);
    if (bytes <= MOST || tile == EACH) break;
  }
  if (!a->nq || !a->heads || !a->batches) return;
  dim3 grid(static_cast<unsigned>((a->nq + QUERIES - 1) / QUERIES), a->heads, a->batches > 65535 ? 65535 : a->batches);
  if (a->value_size <= 64) HN_BY_FLOAT(a->dtype, HN_LAUNCH((attention<T, 8>), grid, THREADS, bytes, s, *a, tile));
  else if (a->value_size <= 128) HN_BY_FLOAT(a->dtype, HN_LAUNCH((attention<T, 16>), grid, THREADS, bytes, s, *a, tile));
  else HN_BY_FLOAT(a->dtype, HN_LAUNCH((attention<T, 32>), grid, THREADS, bytes, s, *a, tile));
}

/* A thread turns one pair, or copies one of the elements behind the turned part. */
static __global__ void __launch_bounds__(HN_GPU_BLOCK) rotary(const __grid_constant__ hn_gpu_rotary r) {
  HN_GRID_LOOP(u, r.n) {
    uint32_t rest = u, i = hn_peel(&rest, r.size), h = hn_peel(&rest, r.heads), s = hn_peel(&rest, r.sequence), b = rest;
    uint32_t at = b * r.stride_b + s * r.stride_s + h * r.stride_h;
    if (i >= r.half) {
      hn_put_float(r.dtype, r.out, at + i + r.half, hn_get_float(r.dtype, r.in, at + i + r.half));
      continue;
    }
    int64_t row = b * r.sequence.d + s;
    if (r.positions) row = hn_get_int(r.position_dtype, r.positions, static_cast<uint32_t>(row));
    if (row < 0 || row >= r.rows) {
      *static_cast<volatile unsigned long long *>(r.fault.word) = r.fault.who;
      continue;
    }
    uint32_t first = at + (r.interleaved ? 2 * i : i), second = at + (r.interleaved ? 2 * i + 1 : i + r.half), angle = static_cast<uint32_t>(row) * r.half + i;
    float c = hn_get_float(r.dtype, r.cosine, angle), n = hn_get_float(r.dtype, r.sine, angle);
    float x = hn_get_float(r.dtype, r.in, first), y = hn_get_float(r.dtype, r.in, second);
    hn_put_float(r.dtype, r.out, first, c * x - n * y);
    hn_put_float(r.dtype, r.out, second, n * x + c * y);
  }
}

void hn_gpu_rotary_run(cudaStream_t s, const hn_gpu_rotary *r) {
  if (r->n) HN_LAUNCH(rotary, hn_gpu_blocks(r->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *r);
}
