/* account_print.c - the account as a table and as JSON. */
#include <math.h>

#include "account.h"
#include "table.h"

static void decibels(table *t, double db) { table_cell(t, isnan(db) ? "" : "%.1f dB", db); }

static double share(size_t n, size_t of) { return of ? 100 * (double)n / (double)of : 0; }

void account_print(const account *a) {
  static const char *const heads[] = {"LAYER", "OPERATOR", "RANGE", "SCALE", "SQNR", "OUTPUTS ALONE", "SQNR OF ALL", "SAVES MS", ""};
  table *t = table_make("llrrrrrrl");
  for (int i = 0; i < 9; i++) table_cell(t, "%s", heads[i]);
  for (uint32_t i = 0; i < a->n; i++) {
    const account_row *r = &a->rows[i];
    table_cell(t, "%s", r->name);
    table_cell(t, "%s", r->op);
    table_cell(t, "%.4g..%.4g", (double)r->low, (double)r->high);
    table_cell(t, "%.4g", (double)r->scale);
    decibels(t, r->sqnr);
    table_cell(t, a->detailed && !r->settled ? "%.3g%%" : "", 100 * r->alone.error);
    decibels(t, r->accumulated);
    table_cell(t, "%.3f", r->saved_ms);
    table_cell(t, "%s", r->kept ? "stays in floats" : "");
  }
  table_print(t, 0);
  table_free(t);
  const quality *q = &a->all;
  if (a->kept) printf("\nall layers quantized: outputs differ by %.3g%% (root mean square), cosine %.6f", 100 * a->every.error, a->every.cosine);
  printf("\n%u of %u layers quantized: outputs differ by %.3g%% (root mean square), cosine %.6f\n", a->n - a->kept, a->n, 100 * q->error, q->cosine);
  if (a->classifier && q->items)
    printf("%zu items: the same best class in %.2f%%, among the best five in %.2f%%\n", q->items, share(q->top1, q->items), share(q->top5, q->items));
  if (q->labelled)
    printf("%zu labels: top-1 %.2f%% before, %.2f%% after\n", q->labelled, share(q->right_before, q->labelled), share(q->right, q->labelled));
}

static json_t *number_or_null(bool known, double v) { return known ? json_number(v) : json_null(); }

json_t *account_json(const account *a) {
  json_t *layers = json_array();
  for (uint32_t i = 0; i < a->n; i++) {
    const account_row *r = &a->rows[i];
    json_array_append_new(layers, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "layer", json_text(r->name), "op", json_text(r->op),
                                            "low", json_number((double)r->low), "high", json_number((double)r->high), "scale",
                                            json_number((double)r->scale), "sqnr_db", number_or_null(!isnan(r->sqnr), r->sqnr), "error_alone",
                                            number_or_null(a->detailed && !r->settled, r->alone.error), "sqnr_accumulated_db",
                                            number_or_null(!isnan(r->accumulated), r->accumulated), "saved_ms", json_number(r->saved_ms), "kept",
                                            (int)r->kept));
  }
  const quality *q = &a->all;
  return json_pack("{s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "layers", layers, "kept", (int)a->kept, "error_of_all",
                   json_number(a->every.error), "error", json_number(q->error), "cosine", json_number(q->cosine), "items", json_count(q->items),
                   "top1_agreement", json_number(share(q->top1, q->items) / 100), "top5_agreement", json_number(share(q->top5, q->items) / 100),
                   "labelled", json_count(q->labelled), "right_before", json_count(q->right_before), "right_after", json_count(q->right));
}
