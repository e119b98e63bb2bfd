/* file.h - reading by mapping, writing so that a file is either whole or not there. */
#ifndef HN_FILE_H
#define HN_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A read-only mapping shared by reference counting: tensors may point into it. */
typedef struct hn_mapping hn_mapping;
hone_status hn_map_file(hone_context *cx, const char *path, hn_mapping **out);
const void *hn_mapping_data(const hn_mapping *m);
size_t hn_mapping_size(const hn_mapping *m);
hn_mapping *hn_mapping_ref(hn_mapping *m);
void hn_mapping_unref(hn_mapping *m); /* accepts NULL */

bool hn_is_directory(const char *path);
bool hn_is_file(const char *path);
/* Maps the pages of a piece of a mapping now, read from the disk if need be: a hint. */
void hn_prefetch(const void *data, size_t bytes);

/* Does `path`, links followed, lie in folder `dir` or below? True also for a file that is not there. */
bool hn_path_within(const char *dir, const char *path);

/* Atomic writing: bytes go to a temporary file beside `path`; commit renames it, abort removes it. */
typedef struct hn_writer hn_writer;
hone_status hn_writer_open(hone_context *cx, const char *path, hn_writer **out);
hone_status hn_writer_put(hn_writer *w, const void *data, size_t n);
uint64_t hn_writer_position(const hn_writer *w);
hone_status hn_writer_commit(hn_writer **w); /* flushes, syncs, renames; frees the writer also on failure */
void hn_writer_abort(hn_writer **w);         /* accepts a NULL writer */
#endif
