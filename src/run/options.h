/* options.h - option structs of the public API, whose first member is their size. */
#ifndef HN_OPTIONS_H
#define HN_OPTIONS_H
#include "base/status.h"

/* Copies a caller's options over defaults in `to`. They may be of an older, smaller version: what that lacks keeps its default. NULL: all
   defaults. BAD_ARG with the struct's name if the size cannot be. */
hone_status hn_options_read(hone_context *cx, const char *name, const void *given, void *to, uint32_t size);
#define HN_OPTIONS(cx, type, given, to) (type##_init(to), hn_options_read(cx, #type, given, to, sizeof *(to)))
#endif
