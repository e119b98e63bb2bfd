/* settings.c - the settings in a device's name: "null:speed=100,latency=5". */
#include <stdlib.h>
#include <string.h>

#include "device/device.h"

const char *hn_setting_text(const hn_setting *s, uint32_t n, const char *key) {
  for (uint32_t i = 0; i < n; i++)
    if (strcmp(s[i].key, key) == 0) return s[i].value;
  return NULL;
}

hone_status hn_setting_number(hone_context *cx, const hn_setting *s, uint32_t n, const char *key, double otherwise,
                              double *out) {
  const char *text = hn_setting_text(s, n, key);
  char *end = NULL;
  double v = text ? strtod(text, &end) : otherwise;
  if (text && (end == text || *end || !(v >= 0) || v > 1e12))
    return hn_fail(cx, HONE_BAD_ARG, "setting '%s' is '%s'; it takes a number from 0 on", key, text);
  *out = v;
  return HONE_OK;
}
