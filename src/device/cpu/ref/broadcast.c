#include "device/cpu/ref/broadcast.h"

bool hn_walker_begin(hn_walker *w, int32_t rank, const int64_t *dims, const hn_view *operand) {
  *w = (hn_walker){.rank = rank};
  int64_t stride = 1;
  if (operand->rank > rank) return false;
  for (int32_t i = rank - 1; i >= 0; i--) {
    int32_t k = i - (rank - operand->rank);
    int64_t d = k < 0 ? 1 : operand->dims[k];
    w->dims[i] = dims[i];
    if (d != 1 && d != dims[i]) return false;
    w->stride[i] = d == 1 ? 0 : stride;
    stride *= d;
  }
  return true;
}

void hn_walker_next(hn_walker *w) {
  for (int32_t i = w->rank - 1; i >= 0; i--) {
    w->index += w->stride[i];
    if (++w->at[i] < w->dims[i]) return;
    w->index -= w->stride[i] * w->dims[i];
    w->at[i] = 0;
  }
}

bool hn_broadcast_views(const hn_view *a, const hn_view *b, int32_t *rank, int64_t *dims) {
  *rank = a->rank > b->rank ? a->rank : b->rank;
  for (int32_t i = 0; i < *rank; i++) {
    int32_t ia = i - (*rank - a->rank), ib = i - (*rank - b->rank);
    int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];
    if (da != db && da != 1 && db != 1) return false;
    dims[i] = da == 1 ? db : da;
  }
  return true;
}
