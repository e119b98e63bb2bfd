#include "harness.h"
#include "ir/dim.h"

TEST(dim_arithmetic_is_canonical) {
  hn_dims *t = hn_dims_create();
  hn_dim n = hn_dim_symbol(t, "N"), m = hn_dim_symbol(t, "M");
  CHECK(hn_dim_symbol(t, "N") == n);
  CHECK(hn_dim_add(t, n, m) == hn_dim_add(t, m, n));
  CHECK(hn_dim_div(t, hn_dim_mul(t, n, 12 * 64), hn_dim_mul(t, n, 12)) == 64);
  hn_dim sum = hn_dim_add(t, n, hn_dim_symbol(t, "M")); /* by a sum of terms */
  CHECK(hn_dim_div(t, hn_dim_mul(t, sum, 12 * 64), hn_dim_mul(t, sum, 12)) == 64);
  CHECK(hn_dim_div(t, hn_dim_mul(t, hn_dim_mul(t, sum, n), 6), hn_dim_mul(t, sum, 2)) == hn_dim_mul(t, n, 3));
  CHECK(hn_dim_div(t, hn_dim_add(t, hn_dim_mul(t, sum, 4), n), sum) < 0);
  hn_dim twice = hn_dim_sub(t, hn_dim_mul(t, hn_dim_add(t, n, 1), 2), 2);
  CHECK(twice == hn_dim_mul(t, n, 2));
  CHECK(hn_dim_sub(t, n, n) == 0);
  CHECK(hn_dim_unknown(t) != hn_dim_unknown(t));
  hn_dims_destroy(t);
}

TEST(dim_quotients_evaluate_when_bound) {
  hn_dims *t = hn_dims_create();
  hn_dim n = hn_dim_symbol(t, "N");
  hn_dim conv = hn_dim_add(t, hn_dim_div(t, hn_dim_sub(t, hn_dim_add(t, n, 2), 3), 2), 1);
  hn_dim up = hn_dim_ceil_div(t, n, 4);
  CHECK(!hn_dim_fixed(conv));
  hn_dim_bind(t, n, 225);
  CHECK(hn_dim_eval(t, conv) == 113);
  CHECK(hn_dim_eval(t, up) == 57);
  hn_dims_destroy(t);
}

TEST(dim_text_goes_both_ways) {
  hn_dims *t = hn_dims_create();
  hn_dim n = hn_dim_symbol(t, "N"), d = hn_dim_add(t, hn_dim_mul(t, n, 2), 1);
  CHECK_STR(hn_dim_text(t, d), "2*N+1");
  CHECK(hn_dim_parse(t, "2*N+1") == d);
  hn_dim q = hn_dim_div(t, d, 2);
  CHECK_STR(hn_dim_text(t, q), "floor(2*N+1,2)");
  CHECK(hn_dim_parse(t, hn_dim_text(t, q)) == q);
  CHECK(hn_dim_parse(t, "2*+") == HN_DIM_BAD);
  CHECK(hn_dim_anonymous(t, hn_dim_add(t, hn_dim_unknown(t), 1)));
  hn_dims_destroy(t);
}

TEST(dim_overflow_is_not_a_number) {
  hn_dims *t = hn_dims_create();
  CHECK(hn_dim_mul(t, INT64_MAX, 2) == HN_DIM_BAD);
  CHECK(hn_dim_add(t, INT64_MAX, 1) == HN_DIM_BAD);
  hn_dims_destroy(t);
}
