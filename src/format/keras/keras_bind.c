/* keras_bind.c - which weights of the file are whose. */
#include <ctype.h>
#include <string.h>

#include "format/keras/keras.h"

/* ---- one word of a row's list of weights, see keras_layers.def */

typedef struct word {
  const char *object, *name, *flag;
  size_t n_object, n_name, n_flag;
  char kind;      /* '+': there if the flag has a value, '!': if it has none */
  bool otherwise; /* what the flag is when the configuration does not say */
} word;

static bool next_word(const char **p, word *w) {
  const char *s = *p + strspn(*p, " ");
  size_t n = strcspn(s, " "), colon = strcspn(s, ":"), end = strcspn(s, "? ");
  if (!n) return false;
  *w = (word){.otherwise = true};
  *p = s + n;
  if (colon < n) w->object = s, w->n_object = colon, s += colon + 1, n -= colon + 1, end -= colon + 1;
  w->name = s;
  w->n_name = end;
  if (end == n) return true;
  w->flag = s + end + 1;
  w->n_flag = n - end - 1;
  if (*w->flag == '!' || *w->flag == '+') w->kind = *w->flag, w->flag++, w->n_flag--;
  if (w->flag[w->n_flag - 1] == '-') w->otherwise = false, w->n_flag--;
  return true;
}

static bool wanted(const kr_layer *l, const word *w) {
  char flag[40];
  if (!w->flag || w->n_flag >= sizeof flag) return true;
  memcpy(flag, w->flag, w->n_flag);
  flag[w->n_flag] = 0;
  return w->kind ? kj_has(l->config, flag) == (w->kind == '+') : kj_bool(l->config, flag, w->otherwise);
}

static hone_status note_missing(keras *k, const kr_layer *l, const word *w) {
  hn_str_printf(&k->missing, "%s%s/%.*s%s%.*s", k->missing.n ? ", " : "", l->full, (int)w->n_object, w->object ? w->object : "",
                w->object ? "/" : "", (int)w->n_name, w->name);
  return k->missing.failed ? hn_nomem(k->cx) : HONE_OK;
}

/* ---- Keras 3: by place */

/* Regular words of a class name: "Conv2DTranspose" is "conv2d_transpose", "LeakyReLU" is "leaky_re_lu". A capital
   followed by small letters starts a word; then a capital behind a small letter does. */
static const char *snake_case(hn_arena *a, const char *name) {
  hn_str words = {0}, split = {0};
  for (const char *p = name; *p;) {
    hn_str_addn(&words, p, 1);
    if (!isupper((unsigned char)p[1]) || !islower((unsigned char)p[2])) {
      p++;
      continue;
    }
    hn_str_add(&words, "_");
    hn_str_addn(&words, ++p, 1);
    for (p++; islower((unsigned char)*p); p++) hn_str_addn(&words, p, 1);
  }
  for (const char *p = words.p ? words.p : ""; *p; p++) {
    hn_str_addn(&split, p, 1);
    if (islower((unsigned char)p[0]) && isupper((unsigned char)p[1])) hn_str_add(&split, "_");
  }
  char *result = split.failed || words.failed ? NULL : hn_arena_strdup(a, split.p ? split.p : "");
  for (char *p = result; p && *p; p++) *p = (char)tolower((unsigned char)*p);
  hn_str_free(&words);
  hn_str_free(&split);
  return result;
}

static hone_status place_model(keras *k, const kr_model *m, const char *path);

static hone_status place_layer(keras *k, kr_layer *l, const char *path) {
  l->path = path;
  if (!path) return hn_nomem(k->cx);
  if (l->model) HN_TRY(place_model(k, l->model, path));
  for (int i = 0; i < 2 && l->child[i]; i++) {
    const char *attr = !l->child[1] ? "layer" : i ? "backward_layer" : "forward_layer";
    HN_TRY(place_layer(k, l->child[i], hn_arena_printf(k->arena, "%s/%s", path, attr)));
  }
  return HONE_OK;
}

/* Layers are numbered by class; operations have no place among them. */
static hone_status place_model(keras *k, const kr_model *m, const char *path) {
  hn_map used = {0};
  hone_status st = HONE_OK;
  for (size_t i = 0; i < m->n_layers && !st; i++) {
    kr_layer *l = m->layers[i];
    uint32_t n = 0;
    if (l->row && l->row == kr_op_row(l->kind)) continue;
    const char *snake = snake_case(k->arena, l->kind), *slot = snake;
    if (snake && hn_map_get(&used, snake, &n)) slot = hn_arena_printf(k->arena, "%s_%u", snake, (unsigned)++n);
    if (!slot || !hn_map_put(&used, snake, n)) st = hn_nomem(k->cx);
    else st = place_layer(k, l, hn_arena_printf(k->arena, "%s%slayers/%s", path, *path ? "/" : "", slot));
  }
  hn_map_free(&used);
  return st;
}

static hone_status bind_by_place(keras *k, kr_layer *l) {
  const char *p = l->row ? l->row->weights : "", *object = NULL;
  uint32_t slot = 0, at = 0;
  word w;
  for (; next_word(&p, &w); slot++) {
    if (!wanted(l, &w)) continue;
    const char *inner = w.object ? hn_arena_printf(k->arena, "%s/%.*s", l->path, (int)w.n_object, w.object) : l->path;
    if (!inner) return hn_nomem(k->cx);
    if (!object || strcmp(object, inner) != 0) at = 0;
    object = inner;
    HN_TRY(kr_store_path(&k->store, inner, at, &l->w[slot]));
    if (!l->w[slot] && w.object) { /* attributes may be private ones */
      const char *hidden = hn_arena_printf(k->arena, "%s/_%.*s", l->path, (int)w.n_object, w.object);
      if (!hidden) return hn_nomem(k->cx);
      HN_TRY(kr_store_path(&k->store, hidden, at, &l->w[slot]));
    }
    if (!l->w[slot]) HN_TRY(note_missing(k, l, &w));
    at++;
  }
  return HONE_OK;
}

