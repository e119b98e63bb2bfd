/* judge.c - runs models on the examples and holds their outputs against those of the model in floats. */
#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More items turned than chance makes of the share that may: two standard deviations. */
static bool too_many(size_t turned, size_t of) {
  double may = (1 - GOOD_AGREEMENT) * (double)of;
  return (double)turned > may + 2 * sqrt(may);
}

bool judge_good(const judge *j, const quality *q) {
  const account *a = j->a;
  if (a->aim == AIM_DROP) return quality_drop(a, q) <= a->limit;
  if (q->cosine < (a->classifier ? GOOD_SCORES : GOOD_COSINE) || (double)q->read < GOOD_READING * (double)q->sequences || q->turned > GOOD_TURNED)
    return false;
  if (a->steps) return (double)q->top1 >= GOOD_STEPS * (double)q->items;
  return q->least >= GOOD_COSINE && q->changing <= 1 - GOOD_AGREEMENT && !too_many(q->items - q->top1, q->items);
}

static int copy_output(judge *j, hone_session *s, uint32_t i, tensor *t) {
  hone_tensor_info info;
  const void *data;
  size_t bytes;
  hone_status st = hone_session_output(s, i, &info, &data, &bytes);
  if (st) return cli_fail_hone(j->c->cx, st);
  if (!tensor_make(t, info.dtype, info.rank, info.dims)) return cli_fail("output '%s' cannot be kept", info.name);
  memcpy(t->data, data, bytes);
  return CLI_OK;
}

int judge_round(judge *j, hone_session *s, size_t round) {
  int code = feed_load(&j->f, round);
  if (!code) code = feed_set(j->c, &j->f, NULL, s);
  return code ? code : session_run(j->c, s);
}

/* ---------------------------------------------------------------------------------------------- classes */

static void info_of(const tensor *t, hone_tensor_info *info) {
  *info = (hone_tensor_info){.name = "", .dtype = t->dtype, .rank = t->rank};
  memcpy(info->dims, t->dims, sizeof info->dims);
}

/* Scores of a class each: more than one number an item, in one row. */
static bool has_scores(const tensor *t, size_t items) {
  hone_tensor_info info;
  size_t first, n;
  info_of(t, &info);
  for (int32_t i = 2; i < t->rank; i++)
    if (t->dims[i] != 1) return false;
  return dtype_float(t->dtype) && item_scores(&info, 0, items, &first, &n) && n > 1;
}

/* Rows of numbers that are not negative and add up to one. */
static bool has_probabilities(const tensor *t, size_t n) {
  if (t->dtype != HONE_DTYPE_F32 || n < 2 || t->count % n) return false;
  const float *x = t->data;
  for (size_t i = 0; i < t->count; i += n) {
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
      if (!(x[i + k] >= 0)) return false;
      sum += (double)x[i + k];
    }
    if (fabs(sum - 1) > 1e-3) return false;
  }
  return t->count > 0;
}

/* Probabilities of classes for each step of a sequence. */
static bool has_steps(const tensor *t) { return t->rank == 3 && has_probabilities(t, (size_t)t->dims[2]); }

/* Where the scores of an item, or of a step, begin, and how many there are. */
static size_t scores_at(const judge *j, const tensor *t, size_t item, size_t items, size_t *n) {
  hone_tensor_info info;
  size_t first;
  *n = (size_t)t->dims[t->rank - 1];
  if (j->a->steps) return item * *n;
  info_of(t, &info);
  item_scores(&info, item, items, &first, n);
  return first;
}

static size_t best_classes(const tensor *t, size_t first, size_t n, size_t k, size_t *best) {
  if (k > n) k = n;
  top_k((const char *)t->data + first * hone_dtype_size(t->dtype), t->dtype, n, k, best);
  return k;
}

/* Items of a round that have a best class. */
static size_t scored_items(const judge *j, size_t round) {
  const tensor *want = &j->want[round * j->outputs];
  size_t items = feed_items(&j->f, round);
  return j->a->steps ? items * (want->count / (size_t)(want->dims[0] * want->dims[2])) : items;
}

/* How far the best class is ahead of the second: of probabilities the logarithm of their ratio, which is what the network computes. */
static double lead(const judge *j, const tensor *t, size_t first, const size_t best[2]) {
  double a = tensor_get(t->dtype, t->data, first + best[0]), b = tensor_get(t->dtype, t->data, first + best[1]);
  return j->probable ? log(fmax(a, 1e-30)) - log(fmax(b, 1e-30)) : a - b;
}

