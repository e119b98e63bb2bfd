/* lower_image.c - images resampled and cropped, boxes chosen. */
#include <string.h>

#include "format/tensorflow/tf_lower.h"

static hn_id in64(tf_lower *x, uint32_t i) { return hn_tf_i64(x, hn_tf_in(x, i)); }
static hn_id op2(tf_lower *x, hn_op op, hn_id a, hn_id b) { return hn_make2(&x->m, op, a, b); }

/* Where a pixel of the result lies in the image: TensorFlow has three answers. Nearest neighbours are taken below, but
   with aligned corners and with pixel centers the nearest one, halves upwards. */
void hn_tf_lower_resize(tf_lower *x) {
  bool align = hn_tf_attr_b(x, "align_corners", false), centers = hn_tf_attr_b(x, "half_pixel_centers", false);
  bool nearest = strstr(x->n->op, "Nearest") != NULL, cubic = strstr(x->n->op, "Bicubic") != NULL;
  hn_id v = hn_tf_in(x, 0);
  if (!nearest) v = hn_make_cast(&x->m, v, HONE_DTYPE_F32);
  hn_id in[4] = {hn_tf_to_first(x, v), HN_NONE, HN_NONE, in64(x, 1)}, node = hn_make_node(&x->m, HN_Resize, in, 4, 1);
  if (x->m.st) return;
  hn_set_ints(x->m.g, node, "axes", (const int64_t[]){2, 3}, 2);
  hn_set_s(x->m.g, node, "mode", nearest ? "nearest" : cubic ? "cubic" : "linear");
  hn_set_s(x->m.g, node, "coordinate_transformation_mode", align ? "align_corners" : centers ? "half_pixel" : "asymmetric");
  if (nearest) hn_set_s(x->m.g, node, "nearest_mode", align || centers ? "round_prefer_ceil" : "floor");
  if (cubic) hn_set_f(x->m.g, node, "cubic_coeff_a", centers ? -0.5 : -0.75);
  if (cubic && centers) hn_set_i(x->m.g, node, "exclude_outside", 1);
  hn_tf_out(x, 0, hn_tf_to_last(x, hn_make_done(&x->m, node)));
}

/* ---- crops */

static hn_id number(tf_lower *x, double v) { return hn_make_scalar(&x->m, HONE_DTYPE_F32, v); }

typedef struct axis { /* of the image, along height or width */
  hn_id size, last;       /* pixels, and the last one's position as a float */
  hn_id at, low, high, t; /* of each crop and pixel of it, [n, size]: position, the pixels around it, how far it is from low */
} axis;

/* A pixel before or behind the image is moved to its edge: what is computed there does not count. */
static hn_id pixel(tf_lower *x, const axis *a, hn_op rounding, hn_id at) {
  hn_id p = hn_make1(&x->m, rounding, at);
  p = hn_make_done(&x->m, hn_make_node(&x->m, HN_Clip, (hn_id[]){p, number(x, 0), a->last}, 3, 1));
  return hn_tf_i64(x, p);
}

static axis crop_axis(tf_lower *x, hn_id image, hn_id boxes, int64_t side, int64_t size, bool nearest) {
  hn_maker *m = &x->m;
  axis a = {.size = hn_make_reshape(m, hn_tf_shape_op(x, image, side + 1, side + 2), (const int64_t[]){0}, 0)};
  hn_id low = hn_make_slice(m, boxes, 1, side, side + 1, 1), high = hn_make_slice(m, boxes, 1, side + 2, side + 3, 1);
  hn_tensor *t;
  a.last = op2(x, HN_Sub, hn_make_cast(m, a.size, HONE_DTYPE_F32), number(x, 1));
  if (!m->st) m->st = hn_tensor_create(x->s->im->cx, HONE_DTYPE_F32, 2, (const int64_t[]){1, size}, &t);
  if (m->st) return a;
  for (int64_t i = 0; i < size; i++) hn_store_f64(HONE_DTYPE_F32, t->data, (size_t)i, (double)i);
  hn_id steps = hn_make_constant(m, t);
  if (size == 1) {
    a.at = op2(x, HN_Mul, op2(x, HN_Mul, number(x, 0.5), op2(x, HN_Add, low, high)), a.last);
  } else {
    hn_id step = op2(x, HN_Div, op2(x, HN_Mul, op2(x, HN_Sub, high, low), a.last), number(x, (double)(size - 1)));
    a.at = op2(x, HN_Add, op2(x, HN_Mul, low, a.last), op2(x, HN_Mul, steps, step));
  }
  a.low = nearest ? pixel(x, &a, HN_Floor, op2(x, HN_Add, a.at, number(x, 0.5))) : pixel(x, &a, HN_Floor, a.at);
  if (nearest) return a;
  a.high = pixel(x, &a, HN_Ceil, a.at);
  a.t = op2(x, HN_Sub, a.at, hn_make1(m, HN_Floor, a.at));
  return a;
}

