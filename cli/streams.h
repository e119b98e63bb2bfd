/* streams.h - one model run by several threads at once, each with a session of its own. */
#ifndef CLI_STREAMS_H
#define CLI_STREAMS_H
#include "commands.h"

typedef struct streams {
  const hone_model *m;
  const session_options *session; /* threads: of each stream */
  uint32_t n, n_inputs;
  const tensor *rounds; /* the inputs of every round, n_inputs each, which all streams read */
  size_t n_rounds, warmup, runs;
  double seconds;       /* a limit, or 0 */
  /* what came out */
  samples ms;           /* of every run of every stream */
  double wall;          /* seconds from the first run's start to the last one's end */
  size_t arena, packed; /* bytes of activations, of all streams; of weights, which they share */
} streams;

/* All warm up, then run at once. Fails with a line. */
int streams_run(streams *s);
#endif