/* The share of items whose best class turns if leads change by so much, root mean square, as by chance. */
static double changing(const judge *j, double shift) {
  double sum = 0;
  for (size_t i = 0; i < j->scored && shift > 0; i++) sum += erfc(j->leads[i] / shift / sqrt(2)) / 2;
  return j->scored ? sum / (double)j->scored : 0;
}

/* How far the best class is ahead in floats, in each item of a round. */
static void note_leads(const judge *j, size_t round, double *leads) {
  const tensor *want = &j->want[round * j->outputs];
  size_t items = feed_items(&j->f, round), n_items = scored_items(j, round);
  for (size_t i = 0; i < n_items; i++) {
    size_t best[2], of, first = scores_at(j, want, i, items, &of);
    best_classes(want, first, of, 2, best);
    leads[i] = lead(j, want, first, best);
  }
}

static void judge_classes(const judge *j, const tensor *want, const tensor *got, size_t round, quality *q) {
  bool steps = j->a->steps;
  size_t items = feed_items(&j->f, round), n_items = scored_items(j, round);
  for (size_t i = 0; i < n_items; i++) {
    size_t before[2], after[5], of, first = scores_at(j, want, i, items, &of);
    best_classes(want, first, of, 2, before);
    size_t n = best_classes(got, first, of, 5, after);
    double shift = lead(j, got, first, before) - lead(j, want, first, before);
    q->shift += shift * shift;
    const char *path = j->truths.n && !steps ? feed_item_path(&j->f, round, i) : NULL;
    const truth *t = path ? truths_find(&j->truths, path) : NULL;
    q->items++;
    q->top1 += before[0] == after[0];
    for (size_t k = 0; k < n; k++) q->top5 += before[0] == after[k];
    if (!t) continue;
    q->labelled++;
    q->right_before += before[0] == (size_t)t->label;
    q->right += after[0] == (size_t)t->label;
  }
}

/* What the steps of one sequence read: their best classes without repetitions and blanks, as connectionist temporal classification reads them. */
static size_t reading(const judge *j, const tensor *t, size_t item, size_t *classes) {
  size_t steps = (size_t)t->dims[1], of = (size_t)t->dims[2], last = SIZE_MAX, n = 0;
  for (size_t i = 0; i < steps; i++) {
    size_t best;
    best_classes(t, (item * steps + i) * of, of, 1, &best);
    if (best != last && best != j->blank) classes[n++] = best;
    last = best;
  }
  return n;
}

/* Sequences of a round; 0: its steps are not one item after the other. */
static size_t sequences_of(const judge *j, size_t round) {
  size_t items = feed_items(&j->f, round);
  return j->a->steps && j->want[round * j->outputs].dims[0] == (int64_t)items ? items : 0;
}

static void judge_readings(const judge *j, const tensor *want, const tensor *got, size_t round, quality *q) {
  size_t n = sequences_of(j, round);
  size_t *before = n ? cli_alloc((size_t)want->dims[1], sizeof *before) : NULL, *after = n ? cli_alloc((size_t)want->dims[1], sizeof *after) : NULL;
  for (size_t i = 0; i < n; i++) {
    size_t read = reading(j, want, i, before);
    q->sequences++;
    q->read += reading(j, got, i, after) == read && memcmp(before, after, read * sizeof *before) == 0;
  }
  free(before);
  free(after);
}

/* ---------------------------------------------------------------------------------------------- differences */

static double noise_of(const difference *d) { return fmax(d->norm_a + d->norm_b - 2 * d->dot, 0); }

static double relative_error(const difference *d) { return d->norm_b > 0 ? sqrt(noise_of(d) / d->norm_b) : 0; }

/* How many parts of an output are an item each; 1: it is one as a whole. */
static size_t parts_of(const tensor *t, size_t items) { return items > 1 && t->rank >= 1 && t->dims[0] >= (int64_t)items ? items : 1; }

/* An output of a round, item by item; `single` has one an item and output. */
static void compare_items(const judge *j, const tensor *got, const tensor *want, size_t items, difference *single) {
  size_t parts = parts_of(want, items), n = parts > 1 ? want->count / (size_t)want->dims[0] : want->count, size = hone_dtype_size(want->dtype);
  for (size_t k = 0; k < parts; k++)
    difference_add(&single[k * j->outputs], got->dtype, (const char *)got->data + k * n * size, (const char *)want->data + k * n * size, n);
}

