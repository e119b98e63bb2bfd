/* move.cu - elements moved without being looked at: strided copies of units of up to 16 bytes, transposes through shared
   memory, edges. */
#include "device/cuda/scalar.cuh"

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) copy_strided(const __grid_constant__ hn_gpu_copy c) {
  HN_GRID_LOOP(i, c.n) {
    uint32_t rest = i, from = 0, to = 0;
    for (int d = c.rank - 1; d > 0; d--) {
      uint32_t k = hn_peel(&rest, c.dim[d]);
      from += k * c.in[d];
      to += k * c.out[d];
    }
    static_cast<T *>(c.to)[to + rest * c.out[0]] = static_cast<const T *>(c.from)[static_cast<int32_t>(from + rest * c.in[0])];
  }
}

/* Squares of 32 units: read along the dimension that is contiguous in `from`, written along the last one. A column more than
   needed keeps the banks apart. */
enum { TILE = 32, TILE_ROWS = 8 };
template <typename T> static __global__ void __launch_bounds__(TILE *TILE_ROWS) copy_turned(const __grid_constant__ hn_gpu_copy c, hn_gpu_div across, hn_gpu_div down) {
  __shared__ T tile[TILE][TILE + 1];
  int last = c.rank - 1;
  uint32_t rest = blockIdx.x, x0 = hn_peel(&rest, across) * TILE, y0 = hn_peel(&rest, down) * TILE, from = 0, to = 0;
  for (int d = last - 1; d >= 0; d--) { /* the other dimensions */
    if (d == c.turned) continue;
    uint32_t k = hn_peel(&rest, c.dim[d]);
    from += k * c.in[d];
    to += k * c.out[d];
  }
  uint32_t width = c.dim[last].d, height = c.dim[c.turned].d;
  for (uint32_t r = threadIdx.y; r < TILE; r += TILE_ROWS)
    if (y0 + threadIdx.x < height && x0 + r < width)
      tile[r][threadIdx.x] = static_cast<const T *>(c.from)[static_cast<int32_t>(from + (y0 + threadIdx.x) * c.in[c.turned] + (x0 + r) * c.in[last])];
  __syncthreads();
  for (uint32_t r = threadIdx.y; r < TILE; r += TILE_ROWS)
    if (x0 + threadIdx.x < width && y0 + r < height)
      static_cast<T *>(c.to)[to + (y0 + r) * c.out[c.turned] + (x0 + threadIdx.x) * c.out[last]] = tile[threadIdx.x][r];
}

template <typename T> static void run_copy(cudaStream_t s, const hn_gpu_copy *c) {
  if (c->turned < 0) {
    HN_LAUNCH(copy_strided<T>, hn_gpu_blocks(c->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *c);
    return;
  }
  uint32_t width = c->dim[c->rank - 1].d, height = c->dim[c->turned].d;
  uint32_t across = (width + TILE - 1) / TILE, down = (height + TILE - 1) / TILE, others = c->n / width / height;
  HN_LAUNCH(copy_turned<T>, across * down * others, dim3(TILE, TILE_ROWS), 0, s, *c, hn_gpu_div_of(across), hn_gpu_div_of(down));
}

void hn_gpu_copy_run(cudaStream_t s, const hn_gpu_copy *c) {
  if (!c->n) return;
  if (c->size == 1) run_copy<uint8_t>(s, c);
  else if (c->size == 2) run_copy<uint16_t>(s, c);
  else if (c->size == 4) run_copy<uint32_t>(s, c);
  else if (c->size == 8) run_copy<uint2>(s, c);
  else run_copy<uint4>(s, c);
}

static __device__ __forceinline__ int pad_source(hn_gpu_edge edge, int k, int d) {
  if (k >= 0 && k < d) return k;
  if (edge == HN_EDGE_CONSTANT || d == 0) return -1;
  if (edge == HN_EDGE_EDGE) return k < 0 ? 0 : d - 1;
  if (edge == HN_EDGE_WRAP) return (k % d + d) % d;
  int period = d > 1 ? 2 * (d - 1) : 1;
  k = (k % period + period) % period;
  return k < d ? k : period - k;
}

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) pad(const __grid_constant__ hn_gpu_pad p) {
  T fill = {};
  if (p.fill) fill = *static_cast<const T *>(p.fill);
  HN_GRID_LOOP(i, p.n) {
    uint32_t rest = i, from = 0;
    bool inside = true;
    for (int d = p.rank - 1; d >= 0; d--) {
      int k = pad_source(p.edge, static_cast<int>(d ? hn_peel(&rest, p.dim[d]) : rest) - p.before[d], p.in[d]);
      inside = inside && k >= 0;
      from += static_cast<uint32_t>(k) * p.stride[d];
    }
    static_cast<T *>(p.to)[i] = inside ? static_cast<const T *>(p.from)[from] : fill;
  }
}

void hn_gpu_pad_run(cudaStream_t s, const hn_gpu_pad *p) {
  if (!p->n) return;
  unsigned blocks = hn_gpu_blocks(p->n, HN_GPU_BLOCK);
  if (p->size == 1) HN_LAUNCH(pad<uint8_t>, blocks, HN_GPU_BLOCK, 0, s, *p);
  else if (p->size == 2) HN_LAUNCH(pad<uint16_t>, blocks, HN_GPU_BLOCK, 0, s, *p);
  else if (p->size == 4) HN_LAUNCH(pad<uint32_t>, blocks, HN_GPU_BLOCK, 0, s, *p);
  else HN_LAUNCH(pad<uint2>, blocks, HN_GPU_BLOCK, 0, s, *p);
}
