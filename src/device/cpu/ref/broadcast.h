/* broadcast.h - what reference kernels share: walking strided and broadcast operands in runs, and converting runs of
   any element type from and to double or int64. */
#ifndef HN_BROADCAST_H
#define HN_BROADCAST_H
#include "device/kernel.h"

/* The shape n views have together by numpy's rules; false if they cannot be broadcast. */
bool hn_broadcast_views(const hn_view *v, uint32_t n, int32_t *rank, int64_t *dims);

/* A walk over an index space by up to 4 operands, each with its own strides (0 where it is broadcast). Dimensions
   that all operands step through alike are merged, so that runs are long. Use:
     hn_walk_begin(&w, rank, dims); hn_walk_dense(&w); hn_walk_view(&w, &view); ...
     for (bool more = hn_walk_first(&w); more; more = hn_walk_next(&w))
       operand k has elements at w.at[k] + i * w.step[k] for i in [0, w.run) */
enum { HN_WALK_MAX = 4 };
typedef struct hn_walk {
  int32_t rank;
  int operands;
  int64_t dims[HN_MAX_RANK], index[HN_MAX_RANK];
  int64_t stride[HN_WALK_MAX][HN_MAX_RANK];
  int64_t run, at[HN_WALK_MAX], step[HN_WALK_MAX];
} hn_walk;

void hn_walk_begin(hn_walk *w, int32_t rank, const int64_t *dims);
void hn_walk_strides(hn_walk *w, const int64_t *stride);     /* an operand with these strides */
void hn_walk_dense(hn_walk *w);                              /* one that is row-major in the index space itself */
bool hn_walk_view(hn_walk *w, int32_t rank, const int64_t *dims); /* one broadcast to it; false: it does not fit */
bool hn_walk_first(hn_walk *w);                              /* false: nothing to visit */
bool hn_walk_next(hn_walk *w);

/* The elements of v that are reduced together: for each element of `kept` (operand 0: v, operand 1: the dense result)
   the walk `inner` (operand 0: v) visits its group, from kept's index on. */
void hn_walk_groups(const hn_view *v, const bool *reduced, hn_walk *kept, hn_walk *inner);

/* Row-major strides in elements. */
void hn_strides(int32_t rank, const int64_t *dims, int64_t *stride);

/* Dimensions before, at and after an axis of a view, as products: element (o, k, i) is at (o * n + k) * inner + i. */
typedef struct hn_axis_split {
  int64_t outer, n, inner;
} hn_axis_split;
hn_axis_split hn_split_at(const hn_view *v, int32_t axis);
/* Axis attribute or input checked against the rank of input i; BAD_GRAPH if out of range. */
hone_status hn_xaxis(const hn_exec *x, uint32_t i, int64_t axis, int32_t *out);
/* The one number in integer input i. */
hone_status hn_xscalar_i(const hn_exec *x, uint32_t i, int64_t *out);
/* Is optional output i asked for? */
static inline bool hn_xwants(const hn_exec *x, uint32_t i) { return i < x->n_out && x->task->out[i].present; }

/* n elements from index `at` on, `step` apart. HN_RUN is a good size for buffers of them. */
enum { HN_RUN = 256 };
void hn_read_f64(hn_dtype t, const void *p, int64_t at, int64_t step, int64_t n, double *v);
void hn_read_i64(hn_dtype t, const void *p, int64_t at, int64_t step, int64_t n, int64_t *v);
void hn_write_f64(hn_dtype t, void *p, int64_t at, int64_t step, int64_t n, const double *v);
void hn_write_i64(hn_dtype t, void *p, int64_t at, int64_t step, int64_t n, const int64_t *v);
/* v rounded to what type t can hold. */
double hn_round_to(hn_dtype t, double v);

/* Output 0 = a op b with broadcasting (binary_ref.c); a may be output 0. ints: in int64 rather than double. */
hone_status hn_apply_binary(hn_exec *x, hn_op op, const hn_view *a, const hn_view *b, bool ints);

/* Calls the body for chunks [c, c + m) of [0, n), at most HN_RUN elements each. */
#define HN_CHUNKS(n, c, m) for (int64_t c = 0, m; c < (n) && (m = (n) - c < HN_RUN ? (n) - c : HN_RUN, true); c += m)
#endif
