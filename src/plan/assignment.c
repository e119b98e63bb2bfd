/* assignment.c - bucket elimination (Dechter, "Bucket elimination", 1999), mini-buckets for bounds, depth-first branch
 * and bound. */
#include "plan/assignment.h"

#include <math.h>
#include <string.h>

enum { TABLE = 1 << 18, SMALL_TABLE = 1 << 8, DEPTH = 64, SWEEPS = 20 };
static const double work_allowed = 5e8, /* sums of costs and looks at factors, over all branches */
    room_allowed = 1 << 25;             /* entries of tables of one sweep; from there on tables are small */

typedef struct bucket {
  uint32_t variable;
  uint32_t first, n; /* what the variable was in when it was eliminated: in search.taken */
} bucket;

typedef struct search {
  hone_context *cx;
  const hn_assign *a;
  uint32_t n; /* variables */
  size_t limit;
  double room;               /* entries that the sweep has made */
  hn_arena *tables;          /* of the sweep */
  HN_VEC(hn_factor) factors; /* those given, then those made */
  HN_VEC(bool) live;
  HN_VEC(uint32_t) taken;
  HN_VEC(bucket) buckets;
  double *size; /* of the table that eliminating the variable would make; negative: not known */
  bool *gone;
  uint32_t *fixed; /* by branching; HN_NONE: free */
  uint32_t *decoded;
  uint32_t *best;
  double least, open, work;
  hn_assign_result *result;
} search;

/* ------------------------------------------------------------------------------------------- problems */

hone_status hn_assign_create(hone_context *cx, hn_assign *a) {
  *a = (hn_assign){.arena = hn_arena_create()};
  return a->arena ? HONE_OK : hn_nomem(cx);
}

void hn_assign_free(hn_assign *a) {
  hn_vec_free(&a->labels);
  hn_vec_free(&a->factors);
  hn_arena_destroy(a->arena);
  a->arena = NULL;
}

hone_status hn_assign_variable(hone_context *cx, hn_assign *a, uint32_t labels, uint32_t *out) {
  if (!hn_push(&a->labels, labels)) return hn_nomem(cx);
  *out = (uint32_t)a->labels.n - 1;
  return HONE_OK;
}

hone_status hn_assign_factor(hone_context *cx, hn_assign *a, uint32_t n, const uint32_t *variables, double **cost) {
  size_t size = 1;
  for (uint32_t i = 0; i < n; i++) size *= a->labels.p[variables[i]];
  hn_factor f = {.n = n,
                 .variables = hn_arena_memdup(a->arena, variables, n * sizeof *variables),
                 .cost = hn_arena_alloc(a->arena, size * sizeof *f.cost)};
  if (!f.variables || !f.cost || !hn_push(&a->factors, f)) return hn_nomem(cx);
  memset(f.cost, 0, size * sizeof *f.cost);
  *cost = f.cost;
  return HONE_OK;
}

static double factor_cost(const hn_assign *a, const hn_factor *f, const uint32_t *label) {
  size_t at = 0;
  for (uint32_t i = 0; i < f->n; i++) at = at * a->labels.p[f->variables[i]] + label[f->variables[i]];
  return f->cost[at];
}

double hn_assign_cost(const hn_assign *a, const uint32_t *label) {
  double sum = 0;
  for (size_t i = 0; i < a->factors.n; i++) sum += factor_cost(a, &a->factors.p[i], label);
  return sum;
}

static bool has(const hn_factor *f, uint32_t v) {
  for (uint32_t i = 0; i < f->n; i++)
    if (f->variables[i] == v) return true;
  return false;
}

/* The cost of a label of v in a factor with the labels of the others. */
static double cost_with(const hn_assign *a, const hn_factor *f, const uint32_t *label, uint32_t v, uint32_t as) {
  size_t at = 0;
  for (uint32_t i = 0; i < f->n; i++)
    at = at * a->labels.p[f->variables[i]] + (f->variables[i] == v ? as : label[f->variables[i]]);
  return f->cost[at];
}

uint32_t hn_assign_settle(const hn_assign *a, const uint32_t *label, uint32_t v) {
  double least = INFINITY;
  uint32_t best = label[v];
  for (uint32_t l = 0; l < a->labels.p[v]; l++) {
    double sum = 0;
    for (size_t i = 0; i < a->factors.n; i++)
      if (has(&a->factors.p[i], v)) sum += cost_with(a, &a->factors.p[i], label, v, l);
    if (sum < least) least = sum, best = l;
  }
  return best;
}

