/* kernel.c - what all kernels share, of whatever device: layouts and errors. */
#include "device/kernel.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/checked.h"

const char *hn_layout_name(hn_layout l) {
  static const char *const names[] = {"plain", "nhwc", "nChw8c", "nChw16c"};
  return (unsigned)l < HN_LAYOUT_COUNT ? names[l] : "?";
}

bool hn_layout_bytes(hn_layout l, hn_dtype t, int32_t rank, const int64_t *dims, size_t *bytes) {
  int64_t n = 1, block = l == HN_LAYOUT_C8 ? 8 : l == HN_LAYOUT_C16 ? 16 : 1;
  for (int32_t i = 0; i < rank; i++) {
    int64_t d = dims[i];
    if (d < 0) return false;
    if (i == 1 && block > 1) {
      if (!hn_add_i64(d, block - 1, &d)) return false;
      d -= d % block;
    }
    if (!hn_mul_i64(n, d, &n)) return false;
  }
  return hn_dtype_bytes(t, (uint64_t)n, bytes);
}

int64_t hn_layout_run(hn_layout l, int32_t rank, const int64_t *dims) {
  switch (l) {
    case HN_LAYOUT_C8: return 8;
    case HN_LAYOUT_C16: return 16;
    case HN_LAYOUT_NHWC: return dims[1];
    default: return rank ? dims[rank - 1] : 1;
  }
}

hone_status hn_xfail(const hn_exec *x, hone_status st, const char *fmt, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  const hn_node *n = hn_xnode(x);
  return hn_fail(x->cx, st, "node '%s' (%s): %s", n->name, hn_op_name(n->op), text);
}

hone_status hn_xbad_dtype(const hn_exec *x, hn_dtype t) {
  return hn_xfail(x, HONE_UNSUPPORTED, "no kernel for element type %s", hone_dtype_name(t));
}