/* [n, size] along height or width of [n, h, w] or, for what has channels, [n, h, w, 1]. */
static hn_id spread(tf_lower *x, hn_id v, int side, bool channels) {
  int64_t where[2] = {side ? 1 : 2, 3};
  return op2(x, HN_Unsqueeze, v, hn_make_ints(&x->m, where, channels ? 2 : 1));
}

static hn_id pixels(tf_lower *x, hn_id rows, hn_id first, hn_id width, hn_id y, hn_id c) {
  hn_id line = op2(x, HN_Mul, op2(x, HN_Add, first, spread(x, y, 0, false)), width);
  return hn_tf_gather(x, rows, op2(x, HN_Add, line, spread(x, c, 1, false)), 0);
}

static hn_id between(tf_lower *x, hn_id a, hn_id b, hn_id t) { return op2(x, HN_Add, a, op2(x, HN_Mul, op2(x, HN_Sub, b, a), t)); }

static hn_id inside(tf_lower *x, const axis *a, int side) {
  hn_id in = op2(x, HN_And, op2(x, HN_GreaterOrEqual, a->at, number(x, 0)), op2(x, HN_LessOrEqual, a->at, a->last));
  return spread(x, in, side, true);
}

void hn_tf_lower_crop_and_resize(tf_lower *x) {
  const int64_t *size;
  uint32_t n;
  hn_maker *m = &x->m;
  bool nearest = strcmp(hn_tf_attr_s(x, "method", "bilinear"), "nearest") == 0;
  hn_id image = hn_make_cast(m, hn_tf_in(x, 0), HONE_DTYPE_F32), boxes = hn_tf_in(x, 1), which = in64(x, 2);
  if (!hn_tf_ints(x, hn_tf_in(x, 3), &size, &n) || n != 2 || size[0] < 1 || size[1] < 1 || size[0] > 65536 || size[1] > 65536)
    hn_tf_fail(x, HONE_UNSUPPORTED, "its crop size is not constant, or not from 1 to 65536");
  if (m->st) return;
  axis h = crop_axis(x, image, boxes, 0, size[0], nearest), w = crop_axis(x, image, boxes, 1, size[1], nearest);
  hn_id channels = hn_tf_shape_op(x, image, 3, 4), rows = op2(x, HN_Reshape, image, hn_tf_concat(x, (hn_id[]){hn_make_ints(m, (const int64_t[]){-1}, 1), channels}, 2, 0));
  hn_id first = op2(x, HN_Unsqueeze, op2(x, HN_Mul, which, h.size), hn_make_ints(m, (const int64_t[]){1, 2}, 2));
  hn_id crops = pixels(x, rows, first, w.size, h.low, w.low);
  if (!nearest) {
    hn_id right = spread(x, w.t, 1, true), top = between(x, crops, pixels(x, rows, first, w.size, h.low, w.high), right);
    hn_id bottom = between(x, pixels(x, rows, first, w.size, h.high, w.low), pixels(x, rows, first, w.size, h.high, w.high), right);
    crops = between(x, top, bottom, spread(x, h.t, 0, true));
  }
  hn_tf_out(x, 0, hn_tf_where(x, op2(x, HN_And, inside(x, &h, 0), inside(x, &w, 1)), crops, number(x, hn_tf_attr_f(x, "extrapolation_value", 0))));
}

/* ---- boxes */

static hn_id choose(tf_lower *x, hn_id boxes, hn_id scores, hn_id most, hn_id overlap, hn_id threshold) {
  hn_id in[5] = {boxes, scores, most, overlap, threshold};
  return hn_make_done(&x->m, hn_make_node(&x->m, HN_NonMaxSuppression, in, threshold == HN_NONE ? 4 : 5, 1));
}

/* Overlaps lower the scores where sigma is above 0: the boxes chosen, and their scores then. */
static hn_id choose_softly(tf_lower *x, const hn_id *in, hn_id *scores) {
  hn_id node = hn_make_node(&x->m, HN_NonMaxSuppression, in, 6, 2), chosen = hn_make_done(&x->m, node);
  *scores = hn_make_out(&x->m, node, 1);
  return chosen;
}

