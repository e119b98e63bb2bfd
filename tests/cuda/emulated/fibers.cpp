/* fibers.cpp - blocks one after the other, the threads of a block as fibers: one runs until it returns or has to wait for
   others; every second block begins with its last thread, so that what is not ordered by a barrier is seen both ways. */
#include "fibers.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <memory>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define ASAN 1
#else
#define ASAN 0
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace {

enum { STACK = 256 << 10, MAX_THREADS = 1024, WARP = 32 };
enum state { FRESH, RUNNING, READY, AT_BLOCK, AT_WARP, RETURNED };

/* ---- switching of stacks */
struct context {
#if defined(__x86_64__)
  void *sp;
#else
  ucontext_t u;
#endif
  void *fake; /* of the address sanitizer */
  const void *bottom;
  size_t size;
};

#if defined(__x86_64__)
extern "C" void hn_emulated_swap_stacks(void **from, void *to);
asm(".text\n.globl hn_emulated_swap_stacks\n.hidden hn_emulated_swap_stacks\n.type hn_emulated_swap_stacks,@function\n"
    "hn_emulated_swap_stacks:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
    ".size hn_emulated_swap_stacks, .-hn_emulated_swap_stacks\n");
#endif

void go(context *from, context *to) {
#if ASAN
  __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->size);
#endif
#if defined(__x86_64__)
  hn_emulated_swap_stacks(&from->sp, to->sp);
#else
  swapcontext(&from->u, &to->u);
#endif
#if ASAN
  __sanitizer_finish_switch_fiber(from->fake, nullptr, nullptr);
#endif
}

struct thread {
  hn_emulated_place place;
  state s;
  const char *file;
  int line;
  unsigned mask;
  uint64_t word;
  const uint64_t *seen;
  int fiber;
};

struct warp {
  uint64_t words[2][WARP];
  unsigned turn;
};

struct machine {
  std::vector<thread> threads;
  std::vector<warp> warps;
  std::vector<context> fibers;
  std::vector<int> idle;
  context main;
  thread *now;
  int n, started, returned, waiting, last; /* waiting: at the block's barrier */
  bool backwards;
  const std::function<void()> *body;
  const char *name;
  std::vector<unsigned char> shared;
  ~machine() {
    for (context &c : fibers) munmap(const_cast<void *>(c.bottom), c.size);
  }
};

thread_local machine *m;

[[noreturn]] void fail(const thread *a, const char *what, const thread *b) {
  fprintf(stderr, "emulated kernel %s, block (%u, %u, %u): thread (%u, %u, %u) waits at %s:%d, %s", m->name, a->place.block.x, a->place.block.y,
          a->place.block.z, a->place.thread.x, a->place.thread.y, a->place.thread.z, a->file, a->line, what);
  if (b) fprintf(stderr, " thread (%u, %u, %u)", b->place.thread.x, b->place.thread.y, b->place.thread.z);
  if (b && (b->s == AT_BLOCK || b->s == AT_WARP)) fprintf(stderr, " at %s:%d", b->file, b->line);
  fprintf(stderr, "\n");
  abort();
}

int order(int i) { return m->backwards ? m->n - 1 - i : i; }

/* Everybody has to be at the same barrier. */
void explain_deadlock() {
  for (int i = 0; i < m->n; i++) {
    const thread *t = &m->threads[i];
    if (t->s != AT_BLOCK && t->s != AT_WARP) continue;
    for (int k = 0; k < m->n; k++) {
      const thread *o = &m->threads[k];
      if (t->s == AT_WARP && (k / WARP != i / WARP || !(t->mask >> k % WARP & 1))) continue;
      if (o->s == RETURNED) fail(t, "and has returned:", o);
      if (o->s != t->s || o->line != t->line || o->file != t->file) fail(t, "elsewhere is", o);
    }
    if (t->s == AT_WARP && m->n - i / WARP * WARP < WARP && t->mask >> (m->n - i / WARP * WARP)) fail(t, "and its mask names lanes that are not there", nullptr);
  }
  fprintf(stderr, "emulated kernel %s: no thread can go on\n", m->name);
  abort();
}

void enter(int fiber);

