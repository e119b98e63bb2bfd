/* catalog.h - what a file has to choose from, row by row, without reading its graphs. */
#ifndef HN_CATALOG_H
#define HN_CATALOG_H
#include "base/alloc.h"
#include "base/status.h"
#include "base/vec.h"

typedef struct hone_catalog hn_catalog;
struct hone_catalog {
  hn_arena *arena; /* all texts */
  HN_VEC(hone_catalog_row) rows;
};
#endif
