/* select.cu - what is found to be chosen while it runs: how many there are of it is left in memory of the host, so that the
   caller can make room for just so many. Places come in their order. */
#include "device/cuda/scalar.cuh"

enum { EACH = HN_GPU_PIECE / HN_GPU_BLOCK }; /* elements of a thread, next to one another */

/* The sum of what the threads before this one have; *all: of all threads. */
static __device__ __forceinline__ uint32_t sum_before(uint32_t mine, uint32_t *all) {
  __shared__ uint32_t sum[HN_GPU_BLOCK];
  uint32_t t = threadIdx.x;
  sum[t] = mine;
  __syncthreads();
  for (uint32_t step = 1; step < HN_GPU_BLOCK; step *= 2) {
    uint32_t more = t >= step ? sum[t - step] : 0;
    __syncthreads();
    sum[t] += more;
    __syncthreads();
  }
  *all = sum[HN_GPU_BLOCK - 1];
  uint32_t before = sum[t] - mine;
  __syncthreads();
  return before;
}

/* Counts become where each begins; one block. */
static __global__ void __launch_bounds__(HN_GPU_BLOCK) begins(uint32_t *counts, uint32_t n, uint32_t *total) {
  uint32_t each = (n + HN_GPU_BLOCK - 1) / HN_GPU_BLOCK, first = threadIdx.x * each, mine = 0, all;
  for (uint32_t i = first; i < first + each && i < n; i++) mine += counts[i];
  uint32_t at = sum_before(mine, &all);
  for (uint32_t i = first; i < first + each && i < n; i++) {
    uint32_t count = counts[i];
    counts[i] = at;
    at += count;
  }
  if (threadIdx.x == 0) counts[n] = *total = all;
}

void hn_gpu_begins_run(cudaStream_t s, uint32_t *counts, uint32_t n, uint32_t *total) { HN_LAUNCH(begins, 1, HN_GPU_BLOCK, 0, s, counts, n, total); }

/* ---- elements that are not zero */

static __device__ __forceinline__ uint32_t flags_of(const hn_gpu_select &c, uint32_t piece) {
  uint32_t first = piece * HN_GPU_PIECE + threadIdx.x * EACH, flags = 0;
  for (uint32_t e = 0; e < EACH && first + e < c.n; e++)
    flags |= (c.floats ? hn_get_float(c.dtype, c.in, first + e) != 0 : hn_get_int(c.dtype, c.in, first + e) != 0) ? 1u << e : 0;
  return flags;
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) count_flags(const __grid_constant__ hn_gpu_select c) {
  uint32_t all;
  for (uint32_t piece = blockIdx.x; piece < c.pieces; piece += gridDim.x) {
    sum_before(static_cast<uint32_t>(__popc(flags_of(c, piece))), &all);
    if (threadIdx.x == 0) c.begins[piece] = all;
  }
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) places_of_flags(const __grid_constant__ hn_gpu_select c) {
  uint32_t all;
  for (uint32_t piece = blockIdx.x; piece < c.pieces; piece += gridDim.x) {
    uint32_t flags = flags_of(c, piece), at = c.begins[piece] + sum_before(static_cast<uint32_t>(__popc(flags)), &all);
    for (uint32_t e = 0; e < EACH; e++)
      if (flags >> e & 1) c.places[at++] = static_cast<int32_t>(piece * HN_GPU_PIECE + threadIdx.x * EACH + e);
  }
}

void hn_gpu_select_run(cudaStream_t s, const hn_gpu_select *c, uint32_t *total) {
  unsigned blocks = hn_gpu_blocks(c->pieces, 1);
  if (c->pieces) HN_LAUNCH(count_flags, blocks, HN_GPU_BLOCK, 0, s, *c);
  hn_gpu_begins_run(s, c->begins, c->pieces, total);
  if (c->pieces) HN_LAUNCH(places_of_flags, blocks, HN_GPU_BLOCK, 0, s, *c);
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) coordinates(const __grid_constant__ hn_gpu_coordinates c) {
  HN_GRID_LOOP(i, c.n) {
    uint32_t at = static_cast<uint32_t>(c.places[i]);
    for (int d = c.rank - 1; d >= 0; d--) c.out[static_cast<uint64_t>(d) * c.n + i] = hn_peel(&at, c.dim[d]);
  }
}

