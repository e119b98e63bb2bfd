/* keras_json.h - members of JSON objects with a value for when they are absent. */
#ifndef HN_KERAS_JSON_H
#define HN_KERAS_JSON_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

const char *kj_text(const json_t *o, const char *key, const char *otherwise);
bool kj_bool(const json_t *o, const char *key, bool otherwise);
int64_t kj_int(const json_t *o, const char *key, int64_t otherwise);
double kj_real(const json_t *o, const char *key, double otherwise);
/* Whole numbers of a list, or the one of a number; how many (0: absent, null or something else). */
uint32_t kj_ints(const json_t *o, const char *key, int64_t *v, uint32_t max);
/* As kj_ints(), one number spread over n. */
bool kj_ints_n(const json_t *o, const char *key, int64_t *v, uint32_t n, int64_t otherwise);
/* The number of a value: number or boolean. */
bool kj_number(const json_t *v, double *x);
/* Is the member there and not null? */
bool kj_has(const json_t *o, const char *key);
#endif
