#include "plan/place.h"

#include <regex.h>
#include <string.h>

#include "base/str.h"

enum { RULES = 64, NEAR = 3, WORD = 128 };

typedef struct rule {
  char *text; /* as given */
  regex_t regex;
  uint8_t device;
} rule;

struct hn_place {
  hone_context *cx;
  char *specs; /* of the devices, as given */
  hn_device *devices[HN_MAX_DEVICES];
  uint32_t n_devices;
  rule rules[RULES];
  uint32_t n_rules;
  bool automatic;
  uint8_t *chosen;
  uint32_t n_chosen;
};

/* ------------------------------------------------------------------------------------------ creation */

static hone_status open_devices(hn_place *p, const char *list) {
  p->n_devices = 1;
  while (list && *list) {
    char spec[512];
    size_t n = strcspn(list, ";");
    if (n >= sizeof spec) return hn_fail(p->cx, HONE_BAD_ARG, "the name of a device is too long");
    if (p->n_devices == HN_MAX_DEVICES) return hn_fail(p->cx, HONE_BAD_ARG, "more than %d devices", HN_MAX_DEVICES - 1);
    memcpy(spec, list, n);
    spec[n] = 0;
    list += n + (list[n] == ';');
    if (strcmp(spec, "cpu") == 0) continue; /* it is always there */
    HN_TRY(hn_device_open(p->cx, spec, &p->devices[p->n_devices]));
    p->n_devices++;
  }
  return HONE_OK;
}

static hone_status find_device(const hn_place *p, const char *rule_text, const char *name, uint8_t *device) {
  hn_str s = {0};
  if (strcmp(name, "cpu") == 0) {
    *device = HN_HOST;
    return HONE_OK;
  }
  for (uint32_t d = 1; d < p->n_devices; d++) {
    if (strcmp(p->devices[d]->name, name) == 0 || strcmp(p->devices[d]->kind->name, name) == 0) {
      *device = (uint8_t)d;
      return HONE_OK;
    }
    hn_str_printf(&s, ", %s", p->devices[d]->name);
  }
  hone_status st = hn_fail(p->cx, HONE_BAD_ARG, "rule '%s': the session has no device '%s'; it has cpu%s", rule_text, name, s.p ? s.p : "");
  hn_str_free(&s);
  return st;
}

static hone_status add_rule(hn_place *p, const char *text) {
  char error[128];
  const char *equals = strrchr(text, '=');
  if (strcmp(text, "auto") == 0) {
    p->automatic = true;
    return HONE_OK;
  }
  if (!equals || equals == text) return hn_fail(p->cx, HONE_BAD_ARG, "'%s' is no rule: write REGEX=DEVICE, or auto", text);
  if (p->n_rules == RULES) return hn_fail(p->cx, HONE_BAD_ARG, "more than %d rules", RULES);
  rule *r = &p->rules[p->n_rules];
  HN_TRY(find_device(p, text, equals + 1, &r->device));
  hn_str whole = {0};
  hn_str_printf(&whole, "^(%.*s)$", (int)(equals - text), text);
  if (whole.failed) return hn_nomem(p->cx);
  int bad = regcomp(&r->regex, whole.p, REG_EXTENDED | REG_NOSUB);
  if (bad) regerror(bad, &r->regex, error, sizeof error);
  hn_str_free(&whole);
  if (bad) return hn_fail(p->cx, HONE_BAD_ARG, "rule '%s': %s", text, error);
  p->n_rules++;
  hn_str copy = {0};
  hn_str_add(&copy, text);
  r->text = hn_str_take(&copy);
  return r->text ? HONE_OK : hn_nomem(p->cx);
}

hone_status hn_place_create(hone_context *cx, const char *devices, const char *const *rules, uint32_t n_rules, hn_place **out) {
  hn_place *p = hn_calloc(1, sizeof *p);
  if (!p) return hn_nomem(cx);
  p->cx = cx;
  hn_str specs = {0};
  hn_str_add(&specs, devices ? devices : "");
  p->specs = hn_str_take(&specs);
  hone_status st = p->specs ? open_devices(p, devices) : hn_nomem(cx);
  for (uint32_t i = 0; i < n_rules && !st; i++) st = add_rule(p, rules[i]);
  if (st) {
    hn_place_destroy(p);
    return st;
  }
  *out = p;
  return HONE_OK;
}

void hn_place_destroy(hn_place *p) {
  if (!p) return;
  for (uint32_t i = 0; i < p->n_rules; i++) {
    regfree(&p->rules[i].regex);
    hn_free(p->rules[i].text);
  }
  for (uint32_t d = 1; d < p->n_devices; d++) hn_device_close(p->devices[d]);
  hn_free(p->chosen);
  hn_free(p->specs);
  hn_free(p);
}

/* ------------------------------------------------------------------------------------------ matching */

