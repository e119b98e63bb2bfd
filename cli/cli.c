/* cli.c - errors and memory of the program. */
#define _GNU_SOURCE /* vasprintf */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void cli_printable(char *text) {
  for (unsigned char *p = (unsigned char *)text; *p; p++)
    if (*p < 0x20 || *p == 0x7f) *p = '?';
}

static void say(const char *kind, const char *format, va_list ap) {
  char *text;
  if (vasprintf(&text, format, ap) < 0) return;
  cli_printable(text);
  fflush(stdout);
  fprintf(stderr, "hone: %s%s\n", kind, text);
  free(text);
}

int cli_fail(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say("", format, ap);
  va_end(ap);
  return CLI_FAILURE;
}

int cli_usage(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say("", format, ap);
  va_end(ap);
  return CLI_USAGE;
}

void cli_warn(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say("warning: ", format, ap);
  va_end(ap);
}

int cli_fail_hone(hone_context *cx, hone_status status) {
  const char *detail = hone_context_error(cx);
  cli_fail("%s", *detail ? detail : hone_status_name(status));
  return status == HONE_BAD_ARG ? CLI_USAGE : CLI_FAILURE;
}

int cli_fail_file(const char *path) { return cli_fail("%s: %s", path, strerror(errno)); }

static void *have(void *p) {
  if (p) return p;
  cli_fail("out of memory");
  exit(CLI_FAILURE);
}

void *cli_alloc(size_t count, size_t size) { return have(calloc(count ? count : 1, size ? size : 1)); }

void *cli_grow(void *p, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return have(NULL);
  return have(realloc(p, bytes ? bytes : 1));
}

char *cli_copy(const char *text) { return have(strdup(text)); }

char *cli_format(const char *format, ...) {
  char *text = NULL;
  va_list ap;
  va_start(ap, format);
  if (vasprintf(&text, format, ap) < 0) text = NULL;
  va_end(ap);
  return have(text);
}

double cli_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

long cli_preempted(void) {
  struct rusage u;
  return getrusage(RUSAGE_SELF, &u) == 0 ? u.ru_nivcsw : 0;
}

size_t cli_peak_memory(void) {
  struct rusage u;
  return getrusage(RUSAGE_SELF, &u) == 0 ? (size_t)u.ru_maxrss * 1024 : 0;
}