/* ---------------------------------------------------------------------------------------- elimination */

static hone_status add_factor(search *s, const hn_factor *f) {
  return hn_push(&s->factors, *f) && hn_push(&s->live, true) ? HONE_OK : hn_nomem(s->cx);
}

/* A factor as it is with the labels that are fixed. */
static hone_status restrict_factor(search *s, const hn_factor *f) {
  uint32_t free = 0;
  size_t size = 1;
  for (uint32_t i = 0; i < f->n; i++)
    if (s->fixed[f->variables[i]] == HN_NONE) free++, size *= s->a->labels.p[f->variables[i]];
  if (free == f->n) return add_factor(s, f);
  hn_factor r = {.variables = hn_arena_alloc(s->tables, (free + 1) * sizeof *r.variables),
                 .cost = hn_arena_alloc(s->tables, size * sizeof *r.cost)};
  if (!r.variables || !r.cost) return hn_nomem(s->cx);
  for (uint32_t i = 0; i < f->n; i++)
    if (s->fixed[f->variables[i]] == HN_NONE) r.variables[r.n++] = f->variables[i];
  for (size_t k = 0; k < size; k++) {
    size_t rest = k, at = 0, stride = 1;
    for (uint32_t i = f->n; i-- > 0;) {
      uint32_t v = f->variables[i], labels = s->a->labels.p[v], l = s->fixed[v];
      if (l == HN_NONE) l = (uint32_t)(rest % labels), rest /= labels;
      at += stride * l;
      stride *= labels;
    }
    r.cost[k] = f->cost[at];
  }
  return add_factor(s, &r);
}

/* The variables but x that a group of factors has; *size: of a table over them. */
static uint32_t scope_of(const search *s, const uint32_t *group, uint32_t n, uint32_t x, uint32_t *scope,
                         double *size) {
  uint32_t m = 0;
  *size = 1;
  for (uint32_t i = 0; i < n; i++) {
    const hn_factor *f = &s->factors.p[group[i]];
    for (uint32_t k = 0; k < f->n; k++) {
      uint32_t v = f->variables[k], j = 0;
      while (j < m && scope[j] != v) j++;
      if (v == x || j < m) continue;
      scope[m++] = v;
      *size *= s->a->labels.p[v];
    }
  }
  return m;
}

/* How far each factor's place moves when the label of scope[k] goes up by one; behind them, x's. */
static void find_strides(const search *s, const hn_factor *f, const uint32_t *scope, uint32_t m, uint32_t x,
                         size_t *stride) {
  memset(stride, 0, (m + 1) * sizeof *stride);
  size_t step = 1;
  for (uint32_t i = f->n; i-- > 0;) {
    uint32_t k = 0;
    while (k < m && scope[k] != f->variables[i]) k++;
    if (k < m || f->variables[i] == x) stride[k] = step;
    step *= s->a->labels.p[f->variables[i]];
  }
}

/* The least over x of the sum of a group, as a table over all others. */
static hone_status minimize(search *s, const uint32_t *group, uint32_t n, uint32_t x, const uint32_t *scope, uint32_t m,
                            size_t size) {
  hn_factor out = {.n = m,
                   .variables = hn_arena_memdup(s->tables, scope, m * sizeof *scope),
                   .cost = hn_arena_alloc(s->tables, size * sizeof *out.cost)};
  size_t *stride = hn_arena_alloc(s->tables, (size_t)n * (m + 1) * sizeof *stride),
         *at = hn_arena_alloc(s->tables, n * sizeof *at);
  uint32_t *label = hn_arena_alloc(s->tables, (m + 1) * sizeof *label);
  if ((m && !out.variables) || !out.cost || !stride || !at || !label) return hn_nomem(s->cx);
  memset(at, 0, n * sizeof *at);
  memset(label, 0, (m + 1) * sizeof *label);
  for (uint32_t i = 0; i < n; i++) find_strides(s, &s->factors.p[group[i]], scope, m, x, stride + (size_t)i * (m + 1));
  uint32_t labels = s->a->labels.p[x];
  for (size_t k = 0; k < size; k++) {
    double least = INFINITY;
    for (uint32_t l = 0; l < labels; l++) {
      double sum = 0;
      for (uint32_t i = 0; i < n; i++) sum += s->factors.p[group[i]].cost[at[i] + l * stride[(size_t)i * (m + 1) + m]];
      if (sum < least) least = sum;
    }
    out.cost[k] = least;
    for (uint32_t j = m; j-- > 0;) { /* the next labels of the others */
      bool over = ++label[j] == s->a->labels.p[scope[j]];
      for (uint32_t i = 0; i < n; i++) {
        size_t step = stride[(size_t)i * (m + 1) + j];
        at[i] = over ? at[i] - step * (label[j] - 1) : at[i] + step;
      }
      if (!over) break;
      label[j] = 0;
    }
  }
  s->work += (double)size * labels * n;
  s->room += (double)size;
  return add_factor(s, &out);
}

