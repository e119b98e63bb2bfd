/* match.c - does a pattern match at a node? Choices (the order of commutative inputs, nodes that may be left out)
   are numbered in the order they are met; a failed attempt is repeated with the last open choice taken the other
   way, until one succeeds or none is open. */
#include <math.h>
#include <string.h>

#include "rewrite/rewrite.h"

enum { MAX_CHOICES = 12 };

typedef struct attempt {
  hn_match *m;
  bool choice[MAX_CHOICES];
  uint32_t known, used; /* choices fixed from the attempt before, choices met so far */
  hn_id inside[HN_MATCH_NODES]; /* values that may only be used by matched nodes */
  uint32_t n_inside;
} attempt;

static bool choose(attempt *a) {
  if (a->used == MAX_CHOICES) return false;
  if (a->used == a->known) a->choice[a->known++] = false;
  return a->choice[a->used++];
}

/* Takes the last choice not yet taken the other way; false: all were tried. */
static bool next_attempt(attempt *a) {
  a->known = a->used;
  while (a->known && a->choice[a->known - 1]) a->known--;
  if (!a->known) return false;
  a->choice[a->known - 1] = true;
  return true;
}

static bool capture(hn_match *m, uint8_t slot, hn_id value, hn_id node) {
  if (!slot) return true;
  if (m->value[slot] != HN_NONE && m->value[slot] != value) return false;
  m->value[slot] = value;
  if (node != HN_NONE) m->node[slot] = node;
  return true;
}

static bool is_number(const hn_graph *g, hn_id value, double num) {
  double x;
  if (!hn_scalar_of(g, value, &x)) return false;
  if ((double)(float)num == num) return x == num;
  return fabs(x - num) <= 5e-4 * fabs(num);
}

static bool op_fits(const hn_pattern *p, hn_op op) {
  if (!p->set) return p->op == op;
  for (const hn_op *s = p->set; *s != HN_OP_NONE; s++)
    if (*s == op) return true;
  return false;
}

static bool match_value(attempt *a, const hn_pattern *p, hn_id value);

static bool match_node(attempt *a, const hn_pattern *p, hn_id id) {
  hn_match *m = a->m;
  const hn_node *n = hn_node_at(m->g, id);
  if (n->dead || !op_fits(p, n->op) || !n->n_out || (n->n_post && !(p->flags & HN_PATTERN_POST))) return false;
  if (m->n_nodes == HN_MATCH_NODES || !capture(m, p->slot, n->out[0], id)) return false;
  m->nodes[m->n_nodes++] = id;
  uint32_t given = 0;
  while (given < HN_PATTERN_INPUTS && p->in[given]) given++;
  if (!given) return true;
  for (uint32_t i = given; i < n->n_main; i++)
    if (n->in[i] != HN_NONE) return false;
  bool swap = given == 2 && hn_op_is(n->op, HN_OP_COMMUTATIVE) && choose(a);
  for (uint32_t i = 0; i < given; i++)
    if (!match_value(a, p->in[i], hn_in(n, swap ? 1 - i : i))) return false;
  return true;
}

static bool match_value(attempt *a, const hn_pattern *p, hn_id value) {
  hn_match *m = a->m;
  if (value == HN_NONE) return p->flags & HN_PATTERN_MAYBE;
  switch (p->kind) {
    case HN_PATTERN_CONST:
      if (!hn_const(m->g, value)) return false;
      break;
    case HN_PATTERN_SCALAR: {
      double x;
      if (!hn_scalar_of(m->g, value, &x)) return false;
      break;
    }
    case HN_PATTERN_NUM:
      if (!is_number(m->g, value, p->num)) return false;
      break;
    case HN_PATTERN_ANY: break;
    case HN_PATTERN_NODE: {
      if (p->flags & HN_PATTERN_SKIP && choose(a)) return match_value(a, p->in[0], value);
      hn_id id = hn_producer(m->g, value);
      if (id == HN_NONE || hn_value_at(m->g, value)->producer_out) return false;
      if (!(p->flags & HN_PATTERN_SHARED)) {
        if (a->n_inside == HN_MATCH_NODES) return false;
        a->inside[a->n_inside++] = value;
      }
      return match_node(a, p, id);
    }
  }
  return capture(m, p->slot, value, HN_NONE);
}

static bool was_matched(const hn_match *m, hn_id node) {
  for (uint32_t i = 0; i < m->n_nodes; i++)
    if (m->nodes[i] == node) return true;
  return false;
}

static bool private_inside(const attempt *a) {
  for (uint32_t i = 0; i < a->n_inside; i++) {
    const hn_value *v = hn_value_at(a->m->g, a->inside[i]);
    for (uint32_t k = 0; k < v->n_users; k++)
      if (!was_matched(a->m, v->users[k])) return false;
    if (hn_is_output(a->m->g, a->inside[i])) return false;
  }
  return true;
}

bool hn_match_at(hn_graph *g, const hn_rule *rule, hn_id node, hn_match *m) {
  attempt a = {.m = m};
  do {
    memset(m, 0, sizeof *m);
    m->g = g;
    m->root = m->keep = node;
    for (int i = 0; i < HN_SLOTS; i++) m->value[i] = m->node[i] = HN_NONE;
    a.used = a.n_inside = 0;
    if (match_node(&a, rule->pattern, node) && private_inside(&a) && (!rule->guard || rule->guard(m))) return true;
  } while (next_attempt(&a));
  return false;
}
