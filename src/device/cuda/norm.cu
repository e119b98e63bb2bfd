/* norm.cu - normalizations of groups by their moments; what belongs to channels: BatchNormalization, LRN. */
#include "device/cuda/groups.cuh"

template <typename T, bool VECTOR> static __global__ void __launch_bounds__(HN_GPU_BLOCK) norm(const __grid_constant__ hn_gpu_norm n) {
  __shared__ float shared[HN_GPU_BLOCK];
  hn_member m = hn_member_of(n.g);
  const T *in = static_cast<const T *>(n.in), *scale = static_cast<const T *>(n.scale), *shift = static_cast<const T *>(n.shift);
  float count = static_cast<float>(n.g.n), mean = 0, square = 0;
  if (!n.rms) {
    hn_each<T, VECTOR>(n.g, m, in, [&](float v) { mean += v; });
    mean = hn_together(n.g, mean, shared, hn_add()) / count;
  }
  hn_each<T, VECTOR>(n.g, m, in, [&](float v) { square += (v - mean) * (v - mean); });
  float variance = hn_together(n.g, square, shared, hn_add()) / count;
  float inverse = n.deviation ? 1.0f / (sqrtf(variance) + 1e-9f) : 1.0f / sqrtf(variance + n.epsilon);
  if (m.some && !m.element) {
    if (n.mean) static_cast<float *>(n.mean)[m.group] = mean;
    if (n.inverse) static_cast<float *>(n.inverse)[m.group] = inverse;
  }
  uint32_t cycle = m.group, first = hn_peel(&cycle, n.cycle) * n.each;
  hn_rewrite<T, VECTOR>(n.g, m, in, static_cast<T *>(n.out), [&](uint32_t k, float v) {
    v = (v - mean) * inverse;
    if (n.factor == HN_FACTOR_NONE) return v;
    uint32_t q = hn_quotient(k, n.by), f = first + (n.factor == HN_FACTOR_ELEMENT ? k : n.factor == HN_FACTOR_QUOTIENT ? q : k - q * n.by.d);
    if (scale) v *= hn_to_float(scale[f]);
    return shift ? v + hn_to_float(shift[f]) : v;
  });
}

void hn_gpu_norm_run(cudaStream_t s, const hn_gpu_norm *n) {
  unsigned blocks = hn_group_blocks(&n->g);
  if (!n->g.groups || !n->g.n) return;
  if (n->g.vector) HN_BY_FLOAT(n->dtype, HN_LAUNCH((norm<T, true>), blocks, HN_GPU_BLOCK, 0, s, *n));
  else HN_BY_FLOAT(n->dtype, HN_LAUNCH((norm<T, false>), blocks, HN_GPU_BLOCK, 0, s, *n));
}

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) batch_norm(const __grid_constant__ hn_gpu_channels c) {
  HN_GRID_LOOP(i, c.n) {
    uint32_t rest = hn_quotient(i, c.inner), k = hn_peel(&rest, c.channels);
    float factor = hn_get_float(c.dtype, c.scale, k) / sqrtf(hn_get_float(c.dtype, c.variance, k) + c.epsilon);
    float v = hn_to_float(static_cast<const T *>(c.in)[i]);
    hn_from_float(static_cast<T *>(c.out) + i, (v - hn_get_float(c.dtype, c.mean, k)) * factor + hn_get_float(c.dtype, c.shift, k));
  }
}

void hn_gpu_batch_norm_run(cudaStream_t s, const hn_gpu_channels *c) {
  if (c->n) HN_BY_FLOAT(c->dtype, HN_LAUNCH(batch_norm<T>, hn_gpu_blocks(c->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *c));
}

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) lrn(const __grid_constant__ hn_gpu_channels c) {
  const T *in = static_cast<const T *>(c.in);
  HN_GRID_LOOP(i, c.n) {
    uint32_t rest = hn_quotient(i, c.inner);
    int k = static_cast<int>(hn_peel(&rest, c.channels)), last = static_cast<int>(c.channels.d) - 1;
    int from = k - c.before < 0 ? -k : -c.before, to = k + c.after > last ? last - k : c.after;
    float sum = 0;
    for (int j = from; j <= to; j++) {
      float v = hn_to_float(in[i + static_cast<uint32_t>(j) * c.inner.d]);
      sum += v * v;
    }
    hn_from_float(static_cast<T *>(c.out) + i, hn_to_float(in[i]) / powf(c.bias + c.alpha * sum, c.beta));
  }
}

void hn_gpu_lrn_run(cudaStream_t s, const hn_gpu_channels *c) {
  if (c->n) HN_BY_FLOAT(c->dtype, HN_LAUNCH(lrn<T>, hn_gpu_blocks(c->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *c));
}