/* Eliminates x: in one table, or in several which bound it from below. */
static hone_status eliminate(search *s, uint32_t x, uint32_t *most_split, double *most_size) {
  bucket b = {.variable = x, .first = (uint32_t)s->taken.n};
  for (uint32_t i = 0; i < s->factors.n; i++) {
    if (!s->live.p[i] || !has(&s->factors.p[i], x)) continue;
    s->live.p[i] = false;
    if (!hn_push(&s->taken, i)) return hn_nomem(s->cx);
    b.n++;
  }
  s->gone[x] = true;
  if (!hn_push(&s->buckets, b)) return hn_nomem(s->cx);
  uint32_t *scope = hn_arena_alloc(s->tables, (s->n + 1) * sizeof *scope);
  if (!scope) return hn_nomem(s->cx);
  double size, limit = s->room < room_allowed ? (double)s->limit : SMALL_TABLE;
  uint32_t m = scope_of(s, s->taken.p + b.first, b.n, x, scope, &size);
  for (uint32_t k = 0; k < m; k++) s->size[scope[k]] = -1;
  if (!s->result->branches) s->result->reduced[m < 3 ? m : 3]++;
  if (size > limit && size > *most_size) *most_split = x, *most_size = size;
  if (size > limit && !s->result->branches) s->result->split++;
  for (uint32_t from = 0, n; from < b.n; from += n) { /* as many together as the limit lets */
    const uint32_t *group = s->taken.p + b.first + from;
    for (n = b.n - from; n > 1; n--) {
      m = scope_of(s, group, n, x, scope, &size);
      if (size <= limit) break;
    }
    m = scope_of(s, group, n, x, scope, &size);
    HN_TRY(minimize(s, group, n, x, scope, m, (size_t)size));
  }
  return HONE_OK;
}

static double size_without(search *s, uint32_t x, uint32_t *scope, uint32_t *group) {
  uint32_t n = 0;
  double size;
  for (uint32_t i = 0; i < s->factors.n; i++)
    if (s->live.p[i] && has(&s->factors.p[i], x)) group[n++] = i;
  s->work += (double)s->factors.n;
  scope_of(s, group, n, x, scope, &size);
  return size;
}

/* The free variable that is eliminated next; HN_NONE: none is left. */
static uint32_t choose_next(search *s, uint32_t *scope, uint32_t *group) {
  uint32_t best = HN_NONE;
  for (uint32_t v = 0; v < s->n; v++) {
    if (s->gone[v] || s->fixed[v] != HN_NONE) continue;
    if (s->size[v] < 0) s->size[v] = size_without(s, v, scope, group);
    if (best == HN_NONE || s->size[v] < s->size[best]) best = v;
  }
  return best;
}

/* From the last that was eliminated back: each label by what the variable was in, the others being known. */
static void decode(search *s) {
  for (uint32_t v = 0; v < s->n; v++) s->decoded[v] = s->fixed[v] == HN_NONE ? 0 : s->fixed[v];
  for (size_t i = s->buckets.n; i-- > 0;) {
    const bucket *b = &s->buckets.p[i];
    double least = INFINITY;
    uint32_t best = 0;
    for (uint32_t l = 0; l < s->a->labels.p[b->variable]; l++) {
      double sum = 0;
      for (uint32_t k = 0; k < b->n; k++)
        sum += cost_with(s->a, &s->factors.p[s->taken.p[b->first + k]], s->decoded, b->variable, l);
      if (sum < least) least = sum, best = l;
    }
    s->decoded[b->variable] = best;
  }
}

/* All free variables: *bound is what no labels are below, s->decoded labels that come near. *split: the variable whose
   table was the largest that did not fit; HN_NONE: all did, and the decoded labels cost the bound. */
