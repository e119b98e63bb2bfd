/* h5_file.h - what Keras needs of HDF5: texts, lists of texts, dense arrays of numbers. Nothing outside of
   the file is followed: external links, external storage and virtual datasets are refused. */
#ifndef HN_H5_FILE_H
#define HN_H5_FILE_H
#include "base/str.h"
#include "ir/tensor.h"

typedef struct hn_h5 hn_h5;

/* The bytes must outlive the file; they are not copied. */
hone_status hn_h5_open(hone_context *cx, const char *path, const void *data, size_t size, hn_h5 **out);
void hn_h5_close(hn_h5 **f); /* accepts a NULL file */

/* Text of an attribute of group `where` ("/": the root), in memory of the caller (hn_free); NULL: there is none. */
hone_status hn_h5_text(hn_h5 *f, const char *where, const char *attr, char **text);
/* Called with each text of a list attribute; Keras spreads long lists over attr0, attr1, ... Absent: not called. */
typedef hone_status (*hn_h5_text_fn)(void *user, const char *text);
hone_status hn_h5_texts(hn_h5 *f, const char *where, const char *attr, hn_h5_text_fn fn, void *user);
bool hn_h5_has(hn_h5 *f, const char *path);
/* Members of a group, at most max. */
hone_status hn_h5_count(hn_h5 *f, const char *path, uint64_t *n);
hone_status hn_h5_tensor(hn_h5 *f, const char *path, hn_tensor **out);
#endif
