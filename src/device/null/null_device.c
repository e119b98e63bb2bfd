/* null_device.c - a device that is not there: it computes with the CPU's kernels, so that results are right, keeps memory
   of its own, and takes the time that its settings say. What depends on a device can be tested with it anywhere. */
#include <stdio.h>
#include <string.h>

#include "device/device.h"

typedef struct null_device {
  hn_device head;
  double bandwidth, latency;      /* of copies: bytes a second, seconds */
  double speed, memory_bandwidth; /* of steps: operations and bytes a second */
  double serial;                  /* operations a second of what cannot be done side by side */
  double launch;                  /* seconds that a step takes at least */
  size_t limit, used;             /* bytes of memory; limit 0: none */
  char without[256];              /* operators it does not run, "+" between them */
} null_device;

typedef struct piece { /* in front of what alloc() gives */
  size_t bytes;
} piece;
enum { HEAD = 64 };

static bool null_describe(uint32_t index, hone_device_info *d) {
  if (index) return false;
  snprintf(d->name, sizeof d->name, "null");
  snprintf(d->description, sizeof d->description, "no device: computes on the CPU in the time that its settings say");
  snprintf(d->features, sizeof d->features, "%s", hn_null_kind.settings);
  return true;
}

static hone_status null_open(hone_context *cx, uint32_t index, const hn_setting *s, uint32_t n, hn_device **out) {
  null_device *d = hn_calloc(1, sizeof *d);
  double memory = 0;
  if (!d) return hn_nomem(cx);
  d->head = (hn_device){.kind = &hn_null_kind, .cx = cx};
  snprintf(d->head.name, sizeof d->head.name, "null");
  (void)index;
  const char *without = hn_setting_text(s, n, "without");
  hone_status st = hn_setting_number(cx, s, n, "bandwidth", 12, &d->bandwidth);
  if (!st) st = hn_setting_number(cx, s, n, "latency", 10, &d->latency);
  if (!st) st = hn_setting_number(cx, s, n, "speed", 1000, &d->speed);
  if (!st) st = hn_setting_number(cx, s, n, "serial", 1, &d->serial);
  if (!st) st = hn_setting_number(cx, s, n, "membw", 500, &d->memory_bandwidth);
  if (!st) st = hn_setting_number(cx, s, n, "launch", 5, &d->launch);
  if (!st) st = hn_setting_number(cx, s, n, "memory", 0, &memory);
  if (!st && (d->bandwidth <= 0 || d->speed <= 0 || d->serial <= 0 || d->memory_bandwidth <= 0))
    st = hn_fail(cx, HONE_BAD_ARG, "device null: bandwidth, speed, serial and membw must be more than 0");
  if (!st && without && strlen(without) >= sizeof d->without) st = hn_fail(cx, HONE_BAD_ARG, "device null: 'without' is too long");
  if (st) {
    hn_free(d);
    return st;
  }
  if (without) strcpy(d->without, without);
  d->bandwidth *= 1e9;
  d->speed *= 1e9;
  d->serial *= 1e9;
  d->memory_bandwidth *= 1e9;
  d->latency *= 1e-6;
  d->launch *= 1e-6;
  d->limit = (size_t)(memory * (1 << 20));
  *out = &d->head;
  return HONE_OK;
}

static void null_close(hn_device *d) { hn_free(d); }

static hone_status null_alloc(hn_device *d, size_t bytes, void **out) {
  null_device *n = (null_device *)d;
  if (n->limit && (bytes > n->limit || n->used > n->limit - bytes))
    return hn_fail(d->cx, HONE_DEVICE, "device null is out of memory: %zu bytes more than the %zu in use do not fit into %zu", bytes,
                   n->used, n->limit);
  char *p = bytes < SIZE_MAX - HEAD ? hn_malloc_aligned(bytes + HEAD) : NULL;
  if (!p) return hn_nomem(d->cx);
  ((piece *)(void *)p)->bytes = bytes;
  n->used += bytes;
  *out = p + HEAD;
  return HONE_OK;
}

static void null_release(hn_device *d, void *p) {
  if (!p) return;
  char *whole = (char *)p - HEAD;
  ((null_device *)d)->used -= ((piece *)(void *)whole)->bytes;
  hn_free_aligned(whole);
}

static hone_status null_copy(hn_device *d, hn_lane_kind lane, void *to, const void *from, size_t bytes) {
  (void)d, (void)lane;
  memcpy(to, from, bytes);
  return HONE_OK;
}

/* Everything the CPU runs but control flow, whose nested graphs are the CPU's, and what the settings exclude. */
static bool null_supports(const hn_device *d, const hn_task *t) {
  const char *list = ((const null_device *)d)->without, *name = hn_op_name(t->node->op);
  if (hn_op_is(t->node->op, HN_OP_CONTROL)) return false;
  for (size_t n; *list; list += n + (list[n] == '+')) {
    n = strcspn(list, "+");
    if (strlen(name) == n && strncmp(list, name, n) == 0) return false;
  }
  return true;
}

static double null_step_seconds(const hn_device *d, const hn_task *t, double flops, double bytes) {
  const null_device *n = (const null_device *)d;
  bool serial = t->node && t->node->op == HN_NonMaxSuppression; /* each box depends on those before it */
  double compute = flops / (serial ? n->serial : n->speed), memory = bytes / n->memory_bandwidth;
  return n->launch + (compute > memory ? compute : memory);
}

static double null_copy_seconds(const hn_device *d, double bytes) {
  const null_device *n = (const null_device *)d;
  return n->latency + bytes / n->bandwidth;
}

const hn_device_kind hn_null_kind = {
    .name = "null", .doc = "computes on the CPU, in the time its settings say", .modelled = true,
    .settings = "bandwidth=12,latency=10,speed=1000,serial=1,membw=500,launch=5,memory=0,without=",
    .describe = null_describe, .open = null_open, .close = null_close, .alloc = null_alloc, .release = null_release,
    .copy = null_copy, .supports = null_supports, .step_seconds = null_step_seconds, .copy_seconds = null_copy_seconds};
