/* scalar.cuh - element types and arithmetic on the GPU: loads and stores of any type as floats or int64, element-wise operators
   from op/scalar.def, and reductions over a warp or block. */
#ifndef HN_CUDA_SCALAR_CUH
#define HN_CUDA_SCALAR_CUH
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>

#include "device/cuda/gpu.h"
#include "device/cuda/launch.h"
#include "hone.h"

#define HN_ALL 0xffffffffu /* all lanes of a warp */

static __device__ __forceinline__ uint32_t hn_quotient(uint32_t n, hn_gpu_div d) { return (__umulhi(n, d.multiply) + n) >> d.shift; }
/* n becomes the quotient; the remainder is returned. */
static __device__ __forceinline__ uint32_t hn_peel(uint32_t *n, hn_gpu_div d) {
  uint32_t q = hn_quotient(*n, d), r = *n - q * d.d;
  *n = q;
  return r;
}

/* The blocks of a grid-stride loop over n units: enough to fill any GPU, not so many that starting them costs. */
static inline unsigned hn_gpu_blocks(uint64_t n, unsigned block) {
  uint64_t b = (n + block - 1) / block;
  return (unsigned)(b < 1 ? 1 : b > 16384 ? 16384 : b);
}
#define HN_GRID_LOOP(i, n) \
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, i##_step = gridDim.x * blockDim.x; i < (n); i += i##_step)

/* ---- one element of a type known when compiled */
static __device__ __forceinline__ float hn_to_float(float v) { return v; }
static __device__ __forceinline__ float hn_to_float(__half v) { return __half2float(v); }
static __device__ __forceinline__ float hn_to_float(__nv_bfloat16 v) { return __bfloat162float(v); }
static __device__ __forceinline__ void hn_from_float(float *p, float v) { *p = v; }
static __device__ __forceinline__ void hn_from_float(__half *p, float v) { *p = __float2half_rn(v); }
static __device__ __forceinline__ void hn_from_float(__nv_bfloat16 *p, float v) { *p = __float2bfloat16_rn(v); }

/* Does `call` with T the type of floats that dtype is. */
#define HN_BY_FLOAT(dtype, call)                                 \
  do {                                                           \
    if ((dtype) == HONE_DTYPE_F16) {                             \
      typedef __half T;                                          \
      call;                                                      \
    } else if ((dtype) == HONE_DTYPE_BF16) {                     \
      typedef __nv_bfloat16 T;                                   \
      call;                                                      \
    } else {                                                     \
      typedef float T;                                           \
      call;                                                      \
    }                                                            \
  } while (0)

/* ---- one element of a type known when run */
static __device__ __forceinline__ int64_t hn_get_int(int dtype, const void *p, uint32_t i) {
  switch (dtype) {
    case HONE_DTYPE_BOOL: return static_cast<const uint8_t *>(p)[i] != 0;
    case HONE_DTYPE_U8: return static_cast<const uint8_t *>(p)[i];
    case HONE_DTYPE_I8: return static_cast<const int8_t *>(p)[i];
    case HONE_DTYPE_U16: return static_cast<const uint16_t *>(p)[i];
    case HONE_DTYPE_I16: return static_cast<const int16_t *>(p)[i];
    case HONE_DTYPE_U32: return static_cast<const uint32_t *>(p)[i];
    case HONE_DTYPE_I32: return static_cast<const int32_t *>(p)[i];
    default: return static_cast<const int64_t *>(p)[i];
  }
}

static __device__ __forceinline__ void hn_put_int(int dtype, void *p, uint32_t i, int64_t v) {
  switch (dtype) {
    case HONE_DTYPE_BOOL: static_cast<uint8_t *>(p)[i] = v != 0; break;
    case HONE_DTYPE_U8:
    case HONE_DTYPE_I8: static_cast<uint8_t *>(p)[i] = static_cast<uint8_t>(v); break;
    case HONE_DTYPE_U16:
    case HONE_DTYPE_I16: static_cast<uint16_t *>(p)[i] = static_cast<uint16_t>(v); break;
    case HONE_DTYPE_U32:
    case HONE_DTYPE_I32: static_cast<uint32_t *>(p)[i] = static_cast<uint32_t>(v); break;
    default: static_cast<int64_t *>(p)[i] = v; break;
  }
}

