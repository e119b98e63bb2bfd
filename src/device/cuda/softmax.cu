/* softmax.cu - operators that normalize each lane along one axis: Softmax, LogSoftmax, Hardmax, LpNormalization. The largest and
   the sum of exponentials are found in one pass: a sum is scaled down whenever something larger turns up. */
#include "device/cuda/groups.cuh"

struct running {
  float largest, sum;
};

template <typename T, bool VECTOR> static __global__ void __launch_bounds__(HN_GPU_BLOCK) softmax(const __grid_constant__ hn_gpu_softmax f) {
  __shared__ float shared[HN_GPU_BLOCK];
  hn_member m = hn_member_of(f.g);
  const T *in = static_cast<const T *>(f.in);
  T *out = static_cast<T *>(f.out);
  running r = {-INFINITY, 0};
  hn_each<T, VECTOR>(f.g, m, in, [&](float v) {
    if (v > r.largest || v != v) {
      r.sum = r.largest == -INFINITY ? 1 : r.sum * expf(r.largest - v) + 1;
      r.largest = v;
    } else {
      r.sum += v == -INFINITY ? 0 : expf(v - r.largest);
    }
  });
  float largest = hn_together(f.g, r.largest, shared, hn_larger());
  float own = r.largest == -INFINITY ? 0 : r.sum * expf(r.largest - largest);
  float sum = hn_together(f.g, own, shared, hn_add());
  if (fabsf(largest) == INFINITY) sum = NAN; /* nothing but -inf, or inf - inf */
  float log_sum = logf(sum), inverse = 1.0f / sum;
  if (f.op == HN_Softmax) hn_rewrite<T, VECTOR>(f.g, m, in, out, [&](uint32_t, float v) { return expf(v - largest) * inverse; });
  else hn_rewrite<T, VECTOR>(f.g, m, in, out, [&](uint32_t, float v) { return v - largest - log_sum; });
}

template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) lp_norm(const __grid_constant__ hn_gpu_softmax f) {
  __shared__ float shared[HN_GPU_BLOCK];
  hn_member m = hn_member_of(f.g);
  float sum = 0;
  int p = f.p;
  hn_each<T, false>(f.g, m, static_cast<const T *>(f.in), [&](float v) { sum += p == 1 ? fabsf(v) : v * v; });
  sum = hn_together(f.g, sum, shared, hn_add());
  if (p == 2) sum = sqrtf(sum);
  hn_rewrite<T, false>(f.g, m, static_cast<const T *>(f.in), static_cast<T *>(f.out), [&](uint32_t, float v) { return sum == 0 ? 0.0f : v / sum; });
}

/* The first largest, or the first NaN. */
struct earlier {
  __device__ __forceinline__ uint64_t operator()(uint64_t a, uint64_t b) const { return a > b ? a : b; }
};
template <typename T> static __global__ void __launch_bounds__(HN_GPU_BLOCK) hardmax(const __grid_constant__ hn_gpu_softmax f) {
  __shared__ uint64_t shared[HN_GPU_BLOCK];
  hn_member m = hn_member_of(f.g);
  const T *in = static_cast<const T *>(f.in);
  uint64_t best = 0;
  for (uint32_t k = m.element; m.some && k < f.g.n; k += f.g.threads) {
    float v = hn_to_float(in[m.base + hn_element_at(f.g, k)]);
    uint32_t bits = __float_as_uint(v + 0.0f), key = v != v ? 0xffffffffu : bits >> 31 ? ~bits : bits | 0x80000000u;
    uint64_t mine = static_cast<uint64_t>(key) << 32 | (0xffffffffu - k);
    best = mine > best ? mine : best;
  }
  best = hn_together(f.g, best, shared, earlier());
  uint32_t where = 0xffffffffu - static_cast<uint32_t>(best);
  hn_rewrite<T, false>(f.g, m, in, static_cast<T *>(f.out), [&](uint32_t k, float) { return k == where ? 1.0f : 0.0f; });
}

void hn_gpu_softmax_run(cudaStream_t s, const hn_gpu_softmax *f) {
  unsigned blocks = hn_group_blocks(&f->g);
  if (!f->g.groups || !f->g.n) return;
  if (f->op == HN_LpNormalization) HN_BY_FLOAT(f->dtype, HN_LAUNCH(lp_norm<T>, blocks, HN_GPU_BLOCK, 0, s, *f));
  else if (f->op == HN_Hardmax) HN_BY_FLOAT(f->dtype, HN_LAUNCH(hardmax<T>, blocks, HN_GPU_BLOCK, 0, s, *f));
  else if (f->g.vector) HN_BY_FLOAT(f->dtype, HN_LAUNCH((softmax<T, true>), blocks, HN_GPU_BLOCK, 0, s, *f));
  else HN_BY_FLOAT(f->dtype, HN_LAUNCH((softmax<T, false>), blocks, HN_GPU_BLOCK, 0, s, *f));
}
