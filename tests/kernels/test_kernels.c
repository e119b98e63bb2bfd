/* test_kernels.c - every row of kernels.def against the reference of its operator: random shapes and attributes, every
   layout of the inputs, every instruction set this processor has. A row for whose operator there is no generator, or
   that takes none of the cases, is a failure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "device/cpu/cpu.h"
#include "device/cpu/quant/half_tile.h"
#include "device/cpu/split/split.h"
#include "device/cpu/vec/float_runs.h"
#include "kernel_cases.h"
#include "op/infer.h"

enum { CASES = 40 };

/* ---- running */

static bool used(const hn_program *p, const hn_kernel *k) {
  const hn_plan *plan = hn_program_plan(p);
  for (size_t i = 0; i < plan->steps.n; i++)
    if (plan->steps.p[i].task.kernel == k) return true;
  return false;
}

/* What lies between the runs of tensors with gaps is written (from 0) or looked at; how many of them there are. */
static int gaps(const hn_program *p, bool write, const char *what, uint32_t at) {
  const hn_plan *plan = hn_program_plan(p);
  int n = 0;
  for (uint32_t i = 0; i < plan->slots.n; i++) {
    const hn_slot *s = &plan->slots.p[i];
    if (!s->pitch) continue;
    int64_t run = hn_layout_run(s->layout, s->rank, s->dims);
    size_t size = hone_dtype_size(s->dtype);
    unsigned char *from = hn_program_slot(p, i).data;
    bool whole = true;
    for (int64_t r = 0; r < s->count / run; r++)
      for (size_t b = (size_t)(r * s->pitch + run) * size; b < (size_t)((r + 1) * s->pitch) * size; b++) {
        if (write) from[b] = (unsigned char)(0x7f - (b & 1)); /* NaN, if it is read for a float */
        else whole = whole && from[b] == (unsigned char)(0x7f - (b & 1));
      }
    CHECK_MSG(whole, "%s, case %u: written beside a run of '%s'", what, at, hn_value_at(plan->g, s->value)->name);
    n++;
  }
  return n;
}

/* Does a step of the kernel read or write with gaps? */
static bool takes_gaps(const hn_program *p, const hn_kernel *k, bool writes) {
  const hn_plan *plan = hn_program_plan(p);
  for (size_t i = 0; i < plan->steps.n; i++) {
    const hn_task *t = &plan->steps.p[i].task;
    for (uint32_t a = 0; t->kernel == k && a < (writes ? t->n_out : t->n_in); a++)
      if (writes ? t->out[a].pitched : t->in[a].pitched && !t->in[a].unused) return true;
  }
  return false;
}

static int takes_halves(const hn_program *p, const hn_kernel *k) {
  const hn_plan *plan = hn_program_plan(p);
  int n = 0;
  for (size_t i = 0; i < plan->steps.n; i++) n += plan->steps.p[i].task.kernel == k && plan->steps.p[i].task.in[0].dtype == HONE_DTYPE_F16;
  return n;
}

static bool is_8bit(hn_dtype t) { return t == HONE_DTYPE_U8 || t == HONE_DTYPE_I8; }

/* Does a step of the kernel see integers? Else they were opened to floats for it, which is another case. */
static bool takes_integers(const hn_program *p, const hn_kernel *k) {
  const hn_plan *plan = hn_program_plan(p);
  for (size_t i = 0; i < plan->steps.n; i++) {
    const hn_task *t = &plan->steps.p[i].task;
    for (uint32_t a = 0; t->kernel == k && a < t->n_in + t->n_out; a++)
      if (is_8bit((a < t->n_in ? &t->in[a] : &t->out[a - t->n_in])->dtype)) return true;
  }
  return false;
}

