/* conv.cu - convolutions of any shape, for where cuDNN is missing or has not the case: as products in tiles whose right side is
   gathered from the image, and one thread an output where a group has few channels; transposed ones gather their inputs. */
#include "device/cuda/tile.cuh"

static __device__ __forceinline__ float finished(const hn_gpu_conv &c, uint32_t o, float sum) {
  sum *= c.in.scale * hn_scale_at(c.weights, o);
  return c.bias.p ? sum + hn_get_float(c.bias.dtype, c.bias.p, o) * c.bias.scale : sum;
}

/* Place of tap t of the window at `pixel` in a plane; false: in the padding. */
static __device__ __forceinline__ bool tap_place(const hn_gpu_conv &c, uint32_t pixel, uint32_t t, uint32_t *place) {
  const hn_gpu_window &w = c.w;
  bool inside = true;
  uint32_t at = 0;
  HN_UNROLL for (int d = HN_GPU_SPATIAL - 1; d >= 0; d--) {
    int o = static_cast<int>(hn_peel(&pixel, w.out_dim[d])), k = static_cast<int>(hn_peel(&t, c.tap[d])), p;
    if (c.transposed) {
      p = o + w.pad_begin[d] - k * w.dilation[d];
      inside = inside && p % w.stride[d] == 0;
      p /= w.stride[d];
      inside = inside && o + w.pad_begin[d] >= k * w.dilation[d];
    } else {
      p = o * w.stride[d] - w.pad_begin[d] + k * w.dilation[d];
    }
    inside = inside && p >= 0 && p < w.in.dim[d];
    at += static_cast<uint32_t>(p) * w.in.step[d];
  }
  *place = at;
  return inside;
}

/* Where weight (o of the group, channel i of the group, tap) is: transposed convolutions have inputs first. */
static __device__ __forceinline__ uint32_t weight_place(const hn_gpu_conv &c, uint32_t g, uint32_t o, uint32_t i, uint32_t t) {
  uint32_t taps = static_cast<uint32_t>(c.w.taps);
  return c.transposed ? ((g * c.ci + i) * c.co + o) * taps + t : ((g * c.co + o) * c.ci + i) * taps + t;
}

static __device__ __forceinline__ uint32_t out_place(const hn_gpu_conv &c, uint32_t image, uint32_t channel, uint32_t pixel) {
  uint32_t at = image * c.w.out.image + channel * c.w.out.channel;
  HN_UNROLL for (int d = HN_GPU_SPATIAL - 1; d >= 0; d--) at += hn_peel(&pixel, c.w.out_dim[d]) * c.w.out.step[d];
  return at;
}

/* Rows: output channels of a group; columns: pixels of all images; the sum: channels and taps. */
static __global__ void __launch_bounds__(HN_GPU_BLOCK) conv_tiled(const __grid_constant__ hn_gpu_conv c) {
  for (uint32_t g = blockIdx.z; g < c.group; g += gridDim.z)
    hn_tile_product(c.co, c.images * c.pixels, c.ci * static_cast<uint32_t>(c.w.taps), blockIdx.y * HN_TILE, blockIdx.x * HN_TILE, false, false,
      [&](uint32_t o, uint32_t k) {
        uint32_t i = k, t = hn_peel(&i, c.taps_div);
        return hn_get_real(c.weights, weight_place(c, g, o, i, t));
      },
      [&](uint32_t k, uint32_t column) {
        uint32_t i = k, t = hn_peel(&i, c.taps_div), image = column, pixel = hn_peel(&image, c.pixels_div), place;
        return tap_place(c, pixel, t, &place) ? hn_get_real(c.in, image * c.w.in.image + (g * c.ci + i) * c.w.in.channel + place) : 0.0f;
      },
      [&](uint32_t o, uint32_t column, float v) {
        uint32_t image = column, pixel = hn_peel(&image, c.pixels_div);
        hn_put_real(c.out, out_place(c, image, g * c.co + o, pixel), finished(c, g * c.co + o, v));
      });
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) conv_direct(const __grid_constant__ hn_gpu_conv c) {
  HN_GRID_LOOP(u, c.n) {
    uint32_t rest = u, channel = c.w.last ? hn_peel(&rest, c.w.channels) : 0, pixel = hn_peel(&rest, c.pixels_div), place;
    if (!c.w.last) channel = hn_peel(&rest, c.w.channels);
    uint32_t o = channel, g;
    o = hn_peel(&(g = channel), c.per_group);
    float sum = 0;
    for (uint32_t t = 0; t < static_cast<uint32_t>(c.w.taps); t++) {
      if (!tap_place(c, pixel, t, &place)) continue;
      uint32_t from = rest * c.w.in.image + g * c.ci * c.w.in.channel + place;
      for (uint32_t i = 0; i < c.ci; i++) sum += hn_get_real(c.in, from + i * c.w.in.channel) * hn_get_real(c.weights, weight_place(c, g, o, i, t));
    }
    hn_put_real(c.out, out_place(c, rest, channel, pixel), finished(c, channel, sum));
  }
}

void hn_gpu_conv_run(cudaStream_t s, const hn_gpu_conv *c) {
  if (!c->n) return;
  unsigned across = (c->images * c->pixels + HN_TILE - 1) / HN_TILE, down = (c->co + HN_TILE - 1) / HN_TILE;
  if (c->tiled) HN_LAUNCH(conv_tiled, dim3(across, down, c->group > 65535 ? 65535 : c->group), HN_GPU_BLOCK, 0, s, *c);
  else HN_LAUNCH(conv_direct, hn_gpu_blocks(c->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *c);
}
