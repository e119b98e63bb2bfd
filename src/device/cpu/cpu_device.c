/* cpu_device.c - the CPU in the table of devices. Programs run its kernels directly. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/parallel.h"
#include "device/cpu/cpu.h"
#include "device/device.h"

static bool cpu_describe(uint32_t index, hone_device_info *d) {
  char name[HN_CPU_NAME];
  if (index) return false;
  hn_cpu_name(name);
  snprintf(d->name, sizeof d->name, "cpu");
  snprintf(d->description, sizeof d->description, "%s, %d processors", name, hn_cpu_count());
  int used = snprintf(d->features, sizeof d->features, "%s", hn_isa_name(hn_isa_best()));
  for (hn_extra e = 0; e < HN_EXTRA_COUNT; e++)
    if (hn_isa_has(e)) used += snprintf(d->features + used, sizeof d->features - (size_t)used, " %s", hn_extra_name(e));
  long pages = sysconf(_SC_PHYS_PAGES), free_pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  if (pages > 0 && size > 0) d->memory = (uint64_t)pages * (uint64_t)size;
  if (free_pages > 0 && size > 0) d->free_memory = (uint64_t)free_pages * (uint64_t)size;
  return true;
}

static hone_status cpu_open(hone_context *cx, uint32_t index, const hn_setting *s, uint32_t n, hn_device **out) {
  hn_device *d = hn_calloc(1, sizeof *d);
  (void)index, (void)s, (void)n;
  if (!d) return hn_nomem(cx);
  d->kind = &hn_cpu_kind;
  d->cx = cx;
  strcpy(d->name, "cpu");
  *out = d;
  return HONE_OK;
}

static void cpu_close(hn_device *d) { hn_free(d); }

static hone_status cpu_alloc(hn_device *d, size_t bytes, void **out) {
  void *p = hn_malloc_aligned(bytes);
  if (!p) return hn_fail(d->cx, HONE_NOMEM, "out of memory: %zu bytes for activations", bytes);
  *out = p;
  return HONE_OK;
}

static void cpu_release(hn_device *d, void *p) {
  (void)d;
  hn_free_aligned(p);
}

static hone_status cpu_copy(hn_device *d, hn_lane_kind lane, void *to, const void *from, size_t bytes) {
  (void)d, (void)lane;
  memcpy(to, from, bytes);
  return HONE_OK;
}

const hn_device_kind hn_cpu_kind = {.name = "cpu", .doc = "this machine's processors", .describe = cpu_describe, .open = cpu_open,
                                    .close = cpu_close, .alloc = cpu_alloc, .release = cpu_release, .copy = cpu_copy};
