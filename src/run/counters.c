#include "run/counters.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/perf_event.h>
#include <sys/syscall.h>
#endif

#include "base/alloc.h"
#include "base/vec.h"

/* Name, type and number in perf_event's terms. */
#define COUNTERS(ROW)                                                                    \
  ROW("cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES)                            \
  ROW("instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS)                    \
  ROW("cache misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES)                    \
  ROW("task clock ns", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK)                     \
  ROW("page faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS)                      \
  ROW("context switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES)

enum { TEXT = 200 };
typedef struct counter { /* one file for each thread */
  int file;
  uint32_t which;
} counter;

struct hn_counters {
  HN_VEC(counter) files;
  char reason[HONE_PROFILE_COUNTERS][TEXT];
};

#define NAME(name, type, number) name,
static const char *const names[HONE_PROFILE_COUNTERS] = {COUNTERS(NAME)};
const char *hn_counter_name(uint32_t i) { return names[i]; }

#if defined(__linux__)
#define EVENT(name, type, number) {type, number},
static const struct { uint32_t type; uint64_t number; } events[HONE_PROFILE_COUNTERS] = {COUNTERS(EVENT)};

static int open_counter(uint32_t i, int task) {
  struct perf_event_attr a = {.type = events[i].type, .size = sizeof a, .config = events[i].number, .exclude_kernel = 1,
                              .exclude_hv = 1};
  return (int)syscall(SYS_perf_event_open, &a, task, -1, -1, 0UL);
}

static void explain(char *text, uint32_t i, int error) {
  const char *why = strerror(error);
  if (error == EACCES || error == EPERM) why = "the kernel does not allow it (see /proc/sys/kernel/perf_event_paranoid)";
  if (error == ENOSYS) why = "the kernel has no perf_event";
  if (error == ENOENT || error == EOPNOTSUPP || error == ENODEV)
    why = "the processor's counters are not visible here, as in most virtual machines";
  snprintf(text, TEXT, "%s: %s", names[i], why);
}

static hone_status open_for_task(hone_context *cx, hn_counters *c, int task) {
  for (uint32_t i = 0; i < HONE_PROFILE_COUNTERS; i++) {
    if (*c->reason[i]) continue;
    int file = open_counter(i, task);
    if (file < 0 && errno == ESRCH) continue; /* a thread that has ended meanwhile */
    if (file < 0) explain(c->reason[i], i, errno);
    else if (!hn_push(&c->files, ((counter){file, i}))) {
      close(file);
      return hn_nomem(cx);
    }
  }
  return HONE_OK;
}

static hone_status open_all(hone_context *cx, hn_counters *c) {
  DIR *tasks = opendir("/proc/self/task");
  if (!tasks) return open_for_task(cx, c, 0);
  hone_status st = HONE_OK;
  for (struct dirent *e; !st && (e = readdir(tasks));)
    if (e->d_name[0] != '.') st = open_for_task(cx, c, atoi(e->d_name));
  closedir(tasks);
  return st;
}
#else
static hone_status open_all(hone_context *cx, hn_counters *c) {
  (void)cx;
  for (uint32_t i = 0; i < HONE_PROFILE_COUNTERS; i++) snprintf(c->reason[i], TEXT, "%s: this system has no perf_event", names[i]);
  return HONE_OK;
}
#endif

hone_status hn_counters_open(hone_context *cx, hn_counters **out) {
  hn_counters *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(cx);
  hone_status st = open_all(cx, c);
  if (st) {
    hn_counters_close(c);
    return st;
  }
  *out = c;
  return HONE_OK;
}

void hn_counters_close(hn_counters *c) {
  if (!c) return;
  for (size_t i = 0; i < c->files.n; i++) close(c->files.p[i].file);
  hn_vec_free(&c->files);
  hn_free(c);
}

bool hn_counters_any(const hn_counters *c) { return c->files.n != 0; }
const char *hn_counters_reason(const hn_counters *c, uint32_t i) { return c->reason[i]; }

void hn_counters_read(const hn_counters *c, hn_counts *now) {
  memset(now, 0, sizeof *now);
  for (size_t i = 0; i < c->files.n; i++) {
    uint64_t n = 0;
    if (read(c->files.p[i].file, &n, sizeof n) == sizeof n) now->n[c->files.p[i].which] += n;
  }
}
