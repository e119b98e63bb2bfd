/* checkpoint_v1.h - checkpoints of TensorFlow's first format: tables of slices with their values, one file or several shards. */
#ifndef HN_CHECKPOINT_V1_H
#define HN_CHECKPOINT_V1_H
#include "ir/tensor.h"

typedef struct hn_checkpoint_v1 hn_checkpoint_v1;

/* Is there such a checkpoint: the file `prefix`, or files prefix-00000-of-0000N? */
bool hn_checkpoint_v1_is(const char *prefix);
/* Reads all of it. BAD_FORMAT: damaged; a shard that is missing. */
hone_status hn_checkpoint_v1_open(hone_context *cx, const char *prefix, hn_checkpoint_v1 **out);
void hn_checkpoint_v1_close(hn_checkpoint_v1 **c); /* accepts NULL */

bool hn_checkpoint_v1_has(const hn_checkpoint_v1 *c, const char *name);
/* BAD_FORMAT: no such variable (the error names those that there are), slices that are missing or do not fit. UNSUPPORTED: its type. */
hone_status hn_checkpoint_v1_tensor(hn_checkpoint_v1 *c, const char *name, hn_tensor **out);
#endif
