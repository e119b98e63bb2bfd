/* kernels.c - the table of CPU kernels, made of kernels.def. */
#include <string.h>

#include "device/cpu/cpu.h"

#define REF(op, fn) hone_status fn(hn_exec *x);
#define KERNEL(op, name, priority)                \
  bool name##_supports(const hn_task *t);         \
  hone_status name##_plan(hn_task *t);            \
  hone_status name##_run(hn_exec *x);             \
  void name##_destroy(hn_task *t);
#define KERNEL_LINES(op, name, priority) \
  KERNEL(op, name, priority)             \
  void name##_lines(const hn_task *t, const struct hn_strip *p, void *scratch);
#include "device/cpu/kernels.def"
#undef REF
#undef KERNEL
#undef KERNEL_LINES

static const hn_kernel references[HN_OP_COUNT] = {
    [HN_OP_NONE] = {.name = NULL},
#define REF(o, fn) [HN_##o] = {.name = #fn, .op = HN_##o, .run = fn},
#define KERNEL(op, name, priority)
#define KERNEL_LINES(op, name, priority)
#include "device/cpu/kernels.def"
#undef REF
#undef KERNEL
#undef KERNEL_LINES
};

static const hn_kernel kernels[] = {
#define REF(op, fn)
#define KERNEL(o, n, p) {#n, HN_##o, p, n##_supports, n##_plan, n##_run, n##_destroy, NULL, 0, false},
#define KERNEL_LINES(o, n, p) {#n, HN_##o, p, n##_supports, n##_plan, n##_run, n##_destroy, n##_lines, 0, false},
#include "device/cpu/kernels.def"
#undef REF
#undef KERNEL
#undef KERNEL_LINES
    {.name = NULL},
};

const hn_kernel *hn_kernel_at(uint32_t i) {
  return i < sizeof kernels / sizeof *kernels && kernels[i].name ? &kernels[i] : NULL;
}

const hn_kernel *hn_kernel_ref(hn_op op) {
  return (unsigned)op < HN_OP_COUNT && references[op].run ? &references[op] : NULL;
}

hn_origin hn_kernel_origin(const hn_kernel *k) {
  const char *last = strrchr(k->name, '_');
  for (int o = HN_ORIGIN_HONE + 1; last && o < HN_ORIGIN_COUNT; o++)
    if (strcmp(last + 1, hn_origin_name((hn_origin)o)) == 0) return (hn_origin)o;
  return HN_ORIGIN_HONE;
}

const char *hn_origin_name(hn_origin o) {
  static const char *const names[HN_ORIGIN_COUNT] = {"hone", "onednn", "bf16x3"};
  return (unsigned)o < HN_ORIGIN_COUNT ? names[o] : "?";
}
