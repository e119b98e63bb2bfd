/* args.h - command lines as tables: one row per option gives the parser, the errors and the help. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cli cli;

typedef enum arg_type {
  ARG_FLAG,   /* bool: set */
  ARG_CLEAR,  /* bool: cleared */
  ARG_TEXT,   /* const char * */
  ARG_LIST,   /* arg_list: may be given several times */
  ARG_INT,    /* int64_t within min..max */
  ARG_REAL,   /* double within min..max */
  ARG_CHOICE, /* int: which of the words of `value`, "auto|nchw|nhwc" */
  ARG_CHOICES /* arg_choices: several of them, with commas between */
} arg_type;

typedef struct arg_choices {
  int first;
  unsigned others; /* bit i: word i, too */
} arg_choices;

typedef struct arg_list {
  const char **p;
  size_t n;
} arg_list;

typedef struct arg_option {
  const char *name; /* without "--"; NULL ends a table */
  char letter;      /* of the short form, or 0 */
  arg_type type;
  size_t offset;     /* in the options struct of its group */
  const char *value; /* what the value is called in the help */
  const char *doc;
  double min, max; /* ARG_INT, ARG_REAL */
} arg_option;

/* Options that several commands share live in a struct of their own, at `base` of the command's struct. */
typedef struct arg_group {
  const char *title; /* NULL ends a list */
  const arg_option *options;
  size_t base;
} arg_group;

typedef struct command {
  const char *name, *summary;
  const char *usage;    /* the arguments: "MODEL -o OUT" */
  const char *about;    /* a paragraph */
  const char *examples; /* lines */
  const arg_group *groups;
  int min_args, max_args;
  size_t options_size;
  const void *defaults; /* options_size bytes; NULL: zeros */
  size_t common;        /* offset of the common_options */
  int (*run)(cli *c);
} command;

/* Parses what follows the command's name into c->args and c->options. CLI_OK or CLI_USAGE, said on stderr. */
int args_parse(cli *c, int argc, char **argv);
void args_free(cli *c);
void args_help(const command *cmd);

/* The word of `words` (n of them, the i-th at words + i * stride) nearest to `text`; NULL if none is near. */
const char *args_nearest(const char *text, const void *words, size_t n, size_t stride);
bool args_int(const char *text, int64_t *value);
bool args_real(const char *text, double *value);
#endif