/* What a run of a model has shown so far. */
typedef struct record {
  difference *all;    /* of each output */
  difference *single; /* of each example and output */
  size_t *first;      /* example of a round */
  size_t examples;
  double least;
} record;

static void record_make(const judge *j, size_t rounds, record *r) {
  *r = (record){.all = cli_alloc(j->outputs, sizeof *r->all), .first = cli_alloc(rounds, sizeof *r->first), .least = 1};
  for (size_t i = 0; i < rounds; i++) {
    r->first[i] = r->examples;
    r->examples += feed_items(&j->f, i);
  }
  r->single = cli_alloc(r->examples * j->outputs, sizeof *r->single);
}

static void record_free(record *r) {
  free(r->all);
  free(r->single);
  free(r->first);
}

static int record_round(judge *j, hone_session *s, size_t round, record *r, quality *q) {
  size_t items = feed_items(&j->f, round);
  int code = judge_round(j, s, round);
  for (uint32_t i = 0; i < j->outputs && !code; i++) {
    tensor got = {0};
    const tensor *want = &j->want[round * j->outputs + i];
    difference *single = &r->single[r->first[round] * j->outputs + i];
    code = copy_output(j, s, i, &got);
    if (!code && got.count == want->count) {
      compare_items(j, &got, want, items, single);
      for (size_t k = 0; k < items; k++) {
        const difference *x = &single[k * j->outputs];
        double scale = fmax(x->norm_b, j->standards[i].floor);
        difference_merge(&r->all[i], x);
        if (x->count && scale > 0) r->least = fmin(r->least, 1 - noise_of(x) / scale / 2);
      }
    }
    if (!code && i == 0 && j->a->classifier) judge_classes(j, want, &got, round, q);
    if (!code && i == 0 && got.count == want->count) judge_readings(j, want, &got, round, q);
    tensor_free(&got);
  }
  return code;
}

/* Part of an output's area of probabilities that changes sides of a threshold: the sum of what each value moves is the mean over all thresholds. */
static double turned_by(const judge *j, const record *r, uint32_t output) {
  double area = j->standards[output].area;
  return area > 0 ? r->all[output].sum_abs / area : 0;
}

/* Whatever the rounds to come show. */
static bool surely_missed(const judge *j, const record *r, const quality *q) {
  const account *a = j->a;
  double wrong = (double)(q->items - q->top1), of = (double)j->scored, misread = (double)(q->sequences - q->read);
  if (a->aim == AIM_AUTO && misread > (1 - GOOD_READING) * (double)j->sequences + 1e-6) return true;
  for (uint32_t i = 0; a->aim == AIM_AUTO && i < j->outputs; i++)
    if (turned_by(j, r, i) > GOOD_TURNED) return true;
  if (a->aim == AIM_AUTO && a->steps) return wrong > (1 - GOOD_STEPS) * of + 1e-6;
  if (a->aim == AIM_AUTO)
    return r->least < GOOD_COSINE || (a->classifier && (too_many(q->items - q->top1, j->scored) || changing(j, sqrt(q->shift / of)) > 1 - GOOD_AGREEMENT));
  if (a->aim != AIM_DROP || j->truths.n) return false;
  if (a->classifier) return 100 * wrong > a->limit * of + 1e-6;
  for (uint32_t i = 0; i < j->outputs; i++)
    if (sqrt(noise_of(&r->all[i]) / fmax(j->standards[i].norm, 1e-300)) * 100 > a->limit * (1 + 1e-6)) return true;
  return false;
}

static void record_close(const judge *j, const record *r, quality *q) {
  q->cosine = 1;
  q->least = r->least;
  q->shift = q->items ? sqrt(q->shift / (double)q->items) : 0;
  q->changing = changing(j, q->shift);
  for (uint32_t i = 0; i < j->outputs; i++) {
    q->error = fmax(q->error, relative_error(&r->all[i]));
    q->cosine = fmin(q->cosine, difference_cosine(&r->all[i]));
    q->turned = fmax(q->turned, turned_by(j, r, i));
    if (r->all[i].max_abs >= q->d.max_abs) q->d = r->all[i];
  }
}

int judge_model(judge *j, const hone_model *m, size_t rounds, quality *q) {
  hone_session *s = NULL;
  record r;
  record_make(j, rounds, &r);
  *q = (quality){0};
  int code = session_open(j->c, m, j->s, &s);
  for (size_t i = 0; i < rounds && !code; i++) code = record_round(j, s, i, &r, q);
  if (!code) record_close(j, &r, q);
  hone_session_destroy(&s);
  record_free(&r);
  return code;
}

