/* show_catalog.c - tag sets, signatures, functions and segments of a SavedModel, printed. */
#include "show_catalog.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"tag_set", "signature", "input", "output", "asset", "function", "argument", "capture", "segment"};

json_t *catalog_json(const hone_catalog *k) {
  hone_catalog_row r;
  json_t *rows = NULL;
  for (uint32_t i = 0; hone_catalog_row_at(k, i, &r); i++) {
    bool typed = *r.type != 0;
    if (!rows) rows = json_array();
    json_t *j = json_pack("{s:s, s:o, s:o, s:o}", "kind", kinds[r.kind], "name", json_text(r.name), "tensor", json_text(r.tensor), "detail",
                          json_text(r.detail));
    if (typed) json_object_set_new(j, "type", json_text(r.type));
    if (typed) json_object_set_new(j, "shape", r.info.rank < 0 ? json_null() : json_shape(&r.info));
    json_array_append_new(rows, j);
  }
  return rows;
}

bool catalog_must_choose(const hone_catalog *k, const choice_options *choice) {
  hone_catalog_row r;
  uint32_t n = 0;
  if (choice->signature || choice->outputs) return false;
  for (uint32_t i = 0; hone_catalog_row_at(k, i, &r); i++) {
    if (r.kind != HONE_CATALOG_SIGNATURE || strcmp(r.name, "__saved_model_init_op") == 0) continue;
    if (strcmp(r.name, "serving_default") == 0) return false;
    n++;
  }
  return n > 1;
}

/* ---- the form of saved_model_cli */

static void print_name(const char *name) {
  char *text = cli_copy(name);
  cli_printable(text);
  fputs(text, stdout);
  free(text);
}

static void print_shape(const hone_catalog_row *r, const char *open) {
  if (r->info.rank < 0) {
    printf("unknown_rank");
    return;
  }
  printf("(");
  for (int32_t i = 0; i < r->info.rank; i++) {
    if (i) printf(", ");
    if (r->info.dims[i] < 0) fputs(open, stdout);
    else printf("%lld", (long long)r->info.dims[i]);
  }
  printf(r->info.rank == 1 && strcmp(open, "None") == 0 ? ",)" : ")");
}

static void print_tensor(const hone_catalog_row *r, const char *indent, const char *what) {
  printf("%s  %s['", indent, what);
  print_name(r->name);
  printf("'] tensor_info:\n%s      dtype: %s\n%s      shape: ", indent, r->type, indent);
  print_shape(r, "-1");
  printf("\n%s      name: ", indent);
  print_name(r->tensor);
  printf("\n");
}

/* Rows from i on that belong to one signature; the row behind them. */
static uint32_t print_signature(const hone_catalog *k, uint32_t i, const char *indent) {
  hone_catalog_row s, r;
  hone_catalog_row_at(k, i++, &s);
  uint32_t first = i;
  printf("%sThe given SavedModel SignatureDef contains the following input(s):\n", indent);
  for (; hone_catalog_row_at(k, i, &r) && r.kind == HONE_CATALOG_INPUT; i++) print_tensor(&r, indent, "inputs");
  printf("%sThe given SavedModel SignatureDef contains the following output(s):\n", indent);
  for (; hone_catalog_row_at(k, i, &r) && r.kind == HONE_CATALOG_OUTPUT; i++) print_tensor(&r, indent, "outputs");
  printf("%sMethod name is: ", indent);
  print_name(s.detail);
  printf("\n");
  return i > first ? i : first;
}

