#include "base/status.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static const char *const status_names[] = {"OK",      "NOMEM",     "IO",     "BAD_FORMAT", "UNSUPPORTED",
                                           "BAD_ARG", "BAD_GRAPH", "DEVICE"};

const char *hone_status_name(hone_status status) {
  size_t i = (size_t)status;
  return i < sizeof status_names / sizeof *status_names ? status_names[i] : "?";
}

#define STR2(x) #x
#define STR(x) STR2(x)
const char *hone_version(void) {
  return STR(HONE_VERSION_MAJOR) "." STR(HONE_VERSION_MINOR) "." STR(HONE_VERSION_PATCH);
}

hone_status hone_context_create(hone_context **context) {
  hone_context *cx = hn_calloc(1, sizeof *cx);
  if (!cx) return HONE_NOMEM;
  *context = cx;
  return HONE_OK;
}

void hone_context_destroy(hone_context **context) {
  if (!context) return;
  hn_free(*context);
  *context = NULL;
}

const char *hone_context_error(const hone_context *context) { return context ? context->error : ""; }

void hone_context_set_log(hone_context *context, hone_log_fn fn, void *user) {
  context->log = fn;
  context->log_user = user;
}

/* Text from files ends up in messages: keep it one line and free of terminal control codes. */
static void one_line(char *s) {
  for (; *s; s++)
    if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = ' ';
}

hone_status hn_vfail(hone_context *cx, hone_status status, const char *fmt, va_list ap) {
  if (!cx) return status;
  char text[sizeof cx->error]; /* the arguments may point into cx->error itself */
  vsnprintf(text, sizeof text, fmt, ap);
  one_line(text);
  memcpy(cx->error, text, strlen(text) + 1);
  return status;
}

hone_status hn_fail(hone_context *cx, hone_status status, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  hn_vfail(cx, status, fmt, ap);
  va_end(ap);
  return status;
}

hone_status hn_fail_within(hone_context *cx, hone_status status, const char *fmt, ...) {
  if (!cx) return status;
  char prefix[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(prefix, sizeof prefix, fmt, ap);
  va_end(ap);
  return hn_fail(cx, status, "%s: %s", prefix, cx->error);
}

hone_status hn_nomem(hone_context *cx) { return hn_fail(cx, HONE_NOMEM, "out of memory"); }

void hn_log(hone_context *cx, hone_log_level level, const char *fmt, ...) {
  if (!cx || !cx->log) return;
  char text[2048];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  one_line(text);
  cx->log(cx->log_user, level, text);
}
