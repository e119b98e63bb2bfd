/* recurrent.cu - one step of RNN, GRU or LSTM: a warp makes a unit of one sequence, its lanes sharing the sums over the state. Inputs
   have been multiplied with their weights before, for all steps at once. Gate orders are ONNX's: LSTM i, o, f, c; GRU z, r, h. */
#include "device/cuda/scalar.cuh"

static __device__ __forceinline__ float get(const hn_gpu_recurrent &r, const void *p, uint32_t i) { return hn_get_float(r.dtype, p, i); }

static __device__ __forceinline__ float activate(const hn_gpu_recurrent &r, int i, float v) {
  const hn_gpu_gate &g = r.gate[i];
  if (r.clip > 0) v = clamp(v, -r.clip, r.clip);
  if (!g.op) return g.alpha * v + g.beta;
  hn_unary<1, false>(g.op, &v, g.alpha, g.beta);
  return v;
}

static __device__ __forceinline__ float over_warp(float v) {
  for (int k = 16; k; k /= 2) v += __shfl_xor_sync(HN_ALL, v, k);
  return v;
}

/* Row `row` of the recurrent weights times a vector of the state. */
static __device__ __forceinline__ float product(const hn_gpu_recurrent &r, const float *state, int row, int lane) {
  float sum = 0;
  for (int k = lane; k < r.hidden; k += 32) sum += state[k] * get(r, r.recurrent, static_cast<uint32_t>(row * r.hidden + k));
  return over_warp(sum);
}

struct place {
  int b, j, lane, t; /* sequence, unit, lane, and the step of the input */
  bool runs;         /* the sequence is not over */
};

static __device__ __forceinline__ bool place_of(const hn_gpu_recurrent &r, place *p) {
  int warp = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32);
  p->lane = static_cast<int>(threadIdx.x % 32);
  p->b = warp / r.hidden;
  p->j = warp % r.hidden;
  if (p->b >= r.batch) return false;
  int length = r.lengths ? static_cast<int>(hn_get_int(r.length_dtype, r.lengths, static_cast<uint32_t>(p->b))) : r.steps;
  length = length > r.steps ? r.steps : length;
  p->runs = r.step < length;
  p->t = r.backwards && p->runs ? length - 1 - r.step : r.step;
  return true;
}

/* Sums of gate g before its function: of the input with its bias, and of the state with its own. */
static __device__ __forceinline__ float input_sum(const hn_gpu_recurrent &r, const place &p, int gates, int g) {
  float v = r.x[(static_cast<uint32_t>(p.t * r.batch + p.b) * gates + g) * r.hidden + p.j];
  return r.bias ? v + get(r, r.bias, static_cast<uint32_t>(g * r.hidden + p.j)) : v;
}
static __device__ __forceinline__ float state_bias(const hn_gpu_recurrent &r, const place &p, int gates, int g) {
  return r.bias ? get(r, r.bias, static_cast<uint32_t>((gates + g) * r.hidden + p.j)) : 0;
}
static __device__ __forceinline__ float peephole(const hn_gpu_recurrent &r, const place &p, int which, float c) {
  return r.peepholes ? get(r, r.peepholes, static_cast<uint32_t>(which * r.hidden + p.j)) * c : 0;
}

/* The new state; past the end of a sequence it stays. y there is zero, in the step's own place. */
static __device__ __forceinline__ void finish(const hn_gpu_recurrent &r, const place &p, float h) {
  uint32_t at = static_cast<uint32_t>(p.b * r.hidden + p.j);
  r.h[1][at] = p.runs ? h : r.h[0][at];
  if (r.y) hn_put_float(r.dtype, r.y, static_cast<uint32_t>(p.t) * r.y_step + static_cast<uint32_t>(p.b) * r.y_batch + static_cast<uint32_t>(p.j), p.runs ? h : 0);
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) lstm_step(const __grid_constant__ hn_gpu_recurrent r) {
  place p;
  if (!place_of(r, &p)) return;
  const float *state = r.h[0] + p.b * r.hidden;
  float s[4];
  HN_UNROLL for (int g = 0; g < 4; g++) s[g] = product(r, state, g * r.hidden + p.j, p.lane);
  if (p.lane) return;
  uint32_t at = static_cast<uint32_t>(p.b * r.hidden + p.j);
  float before = r.c[at];
  HN_UNROLL for (int g = 0; g < 4; g++) s[g] += input_sum(r, p, 4, g) + state_bias(r, p, 4, g);
  float i = activate(r, 0, s[0] + peephole(r, p, 0, before));
  float f = r.input_forget ? 1 - i : activate(r, 0, s[2] + peephole(r, p, 2, before));
  float cell = f * before + i * activate(r, 1, s[3]);
  float o = activate(r, 0, s[1] + peephole(r, p, 1, cell));
  if (p.runs) r.c[at] = cell;
  finish(r, p, o * activate(r, 2, cell));
}

