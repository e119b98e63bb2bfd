/* account.c - what lower precision costs and gains. */
#include "account.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

const arg_option account_option_rows[] = {
    {"evaluate", 0, ARG_TEXT, offsetof(account_options, evaluate), "SOURCE",
     "What accuracy is measured with, as --input takes it (default: what it is calibrated with).", 0, 0},
    {"labels", 0, ARG_TEXT, offsetof(account_options, labels), "FILE", "Lines 'FILENAME LABEL': measure accuracy with them.", 0, 0},
    {"max-drop", 0, ARG_TEXT, offsetof(account_options, max_drop), "P%",
     "Leave as many layers in floats as it takes to lose no more: of accuracy with labels, else of the agreement of the best class, "
     "else of the outputs (root mean square).", 0, 0},
    {"no-mixed", 0, ARG_FLAG, offsetof(account_options, uniform), "",
     "Quantize every layer. Without this and --max-drop, the layers that cost most for the time they save stay in floats if the outputs "
     "on any of the examples have a cosine below 0.994 to those of floats (for a classifier on all together below 0.998), or their best "
     "class is another for more than 1%.", 0, 0},
    {0}};

int account_limit(const account_options *o, double *percent) {
  char *text = cli_copy(o->max_drop);
  size_t n = strlen(text);
  if (n && text[n - 1] == '%') text[n - 1] = 0;
  bool ok = args_real(text, percent) && *percent >= 0 && *percent <= 100;
  free(text);
  return ok ? CLI_OK : cli_usage("--max-drop=%s: a number of percent, as in 0.5%%", o->max_drop);
}

double quality_drop(const account *a, const quality *q) {
  if (q->labelled) return 100 * ((double)q->right_before - (double)q->right) / (double)q->labelled;
  if (a->classifier && q->items) return 100 * (1 - (double)q->top1 / (double)q->items);
  return 100 * q->error;
}

enum { AUTO_ITEMS = 64, PROBE_ITEMS = 8 }; /* examples that AIM_AUTO judges a mixture and a single layer by */

/* ---------------------------------------------------------------------------------------------- the judge */

/* What the model in floats gives for every round. */
typedef struct judge {
  cli *c;
  const hone_model *m;
  const hone_calibration *k;
  const session_options *s;
  const quant_options *q;
  feed f;
  truths truths;
  uint32_t outputs;
  tensor *want; /* rounds x outputs */
  size_t probes; /* rounds that a single layer is judged by */
  account *a;
} judge;

static double good_cosine(const account *a) { return a->classifier && !a->steps ? GOOD_SCORES : GOOD_COSINE; }

