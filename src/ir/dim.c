/* dim.c - the dimension table: hash-consed polynomials over symbols and opaque operations, integers only.
   An entry is a sum of terms coefficient * product of atoms. Atoms are symbols, or floor-division, minimum and
   maximum of two dimensions; they are entries themselves, in sorted order within a term, and terms are sorted within
   a polynomial: equal polynomials are equal entries. */
#include "ir/dim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/map.h"
#include "base/vec.h"

enum { MAX_TERMS = 16, MAX_DEGREE = 8 };

typedef enum entry_kind { SYMBOL, FLOOR_DIV, MINIMUM, MAXIMUM, POLYNOMIAL } entry_kind;

typedef struct term {
  int64_t c;
  uint32_t n;
  uint32_t atom[MAX_DEGREE]; /* sorted */
} term;

typedef struct entry {
  entry_kind kind;
  bool anonymous;
  const char *name; /* of a symbol */
  const char *text; /* made on demand */
  hn_dim a, b;      /* of an operation */
  hn_dim bound;     /* value of a symbol; HN_DIM_BAD: none */
  term *terms;      /* of a polynomial */
  uint32_t n_terms;
} entry;

struct hn_dims {
  hn_arena *arena;
  HN_VEC(entry) entries;
  uint32_t unknowns;
};

typedef struct poly {
  uint32_t n;
  term t[MAX_TERMS];
} poly;

hn_dims *hn_dims_create(void) {
  hn_dims *t = hn_calloc(1, sizeof *t);
  if (t && !(t->arena = hn_arena_create())) {
    hn_free(t);
    t = NULL;
  }
  return t;
}

void hn_dims_destroy(hn_dims *t) {
  if (!t) return;
  hn_vec_free(&t->entries);
  hn_arena_destroy(t->arena);
  hn_free(t);
}

hn_dims *hn_dims_clone(const hn_dims *from) {
  hn_dims *t = hn_dims_create();
  bool ok = t && hn_reserve(&t->entries, from->entries.n);
  for (size_t i = 0; ok && i < from->entries.n; i++) {
    entry e = from->entries.p[i];
    e.text = NULL;
    if (e.name) ok = (e.name = hn_arena_strdup(t->arena, e.name)) != NULL;
    if (ok && e.n_terms) ok = (e.terms = hn_arena_memdup(t->arena, e.terms, sizeof *e.terms * e.n_terms)) != NULL;
    if (ok) t->entries.p[t->entries.n++] = e;
  }
  if (!ok) {
    hn_dims_destroy(t);
    return NULL;
  }
  t->unknowns = from->unknowns;
  return t;
}

static const entry *entry_of(const hn_dims *t, hn_dim d) {
  return d < 0 && d != HN_DIM_BAD && (uint64_t)(-(d + 1)) < t->entries.n ? &t->entries.p[-(d + 1)] : NULL;
}

static hn_dim add_entry(hn_dims *t, const entry *e) {
  if (!hn_push(&t->entries, *e)) return HN_DIM_BAD;
  return -(hn_dim)t->entries.n;
}

hn_dim hn_dim_symbol(hn_dims *t, const char *name) {
  for (size_t i = 0; i < t->entries.n; i++)
    if (t->entries.p[i].kind == SYMBOL && strcmp(t->entries.p[i].name, name) == 0) return -(hn_dim)(i + 1);
  entry e = {.kind = SYMBOL, .name = hn_arena_strdup(t->arena, name), .bound = HN_DIM_BAD};
  return e.name ? add_entry(t, &e) : HN_DIM_BAD;
}

hn_dim hn_dim_unknown(hn_dims *t) {
  entry e = {.kind = SYMBOL, .anonymous = true, .bound = HN_DIM_BAD};
  e.name = hn_arena_printf(t->arena, "?%u", (unsigned)++t->unknowns);
  return e.name ? add_entry(t, &e) : HN_DIM_BAD;
}

/* ------------------------------------------------------------------------------------- polynomials */

static int term_order(const term *a, const term *b) {
  if (a->n != b->n) return a->n > b->n ? -1 : 1; /* higher degree first, the constant last */
  return memcmp(a->atom, b->atom, sizeof *a->atom * a->n);
}

