#include "harness.h"

test_case *test_list, **test_tail = &test_list;
int test_failures;
const char *test_skipped;

/* Usage: TEST [substring]: runs the tests whose name contains it. Exit status 77 when all were skipped. */
int main(int argc, char **argv) {
  int passed = 0, failed = 0, skipped = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (test_case *t = test_list; t; t = t->next) {
    if (argc > 1 && !strstr(t->name, argv[1])) continue;
    test_failures = 0;
    test_skipped = NULL;
    t->fn();
    if (test_failures) {
      printf("FAILED %s\n", t->name);
      failed++;
    } else if (test_skipped) {
      printf("skipped %s: %s\n", t->name, test_skipped);
      skipped++;
    } else {
      passed++;
    }
  }
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed ? 1 : !passed && skipped ? 77 : 0;
}
