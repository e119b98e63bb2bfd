/* account.c - what lower precision costs and gains. */
#include "account.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mixture.h"

const arg_option account_option_rows[] = {
    {"evaluate", 0, ARG_LIST, offsetof(account_options, evaluate), "[NAME=]SOURCE",
     "What accuracy is measured with, as --input takes it (default: what it is calibrated with). Once for every input of the model.", 0, 0},
    {"labels", 0, ARG_TEXT, offsetof(account_options, labels), "FILE", "Lines 'FILENAME LABEL': measure accuracy with them.", 0, 0},
    {"max-drop", 0, ARG_TEXT, offsetof(account_options, max_drop), "P%",
     "Leave as many layers in floats as it takes to lose no more: of accuracy with labels, else of the agreement of the best class, "
     "else of the outputs (root mean square).", 0, 0},
    {"no-mixed", 0, ARG_FLAG, offsetof(account_options, uniform), "",
     "Quantize every layer. Without this and --max-drop, the layers that cost most for the time they save, and those that are no faster, stay "
     "in floats if the outputs on any of the examples have a cosine below 0.994 to those of floats (a classifier's and a sequence's on all "
     "together below 0.998), or their best class is another for more than 1% (of a sequence's steps 0.5%).", 0, 0},
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

/* ---------------------------------------------------------------------------------------------- layers */

static bool is_product(const char *op) {
  return strncmp(op, "Conv+", 5) == 0 || strcmp(op, "Conv") == 0 || strncmp(op, "ConvTranspose", 13) == 0 || strncmp(op, "MatMul", 6) == 0 || strncmp(op, "Gemm", 4) == 0;
}

static uint32_t kind_of(const account *a, hone_precision p) {
  uint32_t k = 0;
  while (k < account_floats(a) && a->kinds[k] != p) k++;
  return k;
}

/* What is wanted, what else is offered or noted already, and single precision. */
static void list_kinds(const judge *j, hone_model *m, account *a) {
  const hone_precision between[] = {HONE_PRECISION_BF16, HONE_PRECISION_F16};
  unsigned in = j->q->precision.others;
  hone_layer_info l;
  hone_precision p;
  for (uint32_t i = 0; i < hone_model_layer_count(m) && !hone_model_layer_info(m, i, &l); i++)
    if (hone_calibration_assigned(j->k, l.name, &p)) in |= 1u << p;
  a->kinds[a->n_kinds++] = (hone_precision)j->q->precision.first;
  for (size_t i = 0; i < sizeof between / sizeof *between; i++)
    if (in >> between[i] & 1) a->kinds[a->n_kinds++] = between[i];
  a->kinds[a->n_kinds++] = HONE_PRECISION_F32;
}

/* The layers that may be quantized: those that are when all others are kept. */
static int list_rows(judge *j, hone_model *m) {
  account *a = j->a;
  a->layers = hone_model_layer_count(m);
  list_kinds(j, m, a);
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
    hone_precision p;
    r->settled = hone_calibration_assigned(j->k, l.name, &p);
    r->kind = r->settled ? kind_of(a, p) : 0;
    a->kept += r->kind == account_floats(a);
    a->n++;
  }
  return a->n ? CLI_OK : cli_fail("nothing to quantize: no convolution or matrix product of floats outside of branches and loops has an input with a range (--fix decides a branch)");
}

static double decibels(const difference *d) {
  double noise = d->norm_a + d->norm_b - 2 * d->dot;
  return noise > 0 && d->norm_b > 0 ? fmin(10 * log10(d->norm_b / noise), 200) : 200;
}

