/* json.h - JSON out, whatever the names and numbers are. */
#ifndef CLI_JSON_H
#define CLI_JSON_H
#include <jansson.h>

#include "stats.h"
#include "table.h"

json_t *json_text(const char *s);     /* bytes that are not UTF-8 become '?'; NULL becomes null */
json_t *json_number(double v);        /* null for what is not finite */
json_t *json_count(uint64_t v);
json_t *json_shape(const hone_tensor_info *info);
json_t *json_tensor(const hone_tensor_info *info);
json_t *json_stats(const hone_model_stats *s);
json_t *json_summary(const summary *s);
json_t *json_difference(const difference *d);
/* Prints and frees. Returns CLI_OK, or fails with a line. */
int json_print(json_t *j);
#endif
