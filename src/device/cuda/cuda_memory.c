#include "device/cuda/cuda_memory.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { PIECES = 4 };
#define PIECE ((size_t)1 << 20)

struct hn_staging {
  char *memory; /* PIECES of them, pinned */
  cudaEvent_t done[PIECES]; /* the copy out of each */
  uint32_t next;
};

hone_status hn_staging_create(hn_cuda_device *d, struct hn_staging **out) {
  struct hn_staging *s = hn_calloc(1, sizeof *s);
  if (!s) return hn_nomem(d->head.cx);
  *out = s;
  cudaError_t e = cudaHostAlloc((void **)&s->memory, PIECES * PIECE, cudaHostAllocDefault);
  for (int i = 0; i < PIECES && !e; i++) e = cudaEventCreateWithFlags(&s->done[i], cudaEventDisableTiming);
  return e ? hn_cuda_fail(d, e, "pinning memory for copies") : HONE_OK;
}

void hn_staging_destroy(struct hn_staging *s) {
  if (!s) return;
  for (int i = 0; i < PIECES; i++)
    if (s->done[i]) cudaEventDestroy(s->done[i]);
  if (s->memory) cudaFreeHost(s->memory);
  hn_free(s);
}

hone_status hn_cuda_alloc(hn_device *head, size_t bytes, void **out) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  char what[64];
  size_t available = 0, all = 0;
  void *p = NULL;
  cudaError_t e = cudaSetDevice(d->ordinal);
  if (!e) e = cudaMalloc(&p, bytes ? bytes : 1);
  if (!e) {
    *out = p;
    return HONE_OK;
  }
  if (e != cudaErrorMemoryAllocation) {
    snprintf(what, sizeof what, "taking %zu bytes", bytes);
    return hn_cuda_fail(d, e, what);
  }
  cudaGetLastError();
  cudaMemGetInfo(&available, &all);
  return hn_fail(d->head.cx, HONE_DEVICE, "device '%s' is out of memory: %zu bytes are wanted, %zu of %zu are free", d->head.name,
                 bytes, available, all);
}

void hn_cuda_release(hn_device *head, void *p) {
  if (!p) return;
  cudaSetDevice(((hn_cuda_device *)head)->ordinal);
  if (cudaFree(p)) cudaGetLastError(); /* of a lost device all is gone */
}

struct hn_pinned {
  char *p;
  size_t bytes;
  struct hn_pinned *next;
};

static bool is_pageable(const hn_cuda_device *d, const char *p) {
  const struct hn_pinned *k = d->pinned;
  while (k && !(p >= k->p && p < k->p + k->bytes)) k = k->next;
  return !k;
}

hone_status hn_cuda_host_alloc(hn_device *head, size_t bytes, void **out) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  char what[64];
  struct hn_pinned *k = hn_calloc(1, sizeof *k);
  if (!k) return hn_nomem(head->cx);
  cudaError_t e = cudaSetDevice(d->ordinal);
  if (!e) e = cudaHostAlloc((void **)&k->p, bytes ? bytes : 1, cudaHostAllocDefault);
  if (e) {
    hn_free(k);
    snprintf(what, sizeof what, "pinning %zu bytes of the host's memory", bytes);
    return hn_cuda_fail(d, e, what);
  }
  k->bytes = bytes;
  k->next = d->pinned;
  d->pinned = k;
  *out = k->p;
  return HONE_OK;
}

void hn_cuda_host_release(hn_device *head, void *p) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  struct hn_pinned **link = &d->pinned;
  while (*link && (*link)->p != p) link = &(*link)->next;
  struct hn_pinned *k = *link;
  if (!p || !k) return;
  *link = k->next;
  if (cudaFreeHost(p)) cudaGetLastError();
  hn_free(k);
}

/* The piece that is used next, when the copy out of it is over. */
static cudaError_t stage(struct hn_staging *s, cudaStream_t stream, char *to, const char *from, size_t bytes) {
  uint32_t i = s->next++ % PIECES;
  char *piece = s->memory + i * PIECE;
  cudaError_t e = cudaEventSynchronize(s->done[i]);
  if (e) return e;
  memcpy(piece, from, bytes);
  e = cudaMemcpyAsync(to, piece, bytes, cudaMemcpyHostToDevice, stream);
  return e ? e : cudaEventRecord(s->done[i], stream);
}

hone_status hn_cuda_copy(hn_device *head, hn_lane_kind lane, void *to, const void *from, size_t bytes) {
  hn_cuda_device *d = (hn_cuda_device *)head;
  char what[64];
  cudaError_t e = cudaSuccess;
  HN_TRY(hn_cuda_there(d));
  if (lane == HN_LANE_OUT) e = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, d->stream[lane]);
  else if (!is_pageable(d, from)) e = cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->stream[lane]);
  else
    for (size_t at = 0; at < bytes && !e; at += PIECE)
      e = stage(d->staging, d->stream[lane], (char *)to + at, (const char *)from + at, bytes - at < PIECE ? bytes - at : PIECE);
  if (!e) return HONE_OK;
  snprintf(what, sizeof what, "copying %zu bytes", bytes);
  return hn_cuda_fail(d, e, what);
}

hone_status hn_cuda_keep(hn_task *t, const void *data, size_t bytes, void **out) {
  hn_cuda_device *d = hn_cuda_of(t);
  void *p = NULL;
  hone_status st = hn_cuda_alloc(&d->head, bytes, &p);
  if (st) return t->node ? hn_fail_within(t->cx, st, "node '%s' (%s)", t->node->name, hn_op_name(t->node->op)) : st;
  cudaError_t e = data ? cudaMemcpy(p, data, bytes, cudaMemcpyHostToDevice) : cudaSuccess;
  if (e) {
    hn_cuda_release(&d->head, p);
    return hn_cuda_fail(d, e, "copying a constant");
  }
  t->packed += bytes;
  *out = p;
  return HONE_OK;
}

void hn_cuda_drop(hn_task *t, void *p) { hn_cuda_release(t->on, p); }
