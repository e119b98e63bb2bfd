#include "streams.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct stream {
  streams *all;
  pthread_t thread;
  pthread_barrier_t *start;
  cli c;
  hone_session *s;
  samples ms;
  double begin, end;
  int code;
} stream;

static int run_round(stream *t, size_t round) {
  const streams *a = t->all;
  hone_status st = HONE_OK;
  for (uint32_t i = 0; !st && i < a->n_inputs; i++) {
    const tensor *in = &a->rounds[round % a->n_rounds * a->n_inputs + i];
    st = hone_session_set_input_shape(t->s, i, (uint32_t)in->rank, in->dims);
    if (!st) st = hone_session_set_input(t->s, i, in->data, in->bytes);
  }
  if (!st) st = hone_session_run(t->s);
  return st ? cli_fail_hone(t->c.cx, st) : CLI_OK;
}

static int prepare(stream *t) {
  const streams *a = t->all;
  if (hone_context_create(&t->c.cx)) return cli_fail("out of memory");
  int code = session_open(&t->c, a->m, a->session, &t->s);
  for (size_t i = 0; !code && i < (a->warmup ? a->warmup : 1); i++) code = run_round(t, i);
  return code;
}

static void *run_stream(void *arg) {
  stream *t = arg;
  const streams *a = t->all;
  t->code = prepare(t);
  pthread_barrier_wait(t->start); /* also after a failure: others wait */
  t->begin = t->end = cli_seconds();
  for (size_t i = 0; !t->code && i < a->runs && !(a->seconds > 0 && t->end - t->begin > a->seconds); i++) {
    double before = cli_seconds();
    t->code = run_round(t, i);
    t->end = cli_seconds();
    samples_add(&t->ms, (t->end - before) * 1e3);
  }
  return NULL;
}

static void add_up(streams *s, stream *t) {
  double begin = t[0].begin, end = t[0].end;
  for (uint32_t i = 0; i < s->n; i++) {
    size_t arena = 0;
    for (size_t k = 0; k < t[i].ms.n; k++) samples_add(&s->ms, t[i].ms.p[k]);
    if (t[i].begin < begin) begin = t[i].begin;
    if (t[i].end > end) end = t[i].end;
    hone_session_memory(t[i].s, &arena, &s->packed);
    s->arena += arena;
  }
  s->wall = end - begin;
}

int streams_run(streams *s) {
  stream *t = cli_alloc(s->n, sizeof *t);
  pthread_barrier_t start;
  uint32_t started = 0;
  int code = CLI_OK;
  if (pthread_barrier_init(&start, NULL, s->n)) code = cli_fail("cannot start %u streams", s->n);
  for (uint32_t i = 0; !code && i < s->n; i++) {
    t[i] = (stream){.all = s, .start = &start};
    if (i && pthread_create(&t[i].thread, NULL, run_stream, &t[i])) {
      cli_fail("cannot start %u streams: the system gives no more threads", s->n);
      exit(CLI_FAILURE); /* those that wait for the others cannot go on */
    }
    started++;
  }
  if (!code) run_stream(&t[0]);
  for (uint32_t i = 1; i < started; i++) pthread_join(t[i].thread, NULL);
  for (uint32_t i = 0; !code && i < s->n; i++) code = t[i].code;
  if (!code) add_up(s, t);
  for (uint32_t i = 0; i < started; i++) {
    hone_session_destroy(&t[i].s);
    hone_context_destroy(&t[i].c.cx);
    samples_free(&t[i].ms);
  }
  if (started) pthread_barrier_destroy(&start);
  free(t);
  return code;
}
