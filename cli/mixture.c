/* mixture.c - which layers are in 8 bits and which in floats. */
#include "mixture.h"

#include <math.h>
#include <stdlib.h>

int mixture_quantize(judge *j, const bool *keep, hone_model **m) {
  hone_quantize_options o;
  hone_quantize_result r;
  quant_wishes(j->q, j->s, j->rounding, &o);
  o.keep = keep;
  o.keep_count = j->a->layers;
  hone_status st = hone_model_clone(j->m, m);
  if (!st) st = hone_model_quantize(*m, j->k, &o, &r);
  return st ? cli_fail_hone(j->c->cx, st) : CLI_OK;
}

int mixture_make(judge *j, hone_model **m) {
  account *a = j->a;
  bool *keep = cli_alloc(a->layers, sizeof *keep);
  a->kept = 0;
  for (uint32_t i = 0; i < a->n; i++) {
    keep[a->rows[i].layer] = a->rows[i].kept;
    a->kept += a->rows[i].kept;
  }
  int code = a->kept < a->n ? mixture_quantize(j, keep, m) : CLI_OK;
  free(keep);
  return code;
}

/* Noise by the time it saves; a layer that saves nothing has a thousandth of a millisecond. Probabilities show noise only at the borders of
   classes, a few examples hardly any: a classifier's is what moves the lead of its best class. */
void mixture_price(account *a) {
  for (uint32_t i = 0; i < a->n; i++) {
    account_row *r = &a->rows[i];
    r->noise = a->classifier ? r->alone.shift : r->alone.error;
    r->price = r->noise * r->noise / fmax(r->saved_ms, 1e-3);
  }
}

static int first_of(double x, double y, uint32_t layer_x, uint32_t layer_y) {
  if (x != y) return x < y ? 1 : -1;
  return layer_x < layer_y ? -1 : layer_x > layer_y;
}

int mixture_dearest_first(const void *a, const void *b) {
  const account_row *x = a, *y = b;
  return first_of(x->price, y->price, x->layer, y->layer);
}

static int noisiest_first(const void *a, const void *b) {
  const account_row *x = a, *y = b;
  return first_of(x->noise, y->noise, x->layer, y->layer);
}

/* ---------------------------------------------------------------------------------------------- accuracy */

static int try_mixture(judge *j, progress *p, quality *q, bool *good) {
  hone_model *m = NULL;
  int code = mixture_make(j, &m);
  if (!code) code = judge_aim(j, m ? m : j->m, p, q, good);
  hone_model_destroy(&m);
  return code;
}

static void keep_first(account *a, uint32_t n) {
  for (uint32_t i = 0; i < a->n; i++) a->rows[i].kept = a->rows[i].settled || i < n;
}

/* The fewest of the first, in their order, that must stay in floats. */
static int find_fewest(judge *j, progress *p) {
  account *a = j->a;
  uint32_t low = 0, high = judge_good(j, &a->every) ? 0 : a->n;
  int code = CLI_OK;
  while (low < high && !code) {
    uint32_t middle = (low + high) / 2;
    quality q;
    bool good;
    keep_first(a, middle);
    code = try_mixture(j, p, &q, &good);
    if (!code && good) high = middle;
    else low = middle + 1;
  }
  keep_first(a, high);
  return code;
}

/* ---------------------------------------------------------------------------------------------- time */

/* Marks rows first to last of those in the order of the model. */
static void mark(account_row *const *rows, uint32_t first, uint32_t last, bool kept) {
  for (uint32_t i = first; i <= last; i++)
    if (!rows[i]->settled) rows[i]->kept = kept;
}

/* Part of a run that a clock may be wrong by. */
#define SAME_TIME 0.004

/* Rows that stay in floats, against the same in 8 bits; the rest of the mixture as it is. */
static int pays(judge *j, account_row *const *rows, uint32_t first, uint32_t last, bool *faster) {
  hone_model *floats = NULL, *low = NULL;
  double ms[2];
  mark(rows, first, last, true);
  int code = mixture_make(j, &floats);
  mark(rows, first, last, false);
  if (!code) code = mixture_make(j, &low);
  if (!code) code = judge_times(j, floats ? floats : j->m, low, ms);
  *faster = !code && ms[1] < ms[0] * (1 - SAME_TIME);
  hone_model_destroy(&floats);
  hone_model_destroy(&low);
  return code;
}

/* Layers in 8 bits that are no faster so stay in floats. */
static int keep_unless_faster(judge *j, account_row *const *rows, uint32_t first, uint32_t last) {
  bool faster;
  int code = pays(j, rows, first, last, &faster);
  if (code || faster) return code;
  mark(rows, first, last, true);
  for (uint32_t i = first; i <= last; i++) rows[i]->slow = !rows[i]->settled;
  return code;
}