static bool poly_add_term(poly *p, const term *x) {
  uint32_t i = 0;
  while (i < p->n && term_order(&p->t[i], x) < 0) i++;
  if (i < p->n && term_order(&p->t[i], x) == 0) {
    if (!hn_add_i64(p->t[i].c, x->c, &p->t[i].c)) return false;
    if (p->t[i].c == 0) {
      memmove(&p->t[i], &p->t[i + 1], sizeof *p->t * (p->n - i - 1));
      p->n--;
    }
    return true;
  }
  if (x->c == 0) return true;
  if (p->n == MAX_TERMS) return false;
  memmove(&p->t[i + 1], &p->t[i], sizeof *p->t * (p->n - i));
  p->t[i] = *x;
  p->n++;
  return true;
}

static bool to_poly(const hn_dims *t, hn_dim d, poly *p) {
  memset(p, 0, sizeof *p);
  if (d >= 0) return poly_add_term(p, &(term){.c = d});
  const entry *e = entry_of(t, d);
  if (!e) return false;
  if (e->kind == POLYNOMIAL) {
    p->n = e->n_terms;
    memcpy(p->t, e->terms, sizeof *p->t * e->n_terms);
    return true;
  }
  return poly_add_term(p, &(term){.c = 1, .n = 1, .atom = {(uint32_t)(-(d + 1))}});
}

static hn_dim from_poly(hn_dims *t, const poly *p) {
  if (p->n == 0) return 0;
  if (p->n == 1 && p->t[0].n == 0) return p->t[0].c >= 0 ? p->t[0].c : HN_DIM_BAD;
  if (p->n == 1 && p->t[0].n == 1 && p->t[0].c == 1) return -(hn_dim)p->t[0].atom[0] - 1;
  for (size_t i = 0; i < t->entries.n; i++) {
    const entry *e = &t->entries.p[i];
    if (e->kind != POLYNOMIAL || e->n_terms != p->n) continue;
    uint32_t k = 0;
    while (k < p->n && e->terms[k].c == p->t[k].c && term_order(&e->terms[k], &p->t[k]) == 0) k++;
    if (k == p->n) return -(hn_dim)(i + 1);
  }
  entry e = {.kind = POLYNOMIAL, .n_terms = p->n, .bound = HN_DIM_BAD};
  e.terms = hn_arena_memdup(t->arena, p->t, sizeof *p->t * p->n);
  for (uint32_t i = 0; i < p->n; i++)
    for (uint32_t k = 0; k < p->t[i].n; k++) e.anonymous |= t->entries.p[p->t[i].atom[k]].anonymous;
  return e.terms ? add_entry(t, &e) : HN_DIM_BAD;
}

static hn_dim or_unknown(hn_dims *t, bool ok, const poly *p) {
  hn_dim d = ok ? from_poly(t, p) : HN_DIM_BAD;
  return d == HN_DIM_BAD && !ok ? hn_dim_unknown(t) : d;
}

static hn_dim sum(hn_dims *t, hn_dim a, hn_dim b, int64_t sign) {
  poly p, q;
  if (a == HN_DIM_BAD || b == HN_DIM_BAD) return HN_DIM_BAD;
  bool ok = to_poly(t, a, &p) && to_poly(t, b, &q);
  for (uint32_t i = 0; ok && i < q.n; i++) {
    q.t[i].c *= sign;
    ok = poly_add_term(&p, &q.t[i]);
  }
  return or_unknown(t, ok, &p);
}

hn_dim hn_dim_add(hn_dims *t, hn_dim a, hn_dim b) {
  int64_t r;
  if (a >= 0 && b >= 0) return hn_add_i64(a, b, &r) ? r : HN_DIM_BAD;
  return sum(t, a, b, 1);
}

hn_dim hn_dim_sub(hn_dims *t, hn_dim a, hn_dim b) {
  if (a >= 0 && b >= 0) return a >= b ? a - b : HN_DIM_BAD;
  return sum(t, a, b, -1);
}

static bool term_product(const term *a, const term *b, term *r) {
  *r = (term){.n = a->n + b->n};
  if (r->n > MAX_DEGREE || !hn_mul_i64(a->c, b->c, &r->c)) return false;
  for (uint32_t i = 0, j = 0, k = 0; k < r->n; k++)
    r->atom[k] = j == b->n || (i < a->n && a->atom[i] <= b->atom[j]) ? a->atom[i++] : b->atom[j++];
  return true;
}

