/* profile.h - the recorder behind hone_profile: slices on lanes, written without locks or allocation while running. */
#ifndef HN_PROFILE_H
#define HN_PROFILE_H
#include "base/alloc.h"
#include "base/parallel.h"
#include "base/vec.h"
#include "run/counters.h"

/* What a slice is about: a step of a program, described once. Its figures are summed up as it is left. */
typedef struct hn_site {
  hone_profile_layer is;
  uint32_t *from, n_from; /* sites that produce its inputs */
  uint32_t lane;          /* where its slices go */
  double counted[HONE_PROFILE_COUNTERS];
  uint32_t n_counted;
} hn_site;

typedef enum hn_slice_type { HN_SLICE_RUN, HN_SLICE_STEP, HN_SLICE_CHUNK, HN_SLICE_RANGE } hn_slice_type;

typedef struct hn_slice {
  double begin, end; /* of hn_now() */
  uint32_t what;     /* RUN: its number; STEP, CHUNK: the site; RANGE: the name */
  uint8_t type, phase;
} hn_slice;

/* Slices of one thread or stream, in the order in which they end. Only that thread adds to it. */
typedef struct hn_lane {
  const char *process, *name;
  hn_slice *p;
  size_t n, cap;
  uint64_t dropped;
  char apart[64]; /* from the next lane's cache line */
} hn_lane;

enum { HN_PROFILE_DEPTH = 64, HN_LANE_HOST = 0 };
typedef struct hn_open { /* a slice not yet ended */
  uint32_t what;
  double begin, inner; /* inner: time of the slices within it */
  hn_counts counts;
} hn_open;

struct hone_profile {
  hn_watch watch; /* first: it is passed to hn_parallel_watch() */
  hone_context *cx;
  hn_arena *texts;
  HN_VEC(hn_site) sites;
  HN_VEC(const char *) names; /* of ranges */
  HN_VEC(hn_lane) lanes;      /* 0: the thread that runs sessions */
  uint32_t n_workers;         /* lanes 1 .. n_workers - 1 are the other threads */
  hn_open open[HN_PROFILE_DEPTH], ranges[HN_PROFILE_DEPTH];
  uint32_t depth, n_ranges;
  hone_profile_phase phase;
  hn_counters *counters;
  hone_profile_totals totals;  /* sums over the timed runs until they are asked for */
  double origin, run_begin, run_steps;
  double modelled_end; /* of the last run whose times are modelled */
  size_t last_run[2];          /* slices that the last run left on lane 0, and on the fullest of the others */
};

/* Room for n more sites; their first number. */
hone_status hn_profile_add_sites(hone_profile *p, uint32_t n, uint32_t *first);
/* The lane of this name, made if it is not there. */
hone_status hn_profile_add_lane(hone_profile *p, const char *process, const char *name, uint32_t *lane);
/* Lanes for this many threads, the caller's included. */
hone_status hn_profile_threads(hone_profile *p, int threads);

static inline bool hn_recording(const hone_profile *p) { return p && p->phase != HONE_PROFILE_PAUSED; }
/* Around a run of a session: begin makes room. */
hone_status hn_profile_begin_run(hone_profile *p);
/* modelled > 0: the run's time by the model of its devices, which counts instead; lane: of the run's slice. */
void hn_profile_end_run(hone_profile *p, bool failed, uint32_t lane, double modelled);
/* Where on the trace's axis the modelled time of the run in progress begins: runs do not overlap there. */
static inline double hn_profile_modelled_begin(const hone_profile *p) {
  return p->run_begin > p->modelled_end ? p->run_begin : p->modelled_end;
}
/* Around a step; steps nest. */
void hn_profile_enter(hone_profile *p, uint32_t site);
void hn_profile_leave(hone_profile *p);
void hn_profile_leave_at(hone_profile *p, uint32_t lane, double begin, double end); /* with these times, on that lane */
/* A slice on any lane, with its times. */
void hn_profile_add(hone_profile *p, uint32_t lane, const hn_slice *s);
#endif