/* ---- Keras 2: by owner, name and order */

static hone_status own_layer(keras *k, kr_layer *l, const char *top);

static hone_status own_model(keras *k, const kr_model *m, const char *top) {
  for (size_t i = 0; i < m->n_layers; i++) HN_TRY(own_layer(k, m->layers[i], top ? top : m->layers[i]->name));
  return HONE_OK;
}

/* Enters the layers that own weights: a wrapper owns what it wraps. A layer of the outermost model owns its whole
   group: its name there is "". */
static hone_status own_layer(keras *k, kr_layer *l, const char *top) {
  uint32_t taken;
  bool grouped = k->store.form == KR_GROUPS, outermost = strcmp(l->full, top) == 0;
  l->top = top;
  if (l->model) return own_model(k, l->model, top);
  if (l->child[0] && l->child[0]->model) return own_model(k, l->child[0]->model, top);
  const char *key = grouped ? hn_arena_printf(k->arena, "%s\n%s", top, outermost ? "" : l->name) : l->name;
  if (!key) return hn_nomem(k->cx);
  return hn_map_get(&k->owners, key, &taken) || hn_map_put(&k->owners, key, l->index) ? HONE_OK : hn_nomem(k->cx);
}

/* The layer whose name is the longest run of components in the weight's path. */
static bool owner_of(keras *k, const kr_entry *e, uint32_t *owner) {
  bool grouped = k->store.form == KR_GROUPS, found = false;
  size_t best = 0;
  const char *whole = grouped ? hn_arena_printf(k->arena, "%s\n", e->group) : NULL;
  if (whole && hn_map_get(&k->owners, whole, owner)) return true;
  for (const char *from = e->path; from; from = strchr(from, '/') ? strchr(from, '/') + 1 : NULL)
    for (const char *to = strchr(from, '/'); to; to = strchr(to + 1, '/')) {
      size_t n = (size_t)(to - from);
      uint32_t index;
      const char *key = grouped ? hn_arena_printf(k->arena, "%s\n%.*s", e->group, (int)n, from) : hn_arena_strndup(k->arena, from, n);
      if (n > best && key && hn_map_get(&k->owners, key, &index)) best = n, *owner = index, found = true;
    }
  return found;
}

static void distribute(keras *k) {
  for (uint32_t i = 0; i < k->store.entries.n; i++) {
    uint32_t owner;
    if (!owner_of(k, &k->store.entries.p[i], &owner)) continue;
    kr_layer *l = k->layers.p[owner];
    if (l->first == HN_NONE) l->first = i;
    else k->store.entries.p[l->last].next = i;
    l->last = i;
  }
}

/* A wrapper's weights go to what it wraps: Bidirectional's first half runs forward. */
static void hand_down(keras *k, kr_layer *l) {
  uint32_t n = 0, i = l->first;
  if (!l->child[0] || l->first == HN_NONE) return;
  for (; i != HN_NONE; i = k->store.entries.p[i].next) n++;
  l->child[0]->first = l->first;
  l->child[0]->last = l->last;
  if (!l->child[1] || n < 2) return;
  i = l->first;
  for (uint32_t half = n / 2; half > 1; half--) i = k->store.entries.p[i].next;
  l->child[1]->first = k->store.entries.p[i].next;
  l->child[1]->last = l->last;
  l->child[0]->last = i;
  k->store.entries.p[i].next = HN_NONE;
}

/* Is the last component of the path this name, or this name with a number ("kernel_1")? */
static bool named(const char *path, const word *w) {
  const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
  if (strncmp(last, w->name, w->n_name) != 0) return false;
  last += w->n_name;
  return !*last || (*last == '_' && strspn(last + 1, "0123456789") == strlen(last + 1));
}

/* The only one of that name, or else the one in that place. */
static uint32_t find_entry(const keras *k, const kr_layer *l, const word *w, uint32_t place) {
  uint32_t by_name = HN_NONE, by_place = HN_NONE, n = 0, hits = 0;
  for (uint32_t i = l->first; i != HN_NONE; i = k->store.entries.p[i].next, n++) {
    if (named(k->store.entries.p[i].path, w)) by_name = i, hits++;
    if (n == place) by_place = i;
  }
  return hits == 1 ? by_name : by_place;
}

static hone_status bind_by_name(keras *k, kr_layer *l) {
  const char *p = l->row ? l->row->weights : "";
  uint32_t slot = 0, place = 0;
  word w;
  for (; next_word(&p, &w); slot++) {
    if (!wanted(l, &w)) continue;
    uint32_t i = find_entry(k, l, &w, place++);
    hn_tensor *t;
    if (i == HN_NONE) {
      HN_TRY(note_missing(k, l, &w));
      continue;
    }
    HN_TRY(kr_store_load(&k->store, i, &t));
    l->w[slot] = hn_tensor_ref(t);
  }
  return HONE_OK;
}

hone_status kr_bind(keras *k, const kr_model *m) {
  bool by_place = k->store.form == KR_PATHS;
  HN_TRY(by_place ? place_model(k, m, "") : own_model(k, m, NULL));
  if (!by_place) distribute(k);
  for (size_t i = 0; i < k->layers.n; i++) hand_down(k, k->layers.p[i]);
  for (size_t i = 0; i < k->layers.n; i++) HN_TRY(by_place ? bind_by_place(k, k->layers.p[i]) : bind_by_name(k, k->layers.p[i]));
  return HONE_OK;
}
