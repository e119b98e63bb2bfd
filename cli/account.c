/* account.c - what lower precision costs and gains. */
#include "account.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "table.h"

const arg_option account_option_rows[] = {
    {"evaluate", 0, ARG_TEXT, offsetof(account_options, evaluate), "SOURCE",
     "What accuracy is measured with, as --input takes it (default: what it is calibrated with).", 0, 0},
    {"labels", 0, ARG_TEXT, offsetof(account_options, labels), "FILE", "Lines 'FILENAME LABEL': measure accuracy with them.", 0, 0},
    {"max-drop", 0, ARG_TEXT, offsetof(account_options, max_drop), "P%",
     "Leave as many layers in floats as it takes to lose no more: of accuracy with labels, else of the agreement of the best class, "
     "else of the outputs (root mean square).", 0, 0},
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
  account *a;
} judge;

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

static size_t best_class(const tensor *t, size_t item, size_t items, size_t k, size_t *best) {
  hone_tensor_info info;
  size_t first, n;
  info_of(t, &info);
  item_scores(&info, item, items, &first, &n);
  if (k > n) k = n;
  top_k((const char *)t->data + first * hone_dtype_size(t->dtype), t->dtype, n, k, best);
  return k;
}

static void judge_classes(const judge *j, const tensor *want, const tensor *got, size_t round, quality *q) {
  size_t items = feed_items(&j->f, round);
  for (size_t i = 0; i < items; i++) {
    size_t before[1], after[5];
    best_class(want, i, items, 1, before);
    size_t n = best_class(got, i, items, 5, after);
    const char *path = j->truths.n ? feed_item_path(&j->f, round, i) : NULL;
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

static double relative_error(const difference *d) {
  double square = d->norm_a + d->norm_b - 2 * d->dot;
  return d->norm_b > 0 ? sqrt(fmax(square, 0) / d->norm_b) : 0;
}

/* Runs a model on all rounds. */
static int judge_model(judge *j, const hone_model *m, quality *q) {
  hone_session *s = NULL;
  difference *d = cli_alloc(j->outputs, sizeof *d);
  *q = (quality){.cosine = 1};
  int code = session_open(j->c, m, j->s, &s);
  for (size_t r = 0; !code && r < j->a->rounds; r++) {
    code = run_round(j, s, r);
    for (uint32_t i = 0; !code && i < j->outputs; i++) {
      tensor got = {0};
      const tensor *want = &j->want[r * j->outputs + i];
      code = copy_output(j, s, i, &got);
      if (!code && got.count == want->count) difference_add(&d[i], got.dtype, got.data, want->data, got.count);
      if (!code && i == 0 && j->a->classifier) judge_classes(j, want, &got, r, q);
      tensor_free(&got);
    }
  }
  for (uint32_t i = 0; !code && i < j->outputs; i++) {
    q->error = fmax(q->error, relative_error(&d[i]));
    q->cosine = fmin(q->cosine, difference_cosine(&d[i]));
    if (d[i].max_abs >= q->d.max_abs) q->d = d[i];
  }
  hone_session_destroy(&s);
  free(d);
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
  if (!code && j->outputs) j->a->classifier = has_scores(&j->want[0], feed_items(&j->f, 0));
  hone_session_destroy(&s);
  return code;
}

/* ---------------------------------------------------------------------------------------------- layers */

static int quantized(judge *j, const bool *keep, hone_model **m, hone_quantize_result *r) {
  hone_quantize_options o;
  hone_quantize_options_init(&o);
  o.precision = (hone_precision)j->q->precision;
  o.keep = keep;
  o.keep_count = j->a->layers;
  hone_status st = hone_model_clone(j->m, m);
  if (!st) st = hone_model_quantize(*m, j->k, &o, r);
  return st ? cli_fail_hone(j->c->cx, st) : CLI_OK;
}

static bool is_product(const char *op) {
  return strncmp(op, "Conv+", 5) == 0 || strcmp(op, "Conv") == 0 || strncmp(op, "MatMul", 6) == 0 || strncmp(op, "Gemm", 4) == 0;
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
    for (uint32_t k = 0; k < a->layers; k++) keep[k] = k != row->layer;
    code = quantized(j, keep, &m, &r);
    if (!code) code = judge_model(j, m, &row->alone);
    if (!code) code = compare_tensors(j, m, &row, 1, &row->sqnr);
    hone_model_destroy(&m);
  }
  progress_end(&p);
  free(keep);
  return code;
}

/* Milliseconds of every layer, the least of some runs; by name. */
static int time_layers(judge *j, const hone_model *m, double sign) {
  enum { RUNS = 5 };
  account *a = j->a;
  hone_session *s = NULL;
  double *least = cli_alloc(a->n, sizeof *least);
  int code = session_open(j->c, m, j->s, &s);
  if (!code) hone_session_set_profile(s, true);
  for (int run = 0; run <= RUNS && !code; run++) {
    code = run_round(j, s, 0);
    for (uint32_t i = 0; i < hone_session_step_count(s) && !code && run; i++) {
      hone_step_info info;
      if (hone_session_step_info(s, i, &info) || !*info.name) continue;
      for (uint32_t k = 0; k < a->n; k++)
        if (strcmp(a->rows[k].name, info.name) == 0 && (run == 1 || info.last_ms < least[k])) least[k] = info.last_ms;
    }
  }
  for (uint32_t k = 0; k < a->n; k++) a->rows[k].saved_ms += sign * least[k];
  hone_session_destroy(&s);
  free(least);
  return code;
}

static int all_together(judge *j) {
  account *a = j->a;
  hone_model *m = NULL;
  hone_quantize_result r;
  double *db = cli_alloc(a->n, sizeof *db);
  account_row **rows = cli_alloc(a->n, sizeof *rows);
  for (uint32_t i = 0; i < a->n; i++) rows[i] = &a->rows[i];
  int code = quantized(j, NULL, &m, &r);
  if (!code) code = judge_model(j, m, &a->all);
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

static int worst_first(const void *a, const void *b) {
  const account_row *x = a, *y = b;
  if (x->alone.error != y->alone.error) return x->alone.error < y->alone.error ? 1 : -1;
  return x->layer < y->layer ? -1 : x->layer > y->layer;
}

static int try_mixture(judge *j, uint32_t kept, quality *q) {
  account *a = j->a;
  hone_model *m = NULL;
  hone_quantize_result r;
  a->kept = kept;
  for (uint32_t i = 0; i < a->n; i++) a->rows[i].kept = i < kept;
  if (kept == a->n) return judge_model(j, j->m, q);
  bool *keep = account_kept(a);
  int code = quantized(j, keep, &m, &r);
  if (!code) code = judge_model(j, m, q);
  hone_model_destroy(&m);
  free(keep);
  return code;
}

/* The fewest of the worst layers that must stay in floats. */
static int search(judge *j, double limit) {
  account *a = j->a;
  uint32_t low = 0, high = a->n, steps = 1;
  quality q = a->all;
  progress p;
  int code = CLI_OK;
  for (uint32_t n = a->n; n; n /= 2) steps++;
  progress_begin(&p, "searching a mixture of precisions");
  if (quality_drop(a, &a->all) <= limit) high = 0;
  for (uint32_t done = 0; low < high && !code; done++) {
    uint32_t middle = (low + high) / 2;
    progress_step(&p, done, steps);
    code = try_mixture(j, middle, &q);
    if (!code && quality_drop(a, &q) <= limit) high = middle;
    else low = middle + 1;
  }
  progress_end(&p);
  return code ? code : try_mixture(j, high, &a->all);
}

int account_make(cli *c, const hone_model *m, const hone_calibration *k, const quant_options *q, const account_options *o, const feed_options *fo,
                 const image_options *images, const session_options *s, account *a) {
  double limit = 0;
  judge j = {.c = c, .m = m, .k = k, .s = s, .q = q, .a = a};
  feed_options from = quant_feed(q, fo);
  hone_model *layers = NULL;
  *a = (account){0};
  if (o->evaluate) from.inputs = (arg_list){(const char **)(uintptr_t)&o->evaluate, 1};
  int code = o->max_drop ? account_limit(o, &limit) : CLI_OK;
  if (!code && o->labels) code = truths_read(o->labels, &j.truths);
  if (!code) code = feed_open(c, m, &from, images, &j.f);
  if (!code && o->labels) code = truths_check(&j.truths, &j.f);
  a->rounds = j.f.rounds;
  hone_status st = code ? HONE_OK : hone_model_clone(m, &layers);
  if (st) code = cli_fail_hone(c->cx, st);
  if (!code) code = list_rows(&j, layers);
  if (!code) code = run_original(&j);
  if (!code) code = all_together(&j);
  if (!code) code = one_by_one(&j);
  if (!code) qsort(a->rows, a->n, sizeof *a->rows, worst_first);
  if (!code && o->max_drop) code = search(&j, limit);
  for (size_t i = 0; j.want && i < a->rounds * j.outputs; i++) tensor_free(&j.want[i]);
  free(j.want);
  feed_close(&j.f);
  truths_free(&j.truths);
  hone_model_destroy(&layers);
  if (code) account_free(a);
  return code;
}

bool *account_kept(const account *a) {
  bool *keep = cli_alloc(a->layers, sizeof *keep);
  for (uint32_t i = 0; i < a->n; i++) keep[a->rows[i].layer] = a->rows[i].kept;
  return keep;
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

void account_print(const account *a) {
  static const char *const heads[] = {"LAYER", "OPERATOR", "RANGE", "SCALE", "SQNR", "OUTPUTS ALONE", "SQNR OF ALL", "SAVES MS", ""};
  table *t = table_make("llrrrrrrl");
  for (int i = 0; i < 9; i++) table_cell(t, "%s", heads[i]);
  for (uint32_t i = 0; i < a->n; i++) {
    const account_row *r = &a->rows[i];
    table_cell(t, "%s", r->name);
    table_cell(t, "%s", r->op);
    table_cell(t, "%.4g..%.4g", (double)r->low, (double)r->high);
    table_cell(t, "%.4g", (double)r->scale);
    table_cell(t, "%.1f dB", r->sqnr);
    table_cell(t, "%.3g%%", 100 * r->alone.error);
    table_cell(t, "%.1f dB", r->accumulated);
    table_cell(t, "%.3f", r->saved_ms);
    table_cell(t, "%s", r->kept ? "stays in floats" : "");
  }
  table_print(t, 0);
  table_free(t);
  const quality *q = &a->all;
  printf("\n%u of %u layers quantized: outputs differ by %.3g%% (root mean square), cosine %.6f\n", a->n - a->kept, a->n, 100 * q->error, q->cosine);
  if (a->classifier && q->items)
    printf("%zu items: the same best class in %.2f%%, among the best five in %.2f%%\n", q->items, 100 * (double)q->top1 / (double)q->items,
           100 * (double)q->top5 / (double)q->items);
  if (q->labelled)
    printf("%zu labels: top-1 %.2f%% before, %.2f%% after\n", q->labelled, 100 * (double)q->right_before / (double)q->labelled,
           100 * (double)q->right / (double)q->labelled);
}
