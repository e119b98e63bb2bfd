/* loss.c - inference of loss functions. */
#include <string.h>

#include "op/infer.h"

static hone_status loss_shape(hn_infer *x, hn_shape *out) {
  const char *r = hn_attr_s(hn_ino(x), "reduction", "mean");
  *out = hn_ishape(x, 1); /* "none": one loss a label */
  if (strcmp(r, "mean") == 0 || strcmp(r, "sum") == 0) *out = hn_shape_of(0, NULL);
  else if (strcmp(r, "none") != 0) return hn_ierror(x, "reduction '%s' is not none, mean or sum", r);
  hn_shape s = hn_ishape(x, 0), l = hn_ishape(x, 1);
  if (s.rank >= 0 && s.rank < 2) return hn_ierror(x, "input of rank %d; takes [batch, classes, ...]", s.rank);
  if (s.rank >= 0 && l.rank >= 0 && l.rank != s.rank - 1)
    return hn_ierror(x, "labels of rank %d for an input of rank %d", l.rank, s.rank);
  return HONE_OK;
}

hone_status hn_infer_nll_loss(hn_infer *x) {
  hn_shape s;
  HN_TRY(loss_shape(x, &s));
  return hn_oset(x, 0, hn_idtype(x, 0), s);
}

hone_status hn_infer_sce_loss(hn_infer *x) {
  HN_TRY(hn_infer_nll_loss(x));
  return hn_oset(x, 1, hn_idtype(x, 0), hn_ishape(x, 0));
}
