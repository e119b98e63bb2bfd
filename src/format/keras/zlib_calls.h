/* zlib_calls.h - what is called of zlib, which is opened with the first array that deflate packed. For h5_data.c alone. */
#ifndef HN_ZLIB_CALLS_H
#define HN_ZLIB_CALLS_H
#include <zlib.h>

#include "base/library.h"

static __typeof__(uncompress) *import_uncompress;
static const hn_import zlib_imports[] = {{"uncompress", &import_uncompress}};
static hn_library zlib_library = {HN_ZLIB_LIBRARY, "zlib1g", zlib_imports, 1, false};
#define uncompress import_uncompress
#endif
