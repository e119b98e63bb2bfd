/* dim.h - dimensions: numbers, symbols and expressions of them.
   A hn_dim >= 0 is a fixed size. A negative one, -(1+i), is entry i of the graph's dimension table: a polynomial
   in canonical form, so that equal expressions get equal numbers ("2*N+1"), or an opaque quotient/min/max of
   such. Unknown sizes are fresh anonymous symbols: two unknown sizes are never taken to be equal. */
#ifndef HN_DIM_H
#define HN_DIM_H
#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/str.h"
#include "hone.h"

typedef int64_t hn_dim;
enum { HN_MAX_RANK = HONE_MAX_RANK };

typedef struct hn_shape {
  int32_t rank; /* -1: unknown */
  hn_dim d[HN_MAX_RANK];
} hn_shape;

typedef struct hn_dims hn_dims; /* the table; one per model, shared by nested graphs */
hn_dims *hn_dims_create(void);
void hn_dims_destroy(hn_dims *t);
hn_dims *hn_dims_clone(const hn_dims *t);

/* On overflow or lack of memory the result is a fresh unknown, or HN_DIM_BAD when even that fails. */
#define HN_DIM_BAD INT64_MIN
hn_dim hn_dim_symbol(hn_dims *t, const char *name); /* the symbol of that name, made if new */
hn_dim hn_dim_unknown(hn_dims *t);                  /* a fresh anonymous symbol */
hn_dim hn_dim_add(hn_dims *t, hn_dim a, hn_dim b);
hn_dim hn_dim_sub(hn_dims *t, hn_dim a, hn_dim b);
hn_dim hn_dim_mul(hn_dims *t, hn_dim a, hn_dim b);
hn_dim hn_dim_div(hn_dims *t, hn_dim a, hn_dim b); /* floor(a/b); exact polynomial division when it divides */
hn_dim hn_dim_ceil_div(hn_dims *t, hn_dim a, hn_dim b);
hn_dim hn_dim_min(hn_dims *t, hn_dim a, hn_dim b);
hn_dim hn_dim_max(hn_dims *t, hn_dim a, hn_dim b);
static inline bool hn_dim_fixed(hn_dim d) { return d >= 0; }
bool hn_dim_is_symbol(const hn_dims *t, hn_dim d); /* a plain named or anonymous symbol */
bool hn_dim_anonymous(const hn_dims *t, hn_dim d); /* contains an anonymous symbol */

/* Text: "3", "N", "2*N+1", "floor(N/2)"; anonymous symbols are "?1", "?2". Lives as long as the table. */
const char *hn_dim_text(hn_dims *t, hn_dim d);
/* Inverse of hn_dim_text; HN_DIM_BAD if it is not one. */
hn_dim hn_dim_parse(hn_dims *t, const char *text);
/* Gives a symbol a value; later evaluation uses it. */
void hn_dim_bind(hn_dims *t, hn_dim symbol, hn_dim value);
/* d with all bound symbols replaced. */
hn_dim hn_dim_eval(hn_dims *t, hn_dim d);

/* Shapes. */
static inline hn_shape hn_shape_unknown(void) { return (hn_shape){.rank = -1}; }
hn_shape hn_shape_of(int32_t rank, const hn_dim *d);
bool hn_shape_fixed(const hn_shape *s);                      /* known rank, all dimensions fixed */
bool hn_shape_equal(const hn_shape *a, const hn_shape *b);   /* known to be equal */
bool hn_shape_count(const hn_shape *s, int64_t *n);          /* elements, if fixed and no overflow */
hn_dim hn_shape_product(hn_dims *t, const hn_shape *s, int32_t from, int32_t to); /* of dims [from, to) */
void hn_shape_text(hn_dims *t, const hn_shape *s, hn_str *out); /* "1x3xN" ; "" for scalars; "*" unknown rank */
#endif