hn_dim hn_dim_mul(hn_dims *t, hn_dim a, hn_dim b) {
  int64_t r;
  if (a == HN_DIM_BAD || b == HN_DIM_BAD) return HN_DIM_BAD;
  if (a >= 0 && b >= 0) return hn_mul_i64(a, b, &r) ? r : HN_DIM_BAD;
  poly p, q, out = {0};
  bool ok = to_poly(t, a, &p) && to_poly(t, b, &q);
  for (uint32_t i = 0; ok && i < p.n; i++)
    for (uint32_t j = 0; ok && j < q.n; j++) {
      term x;
      ok = term_product(&p.t[i], &q.t[j], &x) && poly_add_term(&out, &x);
    }
  return or_unknown(t, ok, &out);
}

static hn_dim operation(hn_dims *t, entry_kind kind, hn_dim a, hn_dim b) {
  for (size_t i = 0; i < t->entries.n; i++)
    if (t->entries.p[i].kind == kind && t->entries.p[i].a == a && t->entries.p[i].b == b) return -(hn_dim)(i + 1);
  entry e = {.kind = kind, .a = a, .b = b, .bound = HN_DIM_BAD};
  e.anonymous = hn_dim_anonymous(t, a) || hn_dim_anonymous(t, b);
  return add_entry(t, &e);
}

/* x / y when y divides it exactly */
static bool term_quotient(const term *x, const term *y, term *r) {
  if (y->c == 0 || x->c % y->c) return false;
  *r = (term){.c = x->c / y->c};
  uint32_t j = 0;
  for (uint32_t i = 0; i < x->n; i++)
    if (j < y->n && x->atom[i] == y->atom[j]) j++;
    else r->atom[r->n++] = x->atom[i];
  return j == y->n;
}

/* x with a = x * b, where x is one term and b a sum; HN_DIM_BAD: there is none. */
static hn_dim whole_multiple(hn_dims *t, hn_dim a, hn_dim b) {
  poly p, q, out = {0};
  term x;
  if (!to_poly(t, a, &p) || !to_poly(t, b, &q) || q.n < 2 || p.n != q.n || !term_quotient(&p.t[0], &q.t[0], &x) || !poly_add_term(&out, &x)) return HN_DIM_BAD;
  hn_dim quotient = from_poly(t, &out);
  return quotient != HN_DIM_BAD && hn_dim_mul(t, quotient, b) == a ? quotient : HN_DIM_BAD;
}

hn_dim hn_dim_div(hn_dims *t, hn_dim a, hn_dim b) {
  if (a == HN_DIM_BAD || b == HN_DIM_BAD || b == 0) return HN_DIM_BAD;
  if (a >= 0 && b >= 0) return a / b;
  if (b == 1) return a;
  if (a == b) return 1;
  poly p, q, out = {0};
  bool ok = to_poly(t, a, &p) && to_poly(t, b, &q) && q.n == 1;
  for (uint32_t i = 0; ok && i < p.n; i++) {
    term x;
    ok = term_quotient(&p.t[i], &q.t[0], &x) && poly_add_term(&out, &x);
  }
  if (ok) return from_poly(t, &out);
  hn_dim multiple = whole_multiple(t, a, b);
  return multiple != HN_DIM_BAD ? multiple : operation(t, FLOOR_DIV, a, b);
}

hn_dim hn_dim_ceil_div(hn_dims *t, hn_dim a, hn_dim b) {
  if (a >= 0 && b > 0) return a / b + (a % b != 0);
  hn_dim exact = hn_dim_div(t, a, b);
  const entry *e = entry_of(t, exact);
  if (!e || e->kind != FLOOR_DIV) return exact;
  return hn_dim_div(t, hn_dim_add(t, a, hn_dim_sub(t, b, 1)), b);
}

hn_dim hn_dim_min(hn_dims *t, hn_dim a, hn_dim b) {
  if (a == HN_DIM_BAD || b == HN_DIM_BAD) return HN_DIM_BAD;
  if (a >= 0 && b >= 0) return a < b ? a : b;
  return a == b ? a : operation(t, MINIMUM, a, b);
}

hn_dim hn_dim_max(hn_dims *t, hn_dim a, hn_dim b) {
  if (a == HN_DIM_BAD || b == HN_DIM_BAD) return HN_DIM_BAD;
  if (a >= 0 && b >= 0) return a > b ? a : b;
  return a == b ? a : operation(t, MAXIMUM, a, b);
}