/* A fiber that has no thread yet. */
int fresh_fiber() {
  if (!m->idle.empty()) {
    int f = m->idle.back();
    m->idle.pop_back();
    return f;
  }
  char *stack = static_cast<char *>(mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (stack == MAP_FAILED) {
    perror("emulated stack");
    abort();
  }
  context c = {};
  c.bottom = stack;
  c.size = STACK;
  m->fibers.push_back(c);
  int f = static_cast<int>(m->fibers.size()) - 1;
  context *made = &m->fibers[f];
#if defined(__x86_64__)
  void **sp = reinterpret_cast<void **>(stack + STACK - 64);
  *--sp = nullptr;
  *--sp = reinterpret_cast<void *>(+[]() { enter(m->now->fiber); });
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  made->sp = sp;
#else
  getcontext(&made->u);
  made->u.uc_stack.ss_sp = stack;
  made->u.uc_stack.ss_size = STACK;
  makecontext(&made->u, reinterpret_cast<void (*)()>(+[]() { enter(m->now->fiber); }), 0);
#endif
  return f;
}

/* The next thread that can go on; NULL: all have returned. */
thread *next_thread() {
  if (m->started < m->n) return &m->threads[order(m->started++)];
  if (m->returned == m->n) return nullptr;
  for (int i = 0; i < m->n; i++) {
    int k = m->last + 1 + i;
    thread *t = &m->threads[order(k < m->n ? k : k - m->n)];
    if (t->s != READY) continue;
    m->last = k < m->n ? k : k - m->n;
    return t;
  }
  explain_deadlock();
  return nullptr;
}

/* Leaves the fiber `from` (NULL: the block's caller) for thread t, or for the block's caller. */
void switch_to(context *from, thread *t) {
  m->now = t;
  if (t && t->s == FRESH) t->fiber = fresh_fiber();
  if (t) t->s = RUNNING;
  go(from, t ? &m->fibers[t->fiber] : &m->main);
}

/* A fiber runs threads from their beginning as long as there are fresh ones. */
void enter(int fiber) {
#if ASAN
  const void *bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (!m->main.bottom) m->main.bottom = bottom, m->main.size = size;
#endif
  for (;;) {
    (*m->body)();
    m->now->s = RETURNED;
    m->returned++;
    thread *t = next_thread();
    if (t && t->s == FRESH) {
      t->fiber = fiber;
      t->s = RUNNING;
      m->now = t;
      continue;
    }
    m->idle.push_back(fiber);
    switch_to(&m->fibers[fiber], t);
  }
}

void wait_for_others() {
  thread *me = m->now;
  while (me->s != READY) {
    thread *t = next_thread();
    if (t == me) break;
    switch_to(&m->fibers[me->fiber], t);
    if (m->now == me) break;
  }
  me->s = RUNNING;
  m->now = me;
}

void run_block(hn_emulated_place at) {
  m->started = m->returned = m->waiting = 0;
  m->last = -1;
  for (int i = 0; i < m->n; i++) {
    thread *t = &m->threads[i];
    unsigned x = at.block_dim.x, y = at.block_dim.y, k = static_cast<unsigned>(i);
    t->place = at;
    t->place.thread = {k % x, k / x % y, k / x / y};
    t->s = FRESH;
  }
  for (warp &w : m->warps) w.turn = 0;
  for (unsigned char &b : m->shared) b = 0xcb; /* what shared memory holds at first is not known */
  m->main.bottom = nullptr;
  switch_to(&m->main, next_thread());
}

} // namespace

hn_emulated_place *hn_emulated_here(void) { return &m->now->place; }
int hn_emulated_lane(void) { return static_cast<int>(m->now - m->threads.data()) % WARP; }
void *hn_emulated_shared(void) { return m->shared.data(); }

void hn_emulated_block_barrier(const char *file, int line) {
  thread *me = m->now;
  me->s = AT_BLOCK;
  me->file = file;
  me->line = line;
  if (++m->waiting == m->n) {
    for (int i = 0; i < m->n; i++) {
      thread *t = &m->threads[i];
      if (t->line != line || t->file != file) fail(me, "at another barrier is", t);
      t->s = READY;
    }
    m->waiting = 0;
    m->last = -1;
  }
  wait_for_others();
}

const uint64_t *hn_emulated_exchange(unsigned mask, uint64_t word, const char *file, int line) {
  thread *me = m->now;
  int i = static_cast<int>(me - m->threads.data()), first = i / WARP * WARP;
  warp *w = &m->warps[i / WARP];
  me->s = AT_WARP;
  me->file = file;
  me->line = line;
  me->mask = mask;
  me->word = word;
  if (!(mask >> i % WARP & 1)) fail(me, "but its own lane is not in the mask", nullptr);
  bool all = true;
  for (int k = 0; k < WARP && all; k++) {
    if (!(mask >> k & 1)) continue;
    const thread *t = first + k < m->n ? &m->threads[first + k] : nullptr;
    all = t && t->s == AT_WARP && t->line == line && t->file == file && t->mask == mask;
  }
  if (all) {
    uint64_t *words = w->words[w->turn++ & 1];
    for (int k = 0; k < WARP; k++) {
      if (!(mask >> k & 1)) continue;
      thread *t = &m->threads[first + k];
      words[k] = t->word;
      t->seen = words;
      t->s = READY;
    }
    m->last = order(i);
  }
  wait_for_others();
  return me->seen;
}

void hn_emulated_run_grid(const char *name, dim3 grid, dim3 block, size_t shared, const std::function<void()> &body) {
  machine *outer = m;
  static thread_local std::unique_ptr<machine> kept; /* its stacks are used again */
  std::unique_ptr<machine> mine = kept ? std::move(kept) : std::unique_ptr<machine>(new machine());
  m = mine.get();
  m->n = static_cast<int>(block.x * block.y * block.z);
  m->threads.assign(static_cast<size_t>(m->n), thread{});
  m->warps.assign(static_cast<size_t>((m->n + WARP - 1) / WARP), warp{});
  m->fibers.reserve(MAX_THREADS + 1);
  std::vector<unsigned char>(shared).swap(m->shared); /* of this size exactly, so that running over shows */
  m->body = &body;
  m->name = name;
  hn_emulated_place at = {{0, 0, 0}, {0, 0, 0}, block, grid};
  for (at.block.z = 0; at.block.z < grid.z; at.block.z++)
    for (at.block.y = 0; at.block.y < grid.y; at.block.y++)
      for (at.block.x = 0; at.block.x < grid.x; at.block.x++) {
        m->backwards = (at.block.x + at.block.y + at.block.z) & 1;
        run_block(at);
      }
  std::vector<unsigned char>().swap(m->shared);
  kept = std::move(mine);
  m = outer;
}
