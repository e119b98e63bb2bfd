/* profile_report.h - what a profile says: its figures as tables, as advice, as JSON and as a page. */
#ifndef CLI_PROFILE_REPORT_H
#define CLI_PROFILE_REPORT_H
#include "json.h"

typedef struct profile_report {
  const char *model;
  hone_profile_totals totals;
  hone_profile_layer *layers; /* in the order of execution; borrowed texts */
  uint32_t n;
  uint32_t *order;            /* by falling time */
  uint32_t fewer;             /* layers that optimizing would leave; 0: it would leave all */
  double overhead;            /* of recording, as a share of a run */
} profile_report;

int profile_report_make(cli *c, const hone_profile *p, const char *model, profile_report *r);
void profile_report_free(profile_report *r);

/* A layer's time in a run, in ms; how it relates to what the machine can do (0 where that was not measured). */
double layer_ms(const profile_report *r, const hone_profile_layer *l);
double layer_flops(const hone_profile_layer *l);       /* operations per second */
double layer_rate(const hone_profile_layer *l);        /* bytes per second */
double layer_peak(const profile_report *r, const hone_profile_layer *l); /* of what it computes in */
double layer_of_peak(const profile_report *r, const hone_profile_layer *l);
double layer_of_roof(const profile_report *r, const hone_profile_layer *l); /* of the lower of the two roofs above it */
bool layer_is_memory_bound(const profile_report *r, const hone_profile_layer *l);

typedef struct operator_time {
  const char *op;
  uint32_t layers;
  double ms, flops; /* of a run */
} operator_time;
/* By falling time. To be freed. */
operator_time *profile_operators(const profile_report *r, size_t *n);

/* What to do about it: one line for each thing found, the costliest first. To be freed with profile_advice_free(). */
typedef struct profile_advice {
  double share; /* of a run that it is about */
  char *text;
} profile_advice;
profile_advice *profile_advise(const profile_report *r, size_t *n);
void profile_advice_free(profile_advice *a, size_t n);

void profile_print(const profile_report *r, size_t top);
void profile_print_counters(const profile_report *r, const hone_profile *p, size_t top);
json_t *profile_json(const profile_report *r);
/* A page that needs nothing else: timeline, tables, graph. */
int profile_write_html(const profile_report *r, const hone_profile *p, const char *path);
#endif
