/* device_side.h - the language of kernels in plain C++: places of a thread, barriers, exchanges within a warp, atomics and
   intrinsics. Threads of a block are fibers of one thread of the host. */
#ifndef HN_EMULATED_DEVICE_SIDE_H
#define HN_EMULATED_DEVICE_SIDE_H
#include <math.h>
#include <string.h>

#include <functional>
#include <tuple>
#include <utility>

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned vx = 1, unsigned vy = 1, unsigned vz = 1) : x(vx), y(vy), z(vz) {}
};
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static thread_local
#define __constant__ static const
#define __grid_constant__

struct hn_emulated_place {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
};
hn_emulated_place *hn_emulated_here(void);
#define threadIdx (hn_emulated_here()->thread)
#define blockIdx (hn_emulated_here()->block)
#define blockDim (hn_emulated_here()->block_dim)
#define gridDim (hn_emulated_here()->grid_dim)

/* ---- launches */
cudaError_t hn_emulated_launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t s, std::function<void()> body);
void *hn_emulated_shared(void); /* the dynamic shared memory of the block */

template <typename... P, typename... A>
static inline cudaError_t hn_emulated_call(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t s, A &&...a) {
  std::tuple<typename std::decay<P>::type...> args(static_cast<P>(a)...); /* copied now, as a launch does */
  return hn_emulated_launch(name, grid, block, shared, s, [kernel, args]() { std::apply(kernel, args); });
}

/* ---- barriers and exchanges. The place in the source is what threads must have in common. */
void hn_emulated_block_barrier(const char *file, int line);
/* Waits for the lanes of mask; afterwards lane i's word is in the result's [i]. */
const uint64_t *hn_emulated_exchange(unsigned mask, uint64_t word, const char *file, int line);
int hn_emulated_lane(void);

#define __syncthreads() hn_emulated_block_barrier(__FILE__, __LINE__)
#define __syncwarp(...) hn_emulated_sync_warp(__FILE__, __LINE__, ##__VA_ARGS__)
static inline void hn_emulated_sync_warp(const char *file, int line, unsigned mask = 0xffffffffu) { hn_emulated_exchange(mask, 0, file, line); }

template <typename T> static inline uint64_t hn_emulated_word(T v) {
  static_assert(sizeof(T) <= 8, "a warp exchanges at most 8 bytes");
  uint64_t w = 0;
  memcpy(&w, &v, sizeof v);
  return w;
}
template <typename T> static inline T hn_emulated_value(uint64_t w) {
  T v;
  memcpy(&v, &w, sizeof v);
  return v;
}
template <typename T> static inline T hn_emulated_shuffle(const char *file, int line, int way, unsigned mask, T v, int by, int width = 32) {
  int lane = hn_emulated_lane(), from = lane & ~(width - 1), to = from + width - 1, source = lane;
  const uint64_t *all = hn_emulated_exchange(mask, hn_emulated_word(v), file, line);
  if (way == 0) source = from + (by & (width - 1));
  if (way == 1) source = (lane ^ by) <= to ? lane ^ by : lane;
  if (way == 2) source = lane - by >= from ? lane - by : lane;
  if (way == 3) source = lane + by <= to ? lane + by : lane;
  return hn_emulated_value<T>(all[source]);
}
#define __shfl_sync(...) hn_emulated_shuffle(__FILE__, __LINE__, 0, __VA_ARGS__)
#define __shfl_xor_sync(...) hn_emulated_shuffle(__FILE__, __LINE__, 1, __VA_ARGS__)
#define __shfl_up_sync(...) hn_emulated_shuffle(__FILE__, __LINE__, 2, __VA_ARGS__)
#define __shfl_down_sync(...) hn_emulated_shuffle(__FILE__, __LINE__, 3, __VA_ARGS__)
static inline unsigned hn_emulated_ballot(const char *file, int line, unsigned mask, int p) {
  const uint64_t *all = hn_emulated_exchange(mask, p != 0, file, line);
  unsigned r = 0;
  for (int i = 0; i < 32; i++)
    if (mask >> i & 1 && all[i]) r |= 1u << i;
  return r;
}
#define __ballot_sync(mask, p) hn_emulated_ballot(__FILE__, __LINE__, mask, p)
#define __any_sync(mask, p) (hn_emulated_ballot(__FILE__, __LINE__, mask, p) != 0)
#define __all_sync(mask, p) (hn_emulated_ballot(__FILE__, __LINE__, mask, !(p)) == 0)

/* ---- atomics: fibers are not interrupted */
template <typename T> static inline T hn_emulated_swap(T *p, T v) {
  T old = *p;
  *p = v;
  return old;
}
template <typename T> static inline T atomicAdd(T *p, T v) { return hn_emulated_swap(p, (T)(*p + v)); }
template <typename T> static inline T atomicMax(T *p, T v) { return hn_emulated_swap(p, *p > v ? *p : v); }
template <typename T> static inline T atomicMin(T *p, T v) { return hn_emulated_swap(p, *p < v ? *p : v); }
template <typename T> static inline T atomicOr(T *p, T v) { return hn_emulated_swap(p, (T)(*p | v)); }
template <typename T> static inline T atomicAnd(T *p, T v) { return hn_emulated_swap(p, (T)(*p & v)); }
template <typename T> static inline T atomicExch(T *p, T v) { return hn_emulated_swap(p, v); }
template <typename T> static inline T atomicCAS(T *p, T expected, T v) { return hn_emulated_swap(p, *p == expected ? v : *p); }
static inline void __threadfence(void) {}
static inline void __threadfence_system(void) {}

/* ---- intrinsics */
template <typename T> static inline T __ldg(const T *p) { return *p; }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
static inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
static inline int __float_as_int(float v) { return hn_emulated_value<int>(hn_emulated_word(v)); }
static inline unsigned __float_as_uint(float v) { return hn_emulated_value<unsigned>(hn_emulated_word(v)); }
static inline float __int_as_float(int v) { return hn_emulated_value<float>(hn_emulated_word(v)); }
static inline float __uint_as_float(unsigned v) { return hn_emulated_value<float>(hn_emulated_word(v)); }
#define __expf(v) expf(v)
#define __logf(v) logf(v)
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __int2float_rn(int v) { return (float)v; }
/* Out of range saturates, NaN is 0, as the hardware does. */
static inline int __float2int_rn(float v) {
  if (!(v > -2147483648.0f)) return v != v ? 0 : INT32_MIN;
  return v >= 2147483648.0f ? INT32_MAX : (int)rintf(v);
}
static inline int __float2int_rz(float v) { return __float2int_rn(truncf(v)); }
static inline long long __float2ll_rz(float v) {
  if (!(v > -9223372036854775808.0f)) return v != v ? (long long)0x8000000000000000ull : INT64_MIN;
  return v >= 9223372036854775808.0f ? INT64_MAX : (long long)v;
}
static inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; i++) c += (int)(int8_t)(a >> 8 * i) * (int)(int8_t)(b >> 8 * i);
  return c;
}
static inline float __saturatef(float v) { return v > 0 ? (v < 1 ? v : 1) : 0; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
#endif
