/* cmd_lists.c - hone operators, hone passes: the tables of the library. */
#include "commands.h"
#include "json.h"

typedef struct list_options {
  common_options common;
  bool kernels;
} list_options;

static int list_kernels(bool json) {
  const char *op, *kernel;
  table *t = table_make("ll");
  json_t *j = json_array();
  table_cell(t, "OPERATOR");
  table_cell(t, "KERNEL");
  for (uint32_t i = 0; hone_kernel_at(i, &op, &kernel); i++) {
    table_cell(t, "%s", op);
    table_cell(t, "%s", kernel);
    json_array_append_new(j, json_pack("{s:s, s:s}", "operator", op, "kernel", kernel));
  }
  if (json) {
    json_print(j);
  } else {
    table_print(t, 0);
    json_decref(j);
  }
  table_free(t);
  return CLI_OK;
}

static int run_operators(cli *c) {
  const list_options *o = c->options;
  const char *name, *doc;
  if (o->kernels) return list_kernels(o->common.json);
  table *t = table_make("ll");
  json_t *j = json_array();
  table_cell(t, "OPERATOR");
  table_cell(t, "WHAT IT DOES");
  for (uint32_t i = 0; hone_operator_at(i, &name, &doc); i++) {
    table_cell(t, "%s", name);
    table_cell(t, "%s", doc);
    json_array_append_new(j, json_pack("{s:o, s:o}", "name", json_text(name), "doc", json_text(doc)));
  }
  if (o->common.json) {
    json_print(j);
  } else {
    table_print(t, 0);
    printf("%zu operators\n", table_rows(t));
    json_decref(j);
  }
  table_free(t);
  return CLI_OK;
}

static int run_passes(cli *c) {
  const list_options *o = c->options;
  const char *name, *doc;
  int32_t level;
  table *t = table_make("lrl");
  json_t *j = json_array();
  table_cell(t, "PASS");
  table_cell(t, "FROM");
  table_cell(t, "WHAT IT DOES");
  for (uint32_t i = 0; hone_pass_at(i, &name, &level, &doc); i++) {
    table_cell(t, "%s", name);
    table_cell(t, "-O%d", level);
    table_cell(t, "%s", doc);
    json_array_append_new(j, json_pack("{s:o, s:i, s:o}", "name", json_text(name), "level", level, "doc", json_text(doc)));
  }
  if (o->common.json) {
    json_print(j);
  } else {
    table_print(t, 0);
    json_decref(j);
  }
  table_free(t);
  return CLI_OK;
}

static const arg_option operator_rows[] = {
    {"kernels", 0, ARG_FLAG, offsetof(list_options, kernels), "", "List the kernels of this build with their operators.", 0, 0}, {0}};

static const arg_group operator_groups[] = {{"Options", operator_rows, 0},
                                            {"Common options", common_option_rows, offsetof(list_options, common)}, {0}};
static const arg_group pass_groups[] = {{"Common options", common_option_rows, offsetof(list_options, common)}, {0}};

const command command_operators = {
    .name = "operators", .summary = "list the operators that hone knows", .usage = "",
    .about = "Lists the operators of hone's graphs; operators of other formats and older versions are translated to these.",
    .examples = "  hone operators\n  hone operators --kernels\n", .groups = operator_groups,
    .options_size = sizeof(list_options), .common = offsetof(list_options, common), .run = run_operators};

const command command_passes = {
    .name = "passes", .summary = "list the optimization passes", .usage = "",
    .about = "Lists the optimization passes in the order in which they run, with the first level that runs each.",
    .examples = "  hone passes\n  hone passes --json\n", .groups = pass_groups, .options_size = sizeof(list_options),
    .common = offsetof(list_options, common), .run = run_passes};