bool hn_dim_is_symbol(const hn_dims *t, hn_dim d) {
  const entry *e = entry_of(t, d);
  return e && e->kind == SYMBOL;
}

bool hn_dim_anonymous(const hn_dims *t, hn_dim d) {
  const entry *e = entry_of(t, d);
  return e && e->anonymous;
}

void hn_dim_bind(hn_dims *t, hn_dim symbol, hn_dim value) {
  if (hn_dim_is_symbol(t, symbol)) t->entries.p[-(symbol + 1)].bound = value;
}

hn_dim hn_dim_eval(hn_dims *t, hn_dim d) {
  const entry *found = entry_of(t, d);
  if (!found) return d;
  entry e = *found; /* the table may move below */
  if (e.kind == SYMBOL) return e.bound == HN_DIM_BAD ? d : e.bound;
  if (e.kind != POLYNOMIAL) {
    hn_dim a = hn_dim_eval(t, e.a), b = hn_dim_eval(t, e.b);
    return e.kind == FLOOR_DIV ? hn_dim_div(t, a, b) : e.kind == MINIMUM ? hn_dim_min(t, a, b) : hn_dim_max(t, a, b);
  }
  /* positive terms first, so that a difference is not negative on the way */
  hn_dim plus = 0, minus = 0;
  for (uint32_t i = 0; i < e.n_terms; i++) {
    hn_dim x = e.terms[i].c < 0 ? -e.terms[i].c : e.terms[i].c;
    for (uint32_t k = 0; k < e.terms[i].n; k++) x = hn_dim_mul(t, x, hn_dim_eval(t, -(hn_dim)e.terms[i].atom[k] - 1));
    if (e.terms[i].c < 0) minus = hn_dim_add(t, minus, x);
    else plus = hn_dim_add(t, plus, x);
  }
  return hn_dim_sub(t, plus, minus);
}

/* --------------------------------------------------------------------------------------------- text */

static void write_dim(hn_dims *t, hn_dim d, hn_str *s);

static void write_poly(hn_dims *t, const entry *e, hn_str *s) {
  for (uint32_t i = 0; i < e->n_terms; i++) {
    const term *x = &e->terms[i];
    if (i || x->c < 0) hn_str_add(s, x->c < 0 ? "-" : "+");
    int64_t c = x->c < 0 ? -x->c : x->c;
    if (c != 1 || !x->n) hn_str_printf(s, "%lld%s", (long long)c, x->n ? "*" : "");
    for (uint32_t k = 0; k < x->n; k++) {
      if (k) hn_str_add(s, "*");
      write_dim(t, -(hn_dim)x->atom[k] - 1, s);
    }
  }
}

static void write_dim(hn_dims *t, hn_dim d, hn_str *s) {
  const entry *e = entry_of(t, d);
  if (!e) {
    hn_str_printf(s, d == HN_DIM_BAD ? "!" : "%lld", (long long)d);
  } else if (e->kind == SYMBOL) {
    hn_str_add(s, e->name);
  } else if (e->kind == POLYNOMIAL) {
    write_poly(t, e, s);
  } else {
    hn_str_add(s, e->kind == FLOOR_DIV ? "floor(" : e->kind == MINIMUM ? "min(" : "max(");
    write_dim(t, e->a, s);
    hn_str_add(s, ",");
    write_dim(t, e->b, s);
    hn_str_add(s, ")");
  }
}

const char *hn_dim_text(hn_dims *t, hn_dim d) {
  const entry *e = entry_of(t, d);
  if (e && e->text) return e->text;
  hn_str s = {0};
  write_dim(t, d, &s);
  const char *text = s.failed ? NULL : hn_arena_strdup(t->arena, s.p ? s.p : "");
  hn_str_free(&s);
  if (e && text) t->entries.p[-(d + 1)].text = text;
  return text ? text : "?";
}

typedef struct reader {
  hn_dims *t;
  const char *p;
  int depth;
} reader;

static hn_dim read_sum(reader *r);

static bool name_char(char c) {
  return c && !strchr("+-*(), ", c);
}

