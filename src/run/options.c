#include "run/options.h"

#include <string.h>

hone_status hn_options_read(hone_context *cx, const char *name, const void *given, void *to, uint32_t size) {
  uint32_t has;
  if (!given) return HONE_OK;
  memcpy(&has, given, sizeof has);
  if (has < sizeof has || has > size) return hn_fail(cx, HONE_BAD_ARG, "%s: call %s_init() first", name, name);
  memcpy(to, given, has);
  memcpy(to, &size, sizeof size);
  return HONE_OK;
}