/* 1: the kernel took the case; 0: it did not; -1: a failure was reported. */
static int run_trial(trial *t, const hn_kernel *k, hn_cpu *cpu, hn_layout layout, int threads, uint32_t at) {
  hn_view in[MAX_VIEWS] = {{0}}, want[4], got[4];
  char what[128];
  snprintf(what, sizeof what, "%s (%s) from %s%s, %s, %d threads", k->name, hn_op_name(k->op), hn_layout_name(layout), t->gap ? " with gaps" : "", hn_bytes_name(cpu->isa, cpu->bytes), threads);
  make_inputs(t, in);
  hn_plan_options slow = {.threads = 1, .reference = true};
  hn_plan_options fast = {.device = cpu, .threads = threads, .only = k, .inputs_as = layout, .gap = t->gap};
  hn_program *reference = NULL, *tried = NULL;
  int result = -1;
  hone_status st = hn_program_create(t->g, in, &slow, &reference);
  if (!st) st = hn_program_create(t->g, in, &fast, &tried);
  CHECK_MSG(!st, "%s, case %u: %s", what, at, hone_context_error(t->cx));
  if (!st && (!used(tried, k) || (t->quantized && !takes_integers(tried, k)))) result = 0;
  else if (!st) {
    st = hn_program_run(reference, in, want);
    for (int again = 0; again < 2 && !st; again++) { /* twice: nothing may be left over */
      gaps(tried, true, what, at);
      st = hn_program_run(tried, in, got);
    }
    gaps(tried, false, what, at);
    t->halves += takes_halves(tried, k);
    t->read_gaps += takes_gaps(tried, k, false);
    t->wrote_gaps += takes_gaps(tried, k, true);
    CHECK_MSG(!st, "%s, case %u: %s", what, at, hone_context_error(t->cx));
    if (!st) result = compare(t, want, got, what, at) ? -1 : 1;
  }
  hn_program_destroy(reference);
  hn_program_destroy(tried);
  free_inputs(t, in);
  return result;
}

/* Kernels that must be able to, since concatenation in place depends on them. */
static const struct {
  const char *kernel;
  bool reads, writes;
} with_gaps[] = {{"conv_gemm", true, true}, {"conv_planes", false, true},     {"conv_winograd2", true, true}, {"conv_winograd4", true, true},
                 {"conv_winograd6", true, true}, {"conv_depthwise", true, true}, {"pool_vec", true, true},
                 {"eltwise_vec", true, true},    {"concat_move", true, true},    {"split_move", true, true},
                 {"slice_move", true, true},     {"transpose_move", true, false}, {"pick_move", true, true},
                 {"gate_vec", true, true},       {"product_bf16x3", true, true}};

/* Kernels that multiply or add half floats as such, where the processor does. */
static bool has_half_arithmetic(const hn_kernel *k) {
  static const char *const names[] = {"product_half", "conv_depthwise", "pool_vec", "gate_vec"};
  bool has = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) has = has || strcmp(names[i], k->name) == 0;
  return has;
}

/* bfloat16 alone; the same without instructions that round to it. */
typedef enum brain_kind { NO_BRAIN, BRAIN, BRAIN_BY_HAND } brain_kind;

