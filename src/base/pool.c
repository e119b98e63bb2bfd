#define _GNU_SOURCE
#include "base/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/parallel.h"

/* How long to wait awake. Sleeping costs what waking does, some 50 us where the processor is virtual: a worker that
   gives up after twice that never wastes more than twice what the best choice would. */
static const double worker_waits = 100e-6, caller_waits = 200e-6;

typedef struct worker {
  hn_pool *pool;
  int thread;
  pthread_t id;
} worker;

/* Chunks that one thread takes before others do: always the same part, so that what it made in one job is in its cache when it
   reads it in the next. */
typedef struct share {
  alignas(64) _Atomic uint64_t next; /* number of the job, and in the lower half how many of its chunks nobody has taken: in
                                        one word, so that a late worker cannot hold one job's against another's */
} share;

struct hn_pool {
  worker *workers;
  share *shares;                     /* a thread's each, the caller's first */
  int n;
  /* What is to be done. Written while nobody works; atomic, because a late worker may still look at it. */
  _Atomic(hn_chunk_fn) fn;
  _Atomic(void *) arg;
  atomic_uint chunks;
  alignas(64) atomic_uint job;       /* its number again, for sleepers; changes to wake them */
  atomic_uint asleep;
  atomic_bool stop;
  alignas(64) atomic_uint left;      /* chunks not done */
  atomic_bool caller_sleeps;
};

static void sleep_on(atomic_uint *word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
static void wake(atomic_uint *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

/* Waits awake until the word has (until) or no longer has (!until) the value; false when the time is over. */
static bool spin(const atomic_uint *word, uint32_t value, bool until, double seconds) {
  double end = 0;
  for (unsigned i = 0;; i++) {
    if ((atomic_load_explicit(word, memory_order_acquire) == value) == until) return true;
    pause_briefly();
    if (i % 16) continue;
    double now = hn_now();
    if (!i) end = now + seconds;
    if (now > end) return false;
  }
}

/* One past the last chunk of a share. */
static uint32_t share_end(const hn_pool *p, uint32_t chunks, int of) {
  return (uint32_t)((uint64_t)chunks * (unsigned)(of + 1) / (unsigned)(p->n + 1));
}

/* Takes chunks of a share of a job as long as it has some. */
static void work_share(hn_pool *p, uint32_t job, int thread, int of) {
  for (;;) {
    uint64_t next = atomic_load_explicit(&p->shares[of].next, memory_order_acquire);
    uint32_t untaken = (uint32_t)next;
    if (next >> 32 != job || !untaken) return;
    uint32_t chunk = share_end(p, atomic_load_explicit(&p->chunks, memory_order_relaxed), of) - untaken;
    hn_chunk_fn fn = atomic_load_explicit(&p->fn, memory_order_relaxed);
    void *arg = atomic_load_explicit(&p->arg, memory_order_relaxed);
    /* Only while the job is not over can this succeed, and what was read above is then of this job. */
    if (!atomic_compare_exchange_strong(&p->shares[of].next, &next, next - 1)) continue;
    fn(arg, chunk, thread);
    if (atomic_fetch_sub(&p->left, 1) == 1 && atomic_load(&p->caller_sleeps)) wake(&p->left);
  }
}

/* A thread's own share first, then what others have left. */
static void work(hn_pool *p, uint32_t job, int thread) {
  for (int i = 0; i <= p->n; i++) work_share(p, job, thread, (thread + i) % (p->n + 1));
}

static void *work_always(void *arg) {
  const worker *w = arg;
  hn_pool *p = w->pool;
  hn_use_threads(1); /* OpenMP code in a chunk has this thread alone */
  for (uint32_t job = 0;;) {
    if (!spin(&p->job, job, false, worker_waits)) {
      atomic_fetch_add(&p->asleep, 1);
      while (atomic_load(&p->job) == job) sleep_on(&p->job, job);
      atomic_fetch_sub(&p->asleep, 1);
    }
    job = atomic_load(&p->job);
    if (atomic_load(&p->stop)) return NULL;
    work(p, job, w->thread);
  }
}

static void next_job(hn_pool *p) {
  atomic_fetch_add(&p->job, 1);
  if (atomic_load(&p->asleep)) wake(&p->job);
}

void hn_pool_run(hn_pool *p, uint32_t chunks, hn_chunk_fn fn, void *arg) {
  uint32_t job = atomic_load_explicit(&p->job, memory_order_relaxed) + 1;
  atomic_store_explicit(&p->fn, fn, memory_order_relaxed);
  atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
  atomic_store_explicit(&p->chunks, chunks, memory_order_relaxed);
  atomic_store_explicit(&p->left, chunks, memory_order_relaxed);
  for (int i = 0; i <= p->n; i++) {
    uint32_t of = share_end(p, chunks, i) - (i ? share_end(p, chunks, i - 1) : 0);
    atomic_store_explicit(&p->shares[i].next, (uint64_t)job << 32 | of, memory_order_release);
  }
  next_job(p);
  work(p, job, 0);
  if (spin(&p->left, 0, true, caller_waits)) return;
  atomic_store(&p->caller_sleeps, true);
  for (uint32_t left; (left = atomic_load(&p->left)) != 0;) sleep_on(&p->left, left);
  atomic_store(&p->caller_sleeps, false);
}

int hn_pool_threads(const hn_pool *p) { return p->n + 1; }

hn_pool *hn_pool_create(int threads) {
  hn_pool *p = hn_malloc_aligned(sizeof *p);
  if (!p) return NULL;
  *p = (hn_pool){.workers = hn_calloc((size_t)threads, sizeof(worker)), .shares = hn_malloc_aligned(sizeof(share) * (size_t)threads)};
  for (int i = 0; p->shares && i < threads; i++) atomic_init(&p->shares[i].next, 0);
  for (int i = 1; p->workers && p->shares && i < threads; i++) {
    worker *w = &p->workers[p->n];
    *w = (worker){.pool = p, .thread = i};
    if (pthread_create(&w->id, NULL, work_always, w)) break;
    p->n++;
  }
  if (p->workers && p->shares && p->n == threads - 1) return p;
  hn_pool_destroy(p);
  return NULL;
}

void hn_pool_destroy(hn_pool *p) {
  if (!p) return;
  atomic_store(&p->stop, true);
  next_job(p);
  for (int i = 0; i < p->n; i++) pthread_join(p->workers[i].id, NULL);
  hn_free(p->workers);
  hn_free_aligned(p->shares);
  hn_free_aligned(p);
}
