/* mixture.c - which layers are in which precision. */
#include "mixture.h"

#include <math.h>
#include <stdlib.h>

int mixture_quantize(judge *j, const hone_precision *of, hone_model **m) {
  hone_quantize_options o;
  hone_quantize_result r = {0};
  quant_wishes(j->q, j->s, j->rounding, &o);
  o.layers = of;
  o.layer_count = of ? j->a->layers : 0;
  hone_status st = hone_model_clone(j->m, m);
  if (!st) st = hone_model_quantize(*m, j->k, &o, &r);
  if (r.uncorrected > j->a->counts.uncorrected) j->a->counts = r;
  return st ? cli_fail_hone(j->c->cx, st) : CLI_OK;
}

int mixture_make(judge *j, hone_model **m) {
  account *a = j->a;
  hone_precision *of = cli_alloc(a->layers, sizeof *of);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < a->n; i++) {
    of[a->rows[i].layer] = a->kinds[a->rows[i].kind];
    kept += a->rows[i].kind == account_floats(a);
  }
  a->kept = kept;
  int code = kept < a->n ? mixture_quantize(j, of, m) : CLI_OK;
  free(of);
  return code;
}

int mixture_tuned(judge *j, hone_model **m) {
  int code = mixture_make(j, m);
  return !code && *m ? judge_tune(j, *m) : code;
}

int mixture_uniform(judge *j, uint32_t kind, const account_row *alone, hone_model **m) {
  const account *a = j->a;
  hone_precision *of = cli_alloc(a->layers, sizeof *of);
  for (uint32_t i = 0; i < a->n; i++) {
    const account_row *r = &a->rows[i];
    of[r->layer] = alone ? (r == alone ? a->kinds[kind] : HONE_PRECISION_F32) : r->settled ? a->kinds[r->kind] : a->kinds[kind];
  }
  int code = mixture_quantize(j, of, m);
  free(of);
  return code;
}

/* A layer that saves nothing has so many milliseconds. */
#define LEAST_MS 1e-3

/* Noise by the time it saves. Probabilities show noise only at the borders of classes, a few examples hardly any: a classifier's is what
   moves the lead of its best class. */