/* halves: of half floats alone. */
static void test_kernel_from(const hn_kernel *k, hn_isa isa, hn_bytes bytes, hn_layout layout, int threads, int64_t gap, bool halves, brain_kind brain) {
  const char *wanted = getenv("HONE_TEST_KERNEL"); /* one of them alone */
  hone_context *cx;
  hn_cpu *cpu = NULL;
  int taken = 0, read_gaps = 0, wrote_gaps = 0, as_halves = 0;
  bool computes = isa == HN_ISA_AVX512 && hn_isa_has(HN_EXTRA_FP16), only = strstr(k->name, "_half") != NULL; /* nothing but those */
  bool only_brain = strstr(k->name, "_bf16") && !strstr(k->name, "_bf16x3");
  if ((wanted && strcmp(wanted, k->name)) || (only && !computes) || (only_brain && !hn_bf16_tile_for(isa))) return;
  halves = halves || (only && !brain);
  if (only_brain && !brain) brain = BRAIN;
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(!hn_cpu_create(cx, isa, &cpu));
  cpu->bytes = bytes;
  if (brain == BRAIN_BY_HAND) cpu->brain = NULL;
  if (!cpu->split) cpu->split = &hn_split_portable;
  cpu->thread_macs = 1; /* small cases use all threads too */
  for (uint32_t at = 0; at < CASES; at++) {
    case_seed(at * 7919u + (uint32_t)k->op * 104729u + (uint32_t)layout * 31u);
    trial t = {.cx = cx, .op = k->op, .gap = gap, .quantized = at % 2 && (quantizable(k->op) || moves_integers(k->op)), .step = 0.125f};
    t.averages = strcmp(k->name, "pool_int8") == 0;
    if (!t.quantized && at % 8 == 4 && (quantizable(k->op) || k->op == HN_Cast || k->op == HN_ConvTranspose)) t.half = at % 16 == 4 ? HONE_DTYPE_BF16 : HONE_DTYPE_F16;
    if (halves) t.half = HONE_DTYPE_F16, t.quantized = false;
    if (brain) t.half = HONE_DTYPE_BF16, t.quantized = false;
    if (t.half == HONE_DTYPE_F16 && computes) t.loose = 0.1f;
    if (k->op == HN_Cast) t.half = at % 2 ? HONE_DTYPE_BF16 : HONE_DTYPE_F16;
    t.g = hn_graph_create(cx, "case");
    REQUIRE(t.g);
    bool made = generate(&t) && !t.g->oom;
    CHECK_MSG(made || at, "%s: there is no generator for %s", k->name, hn_op_name(k->op));
    int r = made && !hn_infer_graph(t.g) ? run_trial(&t, k, cpu, layout, threads, at) : 0;
    taken += r > 0;
    read_gaps += t.read_gaps;
    wrote_gaps += t.wrote_gaps;
    as_halves += t.halves;
    hn_graph_destroy(t.g);
    if (r < 0) break;
  }
  if (layout == HN_LAYOUT_PLAIN && (computes || !halves)) CHECK_MSG(taken > 0, "%s (%s) took none of the cases", k->name, hn_op_name(k->op));
  if (layout == HN_LAYOUT_PLAIN && halves && computes) CHECK_MSG(as_halves > 0, "%s (%s) took no half floats", k->name, hn_op_name(k->op));
  for (size_t i = 0; gap && !halves && !brain && layout == HN_LAYOUT_NHWC && k->op != HN_Gemm && k->op != HN_MatMul && i < sizeof with_gaps / sizeof *with_gaps; i++)
    if (strcmp(with_gaps[i].kernel, k->name) == 0) {
      CHECK_MSG(read_gaps || !with_gaps[i].reads, "%s (%s) never reads with gaps", k->name, hn_op_name(k->op));
      CHECK_MSG(wrote_gaps || !with_gaps[i].writes, "%s (%s) never writes with gaps", k->name, hn_op_name(k->op));
    }
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}

static void test_kernel(const hn_kernel *k, hn_isa isa, hn_bytes bytes, hn_layout layout, int threads) {
  test_kernel_from(k, isa, bytes, layout, threads, 0, false, NO_BRAIN);
}

/* The bound that half_tile.h states, for short and long sums, odd numbers of pairs and all sizes of tile. Of bfloat16: that of sums
   of single precision. */
