/* winograd_body.h - the transforms of one size, OUT; see winograd_sizes.h. */
#define IN (OUT + 2)

static void JOIN(input, OUT, )(const float *const *pixel, int64_t n, float *v, int64_t step) {
  for (int64_t c = 0; c < n; c += W) {
    vec d[IN], half[IN * IN], y[IN];
    UNROLL for (int i = 0; i < IN; i++) { /* along the columns, one column at a time */
      UNROLL for (int k = 0; k < IN; k++) d[k] = *(const vec_at *)(pixel[k * IN + i] + c);
      JOIN(input_line_, OUT, )(d, 1, half + i, IN);
    }
    UNROLL for (int i = 0; i < IN; i++) {
      JOIN(input_line_, OUT, )(half + IN * i, 1, y, 1);
      UNROLL for (int k = 0; k < IN; k++) *(vec_at *)(v + (IN * i + k) * step + c) = y[k];
    }
  }
}

static void JOIN(output, OUT, )(const float *m, int64_t step, int64_t n, const hn_winograd_end *end, float *out, int64_t line_step,
                                int64_t pixel_step, int rows, int cols) {
  const vec lo = end->lo - (vec){0}, hi = end->hi - (vec){0};
  for (int64_t c = 0; c < n; c += W) {
    vec half[IN * OUT], o[OUT], line[IN], bias = {0};
    if (end->bias) bias = *(const vec_at *)(end->bias + c);
    UNROLL for (int i = 0; i < IN; i++) {
      UNROLL for (int k = 0; k < IN; k++) line[k] = *(const vec_at *)(m + (IN * k + i) * step + c);
      JOIN(output_line_, OUT, )(line, half + i, IN);
    }
    for (int y = 0; y < rows; y++) {
      JOIN(output_line_, OUT, )(half + IN * y, o, 1);
      UNROLL for (int x = 0; x < OUT; x++) {
        if (x >= cols) break;
        vec v = o[x] + bias;
        if (end->residual) v += *(const vec_at *)(end->residual + y * end->residual_line + x * end->residual_pixel + c);
        *(vec_at *)(out + y * line_step + x * pixel_step + c) = bounded(v, lo, hi);
      }
    }
  }
}

const hn_winograd JOIN(hn_winograd, OUT, ISA) = {OUT, IN, JOIN(input, OUT, ), JOIN(output, OUT, )};
#undef IN