/* To integers as the references convert: toward zero, out of range to the nearest 64-bit number, NaN to 0. */
static __device__ __forceinline__ int64_t hn_float_to_int(float v) {
  if (v != v) return 0;
  return static_cast<int64_t>(__float2ll_rz(v));
}
static __device__ __forceinline__ int64_t hn_float_to_u64(float v) {
  if (!(v > -1.0f)) return hn_float_to_int(v);
  if (v >= 18446744073709551616.0f) return -1;
  return v >= 9223372036854775808.0f ? static_cast<int64_t>(static_cast<uint64_t>(__float2ll_rz(v - 9223372036854775808.0f)) | 1ull << 63)
                                     : static_cast<int64_t>(__float2ll_rz(v));
}

static __device__ __forceinline__ float hn_get_float(int dtype, const void *p, uint32_t i) {
  switch (dtype) {
    case HONE_DTYPE_F32: return static_cast<const float *>(p)[i];
    case HONE_DTYPE_F16: return __half2float(static_cast<const __half *>(p)[i]);
    case HONE_DTYPE_BF16: return __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
    case HONE_DTYPE_U64: return static_cast<float>(static_cast<const uint64_t *>(p)[i]);
    default: return static_cast<float>(hn_get_int(dtype, p, i));
  }
}

static __device__ __forceinline__ void hn_put_float(int dtype, void *p, uint32_t i, float v) {
  switch (dtype) {
    case HONE_DTYPE_F32: static_cast<float *>(p)[i] = v; break;
    case HONE_DTYPE_F16: static_cast<__half *>(p)[i] = __float2half_rn(v); break;
    case HONE_DTYPE_BF16: static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(v); break;
    case HONE_DTYPE_BOOL: static_cast<uint8_t *>(p)[i] = v != 0; break;
    case HONE_DTYPE_U64: static_cast<int64_t *>(p)[i] = hn_float_to_u64(v); break;
    default: hn_put_int(dtype, p, i, hn_float_to_int(v)); break;
  }
}

/* A real number as 8 bits hold it. */
static __device__ __forceinline__ int hn_quantize(float v, float scale, float zero, bool is_signed) {
  float low = is_signed ? -128.0f : 0.0f, high = is_signed ? 127.0f : 255.0f;
  float r = v != v ? zero : rintf(__fdiv_rn(v, scale)) + zero;
  return static_cast<int>(r < low ? low : r > high ? high : r);
}

/* ---- eight elements that lie next to one another, aligned to their size together, at most 16 bytes at a time */
static __device__ __forceinline__ void hn_unpack(uint32_t two, __half *, float *v) {
  __half h[2];
  memcpy(h, &two, 4);
  v[0] = __half2float(h[0]);
  v[1] = __half2float(h[1]);
}
static __device__ __forceinline__ void hn_unpack(uint32_t two, __nv_bfloat16 *, float *v) {
  v[0] = __uint_as_float(two << 16);
  v[1] = __uint_as_float(two & 0xffff0000u);
}
template <typename T> static __device__ __forceinline__ uint32_t hn_pack(const float *v) {
  T h[2];
  uint32_t two;
  hn_from_float(&h[0], v[0]);
  hn_from_float(&h[1], v[1]);
  memcpy(&two, h, 4);
  return two;
}
template <typename T> static __device__ __forceinline__ void hn_load8(const T *p, float *v) {
  uint4 u = *reinterpret_cast<const uint4 *>(p);
  hn_unpack(u.x, (T *)0, v);
  hn_unpack(u.y, (T *)0, v + 2);
  hn_unpack(u.z, (T *)0, v + 4);
  hn_unpack(u.w, (T *)0, v + 6);
}
template <> __device__ __forceinline__ void hn_load8<float>(const float *p, float *v) {
  float4 a = reinterpret_cast<const float4 *>(p)[0], b = reinterpret_cast<const float4 *>(p)[1];
  v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}
