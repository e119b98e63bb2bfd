/* sstable.h - sorted tables of keys and values as LevelDB writes them: the index file of a checkpoint. */
#ifndef HN_SSTABLE_H
#define HN_SSTABLE_H
#include "base/status.h"

/* Called for each pair in order; a failure ends the reading. key and value last only for the call. */
typedef hone_status (*hn_sstable_fn)(void *user, const char *key, size_t key_size, const void *value, size_t value_size);

/* Reads the whole table. BAD_FORMAT: what is wrong; checksums of all blocks are verified. */
hone_status hn_sstable_read(hone_context *cx, const void *data, size_t size, hn_sstable_fn fn, void *user);
#endif