/* The names a rule may mean: the node's, its operator's, and those of the nodes it was made of. */
static bool matches(const regex_t *r, const hn_node *n) {
  char part[512];
  if (regexec(r, n->name, 0, NULL, 0) == 0 || regexec(r, hn_op_name(n->op), 0, NULL, 0) == 0) return true;
  for (const char *p = n->source; p && *p;) {
    size_t k = strcspn(p, "+");
    if (k < sizeof part) {
      memcpy(part, p, k);
      part[k] = 0;
      if (regexec(r, part, 0, NULL, 0) == 0) return true;
    }
    p += k + (p[k] == '+');
  }
  return false;
}

bool hn_place_rule_for(const hn_place *p, const hn_node *n, uint8_t *device) {
  for (uint32_t i = p->n_rules; i-- > 0;)
    if (matches(&p->rules[i].regex, n)) {
      *device = p->rules[i].device;
      return true;
    }
  return false;
}

/* Letters to change, add or leave out. */
static size_t distance(const char *a, size_t n, const char *b) {
  size_t row[WORD], m = strlen(b);
  if (n >= WORD || m >= WORD) return WORD;
  for (size_t k = 0; k <= m; k++) row[k] = k;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t k = 1; k <= m; k++) {
      size_t least = diagonal + (a[i - 1] != b[k - 1]);
      diagonal = row[k];
      if (row[k] + 1 < least) least = row[k] + 1;
      if (row[k - 1] + 1 < least) least = row[k - 1] + 1;
      row[k] = least;
    }
  }
  return row[m];
}

typedef struct near_name {
  const char *name;
  size_t distance;
} near_name;

static void consider(near_name *list, const char *wanted, size_t n, const char *name) {
  near_name c = {name, distance(wanted, n, name)};
  if (!*name || c.distance > n / 2 + 1) return;
  for (int i = 0; i < NEAR; i++)
    if (list[i].name && strcmp(list[i].name, name) == 0) return;
  for (int i = 0; i < NEAR; i++)
    if (!list[i].name || c.distance < list[i].distance) {
      near_name moved = list[i];
      list[i] = c;
      c = moved;
      if (!c.name) return;
    }
}

static hone_status no_match(const hn_place *p, const rule *r, const hn_graph *g) {
  near_name list[NEAR] = {{NULL, 0}};
  size_t n = (size_t)(strrchr(r->text, '=') - r->text);
  hn_str s = {0};
  for (size_t i = 0; i < g->nodes.n; i++) {
    if (g->nodes.p[i].dead) continue;
    consider(list, r->text, n, g->nodes.p[i].name);
    consider(list, r->text, n, hn_op_name(g->nodes.p[i].op));
  }
  for (int i = 0; i < NEAR && list[i].name; i++) hn_str_printf(&s, "%s'%s'", i ? ", " : "; near to it are ", list[i].name);
  hone_status st = hn_fail(p->cx, HONE_BAD_ARG, "rule '%s' matches no layer and no operator of the model%s", r->text, s.p ? s.p : "");
  hn_str_free(&s);
  return st;
}

hone_status hn_place_check(const hn_place *p, const hn_graph *g) {
  for (uint32_t i = 0; i < p->n_rules; i++) {
    bool found = false;
    for (size_t k = 0; k < g->nodes.n && !found; k++) found = !g->nodes.p[k].dead && matches(&p->rules[i].regex, &g->nodes.p[k]);
    if (!found) return no_match(p, &p->rules[i], g);
  }
  return HONE_OK;
}

/* ------------------------------------------------------------------------------------------- result */

uint32_t hn_place_devices(const hn_place *p, hn_device **devices) {
  memcpy(devices, p->devices, sizeof p->devices);
  return p->n_devices;
}

void hn_place_describe(const hn_place *p, hn_str *out) {
  hn_str_printf(out, ", %s", p->specs);
  for (uint32_t d = 1; d < p->n_devices; d++) {
    const hn_device *on = p->devices[d];
    hone_device_info info = {.name = ""};
    for (uint32_t i = 0; on->kind->describe && on->kind->describe(i, &info); i++, info = (hone_device_info){.name = ""})
      if (strcmp(info.name, on->name) == 0) break;
    if (info.name[0]) hn_str_printf(out, ", %s, %s", info.description, info.features);
  }
}

bool hn_place_automatic(const hn_place *p) { return p->automatic; }

hone_status hn_place_choose(hn_place *p, const uint8_t *of_node, uint32_t n) {
  uint8_t *copy = of_node ? hn_malloc(n) : NULL;
  if (of_node && !copy) return hn_nomem(p->cx);
  if (copy && n) memcpy(copy, of_node, n);
  hn_free(p->chosen);
  p->chosen = copy;
  p->n_chosen = copy ? n : 0;
  return HONE_OK;
}

void hn_place_nodes(const hn_place *p, const hn_graph *g, uint8_t *of_node) {
  for (uint32_t i = 0; i < g->nodes.n; i++) {
    of_node[i] = i < p->n_chosen ? p->chosen[i] : p->n_devices > 1 ? 1 : HN_HOST;
    hn_place_rule_for(p, &g->nodes.p[i], &of_node[i]);
  }
}
