/* harness.h - TEST(name) { CHECK(...); } and a main. Prints one line a failure and a count at the end. */
#ifndef HN_HARNESS_H
#define HN_HARNESS_H
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
  const char *name;
  void (*fn)(void);
  struct test_case *next;
} test_case;
extern test_case *test_list, **test_tail;
extern int test_failures;       /* of the running test */
extern const char *test_skipped; /* reason, of the running test */

#define TEST(N)                                                        \
  static void N(void);                                                 \
  __attribute__((constructor)) static void N##_register(void) {        \
    static test_case c = {#N, N, NULL};                                \
    *test_tail = &c;                                                   \
    test_tail = &c.next;                                               \
  }                                                                    \
  static void N(void)

#define CHECK(cond)                                                            \
  do {                                                                         \
    if (!(cond)) {                                                             \
      printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #cond);                \
      test_failures++;                                                         \
    }                                                                          \
  } while (0)
#define CHECK_MSG(cond, ...)                                                   \
  do {                                                                         \
    if (!(cond)) {                                                             \
      printf("%s:%d: failed: %s: ", __FILE__, __LINE__, #cond);                \
      printf(__VA_ARGS__);                                                     \
      printf("\n");                                                            \
      test_failures++;                                                         \
    }                                                                          \
  } while (0)
#define REQUIRE(cond)     \
  do {                    \
    if (!(cond)) {        \
      CHECK(cond);        \
      return;             \
    }                     \
  } while (0)
#define CHECK_STR(a, b) CHECK_MSG(strcmp((a), (b)) == 0, "\"%s\" is not \"%s\"", (a), (b))
#define SKIP(reason)        \
  do {                      \
    test_skipped = reason;  \
    return;                 \
  } while (0)
#endif
