/* test_pool.c - every chunk once, whatever the threads do. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/parallel.h"
#include "harness.h"

enum { THREADS = 4, MOST = 64 };
static atomic_int done[MOST], highest;

static void mark(void *arg, uint32_t chunk, int thread) {
  atomic_fetch_add(&done[chunk], 1);
  if (thread > atomic_load(&highest)) atomic_store(&highest, thread);
  volatile double x = 1;
  for (int i = 0; i < *(const int *)arg; i++) x = x * 1.0001;
}

TEST(every_chunk_once) {
  hn_pool *p = hn_pool_create(THREADS);
  REQUIRE(p && hn_pool_threads(p) == THREADS);
  for (int round = 0; round < 3000; round++) {
    uint32_t n = (uint32_t)(round % MOST) + 1;
    int cost = round % 100 ? round % 7 * 10 : 300000; /* now and then long enough for the others to fall asleep */
    for (int i = 0; i < MOST; i++) atomic_store(&done[i], 0);
    hn_pool_run(p, n, mark, &cost);
    for (uint32_t i = 0; i < MOST; i++)
      if (atomic_load(&done[i]) != (i < n)) {
        CHECK_MSG(false, "round %d: chunk %u of %u was done %d times", round, i, n, atomic_load(&done[i]));
        hn_pool_destroy(p);
        return;
      }
  }
  CHECK(atomic_load(&highest) < THREADS);
  hn_pool_destroy(p);
}

static void add(void *arg, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) atomic_fetch_add((_Atomic int64_t *)arg, i);
}
static void add_within(void *arg, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) hn_parallel_for(THREADS, 10, 1, add, arg);
}

TEST(ranges) {
  hn_pool *p = hn_pool_create(THREADS);
  REQUIRE(p);
  for (int pooled = 0; pooled < 2; pooled++) {
    CHECK(hn_parallel_on(pooled ? p : NULL) == NULL);
    for (int64_t n = 0; n < 200; n++)
      for (int64_t grain = 1; grain < 60; grain += 7) {
        _Atomic int64_t sum = 0;
        hn_parallel_for(THREADS, n, grain, add, &sum);
        CHECK(sum == n * (n - 1) / 2);
      }
    _Atomic int64_t sum = 0;
    hn_parallel_for(THREADS, 16, 1, add_within, &sum); /* a split within a split */
    CHECK(sum == 16 * 45);
    CHECK(hn_parallel_on(NULL) == (pooled ? p : NULL));
  }
  hn_pool_destroy(p);
}

static void *own_pool(void *arg) {
  hn_pool *p = hn_pool_create(2);
  int cost = 50;
  atomic_int *sum = arg;
  for (int i = 0; p && i < 2000; i++) {
    _Atomic int64_t s = 0;
    hn_parallel_on(p);
    hn_parallel_for(2, 8, 1, add, &s);
    if (s == 28) atomic_fetch_add(sum, 1);
    (void)cost;
  }
  hn_parallel_on(NULL);
  hn_pool_destroy(p);
  return NULL;
}

/* Pools side by side on fewer processors than threads. */
TEST(several_pools) {
  pthread_t t[4];
  atomic_int sum = 0;
  for (int i = 0; i < 4; i++) REQUIRE(!pthread_create(&t[i], NULL, own_pool, &sum));
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  CHECK(sum == 8000);
}
