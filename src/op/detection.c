/* detection.c - inference of NonMaxSuppression, RoiAlign and MaxRoiPool. */
#include "op/infer.h"

hone_status hn_infer_nms(hn_infer *x);
hone_status hn_infer_nms(hn_infer *x) {
  hn_shape boxes = hn_ishape(x, 0), scores = hn_ishape(x, 1), out = {.rank = 2, .d = {hn_dim_unknown(x->g->dims), 3}};
  if (boxes.rank >= 0 && (boxes.rank != 3 || (hn_dim_fixed(boxes.d[2]) && boxes.d[2] != 4)))
    return hn_ierror(x, "boxes must be batch x boxes x 4");
  if (scores.rank >= 0 && scores.rank != 3) return hn_ierror(x, "scores must be batch x classes x boxes");
  HN_TRY(hn_oset(x, 0, HONE_DTYPE_I64, out));
  out.rank = 1; /* how many are kept */
  return hn_ino(x)->n_out > 1 ? hn_oset(x, 1, hn_idtype(x, 1), out) : HONE_OK;
}

hone_status hn_infer_roi_align(hn_infer *x);
hone_status hn_infer_roi_align(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), rois = hn_ishape(x, 1), out = {.rank = 4};
  if (in.rank >= 0 && in.rank != 4) return hn_ierror(x, "its input has %d dimensions; takes 4", in.rank);
  if (rois.rank >= 0 && rois.rank != 2) return hn_ierror(x, "rois have %d dimensions; take 2", rois.rank);
  out.d[0] = rois.rank == 2 ? rois.d[0] : hn_dim_unknown(x->g->dims);
  out.d[1] = in.rank == 4 ? in.d[1] : hn_dim_unknown(x->g->dims);
  out.d[2] = hn_attr_i(hn_ino(x), "output_height", 1);
  out.d[3] = hn_attr_i(hn_ino(x), "output_width", 1);
  if (out.d[2] < 1 || out.d[3] < 1) return hn_ierror(x, "output_height or output_width is not positive");
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}

hone_status hn_infer_max_roi_pool(hn_infer *x);
hone_status hn_infer_max_roi_pool(hn_infer *x) {
  hn_shape in = hn_ishape(x, 0), rois = hn_ishape(x, 1), out = {.rank = 4};
  const int64_t *size;
  if (hn_attr_ints(hn_ino(x), "pooled_shape", &size) != 2 || size[0] < 1 || size[1] < 1) return hn_ierror(x, "pooled_shape must be two sizes");
  if (in.rank >= 0 && in.rank != 4) return hn_ierror(x, "its input has %d dimensions; takes 4", in.rank);
  if (rois.rank >= 0 && rois.rank != 2) return hn_ierror(x, "rois have %d dimensions; take 2", rois.rank);
  out.d[0] = rois.rank == 2 ? rois.d[0] : hn_dim_unknown(x->g->dims);
  out.d[1] = in.rank == 4 ? in.d[1] : hn_dim_unknown(x->g->dims);
  out.d[2] = size[0];
  out.d[3] = size[1];
  return hn_oset(x, 0, hn_idtype(x, 0), out);
}
