/* args.c - the one parser of command lines, and the help that its tables give. */
#include "args.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

bool args_int(const char *text, int64_t *value) {
  char *end;
  errno = 0;
  long long v = strtoll(text, &end, 10);
  if (end == text || *end || errno) return false;
  *value = v;
  return true;
}

bool args_real(const char *text, double *value) {
  char *end;
  double v = strtod(text, &end);
  if (end == text || *end || !isfinite(v)) return false;
  *value = v;
  return true;
}

/* Edit distance, with a swap of neighbours as one edit; texts longer than 63 are far from everything. */
static size_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), row[3][64];
  if (n > 63 || m > 63) return SIZE_MAX;
  for (size_t j = 0; j <= m; j++) row[0][j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t *now = row[i % 3], *before = row[(i + 2) % 3], *older = row[(i + 1) % 3];
    now[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t d = before[j - 1] + (a[i - 1] != b[j - 1]);
      if (before[j] + 1 < d) d = before[j] + 1;
      if (now[j - 1] + 1 < d) d = now[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && older[j - 2] + 1 < d) d = older[j - 2] + 1;
      now[j] = d;
    }
  }
  return row[n % 3][m];
}

static void consider(const char *text, const char *word, size_t *least, const char **nearest) {
  size_t d = distance(text, word), length = strlen(text);
  if (strncmp(text, word, length) == 0 && length >= 2 && d > 1) d = 1; /* the beginning of a word */
  if (d > (length < 5 ? 1 : length / 3 + 1) || d >= *least) return;
  *least = d;
  *nearest = word;
}

const char *args_nearest(const char *text, const void *words, size_t n, size_t stride) {
  const char *nearest = NULL;
  size_t least = SIZE_MAX;
  for (size_t i = 0; i < n; i++)
    consider(text, *(const char *const *)((const char *)words + i * stride), &least, &nearest);
  return nearest;
}

typedef struct found {
  const arg_option *option;
  char *at; /* where its value goes */
} found;

/* Names as saved_model_cli spells them, with '_' for '-', are understood. */
static bool is_named(const char *name, const char *given, size_t length) {
  if (strlen(name) != length) return false;
  for (size_t i = 0; i < length; i++)
    if (name[i] != given[i] && !(name[i] == '-' && given[i] == '_')) return false;
  return true;
}

static found find(const cli *c, const char *name, size_t length, char letter) {
  for (const arg_group *g = c->cmd->groups; g->title; g++)
    for (const arg_option *o = g->options; o->name; o++)
      if (name ? is_named(o->name, name, length) : o->letter == letter)
        return (found){o, (char *)c->options + g->base + o->offset};
  return (found){0};
}

static int unknown_option(const cli *c, const char *given) {
  size_t length = strcspn(given + 2, "="), least = SIZE_MAX;
  const char *nearest = NULL;
  char *name = cli_copy(given + 2);
  name[length] = 0;
  for (const arg_group *g = c->cmd->groups; g->title; g++)
    for (const arg_option *o = g->options; o->name; o++) consider(name, o->name, &least, &nearest);
  if (nearest)
    cli_usage("%s: unknown option '--%s'; did you mean '--%s'?", c->cmd->name, name, nearest);
  else
    cli_usage("%s: unknown option '--%s'; 'hone help %s' lists all", c->cmd->name, name, c->cmd->name);
  free(name);
  return CLI_USAGE;
}

static int choose(const arg_option *o, const char *text, size_t n, int *to) {
  int index = 0;
  for (const char *w = o->value; *w; index++) {
    size_t length = strcspn(w, "|");
    if (n == length && memcmp(w, text, length) == 0) {
      *to = index;
      return CLI_OK;
    }
    w += length + (w[length] == '|');
  }
  return cli_usage("--%s: '%.*s' is none of %s", o->name, (int)n, text, o->value);
}

static int choose_several(const arg_option *o, const char *text, arg_choices *to) {
  *to = (arg_choices){0};
  for (const char *at = text;; at++) {
    int index;
    size_t n = strcspn(at, ",");
    int code = choose(o, at, n, &index);
    if (code) return code;
    if (at == text) to->first = index;
    else if (index == to->first || to->others >> index & 1) return cli_usage("--%s: '%.*s' twice", o->name, (int)n, at);
    else to->others |= 1u << index;
    at += n;
    if (!*at) return CLI_OK;
  }
}

static int store(found f, const char *text) {
  const arg_option *o = f.option;
  switch (o->type) {
    case ARG_FLAG: *(bool *)f.at = true; return CLI_OK;
    case ARG_CLEAR: *(bool *)f.at = false; return CLI_OK;
    case ARG_TEXT: *(const char **)f.at = text; return CLI_OK;
    case ARG_CHOICE: return choose(o, text, strlen(text), (int *)f.at);
    case ARG_CHOICES: return choose_several(o, text, (arg_choices *)f.at);
    case ARG_LIST: {
      arg_list *l = (arg_list *)f.at;
      l->p = cli_grow(l->p, l->n + 1, sizeof *l->p);
      l->p[l->n++] = text;
      return CLI_OK;
    }
    case ARG_INT: {
      int64_t v;
      if (!args_int(text, &v)) return cli_usage("--%s: '%s' is not a whole number", o->name, text);
      if ((double)v < o->min || (double)v > o->max)
        return cli_usage("--%s: %lld is not within %.0f and %.0f", o->name, (long long)v, o->min, o->max);
      *(int64_t *)f.at = v;
      return CLI_OK;
    }
    case ARG_REAL: {
      double v;
      if (!args_real(text, &v)) return cli_usage("--%s: '%s' is not a number", o->name, text);
      if (v < o->min || v > o->max)
        return cli_usage("--%s: %g is not within %g and %g", o->name, v, o->min, o->max);
      *(double *)f.at = v;
      return CLI_OK;
    }
  }
  return CLI_OK;
}

