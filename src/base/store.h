/* store.h - buffers found by a key, counted and shared: weights in the form kernels want, which all sessions of one model
   have in common. May be used by several threads. */
#ifndef HN_STORE_H
#define HN_STORE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hn_mapping hn_mapping;
typedef struct hn_store hn_store;

hn_store *hn_store_create(void); /* with one reference; NULL: memory */
hn_store *hn_store_ref(hn_store *s);
void hn_store_unref(hn_store *s); /* accepts NULL */
/* Whoever asks for buffers and fills them holds the lock until they are full, so that nobody sees one half full.
   Recursive. */
void hn_store_lock(hn_store *s);
void hn_store_unlock(hn_store *s);
/* The buffer under `key` with one use more, 64-byte aligned; *fresh: it was made now, its content is undefined. NULL: memory. A
   buffer of this key but another size is left alone, and the one returned is not found again. */
void *hn_store_take(hn_store *s, uint64_t key, size_t bytes, bool *fresh);
/* One use less; without any it is freed, unless it was lent. */
void hn_store_drop(hn_store *s, const void *data);
/* Enters a buffer inside a mapping, which the store keeps alive; its hn_digest with seed `key` should be `digest`. False:
   memory. */
bool hn_store_lend(hn_store *s, uint64_t key, size_t bytes, const void *data, uint64_t digest, hn_mapping *owner);
/* Brings what is lent and in use into memory in one go, instead of page by page as it is touched. */
void hn_store_prefetch(hn_store *s);
bool hn_store_check(hn_store *s, uint64_t *bytes); /* are all lent buffers what their digests say? */
#endif