/* Is it known that sigma lowers no scores? */
static bool is_hard(tf_lower *x, hn_id sigma) {
  const hn_tensor *t = x->m.st ? NULL : hn_const(x->m.g, sigma);
  return t && t->count == 1 && !(hn_tensor_f(t, 0) > 0);
}

static hn_id column(tf_lower *x, hn_id v, int64_t i) { return hn_tf_gather(x, v, hn_tf_const_i(x, HONE_DTYPE_I64, i), 1); }

/* Zeros are added up to `n`. */
static hn_id pad_to(tf_lower *x, hn_id v, hn_id n) {
  hn_id missing = op2(x, HN_Sub, hn_make_reshape(&x->m, n, (const int64_t[]){1}, 1), hn_tf_shape_op(x, v, 0, 1));
  hn_id pads = hn_tf_concat(x, (hn_id[]){hn_make_ints(&x->m, (const int64_t[]){0}, 1), missing}, 2, 0);
  return op2(x, HN_Pad, v, pads);
}

void hn_tf_lower_nms(tf_lower *x) {
  int version = x->n->op[strlen(x->n->op) - 1] - '0';
  bool attr = version < 2 || version > 5, padded = hn_tf_attr_b(x, "pad_to_max_output_size", false);
  hn_maker *m = &x->m;
  hn_id boxes = hn_tf_in(x, 0), scores = hn_tf_in(x, 1), most = in64(x, 2), overlap, threshold = HN_NONE, chosen, kept;
  overlap = attr ? hn_make_scalar(m, HONE_DTYPE_F32, hn_tf_attr_f(x, "iou_threshold", 0.5)) : hn_make_cast(m, hn_tf_in(x, 3), HONE_DTYPE_F32);
  if (!attr && version >= 3) threshold = hn_make_cast(m, hn_tf_in(x, 4), HONE_DTYPE_F32);
  hn_dtype type = hn_make_type(m, scores);
  hn_id four = hn_tf_unsqueeze(x, hn_make_cast(m, boxes, HONE_DTYPE_F32), 0);
  hn_id three = op2(x, HN_Unsqueeze, hn_make_cast(m, scores, HONE_DTYPE_F32), hn_make_ints(m, (const int64_t[]){0, 1}, 2));
  if (version == 5 && !attr && !is_hard(x, hn_tf_in(x, 5))) {
    hn_id in[6] = {four, three, most, overlap, threshold, hn_make_cast(m, hn_tf_in(x, 5), HONE_DTYPE_F32)};
    chosen = column(x, choose_softly(x, in, &kept), 2);
  } else {
    chosen = column(x, choose(x, four, three, most, overlap, threshold), 2);
    kept = hn_tf_gather(x, scores, chosen, 0);
  }
  hn_id n = hn_tf_shape_op(x, chosen, 0, 1);
  if (padded) {
    chosen = pad_to(x, chosen, most);
    kept = pad_to(x, kept, most);
  }
  hn_id count = hn_make_cast(m, hn_make_reshape(m, n, (const int64_t[]){0}, 0), HONE_DTYPE_I32);
  hn_tf_out(x, 0, hn_make_cast(m, chosen, HONE_DTYPE_I32));
  if (version == 5 && !attr) {
    hn_tf_out(x, 1, hn_make_cast(m, kept, type));
    hn_tf_out(x, 2, count);
  } else if (version == 4 && !attr) {
    hn_tf_out(x, 1, count);
  }
}

/* The scores of all classes in one row of each image, those that were not chosen so low that they come last. */
static hn_id chosen_scores(tf_lower *x, hn_id scores, hn_id chosen, hn_id rows, hn_id low) {
  hn_maker *m = &x->m;
  hn_id kept = hn_make_done(m, hn_make_node(m, HN_GatherND, (hn_id[]){scores, chosen}, 2, 1));
  hn_id empty = op2(x, HN_Expand, low, hn_tf_shape_op(x, scores, 0, INT64_MAX));
  hn_id full = hn_make_done(m, hn_make_node(m, HN_ScatterND, (hn_id[]){empty, chosen, kept}, 3, 1));
  return op2(x, HN_Reshape, full, rows);
}

