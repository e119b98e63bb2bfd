#include "device/nd.h"

#include <string.h>

#include "base/parallel.h"

static int64_t block_of(hn_layout l) { return l == HN_LAYOUT_C16 ? 16 : l == HN_LAYOUT_C8 ? 8 : 1; }

int32_t hn_layout_dims(hn_layout l, int32_t rank, const int64_t *dims, int64_t *physical) {
  int64_t block = block_of(l);
  int32_t n = rank;
  if (rank) memcpy(physical, dims, sizeof *dims * (size_t)rank);
  if (block > 1) {
    physical[1] = (dims[1] + block - 1) / block;
    physical[n++] = block;
  } else if (l == HN_LAYOUT_NHWC) {
    memmove(physical + 1, physical + 2, sizeof *dims * (size_t)(rank - 2));
    physical[rank - 1] = dims[1];
  }
  return n;
}

static void strides(int32_t rank, const int64_t *dims, int64_t pitch, int64_t *stride) {
  int64_t s = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    stride[i] = s;
    s *= i == rank - 1 && pitch ? pitch : dims[i];
  }
}

void hn_nd_begin(hn_nd *nd, hn_layout l, int32_t rank, const int64_t *dims, int64_t pitch) {
  nd->rank = hn_layout_dims(l, rank, dims, nd->dims);
  nd->n = 1;
  strides(nd->rank, nd->dims, pitch, nd->stride[0]);
}

bool hn_nd_strided(hn_nd *nd, const int64_t *stride) {
  if (nd->n == HN_ND_OPERANDS) return false;
  if (nd->rank) memcpy(nd->stride[nd->n], stride, sizeof *stride * (size_t)nd->rank);
  nd->n++;
  return true;
}

/* Strides of the operand's logical dimensions in its own layout; *lane is the stride inside a block of channels. */
static void logical_strides(const hn_arg *a, int64_t *stride, int64_t *lane) {
  int64_t physical[HN_ND_RANK], s[HN_ND_RANK];
  int32_t n = hn_layout_dims(a->layout, a->rank, a->dims, physical);
  strides(n, physical, a->pitched ? a->pitch : 0, s);
  if (a->rank) memcpy(stride, s, sizeof *s * (size_t)a->rank);
  *lane = 0;
  if (block_of(a->layout) > 1) *lane = s[n - 1];
  if (a->layout == HN_LAYOUT_NHWC) {
    stride[1] = s[n - 1];
    for (int32_t i = 2; i < a->rank; i++) stride[i] = s[i - 1];
  }
}

bool hn_nd_operand(hn_nd *nd, hn_layout l, int32_t rank, const int64_t *dims, const hn_arg *a) {
  int64_t own[HN_ND_RANK], at[HN_ND_RANK] = {0}, stride[HN_ND_RANK] = {0}, lane = 0, block = block_of(l);
  int32_t shift = rank - a->rank;
  if (shift < 0 || (shift > 0 && a->layout != HN_LAYOUT_PLAIN)) return false;
  logical_strides(a, own, &lane);
  for (int32_t i = 0; i < a->rank; i++) {
    if (a->dims[i] != 1 && a->dims[i] != dims[i + shift]) return false;
    at[i + shift] = a->dims[i] == 1 ? 0 : own[i];
  }
  bool channels = rank > 1 && 1 - shift >= 0 && a->dims[1 - shift] != 1;
  if (block > 1) {
    bool same = a->layout == l;
    if (!same && block_of(a->layout) > 1) return false;
    if (!same && channels && dims[1] % block) return false;
    memcpy(stride, at, sizeof at);
    stride[rank] = same ? (channels ? lane : 0) : at[1];
    if (!same) stride[1] = at[1] * block;
  } else {
    if (block_of(a->layout) > 1) return false;
    memcpy(stride, at, sizeof at);
    if (l == HN_LAYOUT_NHWC) {
      stride[rank - 1] = at[1];
      for (int32_t i = 2; i < rank; i++) stride[i - 1] = at[i];
    }
  }
  return hn_nd_strided(nd, stride);
}