static hn_dim read_atom(reader *r) {
  static const struct { const char *name; entry_kind kind; } ops[] = {{"floor(", FLOOR_DIV}, {"min(", MINIMUM}, {"max(", MAXIMUM}};
  for (size_t i = 0; i < 3; i++) {
    if (strncmp(r->p, ops[i].name, strlen(ops[i].name)) != 0) continue;
    r->p += strlen(ops[i].name);
    if (++r->depth > 32) return HN_DIM_BAD;
    hn_dim a = read_sum(r);
    if (*r->p++ != ',') return HN_DIM_BAD;
    hn_dim b = read_sum(r);
    if (*r->p++ != ')') return HN_DIM_BAD;
    r->depth--;
    return ops[i].kind == FLOOR_DIV ? hn_dim_div(r->t, a, b)
           : ops[i].kind == MINIMUM ? hn_dim_min(r->t, a, b) : hn_dim_max(r->t, a, b);
  }
  const char *begin = r->p;
  while (name_char(*r->p)) r->p++;
  size_t n = (size_t)(r->p - begin);
  char name[128];
  if (!n || n >= sizeof name) return HN_DIM_BAD;
  memcpy(name, begin, n);
  name[n] = 0;
  if (strspn(name, "0123456789") == n) return n < 19 ? strtoll(name, NULL, 10) : HN_DIM_BAD;
  hn_dim d = hn_dim_symbol(r->t, name);
  if (name[0] == '?' && d != HN_DIM_BAD) {
    r->t->entries.p[-(d + 1)].anonymous = true;
    unsigned long k = strtoul(name + 1, NULL, 10);
    if (k < UINT32_MAX / 2 && k > r->t->unknowns) r->t->unknowns = (uint32_t)k;
  }
  return d;
}

static hn_dim read_sum(reader *r) {
  hn_dim plus = 0, minus = 0;
  bool negative = *r->p == '-';
  if (negative) r->p++;
  for (;;) {
    hn_dim x = read_atom(r);
    while (x != HN_DIM_BAD && *r->p == '*') {
      r->p++;
      hn_dim y = read_atom(r);
      x = y == HN_DIM_BAD ? y : hn_dim_mul(r->t, x, y);
    }
    if (x == HN_DIM_BAD) return x;
    if (negative) minus = hn_dim_add(r->t, minus, x);
    else plus = hn_dim_add(r->t, plus, x);
    if (*r->p != '+' && *r->p != '-') break;
    negative = *r->p++ == '-';
  }
  return minus == 0 ? plus : hn_dim_sub(r->t, plus, minus);
}

hn_dim hn_dim_parse(hn_dims *t, const char *text) {
  reader r = {t, text, 0};
  hn_dim d = read_sum(&r);
  return *r.p ? HN_DIM_BAD : d;
}

/* ------------------------------------------------------------------------------------------- shapes */

hn_shape hn_shape_of(int32_t rank, const hn_dim *d) {
  hn_shape s = {.rank = rank};
  for (int32_t i = 0; i < rank; i++) s.d[i] = d[i];
  return s;
}

bool hn_shape_fixed(const hn_shape *s) {
  for (int32_t i = 0; i < s->rank; i++)
    if (!hn_dim_fixed(s->d[i])) return false;
  return s->rank >= 0;
}

bool hn_shape_equal(const hn_shape *a, const hn_shape *b) {
  if (a->rank < 0 || a->rank != b->rank) return false;
  for (int32_t i = 0; i < a->rank; i++)
    if (a->d[i] != b->d[i]) return false;
  return true;
}

bool hn_shape_count(const hn_shape *s, int64_t *n) {
  int64_t r = 1;
  if (!hn_shape_fixed(s)) return false;
  for (int32_t i = 0; i < s->rank; i++)
    if (!hn_mul_i64(r, s->d[i], &r)) return false;
  *n = r;
  return true;
}

hn_dim hn_shape_product(hn_dims *t, const hn_shape *s, int32_t from, int32_t to) {
  hn_dim r = 1;
  for (int32_t i = from; i < to; i++) r = hn_dim_mul(t, r, s->d[i]);
  return r;
}

void hn_shape_text(hn_dims *t, const hn_shape *s, hn_str *out) {
  if (s->rank < 0) hn_str_add(out, "*");
  for (int32_t i = 0; i < s->rank; i++) hn_str_printf(out, "%s%s", i ? "x" : "", hn_dim_text(t, s->d[i]));
}
