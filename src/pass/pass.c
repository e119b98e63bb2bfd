/* pass.c - selects passes, repeats groups until they are quiet, prints and verifies in between. */
#include "pass/pass.h"

#include <string.h>

#include "op/infer.h"

typedef hone_status (*pass_fn)(hn_pass *p, hn_graph *g);

#define PASS(name, level, group, id, doc) hone_status hn_pass_##id(hn_pass *p, hn_graph *g);
#define RULES(name, level, group, id, doc)    \
  extern const hn_rule hn_rules_##id[];       \
  extern const uint32_t hn_rules_##id##_count;
#include "pass/pass.def"
#undef PASS
#undef RULES

typedef struct pass_row {
  const char *name;
  int32_t level, group;
  pass_fn fn;
  const hn_rule *rules;
  const uint32_t *n_rules;
  const char *doc;
} pass_row;

static const pass_row rows[] = {
#define PASS(name, level, group, id, doc) {name, level, group, hn_pass_##id, NULL, NULL, doc},
#define RULES(name, level, group, id, doc) {name, level, group, NULL, hn_rules_##id, &hn_rules_##id##_count, doc},
#include "pass/pass.def"
#undef PASS
#undef RULES
};
enum { N_PASSES = sizeof rows / sizeof *rows, MAX_ROUNDS = 12 };

bool hn_pass_info(uint32_t index, const char **name, int32_t *level, const char **doc) {
  if (index >= N_PASSES) return false;
  *name = rows[index].name;
  *level = rows[index].level;
  *doc = rows[index].doc;
  return true;
}

const hn_rule *hn_pass_rule(uint32_t pass, uint32_t index) {
  if (pass >= N_PASSES || !rows[pass].rules || index >= *rows[pass].n_rules) return NULL;
  return &rows[pass].rules[index];
}

void hn_report_free(hn_report *r) { hn_vec_free(r); }

hone_status hn_pass_note(hn_pass *p, const char *rule, const char *doc, uint32_t hits, bool exact) {
  if (!hits) return HONE_OK;
  p->changes += hits;
  for (size_t i = 0; i < p->report->n; i++) {
    hone_report_row *r = &p->report->p[i];
    if (strcmp(r->pass, p->name) == 0 && strcmp(r->rule, rule) == 0) {
      r->hits += hits;
      return HONE_OK;
    }
  }
  hone_report_row row = {p->name, rule, doc, hits, exact};
  return hn_push(p->report, row) ? HONE_OK : hn_nomem(p->cx);
}

hone_status hn_pass_each_graph(hn_pass *p, hn_graph *g, hone_status (*f)(hn_pass *p, hn_graph *g)) {
  for (size_t i = 0; i < g->nodes.n; i++) {
    const hn_node *n = &g->nodes.p[i];
    for (uint32_t k = 0; !n->dead && k < n->n_attr; k++)
      if (n->attr[k].type == HN_ATTR_GRAPH) HN_TRY(hn_pass_each_graph(p, n->attr[k].v.graph, f));
  }
  return f(p, g);
}

static hone_status apply_rules(hn_pass *p, hn_graph *g, const pass_row *row) {
  uint32_t n = *row->n_rules, *hits = hn_calloc(n, sizeof *hits);
  if (!hits) return hn_nomem(p->cx);
  hone_status st = hn_rewrite(g, row->rules, n, hits);
  for (uint32_t i = 0; i < n && !st; i++)
    st = hn_pass_note(p, row->rules[i].name, row->rules[i].doc, hits[i], row->rules[i].exact);
  hn_free(hits);
  return st;
}

static hone_status print_after(hn_graph *g, const hone_optimize_options *o, const pass_row *row) {
  if (!o->print_after || !o->print_fn) return HONE_OK;
  if (strcmp(o->print_after, "all") != 0 && strcmp(o->print_after, row->name) != 0) return HONE_OK;
  char *text;
  HN_TRY(hn_graph_print(g, &text));
  o->print_fn(o->print_user, row->name, text);
  hn_free(text);
  return HONE_OK;
}