static void sums_of(const hn_half_tile *tile, hone_dtype t) {
  enum { MOST = 200, LDA = 2 * MOST + 6 };
  float (*wide)(uint16_t) = t == HONE_DTYPE_BF16 ? hn_bf16_to_f32 : hn_f16_to_f32;
  uint16_t (*narrow)(float) = t == HONE_DTYPE_BF16 ? hn_f32_to_bf16 : hn_f32_to_f16;
  uint16_t *a = hn_calloc(HN_HALF_ROWS * LDA, sizeof *a), *b = hn_calloc((size_t)MOST * 2 * HN_HALF_COLS, sizeof *b);
  float sums[HN_HALF_ROWS * HN_HALF_COLS];
  uint16_t out[HN_HALF_ROWS * HN_HALF_COLS];
  REQUIRE(a && b);
  for (uint32_t at = 0; at < 4 * (uint32_t)tile->rows; at++) {
    int rows = 1 + (int)at % tile->rows, cols = (int)between(1, HN_HALF_COLS), wrong = 0;
    int64_t pairs = at < 14 ? (int64_t)at + 1 : between(1, MOST), step = 0;
    float scale = at % 3 ? 1 : 1.0f / 256; /* products below the smallest normal number too */
    if (tile->deep) {
      step = (pairs + (pairs + tile->deep - 1) / tile->deep - 1) / ((pairs + tile->deep - 1) / tile->deep);
      pairs -= pairs % step;
      tile->begin((rows + 1) / 2, step);
    }
    for (int i = 0; i < HN_HALF_ROWS * LDA; i++) a[i] = narrow(scale * ((float)(between(0, 4000)) / 1000.0f - 2));
    for (int i = 0; i < MOST * 2 * HN_HALF_COLS; i++) b[i] = narrow(scale * ((float)(between(0, 4000)) / 1000.0f - 2));
    hn_half_job job = {.pairs = pairs, .lda = LDA, .a = a, .b = b, .sums = sums, .rows = rows, .next = at % 2 ? (const char *)b : NULL,
                       .next_step = 64, .height = (rows + 1) / 2, .step = step, .a_step = 2 * step};
    tile->mul(&job);
    if (tile->store) tile->store(&job);
    if (tile->deep) tile->end();
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < HN_HALF_COLS; c++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < 2 * pairs; k++) {
          double p = (double)wide(a[r * LDA + k]) * (double)wide(b[k / 2 * 2 * HN_HALF_COLS + hn_half_column(t, c) + k % 2]);
          sum += p, size += fabs(p);
        }
        double bound = t == HONE_DTYPE_BF16 ? ldexp((double)pairs * size, -23) : (HN_HALF_CHAIN + 2) * ldexp(size, -11) + ldexp((double)(2 * pairs), -25);
        wrong += !(fabs((double)sums[r * HN_HALF_COLS + c] - sum) <= bound);
      }
    CHECK_MSG(!wrong, "%s: %d sums of %lld pairs, %d rows are further off than stated", hone_dtype_name(t), wrong, (long long)pairs, rows);
    memset(out, 0xff, sizeof out);
    hn_half_ending e = {.lo = -0.5f, .hi = 1, .out = out, .ld_out = HN_HALF_COLS};
    tile->finish(&e, sums, rows, cols);
    for (int i = 0; i < HN_HALF_ROWS * HN_HALF_COLS; i++) {
      float v = sums[i < rows * HN_HALF_COLS ? i : 0], in = v < -0.5f ? -0.5f : v > 1 ? 1 : v;
      bool inside = i / HN_HALF_COLS < rows && i % HN_HALF_COLS < cols;
      CHECK(out[i] == (inside ? narrow(in) : 0xffff));
    }
  }
  hn_free(a);
  hn_free(b);
}

TEST(sums_of_half_floats) {
  if (hn_half_tile_best()) sums_of(hn_half_tile_best(), HONE_DTYPE_F16);
  if (hn_bf16_tile_for(hn_isa_best())) sums_of(hn_bf16_tile_for(hn_isa_best()), HONE_DTYPE_BF16);
}

TEST(half_floats) {
  for (uint32_t i = 0; hn_kernel_at(i); i++)
    for (int isa = 0; isa <= (int)hn_isa_best(); isa++)
      if (has_half_arithmetic(hn_kernel_at(i))) {
        test_kernel_from(hn_kernel_at(i), (hn_isa)isa, hn_bytes_best((hn_isa)isa), HN_LAYOUT_PLAIN, 1, 0, true, NO_BRAIN);
        test_kernel_from(hn_kernel_at(i), (hn_isa)isa, hn_bytes_best((hn_isa)isa), HN_LAYOUT_NHWC, 2, 5, true, NO_BRAIN);
      }
}

TEST(brain_floats) {
  hn_isa isa = hn_isa_best();
  for (uint32_t i = 0; isa == HN_ISA_AVX512 && hn_kernel_at(i); i++) {
    const hn_kernel *k = hn_kernel_at(i);
    bool by_hand = strcmp(k->name, "conv_depthwise") == 0 || strcmp(k->name, "gate_vec") == 0, tiles = strcmp(k->name, "product_half") == 0;
    for (int way = BRAIN; way <= BRAIN_BY_HAND; way++) {
      if (!has_half_arithmetic(k) || (tiles && !hn_bf16_tile_for(isa)) || (way == BRAIN ? !hn_isa_has(HN_EXTRA_BF16) : !by_hand)) continue;
      test_kernel_from(k, isa, hn_bytes_best(isa), HN_LAYOUT_PLAIN, 1, 0, false, (brain_kind)way);
      test_kernel_from(k, isa, hn_bytes_best(isa), HN_LAYOUT_NHWC, 2, 5, false, (brain_kind)way);
    }
  }
}

