#include "ir/opcode.h"

#include <string.h>

static const hn_op_row rows[] = {
    [HN_OP_NONE] = {"none", 0, 0, 0, 0, 0, "", ""},
#define OP(N, fn, imin, imax, omin, omax, flags, attrs, doc) [HN_##N] = {#N, imin, imax, omin, omax, flags, attrs, doc},
#include "ir/op.def"
#undef OP
};

const hn_op_row *hn_op_info(hn_op op) { return &rows[(unsigned)op < HN_OP_COUNT ? op : HN_OP_NONE]; }
const char *hn_op_name(hn_op op) { return hn_op_info(op)->name; }

hn_op hn_op_parse(const char *name) {
  for (int i = 1; i < HN_OP_COUNT; i++)
    if (strcmp(rows[i].name, name) == 0) return (hn_op)i;
  return HN_OP_NONE;
}

char hn_op_attr_type(hn_op op, const char *attr) {
  size_t n = strlen(attr);
  for (const char *p = hn_op_info(op)->attrs; *p;) {
    const char *colon = strchr(p, ':');
    if ((size_t)(colon - p) == n && strncmp(p, attr, n) == 0) return colon[1];
    p = colon + 2;
    while (*p == ' ') p++;
  }
  return 0;
}