template <typename T> static __device__ __forceinline__ void hn_store8(T *p, const float *v) {
  *reinterpret_cast<uint4 *>(p) = make_uint4(hn_pack<T>(v), hn_pack<T>(v + 2), hn_pack<T>(v + 4), hn_pack<T>(v + 6));
}
template <> __device__ __forceinline__ void hn_store8<float>(float *p, const float *v) {
  reinterpret_cast<float4 *>(p)[0] = make_float4(v[0], v[1], v[2], v[3]);
  reinterpret_cast<float4 *>(p)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

/* ---- what the rows of op/scalar.def use */
static __device__ __forceinline__ float clamp(float v, float lo, float hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}
static __device__ __forceinline__ float softplus(float x) { return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x)); }
static __device__ __forceinline__ float gelu(float x, float tanh_approximation) {
  if (tanh_approximation == 0) return 0.5f * x * erfcf(-x * 0.70710678118654752440f);
  return 0.5f * x * (1 + tanhf(0.79788456080286535588f * (x + 0.044715f * x * x * x)));
}
static __device__ __forceinline__ float float_mod(float a, float b, int mode) {
  float r = fmodf(a, b);
  return !mode && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static __device__ __forceinline__ float larger(float a, float b) { return a >= b || a != a ? a : b; }
static __device__ __forceinline__ float smaller(float a, float b) { return a <= b || a != a ? a : b; }

/* Operators that few networks have and whose code is long. */
static __host__ __device__ constexpr bool hn_is_rare(int op) {
  return op == HN_Acos || op == HN_Acosh || op == HN_Asin || op == HN_Asinh || op == HN_Atan || op == HN_Atanh || op == HN_Cos || op == HN_Cosh ||
         op == HN_Sin || op == HN_Sinh || op == HN_Tan || op == HN_Mod || op == HN_Pow || op == HN_Shrink || op == HN_Celu || op == HN_IsInf ||
         op == HN_IsNaN;
}

#define R(v) v##f
/* v = op(v) for N elements; RARE: those operators too. */
template <int N, bool RARE> static __device__ __forceinline__ void hn_unary(int op, float *v, float a, float b) {
  switch (op) {
#define FLOAT_UNARY(O, expr)                                              \
  case HN_##O:                                                            \
    if (RARE || !hn_is_rare(HN_##O)) {                                    \
      HN_UNROLL for (int i = 0; i < N; i++) {                             \
        float x = v[i];                                                   \
        v[i] = expr;                                                      \
      }                                                                   \
    }                                                                     \
    break;
#include "op/scalar.def"
    case HN_IsNaN:
      HN_UNROLL for (int i = 0; i < N; i++) v[i] = v[i] != v[i];
      break;
    case HN_IsInf: /* a: negative ones, b: positive ones */
      HN_UNROLL for (int i = 0; i < N; i++) v[i] = fabsf(v[i]) > 3.402823466e38f && (v[i] < 0 ? a != 0 : b != 0);
      break;
    default: break;
  }
}

/* x = x op y */
template <int N, bool RARE> static __device__ __forceinline__ void hn_binary(int op, float *px, const float *py, int mode) {
  (void)mode;
  switch (op) {
#define FLOAT_BINARY(O, expr)                                             \
  case HN_##O:                                                            \
    if (RARE || !hn_is_rare(HN_##O)) {                                    \
      HN_UNROLL for (int i = 0; i < N; i++) {                             \
        float a = px[i], b = py[i];                                       \
        px[i] = expr;                                                     \
      }                                                                   \
    }                                                                     \
    break;
#include "op/scalar.def"
    default: break;
  }
}

/* ---- integers */
static __device__ __forceinline__ int64_t wrap(uint64_t v) { return static_cast<int64_t>(v); }
#define U(v) (static_cast<uint64_t>(v))
static __device__ __forceinline__ bool less(int64_t a, int64_t b, bool u) { return u ? U(a) < U(b) : a < b; }
static __device__ __forceinline__ int64_t int_div(int64_t a, int64_t b, bool u) {
  if (b == 0) return 0;
  if (u) return wrap(U(a) / U(b));
  return b == -1 ? wrap(0 - U(a)) : a / b;
}
static __device__ __forceinline__ int64_t int_mod(int64_t a, int64_t b, int mode, bool u) {
  if (b == 0) return 0;
  if (u) return wrap(U(a) % U(b));
  if (b == -1) return 0;
  int64_t r = a % b;
  return !mode && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static __device__ __forceinline__ int64_t int_pow(int64_t a, int64_t b, bool u) {
  if (!u && b < 0) return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
  uint64_t r = 1, base = U(a);
  for (uint64_t e = U(b); e; e >>= 1, base *= base)
    if (e & 1) r *= base;
  return wrap(r);
}
static __device__ __forceinline__ int64_t int_shift(int64_t a, int64_t b, int mode) {
  if (U(b) > 63) return 0;
  return wrap(mode ? U(a) >> b : U(a) << b);
}

static __device__ __forceinline__ int64_t hn_unary_int(int op, int64_t x, bool u) {
  switch (op) {
#define INT_UNARY(O, expr) \
  case HN_##O: return expr;
#include "op/scalar.def"
    default: return x;
  }
}
static __device__ __forceinline__ int64_t hn_binary_int(int op, int64_t a, int64_t b, int mode, bool u) {
  switch (op) {
#define INT_BINARY(O, expr) \
  case HN_##O: return expr;
#include "op/scalar.def"
    default: return a;
  }
}
#undef U
#undef R
#endif
