#include "device/cpu/quant/half_product.h"

void hn_half_end(const hn_half_tile *tile, const hn_ending *e, const hn_half_made *m) {
  hn_half_ending floats = m->e;
  if (!m->rows) return;
  if (tile->round && e->n == 1 && e->unary[0].op == HN_Swish && e->unary[0].alpha != 0) {
    floats.swish = e->unary[0].alpha;
    tile->finish(&floats, m->sums, m->rows, m->cols);
    return;
  }
  if (!e->n || !tile->round) {
    tile->finish(&m->e, m->sums, m->rows, m->cols);
    return;
  }
  floats.out = NULL;
  tile->finish(&floats, m->sums, m->rows, m->cols);
  hn_ending_floats(e, m->sums, (int64_t)m->rows * HN_HALF_COLS);
  tile->round(&m->e, m->sums, m->rows, m->cols);
}

hone_status hn_half_pack_bias(hn_task *t, uint32_t input, int64_t n, const float **bias) {
  int64_t padded = hn_round_up(n, HN_HALF_COLS);
  float *p;
  bool fill;
  HN_TRY(hn_task_pack(t, sizeof *p * (size_t)padded, 0, (void **)&p, &fill));
  for (int64_t i = 0; i < padded && fill; i++) p[i] = i < n ? (float)hn_tensor_f(t->in[input].constant, (size_t)i) : 0;
  t->in[input].unused = true;
  *bias = p;
  return HONE_OK;
}
