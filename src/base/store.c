#include "base/store.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"

typedef struct entry {
  uint64_t key, digest;
  size_t bytes;
  void *data;
  uint32_t uses;
  bool lent, hidden; /* inside a mapping; not to be found by its key */
} entry;

struct hn_store {
  atomic_int refs;
  pthread_mutex_t mutex;
  HN_VEC(entry) entries; /* some hundreds: as many as a model has layers */
  HN_VEC(hn_mapping *) owners;
};

hn_store *hn_store_create(void) {
  hn_store *s = hn_calloc(1, sizeof *s);
  pthread_mutexattr_t kind;
  if (!s) return NULL;
  atomic_init(&s->refs, 1);
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&s->mutex, &kind);
  pthread_mutexattr_destroy(&kind);
  return s;
}

hn_store *hn_store_ref(hn_store *s) {
  if (s) atomic_fetch_add(&s->refs, 1);
  return s;
}

void hn_store_unref(hn_store *s) {
  if (!s || atomic_fetch_sub(&s->refs, 1) != 1) return;
  for (size_t i = 0; i < s->entries.n; i++)
    if (!s->entries.p[i].lent) hn_free_aligned(s->entries.p[i].data);
  for (size_t i = 0; i < s->owners.n; i++) hn_mapping_unref(s->owners.p[i]);
  hn_vec_free(&s->entries);
  hn_vec_free(&s->owners);
  pthread_mutex_destroy(&s->mutex);
  hn_free(s);
}

void hn_store_lock(hn_store *s) { pthread_mutex_lock(&s->mutex); }
void hn_store_unlock(hn_store *s) { pthread_mutex_unlock(&s->mutex); }

static entry *find(hn_store *s, uint64_t key) {
  for (size_t i = 0; i < s->entries.n; i++)
    if (s->entries.p[i].key == key && !s->entries.p[i].hidden) return &s->entries.p[i];
  return NULL;
}

void *hn_store_take(hn_store *s, uint64_t key, size_t bytes, bool *fresh) {
  void *data = NULL;
  *fresh = false;
  hn_store_lock(s);
  entry *e = find(s, key);
  if (e && e->bytes == bytes) {
    e->uses++;
    data = e->data;
  } else if ((data = hn_malloc_aligned(bytes))) {
    *fresh = true;
    if (!hn_push(&s->entries, ((entry){.key = key, .bytes = bytes, .data = data, .uses = 1, .hidden = e != NULL}))) {
      hn_free_aligned(data);
      data = NULL;
    }
  }
  hn_store_unlock(s);
  return data;
}

void hn_store_drop(hn_store *s, const void *data) {
  hn_store_lock(s);
  size_t i = 0;
  while (i < s->entries.n && s->entries.p[i].data != data) i++;
  if (i < s->entries.n && !--s->entries.p[i].uses && !s->entries.p[i].lent) {
    hn_free_aligned(s->entries.p[i].data);
    s->entries.p[i] = s->entries.p[--s->entries.n];
  }
  hn_store_unlock(s);
}

bool hn_store_lend(hn_store *s, uint64_t key, size_t bytes, const void *data, uint64_t digest, hn_mapping *owner) {
  hn_store_lock(s);
  bool known = false;
  for (size_t i = 0; i < s->owners.n && !known; i++) known = s->owners.p[i] == owner;
  bool ok = known || hn_reserve(&s->owners, s->owners.n + 1);
  entry e = {.key = key, .digest = digest, .bytes = bytes, .data = (void *)(uintptr_t)data, .lent = true};
  ok = ok && (find(s, key) || hn_push(&s->entries, e));
  if (ok && !known) s->owners.p[s->owners.n++] = hn_mapping_ref(owner);
  hn_store_unlock(s);
  return ok;
}

void hn_store_prefetch(hn_store *s) {
  const char *from = NULL, *to = NULL;
  hn_store_lock(s);
  for (size_t i = 0; i <= s->entries.n; i++) { /* in the order of the file, so neighbours join */
    const entry *e = i < s->entries.n ? &s->entries.p[i] : NULL;
    if (e && (!e->lent || !e->uses)) continue;
    bool joins = e && from && (const char *)e->data >= to && (const char *)e->data - to < 65536;
    if (from && !joins) {
      hn_prefetch(from, (size_t)(to - from));
      from = NULL;
    }
    if (e && !from) from = e->data;
    if (e) to = (const char *)e->data + e->bytes;
  }
  hn_store_unlock(s);
}

bool hn_store_check(hn_store *s, uint64_t *bytes) {
  bool ok = true;
  hn_store_lock(s);
  for (size_t i = 0; i < s->entries.n && ok; i++) {
    const entry *e = &s->entries.p[i];
    if (!e->lent) continue;
    ok = hn_digest(e->data, e->bytes, e->key) == e->digest;
    *bytes += e->bytes;
  }
  hn_store_unlock(s);
  return ok;
}
