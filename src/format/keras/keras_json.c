#include "format/keras/keras_json.h"

const char *kj_text(const json_t *o, const char *key, const char *otherwise) {
  const json_t *v = json_object_get(o, key);
  return json_is_string(v) ? json_string_value(v) : otherwise;
}

bool kj_bool(const json_t *o, const char *key, bool otherwise) {
  const json_t *v = json_object_get(o, key);
  return json_is_boolean(v) ? json_is_true(v) : json_is_integer(v) ? json_integer_value(v) != 0 : otherwise;
}

bool kj_number(const json_t *v, double *x) {
  if (json_is_number(v)) *x = json_number_value(v);
  else if (json_is_boolean(v)) *x = json_is_true(v);
  else return false;
  return true;
}

double kj_real(const json_t *o, const char *key, double otherwise) {
  double x;
  return kj_number(json_object_get(o, key), &x) ? x : otherwise;
}

/* A whole number, also when it is written 3.0. */
static bool whole(const json_t *v, int64_t *x) {
  double d = json_is_real(v) ? json_real_value(v) : 0;
  if (json_is_integer(v)) *x = json_integer_value(v);
  else if (json_is_real(v) && d > -1e15 && d < 1e15 && d == (double)(int64_t)d) *x = (int64_t)d;
  else return false;
  return true;
}

int64_t kj_int(const json_t *o, const char *key, int64_t otherwise) {
  int64_t x;
  return whole(json_object_get(o, key), &x) ? x : otherwise;
}

uint32_t kj_ints(const json_t *o, const char *key, int64_t *v, uint32_t max) {
  const json_t *list = json_object_get(o, key);
  if (max && whole(list, v)) return 1;
  size_t n = json_array_size(list);
  if (n > max) return 0;
  for (size_t i = 0; i < n; i++)
    if (!whole(json_array_get(list, i), &v[i])) return 0;
  return (uint32_t)n;
}

bool kj_ints_n(const json_t *o, const char *key, int64_t *v, uint32_t n, int64_t otherwise) {
  uint32_t have = kj_ints(o, key, v, n);
  if (!have && kj_has(o, key)) return false;
  if (!have) v[0] = otherwise, have = 1;
  for (uint32_t i = 1; have == 1 && i < n; i++) v[i] = v[0];
  return have == 1 || have == n;
}

bool kj_has(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  return v && !json_is_null(v);
}