static hone_status run_one(hn_pass *p, hn_graph *g, const hone_optimize_options *o, const pass_row *row) {
  p->name = row->name;
  p->changes = 0;
  hone_status st = row->rules ? apply_rules(p, g, row) : row->fn(p, g);
  if (!st && g->oom) st = hn_nomem(g->cx);
  if (!st && p->changes) {
    hn_remove_dead(g);
    st = hn_infer_graph(g); /* what became more precise reaches its readers */
  }
  if (!st && o->verify) st = hn_graph_verify(g);
  if (st) return hn_fail_within(g->cx, st, "optimization pass '%s'", row->name);
  return print_after(g, o, row);
}

/* ---- which passes: the level's, or those named */

static size_t distance(const char *a, size_t na, const char *b) { /* edits between two short names */
  size_t row[64], nb = strlen(b);
  if (na >= 64 || nb >= 64) return 64;
  for (size_t j = 0; j <= nb; j++) row[j] = j;
  for (size_t i = 1; i <= na; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[nb];
}

static hone_status unknown_pass(hone_context *cx, const char *name, size_t n) {
  hn_str s = {0};
  size_t best = 4;
  const char *near = NULL;
  for (int i = 0; i < N_PASSES; i++) {
    hn_str_printf(&s, "%s%s", i ? ", " : "", rows[i].name);
    size_t far = distance(name, n, rows[i].name);
    if (far < best) {
      best = far;
      near = rows[i].name;
    }
  }
  hone_status st = hn_fail(cx, HONE_BAD_ARG, "unknown optimization pass '%.*s'%s%s%s; known are: %s", (int)(n > 60 ? 60 : n),
                           name, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", s.p ? s.p : "");
  hn_str_free(&s);
  return st;
}

static int find_pass(const char *name, size_t n) {
  for (int i = 0; i < N_PASSES; i++)
    if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0) return i;
  return -1;
}

static hone_status run_level(hn_pass *p, hn_graph *g, const hone_optimize_options *o) {
  for (int first = 0, end; first < N_PASSES; first = end) {
    for (end = first; end < N_PASSES && rows[end].group == rows[first].group; end++) continue;
    uint32_t changes = 1;
    for (int round = 0; round < MAX_ROUNDS && changes; round++) {
      changes = 0;
      for (int i = first; i < end; i++) {
        if (rows[i].level > o->level) continue;
        HN_TRY(run_one(p, g, o, &rows[i]));
        changes += p->changes;
      }
    }
  }
  return HONE_OK;
}

/* Calls run_one for each name in the list; with g NULL only checks the names. */
static hone_status run_named(hn_pass *p, hn_graph *g, const hone_optimize_options *o) {
  for (const char *s = o->passes; *s;) {
    s += strspn(s, ", ");
    size_t n = strcspn(s, ", ");
    if (!n) break;
    int i = find_pass(s, n);
    if (i < 0) return unknown_pass(p->cx, s, n);
    uint32_t changes = 1;
    for (int round = 0; g && round < MAX_ROUNDS && changes; round++) {
      HN_TRY(run_one(p, g, o, &rows[i]));
      changes = p->changes;
    }
    s += n;
  }
  return HONE_OK;
}

hone_status hn_passes_run(hn_graph *g, const hone_optimize_options *o, hn_eval_fn eval, hn_report *report) {
  hn_pass p = {.cx = g->cx, .eval = eval, .fold_limit = o->fold_limit, .report = report};
  if (o->level < 0 || o->level > 3)
    return hn_fail(g->cx, HONE_BAD_ARG, "optimization level %d; levels are 0 to 3", (int)o->level);
  if (o->print_after && strcmp(o->print_after, "all") != 0 && find_pass(o->print_after, strlen(o->print_after)) < 0)
    return unknown_pass(g->cx, o->print_after, strlen(o->print_after));
  if (!o->passes) return o->level ? run_level(&p, g, o) : HONE_OK;
  HN_TRY(run_named(&p, NULL, o));
  return run_named(&p, g, o);
}
