/* bundle.h - checkpoints: PREFIX.index says where in PREFIX.data-00000-of-0000N each variable lies. Those of the first format, too. */
#ifndef HN_BUNDLE_H
#define HN_BUNDLE_H
#include "ir/tensor.h"
#include "tensorflow.pb-c.h"

typedef struct hn_bundle hn_bundle;

/* Reads the index. IO: it is not there. BAD_FORMAT: damaged. */
hone_status hn_bundle_open(hone_context *cx, const char *prefix, hn_bundle **out);
void hn_bundle_close(hn_bundle **b); /* accepts NULL */

bool hn_bundle_has(const hn_bundle *b, const char *key);
/* A variable's content, checked against its checksum; the data stays in the mapped shard where that can be. Partitioned
   variables are put together. BAD_ARG: no such key (the error names near ones). BAD_FORMAT: cut short, checksum. */
hone_status hn_bundle_tensor(hn_bundle *b, const char *key, hn_tensor **out);
/* The bytes of a string scalar, in the mapping. */
hone_status hn_bundle_string(hn_bundle *b, const char *key, const void **data, size_t *size);
#endif
