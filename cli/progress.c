/* progress.c - a line on stderr, only on a terminal and only after two seconds. */
#include "progress.h"

#include <unistd.h>

#include "cli.h"

void progress_begin(progress *p, const char *what) {
  double now = cli_seconds();
  *p = (progress){.what = what, .begun = now, .terminal = isatty(STDERR_FILENO)};
}

void progress_step(progress *p, size_t done, size_t total) {
  p->done = done;
  p->total = total;
  if (!p->terminal) return;
  double now = cli_seconds();
  if (now - p->begun < 2 || now - p->drawn < 0.1) return;
  p->drawn = now;
  double left = done ? (now - p->begun) / (double)done * (double)(total > done ? total - done : 0) : 0;
  fprintf(stderr, "\r%s: %zu of %zu, about %.0f s left\x1b[K", p->what, done, total, left);
  fflush(stderr);
}

void progress_end(progress *p) {
  if (p->drawn > 0) fprintf(stderr, "\r\x1b[K");
  p->drawn = 0;
}
