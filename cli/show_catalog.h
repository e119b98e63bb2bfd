/* show_catalog.h - what a file has to choose from, printed. */
#ifndef CLI_SHOW_CATALOG_H
#define CLI_SHOW_CATALOG_H
#include "feed.h"
#include "json.h"

/* As saved_model_cli show prints it: all, or the signature that was chosen; else a table of the signatures. */
void catalog_print(const hone_catalog *k, bool all, const choice_options *choice);
/* NULL where there is nothing to choose from. */
json_t *catalog_json(const hone_catalog *k);
/* Is there no signature that is meant without a choice? */
bool catalog_must_choose(const hone_catalog *k, const choice_options *choice);
#endif
