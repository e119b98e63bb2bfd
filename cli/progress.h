/* progress.h - a line on the terminal for what takes longer than two seconds. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H
#include <stdbool.h>
#include <stddef.h>

typedef struct progress {
  const char *what;
  double begun, drawn;
  size_t done, total;
  bool terminal;
} progress;

void progress_begin(progress *p, const char *what);
void progress_step(progress *p, size_t done, size_t total);
void progress_end(progress *p); /* clears the line */
#endif