/* "float32" for DT_FLOAT. */
static void print_tf_type(const char *type) {
  static const char *const other[][2] = {{"DT_FLOAT", "float32"}, {"DT_DOUBLE", "float64"}, {"DT_HALF", "float16"}};
  for (size_t i = 0; i < sizeof other / sizeof *other; i++)
    if (strcmp(type, other[i][0]) == 0) {
      printf("%s", other[i][1]);
      return;
    }
  for (const char *p = strncmp(type, "DT_", 3) == 0 ? type + 3 : type; *p; p++) putchar(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
}

static uint32_t print_function(const hone_catalog *k, uint32_t i, const char *before, uint32_t *option) {
  hone_catalog_row f, r;
  hone_catalog_row_at(k, i++, &f);
  if (strcmp(before, f.name) != 0) {
    *option = 0;
    printf("\n  Function Name: '");
    print_name(f.name);
    printf("'\n");
  }
  printf("    Option #%u (%s)\n      Callable with:\n", ++*option, f.tensor);
  for (uint32_t n = 0; hone_catalog_row_at(k, i, &r) && r.kind == HONE_CATALOG_ARGUMENT; i++) {
    printf("        Argument #%u\n          ", ++n);
    print_name(r.name);
    printf(": TensorSpec(shape=");
    print_shape(&r, "None");
    printf(", dtype=tf.");
    print_tf_type(r.type);
    printf(", name='");
    print_name(r.name);
    printf("')\n");
  }
  for (uint32_t n = 0; hone_catalog_row_at(k, i, &r) && r.kind == HONE_CATALOG_CAPTURE; i++) {
    if (!n++) printf("      Captures:\n");
    printf("        ");
    print_name(r.name);
    printf(" (%s", r.detail);
    if (*r.type) printf(", %s ", r.type), print_shape(&r, "-1");
    printf(")\n");
  }
  return i;
}

static void print_all(const hone_catalog *k) {
  hone_catalog_row r;
  const char *function = "";
  uint32_t option = 0;
  for (uint32_t i = 0; hone_catalog_row_at(k, i, &r);) {
    switch (r.kind) {
      case HONE_CATALOG_TAG_SET:
        printf("\nMetaGraphDef with tag-set: '%s' contains the following SignatureDefs:\n", r.name);
        function = "";
        i++;
        break;
      case HONE_CATALOG_SIGNATURE:
        printf("\nsignature_def['");
        print_name(r.name);
        printf("']:\n");
        i = print_signature(k, i, "  ");
        break;
      case HONE_CATALOG_FUNCTION:
        if (!*function) printf("\nConcrete Functions:");
        i = print_function(k, i, function, &option);
        function = r.name;
        break;
      case HONE_CATALOG_ASSET: printf("\nAsset: %s (for %s)\n", r.name, r.tensor), i++; break;
      case HONE_CATALOG_SEGMENT: printf("\nTRTEngineOp: %s (native segment %s): %s\n", r.name, r.tensor, r.detail), i++; break;
      default: i++;
    }
  }
  printf("\n");
}

static bool print_chosen(const hone_catalog *k, const choice_options *choice) {
  hone_catalog_row r;
  bool within = !choice->tag_set;
  for (uint32_t i = 0; hone_catalog_row_at(k, i, &r); i++) {
    if (r.kind == HONE_CATALOG_TAG_SET && choice->tag_set) within = strcmp(r.name, choice->tag_set) == 0;
    if (!within || r.kind != HONE_CATALOG_SIGNATURE || strcmp(r.name, choice->signature) != 0) continue;
    print_signature(k, i, "");
    printf("\n");
    return true;
  }
  return false;
}

static void print_table(const hone_catalog *k) {
  hone_catalog_row r, s = {0};
  table *t = table_make("llllll");
  static const char *const heads[] = {"SIGNATURE", "METHOD", "", "KEY", "TYPE", "TENSOR"};
  for (int i = 0; i < 6; i++) table_cell(t, "%s", heads[i]);
  bool fresh = false, any = false;
  for (uint32_t i = 0; hone_catalog_row_at(k, i, &r); i++) {
    if (r.kind == HONE_CATALOG_TAG_SET) printf("tag set: '%s'\n", r.name);
    if (r.kind == HONE_CATALOG_SEGMENT) printf("TRTEngineOp: %s: %s\n", r.name, r.detail);
    if (r.kind == HONE_CATALOG_SIGNATURE) s = r, fresh = true;
    if (r.kind != HONE_CATALOG_INPUT && r.kind != HONE_CATALOG_OUTPUT) continue;
    any = true;
    table_cell(t, "%s", fresh ? s.name : "");
    table_cell(t, "%s", fresh ? s.detail : "");
    table_cell(t, "%s", r.kind == HONE_CATALOG_INPUT ? "input" : "output");
    table_cell(t, "%s", r.name);
    table_cell(t, "%s %s", r.type, info_shape_text(&r.info).s);
    table_cell(t, "%s", r.tensor);
    fresh = false;
  }
  if (any) table_print(t, 0);
  table_free(t);
}

void catalog_print(const hone_catalog *k, bool all, const choice_options *choice) {
  hone_catalog_row r;
  if (!hone_catalog_row_at(k, 0, &r)) return;
  if (all) print_all(k);
  else if (!choice->signature || !print_chosen(k, choice)) print_table(k);
  if (!all) printf("\n");
}
