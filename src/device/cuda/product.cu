/* product.cu - matrix products of any strides, for where cuBLASLt is missing or has not the case. */
#include "device/cuda/tile.cuh"

static __global__ void __launch_bounds__(HN_GPU_BLOCK) product(const __grid_constant__ hn_gpu_product p) {
  for (uint32_t batch = blockIdx.z; batch < p.batches; batch += gridDim.z) {
    uint32_t rest = batch, a0 = 0, b0 = 0, out0 = batch * p.m * p.n;
    for (int d = p.batch_rank - 1; d >= 0; d--) {
      uint32_t i = hn_peel(&rest, p.batch[d]);
      a0 += i * p.a_batch[d];
      b0 += i * p.b_batch[d];
    }
    for (uint32_t row0 = blockIdx.y * HN_TILE; row0 < p.m; row0 += gridDim.y * HN_TILE)
      hn_tile_product(p.m, p.n, p.k, row0, blockIdx.x * HN_TILE, p.a_row == 1, p.b_row == 1,
        [&](uint32_t r, uint32_t k) { return hn_get_real(p.a, a0 + r * p.a_row + k * p.a_column); },
        [&](uint32_t k, uint32_t c) { return hn_get_real(p.b, b0 + k * p.b_row + c * p.b_column); },
        [&](uint32_t r, uint32_t c, float v) {
          v *= p.alpha * p.a.scale * hn_scale_at(p.b, c);
          if (p.c.p) v += p.beta * hn_get_real(p.c, r * p.c_row + c * p.c_column) * p.c.scale;
          hn_put_real(p.out, out0 + r * p.n + c, v);
        });
  }
}

void hn_gpu_product_run(cudaStream_t s, const hn_gpu_product *p) {
  unsigned across = (p->n + HN_TILE - 1) / HN_TILE, down = (p->m + HN_TILE - 1) / HN_TILE;
  if (!p->m || !p->n || !p->batches) return;
  HN_LAUNCH(product, dim3(across, down > 65535 ? 65535 : down, p->batches > 65535 ? 65535 : p->batches), HN_GPU_BLOCK, 0, s, *p);
}
