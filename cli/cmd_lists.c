/* cmd_lists.c - hone operators, hone passes, hone devices: the tables of the library. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"

typedef struct list_options {
  common_options common;
  bool kernels, markdown;
} list_options;

enum { COLUMNS = 5 };

/* One table: what its columns are called for people and for programs, and its rows. */
typedef struct listing {
  const char *head[COLUMNS], *key[COLUMNS]; /* NULL past the last */
  bool (*row)(uint32_t i, char *cell[COLUMNS]); /* cells are allocated; false past the end */
} listing;

static bool kernel_row(uint32_t i, char *cell[COLUMNS]) {
  const char *op, *kernel;
  if (!hone_kernel_at(i, &op, &kernel)) return false;
  cell[0] = cli_copy(op);
  cell[1] = cli_copy(kernel);
  return true;
}

/* The kernels of an operator, the fastest first, the reference last. */
static char *kernels_of(const char *name) {
  const char *op, *kernel;
  char *all = cli_copy("");
  for (uint32_t i = 0; hone_kernel_at(i, &op, &kernel); i++) {
    if (strcmp(op, name) != 0) continue;
    char *more = cli_format("%s%s%s", all, *all ? ", " : "", kernel);
    free(all);
    all = more;
  }
  return all;
}

/* Of the CUDA device. */
static char *cuda_kernels_of(const char *name) {
  const char *device, *op, *kernel;
  char *all = cli_copy("");
  for (uint32_t i = 0; hone_device_kernel_at(i, &device, &op, &kernel); i++) {
    if (strcmp(op, name) != 0 || strcmp(device, "cuda") != 0) continue;
    char *more = cli_format("%s%s%s", all, *all ? ", " : "", kernel);
    free(all);
    all = more;
  }
  return all;
}

static bool operator_row(uint32_t i, char *cell[COLUMNS]) {
  const char *name, *doc;
  if (!hone_operator_at(i, &name, &doc)) return false;
  cell[0] = cli_copy(name);
  cell[1] = cli_copy(doc);
  cell[2] = kernels_of(name);
  cell[3] = cuda_kernels_of(name);
  return true;
}

static bool pass_row(uint32_t i, char *cell[COLUMNS]) {
  const char *name, *doc;
  int32_t level;
  if (!hone_pass_at(i, &name, &level, &doc)) return false;
  cell[0] = cli_copy(name);
  cell[1] = cli_format("-O%d", level);
  cell[2] = cli_copy(doc);
  return true;
}

static char *memory_text(const hone_device_info *d) {
  if (!d->memory) return cli_copy("");
  return cli_format("%s, %s free", human_bytes(d->memory).s, human_bytes(d->free_memory).s);
}

static bool device_row(uint32_t i, char *cell[COLUMNS]) {
  hone_device_info d;
  if (!hone_device_at(i, &d)) return false;
  cell[0] = cli_copy(d.name);
  cell[1] = d.available ? cli_copy("yes") : cli_format("no: %s", d.reason);
  cell[2] = cli_copy(d.description);
  cell[3] = memory_text(&d);
  cell[4] = cli_copy(d.features);
  return true;
}

static const listing devices = {{"DEVICE", "AVAILABLE", "WHAT IT IS", "MEMORY", "FEATURES"},
                                {"name", "available", "description", "memory", "features"}, device_row};
static const listing operators = {{"OPERATOR", "WHAT IT DOES", "KERNELS", "CUDA"}, {"name", "doc", "kernels", "cuda"}, operator_row};
static const listing kernels = {{"OPERATOR", "KERNEL", NULL}, {"operator", "kernel", NULL}, kernel_row};
static const listing passes = {{"PASS", "FROM", "WHAT IT DOES"}, {"name", "level", "doc"}, pass_row};

/* A cell of a Markdown table: a bar would end it. */
static void print_markdown_cell(const char *text) {
  printf(" ");
  for (; *text; text++) printf(*text == '|' ? "\\|" : "%c", *text);
  printf(" |");
}

static void print_markdown_row(const char *const *cell, int n) {
  printf("|");
  for (int k = 0; k < n; k++) print_markdown_cell(cell[k]);
  printf("\n");
}

static int print_listing(const listing *l, const list_options *o) {
  static const char *const rule[COLUMNS] = {"---", "---", "---", "---", "---"};
  static const char columns[COLUMNS + 1] = "lllll";
  char *cell[COLUMNS] = {NULL};
  int n = 0;
  json_t *j = json_array();
  while (n < COLUMNS && l->head[n]) n++;
  table *t = table_make(columns + COLUMNS - n);
  for (int k = 0; k < n; k++) table_cell(t, "%s", l->head[k]);
  if (o->markdown) {
    print_markdown_row(l->head, n);
    print_markdown_row(rule, n);
  }
  for (uint32_t i = 0; l->row(i, cell); i++) {
    json_t *row = json_object();
    for (int k = 0; k < n; k++) {
      table_cell(t, "%s", cell[k]);
      json_object_set_new(row, l->key[k], json_text(cell[k]));
    }
    json_array_append_new(j, row);
    if (o->markdown) print_markdown_row((const char *const *)cell, n);
    for (int k = 0; k < n; k++) free(cell[k]);
  }
  if (o->common.json) {
    json_print(j);
  } else {
    if (!o->markdown) table_print(t, 0);
    json_decref(j);
  }
  table_free(t);
  return CLI_OK;
}

static int run_operators(cli *c) {
  const list_options *o = c->options;
  return print_listing(o->kernels ? &kernels : &operators, o);
}

static int run_devices(cli *c) { return print_listing(&devices, c->options); }
static int run_passes(cli *c) { return print_listing(&passes, c->options); }

#define MARKDOWN_ROW {"markdown", 0, ARG_FLAG, offsetof(list_options, markdown), "", "Print a Markdown table.", 0, 0}

static const arg_option operator_rows[] = {
    {"kernels", 0, ARG_FLAG, offsetof(list_options, kernels), "", "List the kernels of this build with their operators.", 0, 0},
    MARKDOWN_ROW,
    {0}};
static const arg_option pass_rows[] = {MARKDOWN_ROW, {0}};

static const arg_group operator_groups[] = {{"Options", operator_rows, 0},
                                            {"Common options", common_option_rows, offsetof(list_options, common)}, {0}};
static const arg_group pass_groups[] = {{"Options", pass_rows, 0},
                                        {"Common options", common_option_rows, offsetof(list_options, common)}, {0}};

const command command_operators = {
    .name = "operators", .summary = "list the operators that hone knows", .usage = "",
    .about = "Lists the operators of hone's graphs with the kernels that run them, the fastest first, the reference last; "
             "operators of other formats and older versions are translated to these.",
    .examples = "  hone operators\n  hone operators --kernels --json\n", .groups = operator_groups,
    .options_size = sizeof(list_options), .common = offsetof(list_options, common), .run = run_operators};

const command command_passes = {
    .name = "passes", .summary = "list the optimization passes", .usage = "",
    .about = "Lists the optimization passes in the order in which they run, with the first level that runs each.",
    .examples = "  hone passes\n  hone passes --json\n", .groups = pass_groups, .options_size = sizeof(list_options),
    .common = offsetof(list_options, common), .run = run_passes};

const command command_devices = {
    .name = "devices", .summary = "list what layers can run on", .usage = "",
    .about = "Lists the devices of this machine: what each is, its memory and features, and why one is not available. 'null' is a "
             "device to try placement with where there is no other.",
    .examples = "  hone devices\n  hone devices --json\n", .groups = pass_groups, .options_size = sizeof(list_options),
    .common = offsetof(list_options, common), .run = run_devices};
