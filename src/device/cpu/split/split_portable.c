/* split_portable.c - what the products of split.h compute, in plain C; and the same on whole floats. */
#include <string.h>

#include "device/cpu/split/split.h"

enum { HALF = 16 };

static uint32_t bits_of(float f) {
  uint32_t u;
  memcpy(&u, &f, sizeof u);
  return u;
}

static float widened(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

/* To bfloat16, ties away from zero; what is below 2^-126 to zero, as the instructions take it. */
static uint16_t rounded(float f) {
  uint32_t u = bits_of(f);
  if ((u >> 23 & 0xff) == 0) return (uint16_t)(u >> 31 << 15);
  return (uint16_t)((u + 0x8000) >> 16);
}

static void cut_one(float f, uint16_t *to, int64_t step) {
  for (int p = 0; p < HN_SPLIT_PARTS; p++, to += step) {
    *to = rounded(f);
    f -= widened(*to);
  }
}

static uint32_t cut(const float *x, int64_t pitch, int64_t pixels, int64_t n, uint16_t *to, int64_t step) {
  uint32_t most = 0;
  for (int64_t p = 0; p < pixels; p++, x += pitch, to += HN_SPLIT_CELL)
    for (int64_t i = 0; i < hn_round_up(n, HN_SPLIT_DEPTH); i++) {
      float f = i < n ? x[i] : 0;
      uint32_t magnitude = bits_of(f) & 0x7fffffff;
      if (magnitude > most) most = magnitude;
      cut_one(f, to + i / HN_SPLIT_DEPTH * step + hn_split_at(i % HN_SPLIT_DEPTH), HN_SPLIT_DEPTH);
    }
  return most;
}

static uint32_t cut_whole(const float *x, int64_t pitch, int64_t pixels, int64_t n, uint16_t *to, int64_t step) {
  for (int64_t p = 0; p < pixels; p++, x += pitch, to += HN_SPLIT_CELL)
    for (int64_t i = 0; i < n; i += HN_SPLIT_DEPTH) {
      int64_t used = hn_smaller(n - i, HN_SPLIT_DEPTH);
      float cell[HN_SPLIT_DEPTH] = {0};
      memcpy(cell, x + i, sizeof *x * (size_t)used);
      memcpy(to + i / HN_SPLIT_DEPTH * step, cell, sizeof cell);
    }
  return 0;
}

static void cut_panel(const float *b, int64_t from, int64_t to, uint16_t *parts) {
  for (int64_t i = from * HN_SPLIT_LINE; i < to * HN_SPLIT_LINE; i++) {
    int64_t cell = i / HN_SPLIT_PART, at = i % HN_SPLIT_PART;
    cut_one(b[i],
            parts + cell * HN_SPLIT_PARTS * HN_SPLIT_PART + at / HN_SPLIT_LINE * HN_SPLIT_LINE + hn_split_at(at % HN_SPLIT_LINE),
            HN_SPLIT_PART);
  }
}

/* Products of one part of each by a cell are summed on their own, as the instructions do. */
static void mul(const hn_split_job *j, bool half_rows, bool half_cols) {
  const uint16_t *b = j->b;
  int rows = half_rows ? HALF : HN_SPLIT_ROWS, cols = half_cols ? HALF : HN_SPLIT_COLS;
  for (int64_t cell = 0; cell < j->cells; cell++, b += HN_SPLIT_PARTS * HN_SPLIT_PART)
    for (int sum = HN_SPLIT_PARTS - 1; sum >= 0; sum--) /* smallest products first */
      for (int p = sum; p >= 0; p--) {
        float w[HN_SPLIT_DEPTH][HN_SPLIT_COLS];
        for (int64_t k = 0; k < HN_SPLIT_DEPTH; k++)
          for (int64_t c = 0; c < HN_SPLIT_COLS; c++) w[k][c] = widened(b[(sum - p) * HN_SPLIT_PART + hn_split_part_at(k, c)]);
        for (int r = 0; r < rows; r++) {
          float of_cell[HN_SPLIT_COLS] = {0};
          for (int64_t k = 0; k < HN_SPLIT_DEPTH; k++) {
            float a = widened(j->a[j->offsets[cell] + r * HN_SPLIT_CELL + p * HN_SPLIT_DEPTH + hn_split_at(k)]);
            for (int c = 0; c < cols; c++) of_cell[c] += a * w[k][c];
          }
          for (int c = 0; c < cols; c++) j->sums[r * HN_SPLIT_COLS + c] += of_cell[c];
        }
      }
}

static void mul_whole(const hn_split_job *j, bool half_rows, bool half_cols) {
  const float *b = j->b;
  int rows = half_rows ? HALF : HN_SPLIT_ROWS;
  (void)half_cols;
  for (int64_t cell = 0; cell < j->cells; cell++, b += HN_SPLIT_PART)
    for (int64_t k = 0; k < HN_SPLIT_DEPTH; k++) {
      float w[HN_SPLIT_COLS];
      for (int c = 0; c < HN_SPLIT_COLS; c++) w[c] = b[hn_split_float_at(k, c)];
      for (int r = 0; r < rows; r++) {
        float a;
        memcpy(&a, (const char *)(j->a + j->offsets[cell] + r * HN_SPLIT_CELL) + sizeof a * (size_t)k, sizeof a);
        for (int c = 0; c < HN_SPLIT_COLS; c++) j->sums[r * HN_SPLIT_COLS + c] += a * w[c];
      }
    }
}

static void finish(const hn_split_end *e, int from, int to) {
  for (int r = from; r < to && r < e->rows; r++) {
    int64_t place = e->place[r];
    if (place < 0) continue;
    for (int c = 0; c < e->cols; c++) {
      float v = e->sums[r * HN_SPLIT_COLS + c];
      if (e->start) v += e->start[place * e->start_pitch + c];
      if (e->bias) v += e->bias[c];
      e->out[place * e->out_pitch + c] = v < e->lo ? e->lo : v > e->hi ? e->hi : v;
    }
  }
}

/* What else there is to do comes first: the sums of the other tile may lie where this one's will. */
static void begin_with(const hn_split_job *j) {
  if (j->end) finish(j->end, 0, HN_SPLIT_ROWS);
  if (j->next) cut_panel(j->next, j->line, j->last, j->parts);
  if (!j->more) memset(j->sums, 0, sizeof *j->sums * HN_SPLIT_ROWS * HN_SPLIT_COLS);
}
static void mul_job(const hn_split_job *j, bool half_rows, bool half_cols) {
  begin_with(j);
  mul(j, half_rows, half_cols);
}
static void mul_whole_job(const hn_split_job *j, bool half_rows, bool half_cols) {
  begin_with(j);
  mul_whole(j, half_rows, half_cols);
}
static void nothing(void) {}

const hn_split hn_split_portable = {nothing, nothing, mul_job, finish, cut, cut_panel};
const hn_split hn_split_whole = {nothing, nothing, mul_whole_job, finish, cut_whole, NULL};

uint32_t hn_split_pack(int64_t cells, int64_t from, int64_t k, int64_t n, const float *b, int64_t step_k, int64_t step_n,
                       float *packed) {
  uint32_t most = 0;
  for (int64_t c = 0; c < hn_round_up(n, HN_SPLIT_COLS); c++)
    for (int64_t i = 0; i < hn_round_up(k, HN_SPLIT_DEPTH); i++) {
      float f = c < n && i < k ? b[i * step_k + c * step_n] : 0;
      uint32_t magnitude = bits_of(f) & 0x7fffffff;
      if (magnitude > most) most = magnitude;
      packed[(c / HN_SPLIT_COLS * cells + from + i / HN_SPLIT_DEPTH) * HN_SPLIT_PART +
             hn_split_float_at(i % HN_SPLIT_DEPTH, c % HN_SPLIT_COLS)] = f;
    }
  return most;
}
