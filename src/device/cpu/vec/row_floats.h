/* row_floats.h - rows of a tensor as floats, whatever it is stored as: what lets a kernel that works on rows of floats read and write
   bytes and 16-bit floats. */
#ifndef HN_ROW_FLOATS_H
#define HN_ROW_FLOATS_H
#include "device/cpu/cpu.h"
#include "device/cpu/quant/convert_runs.h"

enum { HN_ROW_MOST = 4096 }; /* elements of a row that is no floats: a thread has room for them */

typedef struct hn_row_form {
  size_t size;       /* of an element */
  hn_load_run load;  /* NULL, as `store`: floats */
  hn_store_run store;
  float scale, zero;
} hn_row_form;

static inline hn_row_form hn_row_form_of(const hn_task *t, const hn_arg *a) {
  const hn_convert *c = hn_convert_for(t->device->isa);
  return (hn_row_form){hone_dtype_size(a->dtype), c->load[a->dtype], c->store[a->dtype], a->quant ? a->quant->scale : 1, a->quant ? (float)a->quant->zero : 0};
}

/* Can input 0 and output 0, in rows of n, be taken so? An epilogue behind bytes would be of bytes. */
static inline bool hn_rows_are_floats(const hn_task *t, int64_t n) {
  const hn_arg *x = &t->in[0], *y = &t->out[0];
  if (!hn_as_floats(x) || !hn_as_floats(y) || (y->quant && t->node->n_post)) return false;
  return (x->dtype == HONE_DTYPE_F32 && y->dtype == HONE_DTYPE_F32) || n <= HN_ROW_MOST;
}

/* Row i of n elements: as it lies, or brought into `room`. */
static inline const float *hn_row_read(const hn_row_form *f, const void *data, size_t i, size_t n, float *room) {
  const unsigned char *at = (const unsigned char *)data + i * n * f->size;
  if (!f->load) return (const float *)(const void *)at;
  f->load(room, at, n, f->scale, f->zero);
  return room;
}
/* Where the row is to be made, and what is done when it is. */
static inline float *hn_row_begin(const hn_row_form *f, void *data, size_t i, size_t n, float *room) {
  return f->store ? room : (float *)data + i * n;
}
static inline void hn_row_end(const hn_row_form *f, void *data, size_t i, size_t n, const float *room) {
  if (f->store) f->store((unsigned char *)data + i * n * f->size, room, n, f->scale, f->zero);
}
#endif
