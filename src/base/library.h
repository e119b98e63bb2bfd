/* library.h - shared libraries that are opened when something first needs them. Most runs read no archive and no packed array;
   loading what those need, and what that needs in turn, takes time in every process. */
#ifndef HN_LIBRARY_H
#define HN_LIBRARY_H
#include "base/status.h"

/* A function or variable and where its address goes. */
typedef struct hn_import {
  const char *name;
  void *to; /* the pointer to set */
} hn_import;

typedef struct hn_library {
  const char *file;         /* its soname, as it was when hone was built */
  const char *package;      /* what to install when it is not there */
  const hn_import *imports;
  uint32_t n;
  bool ready;
} hn_library;

/* Opens it and sets all imports, once in a process; it stays open. IO: it is not there or lacks a function. */
hone_status hn_library_need(hone_context *cx, hn_library *l);
#endif
