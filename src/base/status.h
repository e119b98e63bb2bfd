/* status.h - errors: a status travels by return value, its one-line detail through the context. */
#ifndef HN_STATUS_H
#define HN_STATUS_H
#include <stdarg.h>

#include "hone.h"

struct hone_context {
  char error[2048];
  hone_log_fn log;
  void *log_user;
};

/* Records the detail (one line; newlines become spaces) and returns `status`. cx may be NULL. */
hone_status hn_fail(hone_context *cx, hone_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
hone_status hn_vfail(hone_context *cx, hone_status status, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* Puts "prefix: " before the recorded detail, as an error climbs to someone who knows more; returns status. */
hone_status hn_fail_within(hone_context *cx, hone_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
hone_status hn_nomem(hone_context *cx);
void hn_log(hone_context *cx, hone_log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Leaves the function with a failing status. */
#define HN_TRY(expr)                        \
  do {                                      \
    hone_status hn_try_status_ = (expr);    \
    if (hn_try_status_) return hn_try_status_; \
  } while (0)
#endif