static int worst_round_first(const void *a, const void *b) {
  const suspect *x = a, *y = b;
  if (x->harm != y->harm) return x->harm < y->harm ? 1 : -1;
  return x->round < y->round ? -1 : x->round > y->round;
}

int judge_aim(judge *j, const hone_model *m, progress *p, quality *q, bool *good) {
  hone_session *s = NULL;
  record r;
  size_t rounds = j->a->rounds, done = p->done;
  bool missed = false;
  record_make(j, rounds, &r);
  *q = (quality){0};
  int code = session_open(j->c, m, j->s, &s);
  for (size_t i = 0; i < rounds && !code && !missed; i++) {
    suspect *x = &j->order[i];
    size_t wrong = q->items - q->top1;
    double least = r.least;
    progress_step(p, done + i, p->total);
    r.least = 1;
    code = record_round(j, s, x->round, &r, q);
    x->harm = (double)(q->items - q->top1 - wrong) + 1 - r.least;
    r.least = fmin(r.least, least);
    missed = !code && surely_missed(j, &r, q);
  }
  qsort(j->order, rounds, sizeof *j->order, worst_round_first);
  if (!code) record_close(j, &r, q);
  *good = !missed && judge_good(j, q);
  progress_step(p, done + rounds, p->total);
  hone_session_destroy(&s);
  record_free(&r);
  return code;
}

/* ---------------------------------------------------------------------------------------------- the model in floats */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* An example that has next to nothing in an output, as a detector's map of an empty page, is held against a part of what is common. */
static void set_standard(judge *j, uint32_t output) {
  standard *s = &j->standards[output];
  double *norms = NULL;
  size_t n = 0;
  for (size_t r = 0; r < j->a->rounds; r++) {
    const tensor *t = &j->want[r * j->outputs + output];
    size_t items = feed_items(&j->f, r), parts = parts_of(t, items);
    difference *d = cli_alloc(items * j->outputs, sizeof *d);
    compare_items(j, t, t, items, d);
    norms = cli_grow(norms, n + parts, sizeof *norms);
    for (size_t k = 0; k < parts; k++) s->norm += norms[n++] = d[k * j->outputs].norm_b;
    free(d);
  }
  qsort(norms, n, sizeof *norms, ascending);
  s->floor = n ? norms[n / 2] * LEAST_SHARE * LEAST_SHARE : 0;
  free(norms);
}

/* The sum of an output's values, if all of them are from 0 to 1. */
static double area_of(const judge *j, uint32_t output) {
  double sum = 0;
  for (size_t r = 0; r < j->a->rounds; r++) {
    const tensor *t = &j->want[r * j->outputs + output];
    for (size_t i = 0; i < t->count; i++) {
      double v = dtype_float(t->dtype) ? tensor_get(t->dtype, t->data, i) : -1;
      if (!(v >= 0 && v <= 1)) return 0;
      sum += v;
    }
  }
  return sum;
}

static size_t commonest_class(const judge *j) {
  size_t of = (size_t)j->want[0].dims[2], *seen = cli_alloc(of, sizeof *seen), common = 0;
  for (size_t r = 0; r < j->a->rounds; r++) {
    const tensor *t = &j->want[r * j->outputs];
    for (size_t i = 0; i < t->count / of; i++) {
      size_t best;
      best_classes(t, i * of, of, 1, &best);
      seen[best]++;
    }
  }
  for (size_t i = 0; i < of; i++)
    if (seen[i] > seen[common]) common = i;
  free(seen);
  return common;
}

int judge_tune(judge *j, hone_model *m) {
  hone_session *s = NULL;
  hone_tune_options o;
  if (!j->tuned) return CLI_OK;
  hone_tune_options_init(&o);
  o.cache = j->times;
  int code = session_open(j->c, m, j->s, &s);
  if (!code) code = feed_load(&j->f, 0);
  if (!code) code = feed_set(j->c, &j->f, NULL, s);
  hone_status st = code ? HONE_OK : hone_session_tune(s, m, &o, NULL);
  hone_session_destroy(&s);
  return st ? cli_fail_hone(j->c->cx, st) : code;
}