static hone_status sweep(search *s, double *bound, uint32_t *split) {
  uint32_t *scope = hn_calloc(s->n + 1, sizeof *scope), *group = NULL;
  double most = 0;
  s->room = 0;
  hn_arena_destroy(s->tables);
  s->tables = hn_arena_create();
  s->factors.n = s->live.n = s->taken.n = s->buckets.n = 0;
  *bound = 0;
  *split = HN_NONE;
  hone_status st = scope && s->tables ? HONE_OK : hn_nomem(s->cx);
  for (size_t i = 0; i < s->a->factors.n && !st; i++) st = restrict_factor(s, &s->a->factors.p[i]);
  if (!st) {
    group = hn_calloc(s->factors.n + 1, sizeof *group); /* elimination makes no more factors than it takes */
    if (!group) st = hn_nomem(s->cx);
  }
  for (uint32_t v = 0; v < s->n; v++) s->gone[v] = false, s->size[v] = -1;
  for (uint32_t x; !st && (x = choose_next(s, scope, group)) != HN_NONE;) st = eliminate(s, x, split, &most);
  for (size_t i = 0; i < s->factors.n && !st; i++)
    if (s->live.p[i]) *bound += s->factors.p[i].cost[0]; /* what is left has no variables */
  if (!st) decode(s);
  s->result->branches++;
  hn_free(scope);
  hn_free(group);
  return st;
}

/* ------------------------------------------------------------------------------------ branch and bound */

static void keep_better(search *s) {
  double cost = hn_assign_cost(s->a, s->decoded);
  for (int k = 0; k < SWEEPS && cost < INFINITY; k++) {
    for (uint32_t v = 0; v < s->n; v++) s->decoded[v] = hn_assign_settle(s->a, s->decoded, v);
    double now = hn_assign_cost(s->a, s->decoded);
    if (now >= cost) break;
    cost = now;
  }
  if (cost >= s->least) return;
  s->least = cost;
  memcpy(s->best, s->decoded, s->n * sizeof *s->best);
}

static bool no_better(const search *s, double bound) {
  return bound >= s->least - 1e-12 * fabs(s->least);
}

static hone_status branch(search *s, uint32_t depth) {
  double bound;
  uint32_t x;
  HN_TRY(sweep(s, &bound, &x));
  if (no_better(s, bound)) return HONE_OK;
  uint32_t first = x == HN_NONE ? 0 : s->decoded[x];
  keep_better(s);
  if (x == HN_NONE || no_better(s, bound)) return HONE_OK;
  if (depth == DEPTH || s->work > work_allowed) {
    if (bound < s->open) s->open = bound;
    return HONE_OK;
  }
  hone_status st = HONE_OK;
  uint32_t labels = s->a->labels.p[x];
  for (uint32_t l = 0; l < labels && !st; l++) {
    s->fixed[x] = (first + l) % labels;
    st = branch(s, depth + 1);
  }
  s->fixed[x] = HN_NONE;
  return st;
}

hone_status hn_assign_solve(hone_context *cx, const hn_assign *a, uint32_t *label, hn_assign_result *result) {
  hn_assign_result unused;
  search s = {.cx = cx,
              .a = a,
              .n = (uint32_t)a->labels.n,
              .limit = a->limit ? a->limit : TABLE,
              .best = label,
              .open = INFINITY,
              .result = result ? result : &unused};
  *s.result = (hn_assign_result){.cost = 0};
  s.size = hn_calloc(s.n, sizeof *s.size);
  s.gone = hn_calloc(s.n, sizeof *s.gone);
  s.fixed = hn_calloc(s.n, sizeof *s.fixed);
  s.decoded = hn_calloc(s.n, sizeof *s.decoded);
  hone_status st = s.size && s.gone && s.fixed && s.decoded ? HONE_OK : hn_nomem(cx);
  if (!st) {
    for (uint32_t v = 0; v < s.n; v++) s.fixed[v] = HN_NONE;
    s.least = hn_assign_cost(a, label);
    st = branch(&s, 0);
  }
  s.result->cost = s.least;
  s.result->bound = s.open < s.least ? s.open : s.least;
  hn_arena_destroy(s.tables);
  hn_vec_free(&s.factors);
  hn_vec_free(&s.live);
  hn_vec_free(&s.taken);
  hn_vec_free(&s.buckets);
  hn_free(s.size);
  hn_free(s.gone);
  hn_free(s.fixed);
  hn_free(s.decoded);
  return st;
}
