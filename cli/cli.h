/* cli.h - what every command of the program shares: errors, memory, the parsed command line. */
#ifndef CLI_H
#define CLI_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "args.h"
#include "hone.h"

/* Exit codes. */
enum { CLI_OK = 0, CLI_FAILURE = 1, CLI_USAGE = 2 };

/* One command line being served. */
struct cli {
  const command *cmd;
  hone_context *cx;
  const char **args; /* positional arguments, NULL-terminated */
  int n_args;
  void *options; /* the command's own struct */
};

/* One line "hone: ..." on stderr. The first two return the exit code to pass on. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The library's error. BAD_ARG means that the command line does not fit the model: a usage error. */
int cli_fail_hone(hone_context *cx, hone_status status);
/* "FILE: No such file or directory" from errno. */
int cli_fail_file(const char *path);

/* Memory that is there: without it the program ends with a line and CLI_FAILURE. */
void *cli_alloc(size_t count, size_t size); /* zeroed */
void *cli_grow(void *p, size_t count, size_t size);
char *cli_copy(const char *text);
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Options of all commands. */
typedef struct common_options {
  bool json, verbose, help;
} common_options;

/* Replaces control characters, which a file may have put into a name, by '?'. */
void cli_printable(char *text);
double cli_seconds(void); /* of a steady clock */
long cli_preempted(void); /* how often another process has taken a processor from a thread of this one */
size_t cli_peak_memory(void); /* bytes of this process that were in memory at most */
#endif