void hn_gpu_coordinates_run(cudaStream_t s, const hn_gpu_coordinates *c) {
  if (c->n) HN_LAUNCH(coordinates, hn_gpu_blocks(c->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *c);
}

/* ---- boxes */

typedef struct box {
  double y0, x0, y1, x1;
} box;

static __device__ __forceinline__ box box_at(const hn_gpu_suppress &p, uint32_t i) {
  double v[4];
  HN_UNROLL for (uint32_t e = 0; e < 4; e++) v[e] = static_cast<double>(hn_get_float(p.dtype, p.boxes, 4 * i + e));
  if (p.centered) return {v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2};
  return {fmin(v[0], v[2]), fmin(v[1], v[3]), fmax(v[0], v[2]), fmax(v[1], v[3])};
}

/* Rounded as the CPU's, so that both choose the same. */
static __device__ __forceinline__ bool overlap_too_much(const box &a, const box &b, double threshold) {
  double h = fmin(a.y1, b.y1) - fmax(a.y0, b.y0), w = fmin(a.x1, b.x1) - fmax(a.x0, b.x0);
  double both = h <= 0 || w <= 0 ? 0 : __dmul_rn(h, w);
  double areas = __dadd_rn(__dmul_rn(a.y1 - a.y0, a.x1 - a.x0), __dmul_rn(b.y1 - b.y0, b.x1 - b.x0)), all = areas - both;
  return (both > 0 && all > 0 ? both / all : 0) > threshold;
}

/* The better score above, the lower place below; what is no number comes last. 0: nothing. */
static __device__ __forceinline__ unsigned long long key_of(const hn_gpu_suppress &p, uint32_t at, uint32_t place) {
  float v = hn_get_float(p.dtype, p.scores, at);
  uint32_t bits = __float_as_uint(v + 0.0f), order = v != v ? 0 : bits >> 31 ? ~bits : bits | 0x80000000u;
  return static_cast<unsigned long long>(order) << 32 | (0xffffffffu - place);
}

static __device__ __forceinline__ unsigned long long best_of(unsigned long long mine) {
  __shared__ unsigned long long best[HN_GPU_BLOCK];
  best[threadIdx.x] = mine;
  for (uint32_t step = HN_GPU_BLOCK / 2; step; step /= 2) {
    __syncthreads();
    if (threadIdx.x < step && best[threadIdx.x + step] > best[threadIdx.x]) best[threadIdx.x] = best[threadIdx.x + step];
  }
  __syncthreads();
  unsigned long long found = best[0];
  __syncthreads();
  return found;
}

/* A block takes a class of an image: one walk over its boxes finds out which the last pick suppresses, and the best that is left.
   Every thread looks at its own boxes alone. */
static __global__ void __launch_bounds__(HN_GPU_BLOCK) suppress(const __grid_constant__ hn_gpu_suppress p) {
  for (uint32_t group = blockIdx.x; group < p.groups; group += gridDim.x) {
    uint32_t image = group / p.classes, count = 0, from = group * p.n;
    uint8_t *gone = p.gone + from;
    unsigned long long mine = 0;
    for (uint32_t i = threadIdx.x; i < p.n; i += HN_GPU_BLOCK) {
      bool out = p.has_least && !(static_cast<double>(hn_get_float(p.dtype, p.scores, from + i)) > p.least);
      unsigned long long key = key_of(p, from + i, i);
      gone[i] = out;
      if (!out && key > mine) mine = key;
    }
    for (unsigned long long best; count < p.limit && (best = best_of(mine)) != 0; count++) {
      uint32_t pick = 0xffffffffu - static_cast<uint32_t>(best);
      box chosen = box_at(p, image * p.n + pick);
      if (threadIdx.x == 0) p.picked[group * p.limit + count] = pick;
      mine = 0;
      for (uint32_t i = threadIdx.x; i < p.n; i += HN_GPU_BLOCK) {
        if (gone[i]) continue;
        unsigned long long key = key_of(p, from + i, i);
        if (i == pick || overlap_too_much(chosen, box_at(p, image * p.n + i), p.threshold)) gone[i] = true;
        else if (key > mine) mine = key;
      }
    }
    if (threadIdx.x == 0) p.begins[group] = count;
  }
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) write_picks(const __grid_constant__ hn_gpu_suppress p) {
  for (uint32_t group = blockIdx.x; group < p.groups; group += gridDim.x) {
    uint32_t begin = p.begins[group], count = p.begins[group + 1] - begin;
    for (uint32_t i = threadIdx.x; i < count; i += HN_GPU_BLOCK) {
      int64_t *to = p.out + 3 * static_cast<uint64_t>(begin + i);
      to[0] = group / p.classes;
      to[1] = group % p.classes;
      to[2] = p.picked[group * p.limit + i];
    }
  }
}

void hn_gpu_suppress_run(cudaStream_t s, const hn_gpu_suppress *p, uint32_t *total) {
  if (p->groups) HN_LAUNCH(suppress, hn_gpu_blocks(p->groups, 1), HN_GPU_BLOCK, 0, s, *p);
  hn_gpu_begins_run(s, p->begins, p->groups, total);
}

void hn_gpu_picks_run(cudaStream_t s, const hn_gpu_suppress *p) {
  if (p->groups) HN_LAUNCH(write_picks, hn_gpu_blocks(p->groups, 1), HN_GPU_BLOCK, 0, s, *p);
}