void hn_tf_lower_combined_nms(tf_lower *x) {
  hn_maker *m = &x->m;
  hn_id boxes = hn_tf_in(x, 0), scores = hn_tf_in(x, 1), per_class = in64(x, 2), total = in64(x, 3), overlap = hn_tf_in(x, 4), threshold = hn_tf_in(x, 5);
  hn_shape b = hn_tf_shape_of(x, boxes), s = hn_tf_shape_of(x, scores);
  const int64_t *t, *c;
  uint32_t one, also;
  bool known = hn_tf_ints(x, total, &t, &one) && one == 1 && hn_tf_ints(x, per_class, &c, &also) && also == 1;
  if (!m->st && (b.rank != 4 || s.rank != 3 || !hn_dim_fixed(b.d[2]) || !hn_dim_fixed(s.d[2]) || !hn_dim_fixed(s.d[1]) || !known)) {
    hn_tf_fail(x, HONE_UNSUPPORTED, "the number of its boxes and classes must be known");
  }
  if (m->st) return;
  int64_t n = s.d[1], classes = s.d[2], most = t[0];
  bool shared = b.d[2] == 1;
  if (hn_tf_attr_b(x, "pad_per_class", false) && c[0] * classes < most) most = c[0] * classes;
  int64_t take = most < n * classes ? most : n * classes;
  hn_id turned = hn_make_transpose(m, scores, (const int64_t[]){0, 2, 1}, 3); /* image, class, box */
  hn_id four = hn_make_transpose(m, boxes, (const int64_t[]){0, 2, 1, 3}, 4); /* image, class or 1, box, 4 */
  hn_id chosen = choose(x, hn_make_reshape(m, four, (const int64_t[]){-1, n, 4}, 3),
                        shared ? turned : hn_make_reshape(m, turned, (const int64_t[]){-1, 1, n}, 3), per_class, overlap, threshold);
  hn_id rows = hn_tf_concat(x, (hn_id[]){hn_tf_shape_op(x, scores, 0, 1), hn_make_ints(m, (const int64_t[]){n * classes}, 1)}, 2, 0);
  if (!shared) { /* image and class were counted together */
    hn_id both = hn_make_slice(m, chosen, 1, 0, 1, 1), k = hn_tf_const_i(x, HONE_DTYPE_I64, classes);
    chosen = hn_tf_concat(x, (hn_id[]){op2(x, HN_Div, both, k), op2(x, HN_Mod, both, k), hn_make_slice(m, chosen, 1, 2, 3, 1)}, 3, 1);
  }
  hn_id low = hn_make_scalar(m, HONE_DTYPE_F32, -3.0e38), zero = hn_make_scalar(m, HONE_DTYPE_F32, 0);
  hn_id top = hn_make_node(m, HN_TopK, (hn_id[]){chosen_scores(x, turned, chosen, rows, low), hn_make_ints(m, &take, 1)}, 2, 2);
  hn_make_done(m, top);
  hn_id score = hn_make_out(m, top, 0), at = hn_make_out(m, top, 1), k = hn_tf_const_i(x, HONE_DTYPE_I64, n);
  hn_id valid = op2(x, HN_Greater, score, low), class = op2(x, HN_Div, at, k), box = op2(x, HN_Mod, at, k);
  hn_id where = hn_tf_concat(x, (hn_id[]){hn_tf_unsqueeze(x, box, -1), hn_tf_unsqueeze(x, shared ? op2(x, HN_Sub, class, class) : class, -1)}, 2, 2);
  hn_id pick = hn_make_node(m, HN_GatherND, (hn_id[]){boxes, where}, 2, 1);
  if (!m->st) hn_set_i(m->g, pick, "batch_dims", 1);
  hn_id corners = hn_make_done(m, pick);
  if (hn_tf_attr_b(x, "clip_boxes", true)) corners = hn_make_done(m, hn_make_node(m, HN_Clip, (hn_id[]){corners, zero, hn_make_scalar(m, HONE_DTYPE_F32, 1)}, 3, 1));
  corners = hn_tf_where(x, hn_tf_unsqueeze(x, valid, -1), corners, zero);
  score = hn_tf_where(x, valid, score, zero);
  class = hn_tf_where(x, valid, hn_make_cast(m, class, HONE_DTYPE_F32), zero);
  if (take < most) {
    int64_t more = most - take;
    hn_id two = hn_make_ints(m, (const int64_t[]){0, 0, 0, more}, 4);
    corners = op2(x, HN_Pad, corners, hn_make_ints(m, (const int64_t[]){0, 0, 0, 0, more, 0}, 6));
    score = op2(x, HN_Pad, score, two);
    class = op2(x, HN_Pad, class, two);
  }
  hn_tf_out(x, 0, corners);
  hn_tf_out(x, 1, score);
  hn_tf_out(x, 2, class);
  hn_tf_out(x, 3, hn_make_reduce(m, HN_ReduceSum, hn_make_cast(m, valid, HONE_DTYPE_I32), (const int64_t[]){1}, 1, false));
}