void mixture_price(account *a) {
  for (uint32_t i = 0; i < a->n; i++) {
    account_row *r = &a->rows[i];
    for (uint32_t k = 0; k < account_floats(a); k++) r->in[k].noise = a->classifier ? r->in[k].alone.shift : r->in[k].alone.error;
    r->price = r->in[0].noise * r->in[0].noise / fmax(account_saves(a, r, 0), LEAST_MS);
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

/* ---------------------------------------------------------------------------------------------- moves */

/* A layer goes over to a precision that costs less noise and more time. */
typedef struct move {
  account_row *row;
  uint32_t from, to;
  double price; /* noise that it spares, for the time */
} move;

typedef struct moves {
  move *p;
  uint32_t n;
} moves;

static double price_of(const account_row *r, uint32_t from, uint32_t to, bool by_time) {
  double spared = r->in[from].noise * r->in[from].noise - r->in[to].noise * r->in[to].noise;
  return spared / (by_time ? fmax(r->in[to].ms - r->in[from].ms, LEAST_MS) : 1);
}

/* The moves of a row, each dearer than those behind it: a precision that gives less for its time than one further on is passed over. */
static void add_moves(const account *a, account_row *r, bool by_time, moves *m) {
  uint32_t first = m->n, from = 0;
  for (uint32_t to = 1; to < a->n_kinds; to++) {
    if (to < account_floats(a) && r->in[to].noise >= r->in[from].noise) continue;
    while (m->n > first && m->p[m->n - 1].price < price_of(r, from, to, by_time)) from = m->p[--m->n].from;
    m->p[m->n++] = (move){r, from, to, price_of(r, from, to, by_time)};
    from = to;
  }
}

static int dearest_move_first(const void *a, const void *b) {
  const move *x = a, *y = b;
  int by = first_of(x->price, y->price, x->row->layer, y->row->layer);
  return by ? by : x->to < y->to ? -1 : 1;
}

static moves moves_of(account *a, bool by_time) {
  moves m = {.p = cli_alloc((size_t)a->n * a->n_kinds, sizeof *m.p)};
  for (uint32_t i = 0; i < a->n; i++)
    if (!a->rows[i].settled) add_moves(a, &a->rows[i], by_time, &m);
  qsort(m.p, m.n, sizeof *m.p, dearest_move_first);
  return m;
}

/* All in the first precision but for the first n moves. */
static void apply_first(account *a, const moves *m, uint32_t n) {
  for (uint32_t i = 0; i < a->n; i++)
    if (!a->rows[i].settled) a->rows[i].kind = 0;
  for (uint32_t i = 0; i < n; i++) m->p[i].row->kind = m->p[i].to;
}

/* ---------------------------------------------------------------------------------------------- accuracy */

static int try_mixture(judge *j, progress *p, quality *q, bool *good) {
  hone_model *m = NULL;
  int code = mixture_make(j, &m);
  if (!code) code = judge_aim(j, m ? m : j->m, p, q, good);
  hone_model_destroy(&m);
  return code;
}

/* The fewest of the first moves, in their order, that it takes. */
static int find_fewest(judge *j, const moves *m, progress *p) {
  account *a = j->a;
  uint32_t low = 0, high = judge_good(j, &a->uniform[0]) ? 0 : m->n;
  int code = CLI_OK;
  while (low < high && !code) {
    uint32_t middle = (low + high) / 2;
    quality q;
    bool good;
    apply_first(a, m, middle);
    code = try_mixture(j, p, &q, &good);
    if (!code && good) high = middle;
    else low = middle + 1;
  }
  apply_first(a, m, high);
  return code;
}

/* ---------------------------------------------------------------------------------------------- time */

/* Part of a run that a clock may be wrong by. */
#define SAME_TIME 0.004

/* Rows first to last of those in the order of the model. */
static void give(account_row *const *rows, uint32_t first, uint32_t last, uint32_t kind) {
  for (uint32_t i = first; i <= last; i++)
    if (!rows[i]->settled) rows[i]->kind = kind;
}

/* Whether a run takes less time with these rows in precision `kind` than with them in the more exact `other`; the rest of the mixture as it is. */
static int pays(judge *j, account_row *const *rows, uint32_t first, uint32_t last, uint32_t kind, uint32_t other, bool *faster) {
  hone_model *m[2] = {NULL, NULL};
  double ms[2];
  give(rows, first, last, other);
  int code = mixture_tuned(j, &m[0]);
  give(rows, first, last, kind);
  if (!code) code = mixture_tuned(j, &m[1]);
  if (!code) code = judge_times(j, m[0] ? m[0] : j->m, m[1] ? m[1] : j->m, ms);
  *faster = !code && ms[1] < ms[0] * (1 - SAME_TIME);
  for (int i = 0; i < 2; i++) hone_model_destroy(&m[i]);
  return code;
}

/* Layers of one precision that are no faster so than in a more exact one get that. */
static int raise_unless_faster(judge *j, account_row *const *rows, uint32_t first, uint32_t last) {
  uint32_t kind = rows[first]->kind;
  int code = CLI_OK;
  for (uint32_t other = kind + 1; other < j->a->n_kinds && !code; other++) {
    bool faster;
    code = pays(j, rows, first, last, kind, other, &faster);
    if (code || faster) continue;
    give(rows, first, last, other);
    for (uint32_t i = first; i <= last; i++) rows[i]->slow |= rows[i]->settled ? 0 : 1u << kind;
    kind = other;
  }
  return code;
}

static uint32_t *snapshot(const account *a) {
  uint32_t *kinds = cli_alloc(a->n, sizeof *kinds);
  for (uint32_t i = 0; i < a->n; i++) kinds[i] = a->rows[i].kind;
  return kinds;
}

static void restore(account *a, const uint32_t *kinds) {
  for (uint32_t i = 0; i < a->n; i++) a->rows[i].kind = kinds[i];
}

/* The mixture as it is takes the place of *best if it is faster. */
static int challenge(judge *j, hone_model **best, uint32_t **kinds) {
  hone_model *m = NULL;
  double ms[2] = {0, 0};
  int code = mixture_tuned(j, &m);
  if (!code && *kinds) code = judge_times(j, *best ? *best : j->m, m ? m : j->m, ms);
  if (!code && (!*kinds || ms[1] < ms[0])) {
    hone_model *old = *best;
    *best = m;
    m = old;
    free(*kinds);
    *kinds = snapshot(j->a);
  }
  hone_model_destroy(&m);
  return code;
}

/* Two orders: by noise for the time that a layer saves, and by noise alone, which leaves layers that save nothing in a lower precision between
   others and so spares conversions; and all in one of the precisions between. The fastest of these mixtures. */
static int find_fastest(judge *j, const moves *by_price, progress *p) {
  account *a = j->a;
  hone_model *best = NULL;
  uint32_t *kinds = NULL;
  moves by_noise = moves_of(a, false);
  int code = find_fewest(j, by_price, p);
  if (!code) code = challenge(j, &best, &kinds);
  if (!code) code = find_fewest(j, &by_noise, p);
  if (!code) code = challenge(j, &best, &kinds);
  for (uint32_t k = 1; k < account_floats(a) && !code; k++) {
    if (!judge_good(j, &a->uniform[k])) continue;
    for (uint32_t i = 0; i < a->n; i++)
      if (!a->rows[i].settled) a->rows[i].kind = k;
    code = challenge(j, &best, &kinds);
  }
  if (kinds) restore(a, kinds);
  hone_model_destroy(&best);
  free(kinds);
  free(by_noise.p);
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

/* Layers in a lower precision between others pay for conversions on both sides, and stand between layers that would run as one:
   each run of them has to be faster than it is in a more exact one. */
static int drop_slow(judge *j, account_row *const *rows) {
  account *a = j->a;
  int code = CLI_OK;
  for (uint32_t i = 0, last; i < a->n && !code; i = last + 1) {
    for (last = i; last + 1 < a->n && rows[last + 1]->kind == rows[i]->kind; last++) {}
    code = raise_unless_faster(j, rows, i, last);
  }
  return code;
}

/* Layers that are in a more exact precision only since one that costs more, or a slow one, was to: the cheapest first, one by one. */
static int readmit(judge *j, account_row *const *rows, const moves *m, progress *p, uint32_t trials) {
  account *a = j->a;
  int code = CLI_OK;
  for (uint32_t i = m->n; i-- > 0 && trials && !code;) {
    const move *x = &m->p[i];
    account_row *r = x->row;
    quality q;
    bool good;
    uint32_t at = 0;
    if (r->kind != x->to || r->slow >> x->from & 1 || r->in[x->to].ms - r->in[x->from].ms < SAME_TIME * a->ms_floats) continue;
    while (rows[at] != r) at++;
    trials--;
    r->kind = x->from;
    code = try_mixture(j, p, &q, &good);
    r->kind = good ? x->from : x->to;
    if (!code && good) code = raise_unless_faster(j, rows, at, at);
  }
  return code;
}

/* More layers in floats are seldom, but may be, worse than fewer: the mixture is measured as it is, and the dearest move on until it keeps to the aim. */
static int close_mixture(judge *j, const moves *m) {
  account *a = j->a;
  int code = CLI_OK;
  for (uint32_t i = 0; !code; i++) {
    hone_model *made = NULL;
    code = mixture_make(j, &made);
    if (!code) code = judge_model(j, made ? made : j->m, a->rounds, &a->all);
    hone_model_destroy(&made);
    if (code || a->kept == a->n || judge_good(j, &a->all)) break;
    while (i < m->n && m->p[i].row->kind >= m->p[i].to) i++;
    if (i == m->n) break;
    m->p[i].row->kind = m->p[i].to;
  }
  return code;
}

/* Few layers in floats: the fewest of the first moves in an order, those whose lower precision pays for nothing, less those that prove not to have to. */
int mixture_search(judge *j) {
  enum { TRIALS = 20 };
  account *a = j->a;
  moves m = moves_of(a, true);
  size_t steps = TRIALS + 2;
  progress p;
  for (uint32_t n = m.n; n; n /= 2) steps += 2;
  progress_begin(&p, "searching a mixture of precisions");
  p.total = steps * a->rounds;
  int code = find_fastest(j, &m, &p);
  account_row **rows = rows_in_order(a);
  if (!code) code = drop_slow(j, rows);
  if (!code) code = readmit(j, rows, &m, &p, TRIALS);
  progress_end(&p);
  if (!code) code = close_mixture(j, &m);
  free(rows);
  free(m.p);
  return code;
}
