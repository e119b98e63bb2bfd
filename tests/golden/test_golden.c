/* test_golden.c - each tests/golden/NAME.txt is a graph, a line "--- passes: LIST" (or "--- level: N"), and the graph
   that must come out. HONE_GOLDEN_UPDATE=1 writes what comes out into the files instead. */
#define _GNU_SOURCE
#include <dirent.h>

#include "harness.h"
#include "op/infer.h"
#include "pass/pass.h"
#include "run/eval.h"

static char *read_file(const char *path) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = fopen(path, "r");
  if (!f) return NULL;
  if (getdelim(&text, &size, '\0', f) < 0) {
    free(text);
    text = NULL;
  }
  fclose(f);
  return text;
}

/* What comes out of the passes on a graph, or the one line of the error. */
static char *outcome(const char *text, const char *what) {
  hone_context *cx;
  hn_graph *g = NULL;
  hn_report report = {0};
  hone_optimize_options o;
  char *out = NULL;
  if (hone_context_create(&cx)) return NULL;
  hone_optimize_options_init(&o);
  o.verify = true;
  if (strncmp(what, "passes: ", 8) == 0) o.passes = what + 8;
  else o.level = atoi(what + 7);
  hone_status st = hn_graph_parse(cx, text, &g);
  if (!st) st = hn_infer_graph(g);
  if (!st) st = hn_passes_run(g, &o, hn_eval_constant, &report);
  if (!st) st = hn_graph_print(g, &out);
  if (st && asprintf(&out, "error: %s\n", hone_context_error(cx)) < 0) out = NULL;
  hn_report_free(&report);
  hn_graph_destroy(g);
  hone_context_destroy(&cx);
  return out;
}

static void run_file(const char *path) {
  char *text = read_file(path), *line = text ? strstr(text, "\n--- ") : NULL, *end = line ? strchr(line + 1, '\n') : NULL;
  CHECK_MSG(end, "%s: there is no line '--- passes: ...'", path);
  if (!end) return;
  char *graph = strndup(text, (size_t)(line + 1 - text)), *what = strndup(line + 5, (size_t)(end - line - 5)), *got = outcome(graph, what);
  if (got && getenv("HONE_GOLDEN_UPDATE")) {
    FILE *f = fopen(path, "w");
    if (f) fprintf(f, "%s--- %s\n%s", graph, what, got);
    if (f) fclose(f);
  } else {
    CHECK_MSG(got && strcmp(got, end + 1) == 0, "%s: came out\n%s", path, got ? got : "nothing");
  }
  free(graph);
  free(what);
  free(got);
  free(text);
}

TEST(golden_files) {
  struct dirent **entries;
  int n = scandir(HONE_SOURCE_DIR "/tests/golden", &entries, NULL, alphasort), files = 0;
  for (int i = 0; i < n; i++) {
    char path[4096];
    size_t len = strlen(entries[i]->d_name);
    if (len > 4 && strcmp(entries[i]->d_name + len - 4, ".txt") == 0) {
      snprintf(path, sizeof path, "%s/tests/golden/%.200s", HONE_SOURCE_DIR, entries[i]->d_name);
      run_file(path);
      files++;
    }
    free(entries[i]);
  }
  if (n >= 0) free(entries);
  CHECK(files > 20);
}

/* Large constants are printed as digests, which stand for other numbers when they are read. */
static void blank_digests(char *text) {
  for (char *p = text; (p = strstr(p, "digest:")) != NULL; p += 7)
    for (char *d = p + 7; strchr("0123456789abcdef", *d) && *d; d++) *d = '.';
}

TEST(text_is_read_as_it_was_printed) {
  hone_context *cx;
  hone_model *m = NULL;
  hn_graph *g = NULL;
  char *before = NULL, *after = NULL;
  REQUIRE(!hone_context_create(&cx));
  REQUIRE(!hone_model_load(cx, HONE_SOURCE_DIR "/models/digits.onnx", &m));
  for (int optimized = 0; optimized < 2; optimized++) {
    REQUIRE(!optimized || !hone_model_optimize(m, NULL));
    REQUIRE(!hone_model_print(m, &before));
    hone_status st = hn_graph_parse(cx, before, &g);
    CHECK_MSG(!st, "%s", hone_context_error(cx));
    if (!st && !hn_graph_print(g, &after)) {
      blank_digests(before);
      blank_digests(after);
      CHECK_STR(before, after);
      hn_free(after);
      hn_graph_destroy(g);
    }
    hone_text_free(&before);
  }
  hone_model_destroy(&m);
  hone_context_destroy(&cx);
}

/* Faults of the text are named with their line. */
TEST(faults_of_the_text) {
  static const char *const texts[][2] = {
      {"", "line 1"},
      {"graph \"g\" {\n  input %x : f32[1]\n", "line 3"},
      {"graph \"g\" {\n  %y = Nonsense(%x)\n}", "line 2"},
      {"graph \"g\" {\n  input %x : f32[1]\n  %y = Relu(%z) : f32[1]\n}", "no tensor above"},
      {"graph \"g\" {\n  const %c : f32[2] = {1}\n}", "as many numbers"},
      {"graph \"g\" {\n  input %x : f32[1]\n  %y = Relu(%x) {alpha=1} : f32[1]\n}", "no such attribute"},
      {"graph \"g\" {\n}\nmore", "more behind"},
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    hone_context *cx;
    hn_graph *g = NULL;
    REQUIRE(!hone_context_create(&cx));
    CHECK(hn_graph_parse(cx, texts[i][0], &g) != HONE_OK);
    CHECK_MSG(strstr(hone_context_error(cx), texts[i][1]), "%zu: %s", i, hone_context_error(cx));
    hone_context_destroy(&cx);
  }
}
