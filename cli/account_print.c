/* account_print.c - the account as a table and as JSON. */
#include <math.h>

#include "account.h"
#include "table.h"

static void decibels(table *t, double db) { table_cell(t, isnan(db) ? "" : "%.1f dB", db); }

static double share(size_t n, size_t of) { return of ? 100 * (double)n / (double)of : 0; }

static bool no_faster(const account_row *r) { return r->slow || r->saved_ms < 1e-3; }

/* Why a layer stays in floats; NULL: it does not. */
static const char *reason(const account_row *r) {
  if (!r->kept) return NULL;
  return r->settled ? "as the calibration says" : no_faster(r) ? "no faster in 8 bits" : "costs accuracy";
}

static void print_reasons(const account *a) {
  uint32_t slow = 0, settled = 0;
  for (uint32_t i = 0; i < a->n; i++) {
    const account_row *r = &a->rows[i];
    settled += r->kept && r->settled;
    slow += r->kept && !r->settled && no_faster(r);
  }
  if (a->kept) printf("%u stay in floats:", a->kept);
  if (settled) printf(" %u as the calibration says%s", settled, settled < a->kept ? "," : "");
  if (a->kept > settled) printf(" %u cost more accuracy than their time is worth, %u are no faster in 8 bits", a->kept - settled - slow, slow);
  if (a->kept) printf("\n");
  if (a->aim == AIM_AUTO)
    printf("aim: a cosine of at least %.4g on %s of %zu examples%s (--max-drop=P%% sets a limit instead, --no-mixed none)\n",
           GOOD_COSINE, a->steps ? "all" : "each", a->examples,
           a->steps        ? ", the same best class in 99% of the steps"
           : a->classifier ? ", 0.998 on all, the same best class in 99%" : "");
  else if (a->aim == AIM_DROP)
    printf("aim: to lose no more than %g%% %s, on %zu examples\n", a->limit, a->all.labelled ? "of accuracy" : a->classifier ? "of the best classes" : "(root mean square)",
           a->examples);
  if (a->ms_quantized > 0)
    printf("a run takes %.3g ms, in floats %.3g, all in 8 bits %.3g: %.2f times as fast, kernels not tuned\n", a->ms_quantized, a->ms_floats, a->ms_every,
           a->ms_floats / a->ms_quantized);
}

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
    table_cell(t, r->kept ? "stays in floats: %s" : "", reason(r));
  }
  table_print(t, 0);
  table_free(t);
  const quality *q = &a->all;
  if (a->kept) printf("\nall layers quantized: outputs differ by %.3g%% (root mean square), cosine %.6f, the least of an example %.4f", 100 * a->every.error, a->every.cosine, a->every.least);
  printf("\n%u of %u layers quantized: outputs differ by %.3g%% (root mean square), cosine %.6f, the least of an example %.4f\n", a->n - a->kept, a->n, 100 * q->error, q->cosine, q->least);
  print_reasons(a);
  if (a->classifier && q->items)
    printf("%zu %s: the same best class in %.2f%%, among the best five in %.2f%%\n", q->items, a->steps ? "steps" : "items", share(q->top1, q->items), share(q->top5, q->items));
  if (q->labelled)
    printf("%zu labels: top-1 %.2f%% before, %.2f%% after\n", q->labelled, share(q->right_before, q->labelled), share(q->right, q->labelled));
}

static json_t *number_or_null(bool known, double v) { return known ? json_number(v) : json_null(); }

json_t *account_json(const account *a) {
  json_t *layers = json_array();
  for (uint32_t i = 0; i < a->n; i++) {
    const account_row *r = &a->rows[i];
    json_array_append_new(layers, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "layer", json_text(r->name), "op", json_text(r->op),
                                            "low", json_number((double)r->low), "high", json_number((double)r->high), "scale",
                                            json_number((double)r->scale), "sqnr_db", number_or_null(!isnan(r->sqnr), r->sqnr), "error_alone",
                                            number_or_null(a->detailed && !r->settled, r->alone.error), "sqnr_accumulated_db",
                                            number_or_null(!isnan(r->accumulated), r->accumulated), "saved_ms", json_number(r->saved_ms), "lead_shift_alone", number_or_null(a->detailed && a->classifier && !r->settled, r->alone.shift), "kept",
                                            (int)r->kept, "reason", r->kept ? json_text(reason(r)) : json_null()));
  }
  const quality *q = &a->all;
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "least_cosine", json_number(a->all.least), "ms_floats", json_number(a->ms_floats), "ms_all_quantized", json_number(a->ms_every), "ms", json_number(a->ms_quantized), "layers", layers, "kept", (int)a->kept, "error_of_all",
                   json_number(a->every.error), "error", json_number(q->error), "cosine", json_number(q->cosine), "items", json_count(q->items),
                   "top1_agreement", json_number(share(q->top1, q->items) / 100), "top5_agreement", json_number(share(q->top5, q->items) / 100),
                   "labelled", json_count(q->labelled), "right_before", json_count(q->right_before), "right_after", json_count(q->right));
}
