/* conformance.c - hone-conformance [-v] [-k PART] [--known FILE] [--least PERCENT] DIR...
   Runs every ONNX test case (a folder with model.onnx) under the folders, twice: as it is on the reference kernels, and
   optimized on the fastest ones. FILE lists the cases that are known to fail, "name: reason"; any other failure, and a
   listed case that passes, is a failure of the run. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"

typedef struct tally {
  const char *part, *known;
  bool verbose;
  int pass, fail, beyond, no_data, wrong; /* wrong: not as FILE says */
} tally;

/* Is the case listed in the file of known failures? */
static bool listed(const char *text, const char *name) {
  size_t n = strlen(name);
  for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL)
    if (strncmp(p, name, n) == 0 && p[n] == ':') return true;
  return false;
}

static void judge(tally *t, const char *name, const outcome *o) {
  bool pass = o->reference == CASE_PASS && o->optimized == CASE_PASS, known = listed(t->known, name);
  if (o->reference == CASE_OUT_OF_SCOPE) {
    t->beyond++;
    if (t->verbose) printf("beyond  %s: %s\n", name, o->why);
    return;
  }
  if (o->reference == CASE_NO_DATA) {
    t->no_data++;
    printf("no data %s: %s\n", name, o->why);
    return;
  }
  *(pass ? &t->pass : &t->fail) += 1;
  if (pass == known) t->wrong++;
  if (pass && known) printf("PASS    %s: but it is listed as a known failure: take it off the list\n", name);
  else if (pass && t->verbose) printf("pass    %s\n", name);
  else if (!pass && (!known || t->verbose)) printf("%s    %s: %s\n", known ? "fail" : "FAIL", name, o->why);
  fflush(stdout);
}

static int has_model(const char *dir) {
  char path[4096];
  snprintf(path, sizeof path, "%s/model.onnx", dir);
  return access(path, R_OK) == 0;
}

static bool run_folder(tally *t, const char *dir, int depth) {
  const char *slash = strrchr(dir, '/'), *name = slash ? slash + 1 : dir;
  if (has_model(dir)) {
    outcome o;
    if (t->part && !strstr(name, t->part)) return true;
    run_case(dir, &o);
    judge(t, name, &o);
    return true;
  }
  struct dirent **entries;
  int n = depth < 3 ? scandir(dir, &entries, NULL, alphasort) : -1;
  if (n < 0) return false;
  for (int i = 0; i < n; i++) {
    char path[4096];
    if (entries[i]->d_name[0] != '.' && strncmp(entries[i]->d_name, "test_data_set", 13) != 0) {
      snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
      run_folder(t, path, depth + 1);
    }
    free(entries[i]);
  }
  free(entries);
  return true;
}

static char *read_text(const char *path) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = fopen(path, "r");
  if (!f) return NULL;
  if (getdelim(&text, &size, '\0', f) < 0) {
    free(text);
    text = strdup("");
  }
  fclose(f);
  return text;
}

int main(int argc, char **argv) {
  tally t = {0};
  char *known = NULL;
  int least = 0, folders = 0;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "-v") == 0) t.verbose = true;
    else if (strcmp(argv[i], "-k") == 0 && i + 1 < argc) t.part = argv[++i];
    else if (strcmp(argv[i], "--least") == 0 && i + 1 < argc) least = atoi(argv[++i]);
    else if (strcmp(argv[i], "--known") == 0 && i + 1 < argc) {
      if (!(known = read_text(argv[++i]))) return fprintf(stderr, "hone-conformance: cannot read %s\n", argv[i]), 1;
      t.known = known;
    } else if (argv[i][0] == '-') {
      return fprintf(stderr, "usage: hone-conformance [-v] [-k PART] [--known FILE] [--least PERCENT] DIR...\n"), 2;
    } else if (run_folder(&t, argv[i], 0)) {
      folders++;
    } else {
      printf("skipped: there is no %s (package libonnx-testdata)\n", argv[i]);
    }
  }
  free(known);
  int all = t.pass + t.fail;
  printf("conformance: %d of %d cases (%.1f%%), %d beyond scope, %d without data\n", t.pass, all, all ? 100.0 * t.pass / all : 0,
         t.beyond, t.no_data);
  if (!folders || !all) return 77;
  bool enough = t.pass * 100 >= least * all;
  if (!enough) printf("less than %d%% pass\n", least);
  printf("%d passed, %d failed\n", t.pass, t.wrong + !enough);
  return t.wrong || !enough;
}