static bool good_enough(const judge *j, const quality *q) {
  if (j->a->aim == AIM_DROP) return quality_drop(j->a, q) <= j->a->limit;
  return q->cosine >= good_cosine(j->a) && q->least >= GOOD_COSINE && (double)q->top1 >= GOOD_AGREEMENT * (double)q->items;
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

static int run_round(judge *j, hone_session *s, size_t round) {
  int code = feed_load(&j->f, round);
  if (!code) code = feed_set(j->c, &j->f, NULL, s);
  return code ? code : session_run(j->c, s);
}

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

/* Probabilities of classes for each step of a sequence: rows of three dimensions that add up to one. */
static bool has_steps(const tensor *t) {
  if (t->rank != 3 || t->dtype != HONE_DTYPE_F32 || t->dims[2] < 2) return false;
  const float *x = t->data;
  size_t n = (size_t)t->dims[2];
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

static size_t best_class(const tensor *t, size_t item, size_t items, bool steps, size_t k, size_t *best) {
  hone_tensor_info info;
  size_t n = (size_t)t->dims[t->rank - 1], first = item * n;
  info_of(t, &info);
  if (!steps) item_scores(&info, item, items, &first, &n);
  if (k > n) k = n;
  top_k((const char *)t->data + first * hone_dtype_size(t->dtype), t->dtype, n, k, best);
  return k;
}

static void judge_classes(const judge *j, const tensor *want, const tensor *got, size_t round, quality *q) {
  bool steps = j->a->steps;
  size_t items = feed_items(&j->f, round), n_items = steps ? items * (want->count / (size_t)(want->dims[0] * want->dims[2])) : items;
  for (size_t i = 0; i < n_items; i++) {
    size_t before[1], after[5];
    best_class(want, i, items, steps, 1, before);
    size_t n = best_class(got, i, items, steps, 5, after);
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

static double noise_of(const difference *d) { return fmax(d->norm_a + d->norm_b - 2 * d->dot, 0); }

static double relative_error(const difference *d) { return d->norm_b > 0 ? sqrt(noise_of(d) / d->norm_b) : 0; }

/* Each item of a batch, or all as one. */
static void compare_items(const judge *j, const tensor *got, const tensor *want, size_t items, difference *d) {
  if (want->rank < 1 || want->dims[0] < (int64_t)items) items = 1;
  size_t n = items > 1 ? want->count / (size_t)want->dims[0] : want->count, size = hone_dtype_size(want->dtype);
  for (size_t k = 0; k < items; k++)
    difference_add(&d[k * j->outputs], got->dtype, (const char *)got->data + k * n * size, (const char *)want->data + k * n * size, n);
}

/* Runs a model on so many rounds. */
static int judge_model(judge *j, const hone_model *m, size_t rounds, quality *q) {
  hone_session *s = NULL;
  size_t items = 0, first = 0;
  for (size_t r = 0; r < rounds; r++) items += feed_items(&j->f, r);
  difference *d = cli_alloc(j->outputs, sizeof *d), *single = cli_alloc(items * j->outputs, sizeof *single);
  *q = (quality){.cosine = 1, .least = 1};
  int code = session_open(j->c, m, j->s, &s);
  for (size_t r = 0; !code && r < rounds; r++) {
    code = run_round(j, s, r);
    for (uint32_t i = 0; !code && i < j->outputs; i++) {
      tensor got = {0};
      const tensor *want = &j->want[r * j->outputs + i];
      code = copy_output(j, s, i, &got);
      if (!code && got.count == want->count) {
        difference_add(&d[i], got.dtype, got.data, want->data, got.count);
        compare_items(j, &got, want, feed_items(&j->f, r), &single[first * j->outputs + i]);
      }
      if (!code && i == 0 && j->a->classifier) judge_classes(j, want, &got, r, q);
      tensor_free(&got);
    }
    first += feed_items(&j->f, r);
  }
  for (uint32_t i = 0; !code && i < j->outputs; i++) {
    q->error = fmax(q->error, relative_error(&d[i]));
    q->cosine = fmin(q->cosine, difference_cosine(&d[i]));
    if (d[i].max_abs >= q->d.max_abs) q->d = d[i];
    for (size_t k = 0; k < items; k++) {
      const difference *x = &single[k * j->outputs + i];
      double scale = fmax(x->norm_b, d[i].norm_b / (double)items);
      if (scale > 0) q->least = fmin(q->least, 1 - noise_of(x) / scale / 2);
    }
  }
  hone_session_destroy(&s);
  free(d);
  free(single);
  return code;
}

static int run_original(judge *j) {
  hone_session *s = NULL;
  j->outputs = hone_model_output_count(j->m);
  j->want = cli_alloc(j->a->rounds * j->outputs, sizeof *j->want);
  int code = session_open(j->c, j->m, j->s, &s);
  for (size_t r = 0; !code && r < j->a->rounds; r++) {
    code = run_round(j, s, r);
    for (uint32_t i = 0; !code && i < j->outputs; i++) code = copy_output(j, s, i, &j->want[r * j->outputs + i]);
  }
  if (!code && j->outputs) {
    j->a->steps = has_steps(&j->want[0]);
    bool places = j->want[0].rank == 3 && !j->truths.n; /* a score for each of many, as a detector gives it */
    j->a->classifier = j->a->steps || (!places && has_scores(&j->want[0], feed_items(&j->f, 0)));
  }
  hone_session_destroy(&s);
  return code;
}

/* ---------------------------------------------------------------------------------------------- layers */

static int quantized(judge *j, const bool *keep, hone_model **m, hone_quantize_result *r) {
  hone_quantize_options o;
  quant_wishes(j->q, &o);
  o.keep = keep;
  o.keep_count = j->a->layers;
  hone_status st = hone_model_clone(j->m, m);
  if (!st) st = hone_model_quantize(*m, j->k, &o, r);
  return st ? cli_fail_hone(j->c->cx, st) : CLI_OK;
}

/* The model with the layers quantized that no row keeps; NULL: every row does. */
static int mixture(judge *j, hone_model **m) {
  account *a = j->a;
  hone_quantize_result r;
  bool *keep = cli_alloc(a->layers, sizeof *keep);
  a->kept = 0;
  for (uint32_t i = 0; i < a->n; i++) {
    keep[a->rows[i].layer] = a->rows[i].kept;
    a->kept += a->rows[i].kept;
  }
  int code = a->kept < a->n ? quantized(j, keep, m, &r) : CLI_OK;
  free(keep);
  return code;
}

static bool is_product(const char *op) {
  return strncmp(op, "Conv+", 5) == 0 || strcmp(op, "Conv") == 0 || strncmp(op, "ConvTranspose", 13) == 0 || strncmp(op, "MatMul", 6) == 0 || strncmp(op, "Gemm", 4) == 0;
}

/* The layers that may be quantized: those that are when all others are kept. */
static int list_rows(judge *j, hone_model *m) {
  account *a = j->a;
  a->layers = hone_model_layer_count(m);
  a->rows = cli_alloc(a->layers, sizeof *a->rows);
  for (uint32_t i = 0; i < a->layers; i++) {
    hone_layer_info l;
    hone_tensor_info in, out;
    if (hone_model_layer_info(m, i, &l) || !is_product(l.op) || hone_model_layer_input(m, i, 0, &in) || hone_model_layer_output(m, i, 0, &out)) continue;
    account_row *r = &a->rows[a->n];
    if (!hone_calibration_range(j->k, in.name, &r->low, &r->high)) continue;
    r->layer = i;
    r->name = cli_copy(l.name);
    r->op = cli_copy(l.op);
    r->tensor = cli_copy(out.name);
    r->scale = (fmaxf(r->high, 0) - fminf(r->low, 0)) / 255;
    r->kept = r->settled = hone_calibration_keeps(j->k, l.name);
    a->kept += r->kept;
    a->n++;
  }
  return a->n ? CLI_OK : cli_fail("there is no convolution or matrix product to quantize");
}

static double decibels(const difference *d) {
  double noise = d->norm_a + d->norm_b - 2 * d->dot;
  return noise > 0 && d->norm_b > 0 ? fmin(10 * log10(d->norm_b / noise), 200) : 200;
}

/* Ratio of signal to noise of tensors that two models share, on the first round. */
static int compare_tensors(judge *j, const hone_model *low, account_row *const *rows, uint32_t n, double *db) {
  hone_model *a = NULL, *b = NULL;
  hone_session *s = NULL, *t = NULL;
  uint32_t own = j->outputs;
  hone_status st = hone_model_clone(j->m, &a);
  if (!st) st = hone_model_clone(low, &b);
  for (uint32_t i = 0; i < n && !st; i++) {
    st = hone_model_add_output(a, rows[i]->tensor);
    if (!st) st = hone_model_add_output(b, rows[i]->tensor);
  }
  int code = st ? cli_fail_hone(j->c->cx, st) : session_open(j->c, a, j->s, &s);
  if (!code) code = session_open(j->c, b, j->s, &t);
  if (!code) code = run_round(j, s, 0);
  if (!code) code = run_round(j, t, 0);
  for (uint32_t i = 0, k = own; i < n && !code; i++) {
    difference d = {0};
    hone_tensor_info x, y;
    const void *p, *q;
    size_t bytes;
    uint32_t at = k;
    for (uint32_t o = 0; o < own; o++) /* one of the model's own outputs */
      if (!hone_model_output_info(a, o, &x) && strcmp(x.name, rows[i]->tensor) == 0) at = o;
    if (at == k) k++;
    st = hone_session_output(s, at, &x, &p, &bytes);
    if (!st) st = hone_session_output(t, at, &y, &q, NULL);
    if (st) code = cli_fail_hone(j->c->cx, st);
    else if (x.dtype == HONE_DTYPE_F32 && y.dtype == HONE_DTYPE_F32) difference_add(&d, x.dtype, q, p, bytes / 4);
    db[i] = decibels(&d);
  }
  hone_session_destroy(&s);
  hone_session_destroy(&t);
  hone_model_destroy(&a);
  hone_model_destroy(&b);
  return code;
}

static int one_by_one(judge *j) {
  account *a = j->a;
  bool *keep = cli_alloc(a->layers, sizeof *keep);
  int code = CLI_OK;
  progress p;
  progress_begin(&p, "quantizing layer by layer");
  for (uint32_t i = 0; i < a->n && !code; i++) {
    hone_model *m = NULL;
    hone_quantize_result r;
    account_row *row = &a->rows[i];
    progress_step(&p, i, a->n);
    if (row->settled) continue;
    for (uint32_t k = 0; k < a->layers; k++) keep[k] = k != row->layer;
    code = quantized(j, keep, &m, &r);
    if (!code) code = judge_model(j, m, j->probes, &row->alone);
    if (!code && j->a->aim != AIM_AUTO) code = compare_tensors(j, m, &row, 1, &row->sqnr);
    hone_model_destroy(&m);
  }
  progress_end(&p);
  free(keep);
  a->detailed = !code;
  return code;
}

/* A step's time goes to the layers it runs, by their arithmetic. */
static void share_time(const account *a, const hone_session *s, uint32_t step, double ms, double *time) {
  const char *name;
  uint64_t macs, sum = 0, n = 0;
  for (; hone_session_step_layer(s, step, (uint32_t)n, NULL, &macs); n++) sum += macs;
  for (uint32_t i = 0; hone_session_step_layer(s, step, i, &name, &macs); i++)
    for (uint32_t k = 0; k < a->n; k++)
      if (strcmp(a->rows[k].name, name) == 0) time[k] += sum ? ms * (double)macs / (double)sum : ms / (double)n;
}

/* Milliseconds of every layer, the least of some runs; by name. */
static int time_layers(judge *j, const hone_model *m, double sign) {
  enum { RUNS = 5 };
  account *a = j->a;
  hone_session *s = NULL;
  double *least = cli_alloc(a->n, sizeof *least), *time = cli_alloc(a->n, sizeof *time);
  int code = session_open(j->c, m, j->s, &s);
  if (!code) hone_session_set_profile(s, true);
  for (int run = 0; run <= RUNS && !code; run++) {
    code = run_round(j, s, 0);
    memset(time, 0, sizeof *time * a->n);
    for (uint32_t i = 0; i < hone_session_step_count(s) && !code && run; i++) {
      hone_step_info info;
      if (!hone_session_step_info(s, i, &info)) share_time(a, s, i, info.last_ms, time);
    }
    for (uint32_t k = 0; k < a->n; k++)
      if (run == 1 || time[k] < least[k]) least[k] = time[k];
  }
  for (uint32_t k = 0; k < a->n; k++) a->rows[k].saved_ms += sign * least[k];
  hone_session_destroy(&s);
  free(least);
  free(time);
  return code;
}

/* The least time of a run in floats and of one of the result, by turns. */
static int time_runs(judge *j) {
  enum { RUNS = 7 };
  account *a = j->a;
  hone_model *m = NULL;
  hone_session *s[2] = {NULL, NULL};
  double *least[2] = {&a->ms_floats, &a->ms_quantized};
  int code = mixture(j, &m);
  if (!code) code = session_open(j->c, j->m, j->s, &s[0]);
  if (!code) code = session_open(j->c, m ? m : j->m, j->s, &s[1]);
  for (int run = 0; run <= 2 * RUNS + 1 && !code; run++) {
    hone_session *x = s[run & 1];
    code = feed_load(&j->f, 0);
    if (!code) code = feed_set(j->c, &j->f, NULL, x);
    double begun = cli_seconds();
    if (!code) code = session_run(j->c, x);
    double ms = 1e3 * (cli_seconds() - begun);
    if (run == 2 || run == 3 || (run > 3 && ms < *least[run & 1])) *least[run & 1] = ms;
  }
  for (int i = 0; i < 2; i++) hone_session_destroy(&s[i]);
  hone_model_destroy(&m);
  return code;
}

static int all_together(judge *j) {
  account *a = j->a;
  hone_model *m = NULL;
  hone_quantize_result r;
  double *db = cli_alloc(a->n, sizeof *db);
  account_row **rows = cli_alloc(a->n, sizeof *rows);
  for (uint32_t i = 0; i < a->n; i++) {
    rows[i] = &a->rows[i];
    rows[i]->sqnr = NAN;
  }
  int code = a->kept == a->n ? cli_fail("the calibration keeps every layer in floats") : quantized(j, NULL, &m, &r);
  if (!code) code = judge_model(j, m, a->rounds, &a->every);
  a->all = a->every;
  if (!code) code = compare_tensors(j, m, rows, a->n, db);
  for (uint32_t i = 0; i < a->n && !code; i++) a->rows[i].accumulated = db[i];
  if (!code) code = time_layers(j, j->m, 1);
  if (!code) code = time_layers(j, m, -1);
  hone_model_destroy(&m);
  free(db);
  free(rows);
  return code;
}

/* ---------------------------------------------------------------------------------------------- the search */

static int by_damage(double x, double y, uint32_t layer_x, uint32_t layer_y) {
  if (x != y) return x < y ? 1 : -1;
  return layer_x < layer_y ? -1 : layer_x > layer_y;
}

static int worst_first(const void *a, const void *b) {
  const account_row *x = a, *y = b;
  return by_damage(x->alone.error, y->alone.error, x->layer, y->layer);
}

/* Noise by the time it saves; a layer that saves nothing has a thousandth of a millisecond. */
static double price(const account_row *r) { return r->alone.error * r->alone.error / fmax(r->saved_ms, 1e-3); }

static int dearest_first(const void *a, const void *b) {
  const account_row *x = a, *y = b;
  return by_damage(price(x), price(y), x->layer, y->layer);
}

static int try_mixture(judge *j, quality *q) {
  hone_model *m = NULL;
  int code = mixture(j, &m);
  if (!code) code = judge_model(j, m ? m : j->m, j->a->rounds, q);
  hone_model_destroy(&m);
  return code;
}

static int try_first(judge *j, uint32_t n, quality *q) {
  account *a = j->a;
  for (uint32_t i = 0; i < a->n; i++) a->rows[i].kept = a->rows[i].settled || i < n;
  return try_mixture(j, q);
}

/* Layers that stay in floats only since they came before others in the order: those whose time is longest, one by one. */
static int readmit(judge *j, progress *p, uint32_t done) {
  enum { TRIALS = 12 };
  account *a = j->a;
  bool *tried = cli_alloc(a->n, sizeof *tried);
  int code = CLI_OK;
  for (uint32_t t = 0; t < TRIALS && !code; t++) {
    account_row *best = NULL;
    quality q;
    for (uint32_t i = 0; i < a->n; i++) {
      account_row *r = &a->rows[i];
      if (r->kept && !r->settled && !tried[i] && r->saved_ms > 0 && (!best || r->saved_ms > best->saved_ms)) best = r;
    }
    if (!best) break;
    tried[best - a->rows] = true;
    progress_step(p, done + t, done + TRIALS);
    best->kept = false;
    code = try_mixture(j, &q);
    best->kept = !good_enough(j, &q);
  }
  free(tried);
  return code ? code : try_mixture(j, &a->all);
}

/* Few layers that must stay in floats: the fewest of the first in their order, less those that prove not to have to. */
static int search(judge *j) {
  account *a = j->a;
  uint32_t low = 0, high = a->n, steps = 1, done = 0;
  quality q = a->every;
  progress p;
  int code = CLI_OK;
  for (uint32_t n = a->n; n; n /= 2) steps++;
  progress_begin(&p, "searching a mixture of precisions");
  if (good_enough(j, &a->every)) high = 0;
  for (; low < high && !code; done++) {
    uint32_t middle = (low + high) / 2;
    progress_step(&p, done, steps);
    code = try_first(j, middle, &q);
    if (!code && good_enough(j, &q)) high = middle;
    else low = middle + 1;
  }
  if (!code) code = try_first(j, high, &a->all);
  if (!code && high > 1) code = readmit(j, &p, done);
  progress_end(&p);
  return code;
}

/* How many rounds hold so many items. */
static size_t rounds_for(const feed *f, size_t items) {
  size_t n = (items + f->batch - 1) / f->batch;
  return n < f->rounds ? n : f->rounds;
}

/* Without single layers: the noisiest output first. */
static int noisiest_first(const void *a, const void *b) {
  const account_row *x = a, *y = b;
  return by_damage(-x->accumulated, -y->accumulated, x->layer, y->layer);
}

int account_make(cli *c, const hone_model *m, const hone_calibration *k, const quant_setup *s, account_aim aim, account *a) {
  const account_options *o = s->account;
  judge j = {.c = c, .m = m, .k = k, .s = s->session, .q = s->quant, .a = a};
  feed_options from = quant_feed(s->quant, s->feed);
  hone_model *layers = NULL;
  *a = (account){.aim = aim};
  if (o->evaluate) from = *s->feed, from.inputs = (arg_list){(const char **)(uintptr_t)&o->evaluate, 1};
  int code = aim == AIM_DROP ? account_limit(o, &a->limit) : CLI_OK;
  if (!code && o->labels) code = truths_read(o->labels, &j.truths);
  if (!code) code = feed_open(c, m, &from, s->images, &j.f);
  if (!code && o->labels) code = truths_check(&j.truths, &j.f);
  if (!code) {
    a->rounds = aim == AIM_AUTO ? rounds_for(&j.f, AUTO_ITEMS) : j.f.rounds;
    j.probes = aim == AIM_AUTO ? rounds_for(&j.f, PROBE_ITEMS) : j.f.rounds;
  }
  hone_status st = code ? HONE_OK : hone_model_clone(m, &layers);
  if (st) code = cli_fail_hone(c->cx, st);
  if (!code) code = list_rows(&j, layers);
  if (!code) code = run_original(&j);
  if (!code) code = all_together(&j);
  bool single = aim != AIM_AUTO || !good_enough(&j, &a->every);
  if (!code && single) code = one_by_one(&j);
  if (!code) qsort(a->rows, a->n, sizeof *a->rows, !single ? noisiest_first : aim == AIM_AUTO ? dearest_first : worst_first);
  if (!code && single && aim != AIM_NONE) code = search(&j);
  if (!code) code = time_runs(&j);
  for (size_t r = 0; r < a->rounds && !code; r++) a->examples += feed_items(&j.f, r);
  for (size_t i = 0; j.want && i < a->rounds * j.outputs; i++) tensor_free(&j.want[i]);
  free(j.want);
  feed_close(&j.f);
  truths_free(&j.truths);
  hone_model_destroy(&layers);
  if (code) account_free(a);
  return code;
}

/* The layers kept are noted in the calibration. */
static int settle(cli *c, const account *a, hone_calibration *k) {
  hone_status st = hone_calibration_keep(k, NULL);
  for (uint32_t i = 0; i < a->n && !st; i++)
    if (a->rows[i].kept) st = hone_calibration_keep(k, a->rows[i].name);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

static bool has_examples(const quant_setup *s) { return quant_examples(s->quant) || s->account->evaluate || s->feed->inputs.n; }

int account_calibrate(cli *c, hone_model *m, const quant_setup *s, bool report, quant_outcome *r, hone_calibration **k, account *a) {
  int code = quant_prepare(c, m, s->quant);
  if (!code) code = quant_calibrate(c, m, s, r, k);
  if (code || !*k) return code;
  bool open = !s->account->uniform && !report && has_examples(s) && !hone_calibration_keeps(*k, NULL);
  account_aim aim = s->account->max_drop ? AIM_DROP : open ? AIM_AUTO : AIM_NONE;
  if (report || aim != AIM_NONE) code = account_make(c, m, *k, s, aim, a);
  if (!code && aim != AIM_NONE) code = settle(c, a, *k);
  if (!code && s->quant->cache && (!r->cached || aim != AIM_NONE)) {
    hone_status st = hone_calibration_save(*k, s->quant->cache);
    if (st) code = cli_fail_hone(c->cx, st);
  }
  return code;
}

void account_free(account *a) {
  for (uint32_t i = 0; i < a->n; i++) {
    free(a->rows[i].name);
    free(a->rows[i].op);
    free(a->rows[i].tensor);
  }
  free(a->rows);
  *a = (account){0};
}