void hn_nd_merge(hn_nd *nd) {
  int32_t to = 0;
  for (int32_t i = 0; i < nd->rank; i++) {
    if (nd->dims[i] == 1) continue;
    bool join = to > 0;
    for (int32_t k = 0; k < nd->n && join; k++) join = nd->stride[k][to - 1] == nd->stride[k][i] * nd->dims[i];
    if (join) {
      nd->dims[to - 1] *= nd->dims[i];
    } else {
      nd->dims[to] = nd->dims[i];
      to++;
    }
    for (int32_t k = 0; k < nd->n; k++) nd->stride[k][to - 1] = nd->stride[k][i];
  }
  if (!to) {
    nd->dims[0] = 1;
    for (int32_t k = 0; k < nd->n; k++) nd->stride[k][0] = 0;
    to = 1;
  }
  nd->rank = to;
}

typedef struct walk {
  const hn_nd *nd;
  hn_nd_fn fn;
  void *arg;
  int64_t pieces, piece; /* a run is cut into so many pieces of this length */
} walk;

static void walk_range(void *arg, int64_t begin, int64_t end) {
  const walk *w = arg;
  const hn_nd *nd = w->nd;
  int32_t last = nd->rank - 1;
  int64_t index[HN_ND_RANK], at[HN_ND_OPERANDS] = {0}, here[HN_ND_OPERANDS], piece = begin % w->pieces, rest = begin / w->pieces;
  for (int32_t i = last - 1; i >= 0; i--) {
    index[i] = rest % nd->dims[i];
    rest /= nd->dims[i];
    for (int32_t k = 0; k < nd->n; k++) at[k] += index[i] * nd->stride[k][i];
  }
  for (int64_t p = begin; p < end; p++) {
    int64_t from = piece * w->piece, n = nd->dims[last] - from < w->piece ? nd->dims[last] - from : w->piece;
    for (int32_t k = 0; k < nd->n; k++) here[k] = at[k] + from * nd->stride[k][last];
    w->fn(w->arg, here, n);
    if (++piece < w->pieces) continue;
    piece = 0;
    for (int32_t i = last - 1; i >= 0; i--) {
      for (int32_t k = 0; k < nd->n; k++) at[k] += nd->stride[k][i];
      if (++index[i] < nd->dims[i]) break;
      for (int32_t k = 0; k < nd->n; k++) at[k] -= nd->dims[i] * nd->stride[k][i];
      index[i] = 0;
    }
  }
}

void hn_nd_for(const hn_nd *nd, int threads, int64_t grain, hn_nd_fn fn, void *arg) {
  int64_t runs = 1, run = nd->dims[nd->rank - 1];
  for (int32_t i = 0; i < nd->rank - 1; i++) runs *= nd->dims[i];
  if (runs <= 0 || run <= 0) return;
  walk w = {nd, fn, arg, 1, run};
  if (threads > 1 && run > grain) {
    w.piece = (run + threads - 1) / threads > grain ? (run + threads - 1) / threads : grain;
    w.pieces = (run + w.piece - 1) / w.piece;
  }
  hn_parallel_for(threads, runs * w.pieces, w.piece < grain ? grain / w.piece : 1, walk_range, &w);
}

void hn_nd_part(const hn_nd *nd, int64_t from, int64_t n, hn_nd_fn fn, void *arg) {
  int32_t last = nd->rank - 1;
  for (int64_t run; n > 0; from += run, n -= run) {
    int64_t at[HN_ND_OPERANDS] = {0}, rest = from;
    run = nd->dims[last] - from % nd->dims[last];
    if (run > n) run = n;
    for (int32_t i = last; i >= 0; i--) {
      for (int32_t k = 0; k < nd->n; k++) at[k] += rest % nd->dims[i] * nd->stride[k][i];
      rest /= nd->dims[i];
    }
    fn(arg, at, run);
  }
}
