/* test_reorder.c - changes of layout, element by element, through every pair of layouts that they know, with gaps and without. */
#include "device/cpu/cpu.h"
#include "device/nd.h"
#include "harness.h"
#include "run/model.h"

enum { MOST = 4096, CANARY = 0xA5 };

static uint32_t seed = 1;
static int64_t pick(int64_t n) { return (int64_t)((seed = seed * 1664525 + 1013904223) >> 8) % n; }

/* Where element `at` of the tensor lies, in elements. */
static int64_t place(const hn_arg *a, const int64_t *at) {
  int64_t run = a->pitch ? a->pitch : hn_layout_run(a->layout, a->rank, a->dims), pixel = at[0], block = 1;
  if (a->layout == HN_LAYOUT_PLAIN) {
    for (int32_t i = 1; i < a->rank - 1; i++) pixel = pixel * a->dims[i] + at[i];
    return pixel * run + at[a->rank - 1];
  }
  if (a->layout != HN_LAYOUT_NHWC) {
    block = a->layout == HN_LAYOUT_C8 ? 8 : 16;
    pixel = pixel * ((a->dims[1] + block - 1) / block) + at[1] / block;
  }
  for (int32_t i = 2; i < a->rank; i++) pixel = pixel * a->dims[i] + at[i];
  return block > 1 ? pixel * block + at[1] % block : pixel * run + at[1];
}

static void next(const hn_arg *a, int64_t *at) {
  for (int32_t i = a->rank; i-- > 0 && ++at[i] == a->dims[i];) at[i] = 0;
}

static void change(hone_context *cx, hn_cpu *cpu, hn_dtype dtype, hn_layout from, hn_layout to, int threads) {
  static unsigned char in_bytes[MOST * 64], out_bytes[MOST * 64];
  size_t size = hone_dtype_size(dtype);
  hn_arg in = {.present = true, .dtype = dtype, .rank = 3 + (int32_t)pick(3), .layout = from};
  int64_t count = 1;
  for (int32_t i = 0; i < in.rank; i++) count *= in.dims[i] = 1 + pick(in.rank > 3 ? 5 : 18);
  if (in.rank == 3 && pick(2)) { /* an image of few channels */
    int64_t few[] = {1 + pick(2), 1 + pick(5), 1 + pick(300)};
    memcpy(in.dims, few, sizeof few);
    count = few[0] * few[1] * few[2];
  }
  hn_arg out = in;
  out.layout = to;
  bool strided = from <= HN_LAYOUT_NHWC && to <= HN_LAYOUT_NHWC;
  if (strided && pick(3) == 0) in.pitch = hn_layout_run(from, in.rank, in.dims) + pick(4), in.pitch_in = from;
  if (strided && pick(3) == 0) out.pitch = hn_layout_run(to, in.rank, in.dims) + pick(4), out.pitch_in = to;
  for (size_t i = 0; i < sizeof in_bytes; i++) in_bytes[i] = (unsigned char)pick(120);
  memset(out_bytes, CANARY, sizeof out_bytes);
  hn_task t = {.cx = cx, .n_in = 1, .n_out = 1, .in = &in, .out = &out, .threads = threads, .device = cpu};
  t.kernel = hn_reorder_kernel(dtype, from, to);
  REQUIRE(t.kernel->plan(&t) == HONE_OK);
  hn_view iv = {.data = in_bytes, .dtype = dtype, .rank = in.rank}, ov = {.data = out_bytes, .dtype = dtype, .rank = in.rank};
  memcpy(iv.dims, in.dims, sizeof iv.dims);
  memcpy(ov.dims, in.dims, sizeof ov.dims);
  hn_exec x = {.cx = cx, .task = &t, .n_in = 1, .n_out = 1, .in = &iv, .out = &ov, .threads = threads};
  CHECK(t.kernel->run(&x) == HONE_OK);
  int64_t at[HN_MAX_RANK] = {0}, wrong = 0;
  size_t written = 0;
  for (int64_t i = 0; i < count; i++, next(&in, at)) {
    const unsigned char *is = out_bytes + (size_t)place(&out, at) * size;
    wrong += memcmp(is, in_bytes + (size_t)place(&in, at) * size, size) != 0;
  }
  for (size_t i = 0; i < sizeof out_bytes; i++) written += out_bytes[i] != CANARY;
  CHECK_MSG(wrong == 0, "%s from %s to %s, rank %d: %lld of %lld elements are wrong", hone_dtype_name(dtype), hn_layout_name(from),
            hn_layout_name(to), in.rank, (long long)wrong, (long long)count);
  if (strided) CHECK_MSG(written == (size_t)count * size, "%zu bytes are written, not %zu", written, (size_t)count * size);
  t.kernel->destroy(&t);
}

TEST(layouts) {
  static const hn_dtype types[] = {HONE_DTYPE_F32, HONE_DTYPE_I8, HONE_DTYPE_BF16, HONE_DTYPE_I64, HONE_DTYPE_BOOL, HONE_DTYPE_F64};
  hone_context *cx;
  hn_cpu *cpu;
  REQUIRE(hone_context_create(&cx) == HONE_OK);
  REQUIRE(hn_cpu_create(cx, hn_isa_best(), &cpu) == HONE_OK);
  for (int round = 0; round < 60; round++)
    for (size_t k = 0; k < sizeof types / sizeof *types; k++)
      for (int pair = 0; pair < 4; pair++) {
        hn_layout from = pair & 1 ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN, to = pair & 2 ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
        change(cx, cpu, types[k], from, to, 1 + round % 3);
      }
  for (int round = 0; round < 40; round++) { /* oneDNN's */
    hn_layout block = round & 1 ? HN_LAYOUT_C8 : HN_LAYOUT_C16, other = round & 2 ? HN_LAYOUT_NHWC : HN_LAYOUT_PLAIN;
    change(cx, cpu, HONE_DTYPE_F32, round & 4 ? block : other, round & 4 ? other : block, 1);
  }
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}