/* z, and what the candidate needs of the state; the whole step where the reset comes after the product. */
static __global__ void __launch_bounds__(HN_GPU_BLOCK) gru_gates(const __grid_constant__ hn_gpu_recurrent r) {
  place p;
  if (!place_of(r, &p)) return;
  const float *state = r.h[0] + p.b * r.hidden;
  float z = product(r, state, p.j, p.lane), reset = product(r, state, r.hidden + p.j, p.lane);
  float linear = r.linear_before_reset ? product(r, state, 2 * r.hidden + p.j, p.lane) : 0;
  if (p.lane) return;
  uint32_t at = static_cast<uint32_t>(p.b * r.hidden + p.j);
  z = activate(r, 0, z + input_sum(r, p, 3, 0) + state_bias(r, p, 3, 0));
  reset = activate(r, 0, reset + input_sum(r, p, 3, 1) + state_bias(r, p, 3, 1));
  if (r.linear_before_reset) {
    float candidate = activate(r, 1, input_sum(r, p, 3, 2) + reset * (linear + state_bias(r, p, 3, 2)));
    finish(r, p, (1 - z) * candidate + z * state[p.j]);
  } else {
    r.gates[at] = z;
    r.gates[r.batch * r.hidden + at] = reset * state[p.j];
  }
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) gru_candidate(const __grid_constant__ hn_gpu_recurrent r) {
  place p;
  if (!place_of(r, &p)) return;
  float sum = product(r, r.gates + (r.batch + p.b) * r.hidden, 2 * r.hidden + p.j, p.lane);
  if (p.lane) return;
  uint32_t at = static_cast<uint32_t>(p.b * r.hidden + p.j);
  float candidate = activate(r, 1, sum + state_bias(r, p, 3, 2) + input_sum(r, p, 3, 2)), z = r.gates[at];
  finish(r, p, (1 - z) * candidate + z * r.h[0][at]);
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) rnn_step(const __grid_constant__ hn_gpu_recurrent r) {
  place p;
  if (!place_of(r, &p)) return;
  float sum = product(r, r.h[0] + p.b * r.hidden, p.j, p.lane);
  if (!p.lane) finish(r, p, activate(r, 0, sum + input_sum(r, p, 1, 0) + state_bias(r, p, 1, 0)));
}

void hn_gpu_recurrent_step(cudaStream_t s, const hn_gpu_recurrent *r) {
  unsigned blocks = static_cast<unsigned>((static_cast<int64_t>(r->batch) * r->hidden * 32 + HN_GPU_BLOCK - 1) / HN_GPU_BLOCK);
  if (!r->batch || !r->hidden) return;
  if (r->op == HN_LSTM) HN_LAUNCH(lstm_step, blocks, HN_GPU_BLOCK, 0, s, *r);
  else if (r->op == HN_GRU) HN_LAUNCH(gru_gates, blocks, HN_GPU_BLOCK, 0, s, *r);
  else HN_LAUNCH(rnn_step, blocks, HN_GPU_BLOCK, 0, s, *r);
  if (r->op == HN_GRU && !r->linear_before_reset) HN_LAUNCH(gru_candidate, blocks, HN_GPU_BLOCK, 0, s, *r);
}

static __global__ void __launch_bounds__(HN_GPU_BLOCK) state(const __grid_constant__ hn_gpu_state v) {
  HN_GRID_LOOP(i, v.n) {
    uint32_t b = i, j = hn_peel(&b, v.hidden);
    hn_put_float(v.to_dtype, v.to, b * v.to_batch + j, v.from ? hn_get_float(v.from_dtype, v.from, b * v.from_batch + j) : 0);
  }
}

void hn_gpu_state_run(cudaStream_t s, const hn_gpu_state *v) {
  if (v->n) HN_LAUNCH(state, hn_gpu_blocks(v->n, HN_GPU_BLOCK), HN_GPU_BLOCK, 0, s, *v);
}
