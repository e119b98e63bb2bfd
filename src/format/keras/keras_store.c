#include "format/keras/keras_store.h"

#include <string.h>

#include "ir/graph.h"

hone_status kr_store_add(kr_store *s, const char *group, const char *path, const char *at, hn_tensor *data) {
  size_t n = strlen(path);
  if (n > 2 && strcmp(path + n - 2, ":0") == 0) n -= 2;
  kr_entry e = {.group = hn_arena_strdup(s->arena, group), .path = hn_arena_strndup(s->arena, path, n),
                .at = hn_arena_strdup(s->arena, at), .data = data, .next = HN_NONE};
  if (e.group && e.path && e.at && hn_push(&s->entries, e)) return HONE_OK;
  hn_tensor_unref(data);
  return hn_nomem(s->cx);
}

/* ---- .h5 */

typedef struct group_names {
  kr_store *s;
  const char *root, *layer;
  HN_VEC(const char *) layers;
} group_names;

static hone_status add_weight(void *user, const char *name) {
  group_names *n = user;
  const char *at = hn_arena_printf(n->s->arena, "%s/%s/%s", n->root, n->layer, name);
  return at ? kr_store_add(n->s, n->layer, name, at, NULL) : hn_nomem(n->s->cx);
}

static hone_status add_layer(void *user, const char *name) {
  group_names *n = user;
  const char *own = hn_arena_strdup(n->s->arena, name);
  return own && hn_push(&n->layers, own) ? HONE_OK : hn_nomem(n->s->cx);
}

hone_status kr_store_groups(kr_store *s, const char *root) {
  group_names n = {.s = s, .root = root};
  s->form = KR_GROUPS;
  hone_status st = hn_h5_texts(s->h5, root, "layer_names", add_layer, &n);
  for (size_t i = 0; i < n.layers.n && !st; i++) {
    const char *group = hn_arena_printf(s->arena, "%s/%s", root, n.layers.p[i]);
    n.layer = n.layers.p[i];
    st = group ? hn_h5_texts(s->h5, group, "weight_names", add_weight, &n) : hn_nomem(s->cx);
  }
  hn_vec_free(&n.layers);
  return st;
}

hone_status kr_store_load(kr_store *s, uint32_t i, hn_tensor **t) {
  kr_entry *e = &s->entries.p[i];
  if (!e->data) HN_TRY(hn_h5_tensor(s->h5, e->at, &e->data));
  *t = e->data;
  return HONE_OK;
}

/* ---- Keras 3 */

/* TensorFlow 2.12 and 2.13 call the list of layers otherwise; some builds wrote the separators of Windows. */
static const char *spelled(kr_store *s, const char *path, bool old, bool backslash) {
  hn_str text = {0};
  for (const char *p = path; *p;) {
    size_t n = strcspn(p, "/");
    bool layers = old && n == 6 && strncmp(p, "layers", n) == 0;
    hn_str_addn(&text, layers ? "_layer_checkpoint_dependencies" : p, layers ? 30 : n);
    p += n;
    if (*p == '/') hn_str_add(&text, backslash && strncmp(p, "/vars", 5) != 0 ? "\\" : "/"), p++;
  }
  const char *kept = text.failed ? NULL : hn_arena_strdup(s->arena, text.p ? text.p : "");
  hn_str_free(&text);
  return kept;
}

hone_status kr_store_path(kr_store *s, const char *object, uint32_t i, hn_tensor **t) {
  const char *path = hn_arena_printf(s->arena, "%s/vars/%u", object, (unsigned)i);
  *t = NULL;
  for (int k = 0; k < 4; k++) {
    const char *at = path ? spelled(s, path, k & 1, k & 2) : NULL;
    if (!at) return hn_nomem(s->cx);
    if (hn_h5_has(s->h5, at)) return hn_h5_tensor(s->h5, at, t);
  }
  return HONE_OK;
}

void kr_store_close(kr_store *s) {
  for (size_t i = 0; i < s->entries.n; i++) hn_tensor_unref(s->entries.p[i].data);
  hn_vec_free(&s->entries);
  hn_h5_close(&s->h5);
}
