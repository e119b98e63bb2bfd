/* commands.h - the subcommands, and the rows of options that they share. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H
#include "feed.h"
#include "stats.h"

extern const command command_show, command_optimize, command_run, command_bench, command_compare, command_eval, command_quantize_report,
    command_operators, command_passes, command_devices, command_place, command_profile;

extern const arg_option common_option_rows[];

typedef struct session_options {
  int64_t threads;
  bool reference;
  const char *sources;
  arg_list devices, place;
  int64_t min_segment, workspace; /* workspace: of steps on devices; 0: not said */
  double winograd_error;
} session_options;
#define SESSION_OPTIONS_DEFAULT {.winograd_error = 1e-4}
extern const arg_option session_option_rows[];

typedef struct level_options {
  int64_t level, fold_limit;
  const char *passes;
} level_options;
extern const arg_option level_option_rows[];
#define LEVEL_OPTIONS_DEFAULT {.level = 2, .fold_limit = 1 << 20}

/* Prepares a model to run; fails with a line. */
int session_open(cli *c, const hone_model *m, const session_options *o, hone_session **s);
int session_run(cli *c, hone_session *s);
/* Fails with a line if a pass of --passes does not exist. */
int model_optimize(cli *c, hone_model *m, const level_options *o);

/* Are its activations quantized? Then a sum on the edge between two steps may come out one step further, and what follows with it. */
bool model_has_steps(hone_model *m);
/* Runs both sessions on rounds of the feed and sums up how far their outputs are apart. `match[i]` is the output of
   b that stands against output i of a, or UINT32_MAX; d has n rows. */
int compare_sessions(cli *c, feed *f, const uint32_t *map, hone_session *a, hone_session *b, const uint32_t *match,
                     uint32_t n, size_t rounds, difference *d);
/* Outputs of b for those of a, by name, or by position where the counts agree. To be freed. */
uint32_t *match_outputs(const hone_model *a, const hone_model *b);

/* Indices of the k largest of n numbers, largest first. */
void top_k(const void *data, hone_dtype dtype, size_t n, size_t k, size_t *index);
#endif