static bool takes_value(const arg_option *o) { return o->type != ARG_FLAG && o->type != ARG_CLEAR; }

/* The value after the option, if it did not come with it. */
static int following(const arg_option *o, int argc, char **argv, int *i, const char **value) {
  if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
    return cli_usage("--%s needs a value: --%s %s", o->name, o->name, o->value);
  *value = argv[++*i];
  return CLI_OK;
}

static int parse_long(cli *c, int argc, char **argv, int *i) {
  const char *given = argv[*i], *name = given + 2, *equals = strchr(name, '=');
  found f = find(c, name, equals ? (size_t)(equals - name) : strlen(name), 0);
  if (!f.option) return unknown_option(c, given);
  const char *value = equals ? equals + 1 : NULL;
  if (value && !takes_value(f.option)) return cli_usage("--%s takes no value", f.option->name);
  if (!value && takes_value(f.option) && following(f.option, argc, argv, i, &value)) return CLI_USAGE;
  return store(f, value);
}

static int parse_short(cli *c, int argc, char **argv, int *i) {
  for (const char *p = argv[*i] + 1; *p; p++) {
    found f = find(c, NULL, 0, *p);
    if (!f.option) return cli_usage("%s: unknown option '-%c'; 'hone help %s' lists all", c->cmd->name, *p, c->cmd->name);
    if (takes_value(f.option)) { /* the rest of the word is the value */
      const char *value = p + 1;
      if (!*value && following(f.option, argc, argv, i, &value)) return CLI_USAGE;
      return store(f, value);
    }
    store(f, NULL);
  }
  return CLI_OK;
}

static int check_count(const cli *c) {
  const command *cmd = c->cmd;
  if (c->n_args > cmd->max_args) {
    if (!cmd->max_args) return cli_usage("%s takes no arguments, but got '%s'", cmd->name, c->args[0]);
    return cli_usage("%s: unexpected argument '%s'; usage: hone %s %s", cmd->name, c->args[cmd->max_args], cmd->name, cmd->usage);
  }
  if (c->n_args < cmd->min_args) return cli_usage("%s: an argument is missing; usage: hone %s %s", cmd->name, cmd->name, cmd->usage);
  return CLI_OK;
}

int args_parse(cli *c, int argc, char **argv) {
  c->options = cli_alloc(1, c->cmd->options_size);
  if (c->cmd->defaults) memcpy(c->options, c->cmd->defaults, c->cmd->options_size);
  c->args = cli_alloc((size_t)argc + 1, sizeof *c->args);
  bool options = true;
  for (int i = 0; i < argc; i++) {
    const char *a = argv[i];
    int code = CLI_OK;
    if (options && strcmp(a, "--") == 0)
      options = false;
    else if (options && strncmp(a, "--", 2) == 0)
      code = parse_long(c, argc, argv, &i);
    else if (options && a[0] == '-' && a[1])
      code = parse_short(c, argc, argv, &i);
    else
      c->args[c->n_args++] = a;
    if (code) return code;
  }
  const common_options *common = (const common_options *)((char *)c->options + c->cmd->common);
  return common->help ? CLI_OK : check_count(c);
}

void args_free(cli *c) {
  for (const arg_group *g = c->cmd->groups; c->options && g->title; g++)
    for (const arg_option *o = g->options; o->name; o++)
      if (o->type == ARG_LIST) free(((arg_list *)((char *)c->options + g->base + o->offset))->p);
  free(c->options);
  free(c->args);
  c->options = NULL;
  c->args = NULL;
}

/* Prints text broken at spaces to 100 columns, each line after the first indented. */
static void wrap(const char *text, int indent) {
  int column = indent;
  while (*text) {
    int length = (int)strcspn(text, " ");
    if (column + length > 100 && column > indent) {
      printf("\n%*s", indent, "");
      column = indent;
    }
    printf("%.*s", length, text);
    column += length;
    text += length;
    while (*text == ' ') text++;
    if (*text && column < 100) {
      putchar(' ');
      column++;
    }
  }
  putchar('\n');
}

static void help_row(const arg_option *o) {
  char *left = cli_format("  %c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ', o->letter ? ", " : "  ",
                          o->name, takes_value(o) ? "=" : "", takes_value(o) ? o->value : "");
  printf("%-32s", left);
  if (strlen(left) >= 31) printf("\n%-32s", "");
  free(left);
  wrap(o->doc, 32);
}

void args_help(const command *cmd) {
  printf("Usage: hone %s %s%s[options]\n\n", cmd->name, cmd->usage, *cmd->usage ? " " : "");
  wrap(cmd->about, 0);
  for (const arg_group *g = cmd->groups; g->title; g++) {
    printf("\n%s:\n", g->title);
    for (const arg_option *o = g->options; o->name; o++) help_row(o);
  }
  printf("\nExamples:\n%s", cmd->examples);
}
