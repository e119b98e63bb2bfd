/* json.c - JSON out. */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *s) {
  if (!s) return json_null();
  json_t *j = json_string(s);
  if (j) return j;
  char *plain = cli_copy(s);
  for (char *p = plain; *p; p++)
    if (*p & 0x80) *p = '?';
  j = json_string(plain);
  free(plain);
  return j;
}

json_t *json_number(double v) { return isfinite(v) ? json_real(v) : json_null(); }
json_t *json_count(uint64_t v) { return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v); }

json_t *json_shape(const hone_tensor_info *info) {
  if (info->rank < 0) return json_null();
  json_t *a = json_array();
  for (int32_t i = 0; i < info->rank; i++)
    json_array_append_new(a, info->dims[i] >= 0 ? json_integer(info->dims[i]) : json_text(info->dim_names[i]));
  return a;
}

json_t *json_tensor(const hone_tensor_info *info) {
  return json_pack("{s:o, s:s, s:o}", "name", json_text(info->name), "dtype", hone_dtype_name(info->dtype), "shape",
                   json_shape(info));
}

json_t *json_stats(const hone_model_stats *s) {
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "layers", json_count(s->layers), "parameters",
                   json_count(s->parameters), "weight_bytes", json_count(s->weight_bytes), "macs", json_count(s->macs),
                   "activation_bytes", json_count(s->activation_bytes), "symbolic", s->symbolic);
}

json_t *json_summary(const summary *s) {
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "mean", json_number(s->mean), "median", json_number(s->median),
                   "p10", json_number(s->p10), "p90", json_number(s->p90), "p99", json_number(s->p99), "min",
                   json_number(s->min), "max", json_number(s->max));
}

json_t *json_difference(const difference *d) {
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "max_abs", json_number(d->max_abs), "max_relative",
                   json_number(difference_relative(d)), "mean_abs", json_number(difference_mean(d)), "cosine",
                   json_number(difference_cosine(d)), "elements", json_count(d->count), "not_finite_mismatches",
                   json_count(d->broken));
}

int json_print(json_t *j) {
  if (!j) return cli_fail("out of memory");
  int failed = json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
  json_decref(j);
  putchar('\n');
  (void)failed; /* a full disk is found when stdout is closed */
  return CLI_OK;
}
