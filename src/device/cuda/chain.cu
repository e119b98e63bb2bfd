/* chain.cu - chains of element-wise steps, interpreted: the program is the same for all threads and lies in the constant
   bank, so that a step costs one uniform branch for eight elements of a thread. */
#include "device/cuda/scalar.cuh"

/* Where element i of the output is in operand k. */
static __device__ __forceinline__ uint32_t place(const hn_gpu_chain &c, int k, uint32_t i) {
  if (c.operand[k].dense) return i;
  uint32_t at = 0;
  for (int d = c.rank - 1; d > 0; d--) at += hn_peel(&i, c.dim[d]) * c.stride[k][d];
  return at + i * c.stride[k][0];
}

template <int N> static __device__ __forceinline__ void load(const hn_gpu_chain &c, int k, uint32_t i, float *v) {
  const hn_gpu_operand &o = c.operand[k];
  uint32_t at = place(c, k, i);
  int t = o.dtype;
  if (N > 1 && c.stride[k][c.rank - 1] == 1 && t == HONE_DTYPE_F32) {
    hn_load8(static_cast<const float *>(o.p) + at, v);
  } else if (N > 1 && c.stride[k][c.rank - 1] == 1 && t == HONE_DTYPE_F16) {
    hn_load8(static_cast<const __half *>(o.p) + at, v);
  } else if (N > 1 && c.stride[k][c.rank - 1] == 1 && t == HONE_DTYPE_BF16) {
    hn_load8(static_cast<const __nv_bfloat16 *>(o.p) + at, v);
  } else if (N > 1 && c.stride[k][c.rank - 1] == 1 && (t == HONE_DTYPE_I8 || t == HONE_DTYPE_U8)) {
    uint2 u = *reinterpret_cast<const uint2 *>(static_cast<const uint8_t *>(o.p) + at);
    HN_UNROLL for (int e = 0; e < N; e++) {
      uint32_t b = ((e < 4 ? u.x : u.y) >> 8 * (e % 4)) & 255;
      v[e] = static_cast<float>(t == HONE_DTYPE_I8 ? static_cast<int>(static_cast<int8_t>(b)) : static_cast<int>(b));
    }
  } else if (N > 1 && c.stride[k][c.rank - 1] == 1 && t == HONE_DTYPE_I32) {
    const int4 *p = reinterpret_cast<const int4 *>(static_cast<const int32_t *>(o.p) + at);
    int4 a = p[0], b = p[1];
    int w[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    HN_UNROLL for (int e = 0; e < N; e++) v[e] = static_cast<float>(w[e]);
  } else {
    uint32_t step = c.stride[k][c.rank - 1];
    v[0] = hn_get_float(t, o.p, at);
    HN_UNROLL for (int e = 1; e < N; e++) v[e] = step ? hn_get_float(t, o.p, at + e * step) : v[0];
  }
  if (c.quantized && (t == HONE_DTYPE_I8 || t == HONE_DTYPE_U8)) {
    HN_UNROLL for (int e = 0; e < N; e++) v[e] = (v[e] - o.zero) * o.scale;
  }
}

template <int N> static __device__ __forceinline__ void store(const hn_gpu_chain &c, uint32_t i, const float *v) {
  const hn_gpu_operand &o = c.operand[0];
  void *p = const_cast<void *>(o.p);
  int t = o.dtype;
  if (c.quantized && (t == HONE_DTYPE_I8 || t == HONE_DTYPE_U8)) {
    uint32_t word[2] = {0, 0};
    HN_UNROLL for (int e = 0; e < N; e++) word[e / 4] |= (hn_quantize(v[e], o.scale, o.zero, t == HONE_DTYPE_I8) & 255) << 8 * (e % 4);
    if (N > 1) *reinterpret_cast<uint2 *>(static_cast<uint8_t *>(p) + i) = make_uint2(word[0], word[1]);
    else static_cast<uint8_t *>(p)[i] = static_cast<uint8_t>(word[0]);
  } else if (N > 1 && t == HONE_DTYPE_F32) {
    hn_store8(static_cast<float *>(p) + i, v);
  } else if (N > 1 && t == HONE_DTYPE_F16) {
    hn_store8(static_cast<__half *>(p) + i, v);
  } else if (N > 1 && t == HONE_DTYPE_BF16) {
    hn_store8(static_cast<__nv_bfloat16 *>(p) + i, v);
  } else {
    HN_UNROLL for (int e = 0; e < N; e++) hn_put_float(t, p, i + e, v[e]);
  }
}

template <int N, bool RARE> static __device__ __forceinline__ void run_floats(const hn_gpu_chain &c, uint32_t i) {
  float v[N], w[N];
  load<N>(c, c.source, i, v);
  for (int s = 0; s < c.steps; s++) {
    const hn_gpu_step &p = c.step[s];
    if (p.operand < 0 && !p.number) {
      hn_unary<N, RARE>(p.op, v, p.alpha, p.beta);
      continue;
    }
    if (p.operand >= 0) {
      load<N>(c, p.operand, i, w);
    } else {
      HN_UNROLL for (int e = 0; e < N; e++) w[e] = p.alpha;
    }
    if (RARE && p.op == HN_Where) {
      float y[N];
      load<N>(c, p.second, i, y);
      HN_UNROLL for (int e = 0; e < N; e++) v[e] = w[e] != 0 ? v[e] : y[e];
      continue;
    }
    if (p.swapped) {
      HN_UNROLL for (int e = 0; e < N; e++) {
        float x = v[e];
        v[e] = w[e];
        w[e] = x;
      }
    }
    hn_binary<N, RARE>(p.op, v, w, p.mode);
  }
  store<N>(c, i, v);
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) chain_vector(const __grid_constant__ hn_gpu_chain c) {
  uint32_t units = (c.n + HN_GPU_VECTOR - 1) / HN_GPU_VECTOR;
  HN_GRID_LOOP(u, units) {
    uint32_t i = u * HN_GPU_VECTOR;
    if (i + HN_GPU_VECTOR <= c.n) {
      run_floats<HN_GPU_VECTOR, false>(c, i);
    } else {
      for (; i < c.n; i++) run_floats<1, false>(c, i);
    }
  }
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) chain_single(const __grid_constant__ hn_gpu_chain c) {
  HN_GRID_LOOP(i, c.n) run_floats<1, true>(c, i);
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) chain_ints(const __grid_constant__ hn_gpu_chain c) {
  HN_GRID_LOOP(i, c.n) {
    int64_t v = hn_get_int(c.operand[c.source].dtype, c.operand[c.source].p, place(c, c.source, i));
    for (int s = 0; s < c.steps; s++) {
      const hn_gpu_step &p = c.step[s];
      if (p.operand < 0) {
        v = hn_unary_int(p.op, v, c.u64);
        continue;
      }
      int64_t w = hn_get_int(c.operand[p.operand].dtype, c.operand[p.operand].p, place(c, p.operand, i));
      if (p.op == HN_Where) v = w ? v : hn_get_int(c.operand[p.second].dtype, c.operand[p.second].p, place(c, p.second, i));
      else v = p.swapped ? hn_binary_int(p.op, w, v, p.mode, c.u64) : hn_binary_int(p.op, v, w, p.mode, c.u64);
    }
    hn_put_int(c.operand[0].dtype, const_cast<void *>(c.operand[0].p), i, v);
  }
}

bool hn_gpu_rare(int op) { return hn_is_rare(op) || op == HN_Where; }

void hn_gpu_chain_run(cudaStream_t s, const hn_gpu_chain *c) {
  if (!c->n) return;
  if (c->ints) HN_LAUNCH(chain_ints, hn_gpu_blocks(c->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *c);
  else if (c->vector && !c->rare) HN_LAUNCH(chain_vector, hn_gpu_blocks((c->n + HN_GPU_VECTOR - 1) / HN_GPU_VECTOR, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *c);
  else HN_LAUNCH(chain_single, hn_gpu_blocks(c->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *c);
}