static bool *snapshot(const account *a) {
  bool *keep = cli_alloc(a->layers, sizeof *keep);
  for (uint32_t i = 0; i < a->n; i++) keep[a->rows[i].layer] = a->rows[i].kept;
  return keep;
}

/* Two orders: by noise for the time that a layer saves, and by noise alone, which leaves layers that save nothing in 8 bits between others
   and so spares conversions. The faster mixture of the two. */
static int find_faster(judge *j, progress *p) {
  account *a = j->a;
  hone_model *m[2] = {NULL, NULL};
  bool *kept[2] = {NULL, NULL};
  double ms[2] = {0, 0};
  int code = CLI_OK;
  for (int i = 1; i >= 0 && !code; i--) { /* ends in the order of prices */
    qsort(a->rows, a->n, sizeof *a->rows, i ? noisiest_first : mixture_dearest_first);
    code = find_fewest(j, p);
    kept[i] = snapshot(a);
    if (!code) code = mixture_make(j, &m[i]);
  }
  if (!code) code = judge_times(j, m[0] ? m[0] : j->m, m[1] ? m[1] : j->m, ms);
  for (uint32_t i = 0; i < a->n && !code; i++) a->rows[i].kept = kept[ms[1] < ms[0]][a->rows[i].layer];
  for (int i = 0; i < 2; i++) {
    hone_model_destroy(&m[i]);
    free(kept[i]);
  }
  return code;
}

static int in_order(const void *a, const void *b) {
  const account_row *x = *(account_row *const *)a, *y = *(account_row *const *)b;
  return x->layer < y->layer ? -1 : x->layer > y->layer;
}

static account_row **rows_in_order(account *a) {
  account_row **rows = cli_alloc(a->n, sizeof *rows);
  for (uint32_t i = 0; i < a->n; i++) rows[i] = &a->rows[i];
  qsort(rows, a->n, sizeof *rows, in_order);
  return rows;
}

/* Layers in 8 bits between others in floats pay for conversions on both sides, and stand between layers that would run as one:
   each run of them has to be faster than it is in floats. */
static int drop_slow(judge *j, account_row *const *rows) {
  account *a = j->a;
  int code = CLI_OK;
  for (uint32_t i = 0, last; i < a->n && !code; i = last + 1) {
    for (last = i; last + 1 < a->n && rows[last + 1]->kept == rows[i]->kept; last++) {}
    if (!rows[i]->kept) code = keep_unless_faster(j, rows, i, last);
  }
  return code;
}

/* Layers that stay in floats only since one that costs more, or a slow one, was to: the cheapest first, one by one. */
static int readmit(judge *j, account_row *const *rows, progress *p, uint32_t trials) {
  account *a = j->a;
  int code = CLI_OK;
  for (uint32_t i = a->n; i-- > 0 && trials && !code;) {
    account_row *r = &a->rows[i];
    quality q;
    bool good;
    uint32_t at = 0;
    if (!r->kept || r->settled || r->slow || r->saved_ms < SAME_TIME * a->ms_floats) continue;
    while (rows[at] != r) at++;
    trials--;
    r->kept = false;
    code = try_mixture(j, p, &q, &good);
    r->kept = !good;
    if (!code && good) code = keep_unless_faster(j, rows, at, at);
  }
  return code;
}

/* Fewer layers in 8 bits are seldom, but may be, worse than more: the mixture is measured as it is, and the dearest go until it keeps to the aim. */
static int close_mixture(judge *j) {
  account *a = j->a;
  int code = CLI_OK;
  for (uint32_t i = 0; !code; i++) {
    hone_model *m = NULL;
    code = mixture_make(j, &m);
    if (!code) code = judge_model(j, m ? m : j->m, a->rounds, &a->all);
    hone_model_destroy(&m);
    if (a->kept == a->n || judge_good(j, &a->all)) break;
    while (a->rows[i].kept) i++;
    a->rows[i].kept = true;
  }
  return code;
}

/* Few layers in floats: the fewest of the first in an order, those whose 8 bits pay for nothing, less those that prove not to have to. */
int mixture_search(judge *j) {
  enum { TRIALS = 20 };
  account *a = j->a;
  size_t steps = TRIALS + 2;
  progress p;
  for (uint32_t n = a->n; n; n /= 2) steps += 2;
  progress_begin(&p, "searching a mixture of precisions");
  p.total = steps * a->rounds;
  int code = find_faster(j, &p);
  account_row **rows = rows_in_order(a);
  if (!code) code = drop_slow(j, rows);
  if (!code) code = readmit(j, rows, &p, TRIALS);
  progress_end(&p);
  if (!code) code = close_mixture(j);
  free(rows);
  return code;
}
