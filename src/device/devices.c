/* devices.c - the table of kinds of devices, and opening one by its name. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "device/device.h"

static const hn_device_kind *const kinds[] = {&hn_cpu_kind, &hn_cuda_kind, &hn_null_kind};
enum { KINDS = sizeof kinds / sizeof *kinds, SETTINGS = 16, SPEC = 512 };

const hn_device_kind *hn_device_kind_at(uint32_t i) { return i < KINDS ? kinds[i] : NULL; }

bool hone_device_at(uint32_t index, hone_device_info *info) {
  for (size_t k = 0; k < KINDS; k++)
    for (uint32_t i = 0;; i++) {
      hone_device_info d = {.available = true};
      if (!kinds[k]->describe(i, &d)) break;
      if (index-- == 0) {
        *info = d;
        return true;
      }
    }
  return false;
}

/* Is `key` among "a=1,b=2"? */
static bool known_setting(const char *list, const char *key) {
  size_t n = strlen(key);
  for (const char *p = list; p; p = strchr(p, ',')) {
    p += *p == ',';
    if (strncmp(p, key, n) == 0 && p[n] == '=') return true;
  }
  return false;
}

static hone_status read_settings(hone_context *cx, const hn_device_kind *k, char *text, hn_setting *s, uint32_t *n) {
  *n = 0;
  for (char *save = NULL, *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
    char *equals = strchr(p, '=');
    if (equals) *equals = 0;
    if (!equals || !known_setting(k->settings, p))
      return hn_fail(cx, HONE_BAD_ARG, "device %s has no setting '%s'; it has %s", k->name, p, k->settings ? k->settings : "none");
    if (*n == SETTINGS) return hn_fail(cx, HONE_BAD_ARG, "device %s: too many settings", k->name);
    s[(*n)++] = (hn_setting){p, equals + 1};
  }
  return HONE_OK;
}

static hone_status unknown_kind(hone_context *cx, const char *spec) {
  hn_str s = {0};
  for (size_t k = 0; k < KINDS; k++) hn_str_printf(&s, "%s%s", k ? ", " : "", kinds[k]->name);
  hone_status st = hn_fail(cx, HONE_BAD_ARG, "there is no device '%s'; there are %s, as in 'null' or 'cuda:0'", spec, s.p ? s.p : "");
  hn_str_free(&s);
  return st;
}

hone_status hn_device_open(hone_context *cx, const char *spec, hn_device **out) {
  char text[SPEC];
  hn_setting s[SETTINGS];
  uint32_t n, index = 0;
  if (strlen(spec) >= sizeof text) return hn_fail(cx, HONE_BAD_ARG, "the name of a device is too long");
  strcpy(text, spec);
  char *rest = strchr(text, ':');
  if (rest) *rest++ = 0;
  if (rest && *rest >= '0' && *rest <= '9') {
    index = (uint32_t)strtoul(rest, &rest, 10);
    rest = *rest == ',' ? rest + 1 : *rest ? NULL : rest;
    if (!rest) return unknown_kind(cx, spec);
  }
  for (size_t k = 0; k < KINDS; k++) {
    hone_device_info info = {.available = true};
    if (strcmp(kinds[k]->name, text) != 0) continue;
    if (!kinds[k]->describe(index, &info)) return hn_fail(cx, HONE_DEVICE, "device '%s': there is no number %u", text, index);
    if (!info.available) return hn_fail(cx, HONE_DEVICE, "device '%s' is not available: %s", info.name, info.reason);
    HN_TRY(read_settings(cx, kinds[k], rest ? rest : text + strlen(text), s, &n));
    return kinds[k]->open(cx, index, s, n, out);
  }
  return unknown_kind(cx, spec);
}

void hn_device_close(hn_device *d) {
  if (d) d->kind->close(d);
}

/* -------------------------------------------------------------------------------------------- transfers */

static hone_status transfer_plan(hn_task *t) {
  t->out[0].layout = t->in[0].layout;
  return HONE_OK;
}

static hone_status transfer_run(hn_exec *x) {
  const hn_task *t = x->task;
  const hn_arg *a = &t->in[0];
  const hn_view *in = &x->in[0];
  size_t bytes;
  HN_TRY(hn_xout_like(x, 0, in));
  if (!hn_layout_bytes(a->dynamic ? HN_LAYOUT_PLAIN : a->layout, in->dtype, in->rank, in->dims, &bytes)) return hn_nomem(x->cx);
  hn_device *d = t->on ? t->on : t->from;
  return bytes ? d->kind->copy(d, t->on ? HN_LANE_IN : HN_LANE_OUT, x->out[0].data, in->data, bytes) : HONE_OK;
}

const hn_kernel hn_transfer_kernel = {.name = "copy", .plan = transfer_plan, .run = transfer_run};