TEST(tensors_with_gaps) {
  for (uint32_t i = 0; hn_kernel_at(i); i++)
    for (int isa = 0; isa <= (int)hn_isa_best(); isa++)
      test_kernel_from(hn_kernel_at(i), (hn_isa)isa, hn_bytes_best((hn_isa)isa), HN_LAYOUT_NHWC, 1 + isa, 5, false, NO_BRAIN);
  for (uint32_t i = 0; hn_kernel_at(i); i++)
    test_kernel_from(hn_kernel_at(i), hn_isa_best(), hn_bytes_best(hn_isa_best()), HN_LAYOUT_PLAIN, 1, 5, false, NO_BRAIN);
}

TEST(every_kernel_agrees_with_its_reference) {
  for (uint32_t i = 0; hn_kernel_at(i); i++)
    for (int l = 0; l < HN_LAYOUT_COUNT; l++) test_kernel(hn_kernel_at(i), hn_isa_best(), hn_bytes_best(hn_isa_best()), (hn_layout)l, 1);
}

TEST(every_instruction_set) {
  for (int isa = 0; isa <= (int)hn_isa_best(); isa++)
    for (int bytes = 0; bytes <= (int)hn_bytes_best((hn_isa)isa); bytes++)
      for (uint32_t i = 0; hn_kernel_at(i); i++)
        if (!bytes || strstr(hn_kernel_at(i)->name, "int8")) test_kernel(hn_kernel_at(i), (hn_isa)isa, (hn_bytes)bytes, HN_LAYOUT_PLAIN, 1);
}

TEST(several_threads) {
  for (uint32_t i = 0; hn_kernel_at(i); i++) test_kernel(hn_kernel_at(i), hn_isa_best(), hn_bytes_best(hn_isa_best()), HN_LAYOUT_NHWC, 3);
}

/* Indices are looked at when they are used. */
TEST(indices_out_of_range) {
  static const hn_op ops[] = {HN_GatherND, HN_GatherElements, HN_ScatterND, HN_ScatterElements};
  hone_context *cx;
  hn_cpu *cpu;
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(!hn_cpu_create(cx, hn_isa_best(), &cpu));
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    int64_t dims[2] = {3, 1}, wrong[3] = {0, 2, 3};
    hn_tensor *at;
    hn_graph *g = hn_graph_create(cx, "out of range");
    hn_shape s = hn_shape_of(2, dims);
    REQUIRE(!hn_tensor_create(cx, HONE_DTYPE_I64, 2, dims, &at));
    memcpy(at->data, wrong, sizeof wrong);
    hn_id in[3] = {hn_graph_add_input(g, "x", HONE_DTYPE_F32, &s), hn_graph_add_constant(g, NULL, at), HN_NONE};
    in[2] = in[0];
    hn_id n = hn_graph_add_node(g, ops[i], "it", in, i < 2 ? 2 : 3, 1);
    hn_graph_add_output(g, "y", hn_node_at(g, n)->out[0]);
    float numbers[3] = {1, 2, 3};
    hn_view x = {.data = numbers, .dtype = HONE_DTYPE_F32, .rank = 2, .dims = {3, 1}, .count = 3}, y;
    hn_plan_options how = {.device = cpu, .threads = 2};
    hn_program *p = NULL;
    REQUIRE(!hn_infer_graph(g) && !hn_program_create(g, &x, &how, &p));
    CHECK(strcmp(hn_program_plan(p)->steps.p[0].task.kernel->name, "index_move") == 0);
    CHECK(hn_program_run(p, &x, &y) == HONE_BAD_GRAPH && strstr(hone_context_error(cx), "'it'") && strstr(hone_context_error(cx), "[-3, 3)"));
    hn_program_destroy(p);
    hn_graph_destroy(g);
  }
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}

TEST(every_operator_has_inference_and_a_reference) {
  for (int op = HN_OP_NONE + 1; op < HN_OP_COUNT; op++) {
    CHECK_MSG(hn_infer_knows((hn_op)op), "%s has no inference", hn_op_name((hn_op)op));
    CHECK_MSG(hn_kernel_ref((hn_op)op) != NULL, "%s has no reference kernel", hn_op_name((hn_op)op));
  }
}
