/* test_split.c - single precision by bfloat16 parts: the parts are the number; products err no more than those of single
   precision; numbers out of range are multiplied as they are; what exceeds the bound is left to other kernels. */
#include <math.h>
#include <string.h>

#include "device/cpu/cpu.h"
#include "device/cpu/split/split.h"
#include "harness.h"
#include "op/infer.h"
#include "run/program.h"

enum { DEEP = 8, K = DEEP * HN_SPLIT_DEPTH, ROWS = HN_SPLIT_ROWS, COLS = HN_SPLIT_COLS };

static uint32_t seed;
static uint32_t draw(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed >> 8;
}
static float uniform(void) { return (float)draw() / 8388608.0F - 1; }

static float widened(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

static const hn_split *split_at(int i) { return i ? hn_split_for(hn_isa_best()) : &hn_split_portable; }

TEST(parts_add_up_to_the_number) {
  for (int i = 0; i < 2 && split_at(i); i++) {
    seed = 1;
    for (int n = 1; n <= 70; n++) {
      float x[70];
      _Alignas(64) uint16_t cells[3 * HN_SPLIT_CELL];
      memset(cells, 0x7f, sizeof cells);
      for (int k = 0; k < n; k++) x[k] = ldexpf(uniform(), (int)(draw() % 120) - 60);
      split_at(i)->cut(x, 0, 1, n, cells, HN_SPLIT_CELL);
      for (int k = 0; k < hn_round_up(n, HN_SPLIT_DEPTH); k++) {
        const uint16_t *c = cells + k / HN_SPLIT_DEPTH * HN_SPLIT_CELL + hn_split_at(k % HN_SPLIT_DEPTH);
        float sum = widened(c[0]) + (widened(c[HN_SPLIT_DEPTH]) + widened(c[2 * HN_SPLIT_DEPTH]));
        CHECK_MSG(sum == (k < n ? x[k] : 0), "number %d of %d: %.9g in place of %.9g", k, n, (double)sum, (double)x[k]);
      }
    }
  }
}

TEST(the_largest_magnitude_is_seen) {
  static const float values[] = {0, -3.5F, INFINITY, -INFINITY, NAN, 1e-30F, 0x1p60F, 0x1p61F};
  static const bool fits[] = {true, true, false, false, false, false, true, false};
  for (int i = 0; i < 2 && split_at(i); i++)
    for (size_t v = 0; v < sizeof values / sizeof *values; v++)
      for (int at = 0; at < 40; at++) {
        float x[40] = {0};
        _Alignas(64) uint16_t cells[2 * HN_SPLIT_CELL];
        x[at] = values[v];
        CHECK(hn_split_fits(split_at(i)->cut(x, 0, 1, 40, cells, HN_SPLIT_CELL)) == fits[v]);
      }
}

/* Root mean squares of what products of random numbers are off by: of parts, and of single precision, term by term. */
static void errors(const hn_split *s, double *parts, double *plain) {
  static float x[ROWS][K], w[K][COLS], packed[DEEP * HN_SPLIT_PART];
  _Alignas(64) static uint16_t a[DEEP * ROWS * HN_SPLIT_CELL], b[DEEP * HN_SPLIT_PARTS * HN_SPLIT_PART];
  _Alignas(64) static float sums[ROWS * COLS];
  int64_t offsets[DEEP];
  for (int r = 0; r < ROWS; r++)
    for (int k = 0; k < K; k++) x[r][k] = uniform();
  for (int k = 0; k < K; k++)
    for (int c = 0; c < COLS; c++) w[k][c] = uniform();
  hn_split_pack(DEEP, 0, K, COLS, w[0], COLS, 1, packed);
  s->cut(x[0], K, ROWS, K, a, (int64_t)ROWS * HN_SPLIT_CELL);
  s->cut_panel(packed, 0, DEEP * HN_SPLIT_LINES, b);
  for (int i = 0; i < DEEP; i++) offsets[i] = (int64_t)i * ROWS * HN_SPLIT_CELL;
  s->begin();
  s->mul(&(hn_split_job){.cells = DEEP, .a = a, .offsets = offsets, .b = b, .sums = sums}, false, false);
  s->end();
  *parts = *plain = 0;
  for (int r = 0; r < ROWS; r++)
    for (int c = 0; c < COLS; c++) {
      double want = 0;
      float sum = 0;
      for (int k = 0; k < K; k++) {
        want += (double)x[r][k] * (double)w[k][c];
        sum = fmaf(x[r][k], w[k][c], sum);
      }
      *parts += pow((double)sums[r * COLS + c] - want, 2);
      *plain += pow((double)sum - want, 2);
    }
  *parts = sqrt(*parts);
  *plain = sqrt(*plain);
}

TEST(products_err_no_more_than_single_precision) {
  if (!hn_split_for(hn_isa_best())) printf("note: no AMX here, only the portable arithmetic is tested\n");
  for (int i = 0; i < 2 && split_at(i); i++) {
    double parts, plain;
    seed = 7;
    errors(split_at(i), &parts, &plain);
    CHECK_MSG(parts > 0 && parts <= plain, "%g by parts, %g in single precision", parts, plain);
  }
}

/* ---- whole layers */

static const hn_kernel *the_kernel(void) {
  for (uint32_t i = 0; hn_kernel_at(i); i++)
    if (hn_kernel_at(i)->op == HN_MatMul && hn_streq(hn_kernel_at(i)->name, "product_bf16x3")) return hn_kernel_at(i);
  return NULL;
}

enum { M = 40, DEPTH = 70, N = 50 };
static float x[M * DEPTH], w[DEPTH * N], got[M * N], want[M * N];
static bool used; /* the kernel took it */

static void fill(void) {
  seed = 3;
  for (int i = 0; i < M * DEPTH; i++) x[i] = uniform();
  for (int i = 0; i < DEPTH * N; i++) w[i] = uniform();
}

/* x times w by `cpu`, and by the reference. */
static void multiply(hone_context *cx, hn_cpu *cpu) {
  hn_graph *g = hn_graph_create(cx, "case");
  int64_t dx[2] = {M, DEPTH}, dw[2] = {DEPTH, N};
  hn_tensor *t;
  hn_shape shape = hn_shape_of(2, dx);
  REQUIRE(g && !hn_tensor_create(cx, HONE_DTYPE_F32, 2, dw, &t));
  memcpy(t->data, w, sizeof w);
  hn_id in = hn_graph_add_input(g, "x", HONE_DTYPE_F32, &shape), by = hn_graph_add_constant(g, NULL, t);
  hn_id node = hn_graph_add_node(g, HN_MatMul, "", (hn_id[]){in, by}, 2, 1);
  hn_graph_add_output(g, "y", hn_node_at(g, node)->out[0]);
  REQUIRE(!hn_infer_graph(g));
  hn_view view = {.data = x, .dtype = HONE_DTYPE_F32, .rank = 2, .dims = {M, DEPTH}, .count = M * DEPTH}, out;
  hn_plan_options slow = {.threads = 1, .reference = true}, fast = {.device = cpu, .threads = 1, .only = the_kernel()};
  hn_program *a, *b;
  REQUIRE(!hn_program_create(g, &view, &slow, &a) && !hn_program_create(g, &view, &fast, &b));
  REQUIRE(!hn_program_run(a, &view, &out));
  memcpy(want, out.data, sizeof want);
  REQUIRE(!hn_program_run(b, &view, &out));
  memcpy(got, out.data, sizeof got);
  used = false;
  const hn_plan *plan = hn_program_plan(b);
  for (size_t i = 0; i < plan->steps.n; i++) used = used || plan->steps.p[i].task.kernel == the_kernel();
  hn_program_destroy(a);
  hn_program_destroy(b);
  hn_graph_destroy(g);
}

static void check_equal(const char *what, double off) {
  for (int i = 0; i < M * N; i++) {
    bool same = isnan(want[i])   ? isnan(got[i])
                : isinf(want[i]) ? got[i] == want[i]
                                 : fabs((double)got[i] - (double)want[i]) <= 1e-5 * fabs((double)want[i]) + off;
    CHECK_MSG(same, "%s: number %d is %g, not %g", what, i, (double)got[i], (double)want[i]);
    if (!same) return;
  }
}

TEST(numbers_out_of_range) {
  static const float odd[] = {INFINITY, -INFINITY, NAN, 3e38F, 1e30F};
  hone_context *cx;
  hn_cpu *cpu;
  REQUIRE(!hone_context_create(&cx) && !hn_cpu_create(cx, hn_isa_best(), &cpu));
  for (int i = 0; i < 2 && split_at(i); i++) {
    cpu->split = split_at(i);
    for (size_t v = 0; v < sizeof odd / sizeof *odd; v++) {
      fill();
      x[17 * DEPTH + 5] = odd[v];
      multiply(cx, cpu);
      CHECK(used);
      check_equal("odd numbers among activations", 1e-5);
    }
    fill();
    for (int k = 0; k < M * DEPTH; k++) x[k] = ldexpf(x[k], -130); /* none is normal: none may be lost */
    multiply(cx, cpu);
    CHECK(used);
    check_equal("activations below 2^-126", 0x1p-140);
  }
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}

TEST(weights_out_of_range_and_the_bound_leave_it_to_others) {
  static const float odd[] = {INFINITY, NAN, 0x1p31F};
  hone_context *cx;
  hn_cpu *cpu;
  REQUIRE(!hone_context_create(&cx) && !hn_cpu_create(cx, hn_isa_best(), &cpu));
  for (int i = 0; i < 2 && split_at(i); i++) {
    cpu->split = split_at(i);
    for (size_t v = 0; v < sizeof odd / sizeof *odd; v++) {
      fill();
      w[77] = odd[v];
      multiply(cx, cpu);
      CHECK(!used);
    }
    fill();
    multiply(cx, cpu);
    CHECK(used);
    cpu->winograd_error = 0;
    multiply(cx, cpu);
    CHECK(!used);
    cpu->winograd_error = HN_WINOGRAD_ERROR;
  }
  cpu->split = NULL;
  multiply(cx, cpu);
  CHECK(!used);
  hn_cpu_destroy(cpu);
  hone_context_destroy(&cx);
}