int judge_begin_tuning(judge *j, const char *times) {
  const char *variable = getenv("TMPDIR"), *at = variable && *variable ? variable : "/tmp";
  if (times) j->times = cli_copy(times);
  else {
    char *folder = cli_format("%s/hone-XXXXXX", at);
    if (mkdtemp(folder)) j->folder = folder;
    else free(folder);
    if (!j->folder) return cli_fail("no folder can be made in %s for the times of kernels; give --timing-cache=FILE or --tune=off", at);
    j->times = cli_format("%s/times", j->folder);
  }
  hone_status st = hone_model_clone(j->m, &j->tuned);
  if (st) return cli_fail_hone(j->c->cx, st);
  j->m = j->tuned;
  return judge_tune(j, j->tuned);
}

static void end_tuning(judge *j) {
  hone_model_destroy(&j->tuned);
  if (j->folder) {
    unlink(j->times);
    rmdir(j->folder);
  }
  free(j->folder);
  free(j->times);
}

int judge_open(judge *j) {
  hone_session *s = NULL;
  account *a = j->a;
  j->outputs = hone_model_output_count(j->m);
  j->want = cli_alloc(a->rounds * j->outputs, sizeof *j->want);
  j->standards = cli_alloc(j->outputs, sizeof *j->standards);
  j->order = cli_alloc(a->rounds, sizeof *j->order);
  int code = session_open(j->c, j->m, j->s, &s);
  for (size_t r = 0; !code && r < a->rounds; r++) {
    j->order[r].round = r;
    code = judge_round(j, s, r);
    for (uint32_t i = 0; !code && i < j->outputs; i++) code = copy_output(j, s, i, &j->want[r * j->outputs + i]);
  }
  hone_session_destroy(&s);
  if (code || !j->outputs) return code;
  a->steps = has_steps(&j->want[0]);
  bool places = j->want[0].rank == 3 && !j->truths.n; /* a score for each of many, as a detector gives it */
  a->classifier = a->steps || (!places && has_scores(&j->want[0], feed_items(&j->f, 0)));
  if (a->classifier) {
    size_t n;
    scores_at(j, &j->want[0], 0, feed_items(&j->f, 0), &n);
    j->probable = has_probabilities(&j->want[0], n);
  }
  for (uint32_t i = 0; i < j->outputs; i++) {
    set_standard(j, i);
    j->standards[i].area = i == 0 && a->classifier ? 0 : area_of(j, i);
    a->area = a->area || j->standards[i].area > 0;
  }
  for (size_t r = 0; r < a->rounds; r++) {
    j->scored += a->classifier ? scored_items(j, r) : 0;
    j->sequences += sequences_of(j, r);
  }
  if (j->sequences) j->blank = commonest_class(j);
  j->leads = cli_alloc(j->scored, sizeof *j->leads);
  for (size_t r = 0, at = 0; r < a->rounds && a->classifier; r++) {
    note_leads(j, r, j->leads + at);
    at += scored_items(j, r);
  }
  return code;
}

void judge_close(judge *j) {
  end_tuning(j);
  for (size_t i = 0; j->want && i < j->a->rounds * j->outputs; i++) tensor_free(&j->want[i]);
  free(j->want);
  free(j->standards);
  free(j->order);
  free(j->leads);
  feed_close(&j->f);
  truths_free(&j->truths);
}

int judge_times(judge *j, const hone_model *x, const hone_model *y, double ms[2]) {
  enum { CALM_TURNS = 4, MOST_TURNS = 200 };
  const hone_model *m[2] = {x, y};
  hone_session *s[2] = {NULL, NULL};
  ms[0] = ms[1] = INFINITY;
  int code = feed_load(&j->f, 0);
  for (int i = 0; i < 2 && !code; i++) {
    code = session_open(j->c, m[i], j->s, &s[i]);
    if (!code) code = feed_set(j->c, &j->f, NULL, s[i]);
    if (!code) code = session_run(j->c, s[i]); /* plans and warms up */
  }
  double start = cli_seconds();
  uint32_t calm = 0; /* turns in which no other process took a processor away */
  for (uint32_t turn = 0; turn < MOST_TURNS && !code; turn++) {
    double spent = cli_seconds() - start;
    if (turn >= CALM_TURNS && spent >= 0.3 && (calm >= CALM_TURNS || spent >= 2)) break;
    long before = cli_preempted();
    for (uint32_t i = 0; i < 2 && !code; i++) {
      uint32_t k = i ^ (turn & 1);
      double begun = cli_seconds();
      code = session_run(j->c, s[k]);
      ms[k] = fmin(ms[k], 1e3 * (cli_seconds() - begun));
    }
    calm += cli_preempted() == before;
  }
  for (int i = 0; i < 2; i++) hone_session_destroy(&s[i]);
  return code;
}