/* Ratio of signal to noise of tensors that two models share, on the first round. */
static int compare_some_tensors(judge *j, const hone_model *low, account_row *const *rows, uint32_t n, double *db) {
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
  if (!code) code = judge_round(j, s, 0);
  if (!code) code = judge_round(j, t, 0);
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

/* Few at a time: all that a large model makes at once takes as much memory as a run that keeps every tensor. */
static int compare_tensors(judge *j, const hone_model *low, account_row *const *rows, uint32_t n, double *db) {
  enum { AT_ONCE = 8 };
  int code = CLI_OK;
  for (uint32_t i = 0; i < n && !code; i += AT_ONCE) code = compare_some_tensors(j, low, rows + i, n - i < AT_ONCE ? n - i : AT_ONCE, db + i);
  return code;
}

static int one_by_one(judge *j) {
  account *a = j->a;
  uint32_t kinds = account_floats(a);
  int code = CLI_OK;
  progress p;
  progress_begin(&p, "quantizing layer by layer");
  for (uint32_t i = 0; i < a->n * kinds && !code; i++) {
    hone_model *m = NULL;
    account_row *row = &a->rows[i / kinds];
    uint32_t kind = i % kinds;
    progress_step(&p, i, (size_t)a->n * kinds);
    if (row->settled) continue;
    code = mixture_uniform(j, kind, row, &m);
    if (!code) code = judge_model(j, m, j->probes, &row->in[kind].alone);
    if (!code && !kind && j->a->aim != AIM_AUTO) code = compare_tensors(j, m, &row, 1, &row->sqnr);
    hone_model_destroy(&m);
  }
  progress_end(&p);
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

/* Milliseconds of every layer, by name: the least of some runs, more while other processes disturb them. */
static int time_layers(judge *j, const hone_model *m, uint32_t kind) {
  enum { CALM_RUNS = 5, MOST_RUNS = 50 };
  account *a = j->a;
  hone_session *s = NULL;
  int calm = 0;
  double start = cli_seconds(), *least = cli_alloc(a->n, sizeof *least), *time = cli_alloc(a->n, sizeof *time);
  int code = session_open(j->c, m, j->s, &s);
  if (!code) hone_session_set_profile(s, true);
  for (int run = 0; run <= CALM_RUNS || (run <= MOST_RUNS && calm < CALM_RUNS && cli_seconds() - start < 2); run++) {
    long before = cli_preempted();
    code = judge_round(j, s, 0);
    if (code) break;
    calm += run && cli_preempted() == before;
    memset(time, 0, sizeof *time * a->n);
    for (uint32_t i = 0; i < hone_session_step_count(s) && run; i++) {
      hone_step_info info;
      if (!hone_session_step_info(s, i, &info)) share_time(a, s, i, info.last_ms, time);
    }
    for (uint32_t k = 0; k < a->n; k++)
      if (run == 1 || time[k] < least[k]) least[k] = time[k];
  }
  for (uint32_t k = 0; k < a->n; k++) a->rows[k].in[kind].ms = least[k];
  hone_session_destroy(&s);
  free(least);
  free(time);
  return code;
}

/* A run in floats and one of the result, which may be the same, or as it was timed with every layer in 8 bits. */
static int time_runs(judge *j) {
  account *a = j->a;
  hone_model *m = NULL;
  double ms[2] = {a->ms_floats, a->ms_floats};
  bool first = true; /* all are in the first precision */
  for (uint32_t i = 0; i < a->n; i++) first = first && a->rows[i].kind == 0;
  int code = mixture_tuned(j, &m);
  if (first) ms[1] = a->ms_uniform[0];
  else if (!code && m) code = judge_times(j, j->m, m, ms);
  if (!code) a->ms_floats = ms[0], a->ms_quantized = ms[1];
  hone_model_destroy(&m);
  return code;
}

/* Runs and layers, all layers being in one kind. */
static int time_uniform(judge *j) {
  account *a = j->a;
  int code = time_layers(j, j->m, account_floats(a));
  for (uint32_t k = 0; k < account_floats(a) && !code; k++) {
    hone_model *m = NULL;
    double ms[2];
    code = mixture_uniform(j, k, NULL, &m);
    if (!code) code = judge_tune(j, m);
    if (!code) code = time_layers(j, m, k);
    if (!code) code = judge_times(j, j->m, m, ms);
    if (!code) a->ms_floats = ms[0], a->ms_uniform[k] = ms[1];
    hone_model_destroy(&m);
  }
  return code;
}

static int all_together(judge *j) {
  account *a = j->a;
  hone_model *m = NULL;
  double *db = cli_alloc(a->n, sizeof *db);
  account_row **rows = cli_alloc(a->n, sizeof *rows);
  for (uint32_t i = 0; i < a->n; i++) {
    rows[i] = &a->rows[i];
    rows[i]->sqnr = NAN;
  }
  progress p;
  progress_begin(&p, "fitting weights to examples");
  j->rounding = &p;
  int code = a->kept == a->n ? cli_fail("the calibration keeps every layer in floats") : mixture_uniform(j, 0, NULL, &m);
  j->rounding = NULL; /* what was found is kept */
  progress_end(&p);
  if (!code) code = judge_model(j, m, a->rounds, &a->uniform[0]);
  a->all = a->uniform[0];
  if (!code) code = compare_tensors(j, m, rows, a->n, db);
  for (uint32_t i = 0; i < a->n && !code; i++) a->rows[i].accumulated = db[i];
  hone_model_destroy(&m);
  for (uint32_t k = 1; k < account_floats(a) && !code; k++) {
    code = mixture_uniform(j, k, NULL, &m);
    if (!code) code = judge_model(j, m, a->rounds, &a->uniform[k]);
    hone_model_destroy(&m);
  }
  free(db);
  free(rows);
  return code;
}

/* ---------------------------------------------------------------------------------------------- the account */

static int by_damage(double x, double y, uint32_t layer_x, uint32_t layer_y) {
  if (x != y) return x < y ? 1 : -1;
  return layer_x < layer_y ? -1 : layer_x > layer_y;
}

static int worst_first(const void *a, const void *b) {
  const account_row *x = a, *y = b;
  return by_damage(x->in[0].alone.error, y->in[0].alone.error, x->layer, y->layer);
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
  if (o->evaluate.n) from = *s->feed, from.inputs = o->evaluate, from.option = "evaluate";
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
  if (!code) code = judge_open(&j);
  if (!code) code = all_together(&j);
  bool single = aim != AIM_AUTO || !judge_good(&j, &a->uniform[0]);
  a->tuned = s->tune && single && aim != AIM_NONE; /* where times decide */
  if (!code && a->tuned) code = judge_begin_tuning(&j, s->times);
  if (!code) code = time_uniform(&j);
  if (!code && single) code = one_by_one(&j);
  mixture_price(a);
  if (!code && single && aim != AIM_NONE) code = mixture_search(&j);
  if (!code) qsort(a->rows, a->n, sizeof *a->rows, !single ? noisiest_first : aim == AIM_AUTO ? mixture_dearest_first : worst_first);
  if (!code) code = time_runs(&j);
  for (size_t r = 0; r < a->rounds && !code; r++) a->examples += feed_items(&j.f, r);
  judge_close(&j);
  hone_model_destroy(&layers);
  if (code) account_free(a);
  return code;
}

/* The layers that are not in the first kind are noted in the calibration. */
static int settle(cli *c, const account *a, hone_calibration *k) {
  hone_status st = hone_calibration_assign(k, NULL, HONE_PRECISION_F32);
  for (uint32_t i = 0; i < a->n && !st; i++)
    if (a->rows[i].kind) st = hone_calibration_assign(k, a->rows[i].name, a->kinds[a->rows[i].kind]);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

static bool has_examples(const quant_setup *s) { return quant_examples(s->quant) || s->account->evaluate.n || s->feed->inputs.n; }

int account_calibrate(cli *c, hone_model *m, const quant_setup *s, bool report, quant_outcome *r, hone_calibration **k, account *a) {
  int code = quant_calibrate(c, m, s, r, k);
  if (code || !*k) return code;
  bool open = !s->account->uniform && !report && has_examples(s) && !hone_calibration_assigned(*k, NULL, NULL);
  account_aim aim = s->account->max_drop ? AIM_DROP : open ? AIM_AUTO : AIM_NONE;
  if (report || aim != AIM_NONE) code = account_make(c, m, *k, s, aim, a);
  if (!code && aim != AIM_NONE) code = settle(c, a, *k);
  if (report) r->counts = a->counts;
  r->unsaved = r->unsaved || (s->quant->cache && aim != AIM_NONE);
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
