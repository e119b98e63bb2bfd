/* account_print.c - the account as a table and as JSON. */
#include <math.h>

#include "account.h"
#include "table.h"

static void decibels(table *t, double db) { table_cell(t, isnan(db) ? "" : "%.1f dB", db); }

static double share(size_t n, size_t of) { return of ? 100 * (double)n / (double)of : 0; }

const char *precision_name(hone_precision p) {
  static const char *const names[] = {"floats", "int8", "bf16", "f16"};
  return names[p];
}

static const char *kind_name(const account *a, uint32_t kind) { return precision_name(a->kinds[kind]); }

static bool no_faster(const account *a, const account_row *r) { return r->slow || account_saves(a, r, 0) < 1e-3; }

/* Why a layer is not in what is wanted; NULL: it is. */
static const char *reason(const account *a, const account_row *r) {
  if (!r->kind) return NULL;
  return r->settled ? "as the calibration says" : no_faster(a, r) ? "no faster in 8 bits" : "costs accuracy";
}

static uint32_t rows_in(const account *a, uint32_t kind) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < a->n; i++) n += a->rows[i].kind == kind;
  return n;
}

/* Those of one kind, and why they are not in what is wanted. */
static void print_reasons_of(const account *a, uint32_t kind) {
  uint32_t n = rows_in(a, kind), slow = 0, settled = 0;
  for (uint32_t i = 0; i < a->n; i++) {
    const account_row *r = &a->rows[i];
    if (r->kind != kind) continue;
    settled += r->settled;
    slow += !r->settled && no_faster(a, r);
  }
  if (!n) return;
  printf(kind == account_floats(a) ? "%u stay in %s:" : "%u are in %s:", n, kind_name(a, kind));
  if (settled) printf(" %u as the calibration says%s", settled, settled < n ? "," : "");
  if (n > settled) printf(" %u cost more accuracy than their time is worth, %u are no faster in 8 bits", n - settled - slow, slow);
  printf("\n");
}

static void print_reasons(const account *a) {
  for (uint32_t k = 1; k < a->n_kinds; k++) print_reasons_of(a, k);
  if (a->aim == AIM_AUTO) {
    printf("aim: a cosine of at least %.4g on %s of %zu examples", a->steps ? GOOD_SCORES : GOOD_COSINE, a->steps ? "all" : "each", a->examples);
    if (a->steps) printf(", the same best class in %g%% of the steps, the same reading of %g%% of the sequences", 100 * GOOD_STEPS, 100 * GOOD_READING);
    else if (a->classifier) printf(", %g on all, the same best class to be expected in %g%%", GOOD_SCORES, 100 * GOOD_AGREEMENT);
    printf(" (--max-drop=P%% sets a limit instead, --no-mixed none)\n");
  } else if (a->aim == AIM_DROP)
    printf("aim: to lose no more than %g%% %s, on %zu examples\n", a->limit, a->all.labelled ? "of accuracy" : a->classifier ? "of the best classes" : "(root mean square)",
           a->examples);
  if (!(a->ms_quantized > 0)) return;
  printf("a run takes %.3g ms, in floats %.3g, all in 8 bits %.3g", a->ms_quantized, a->ms_floats, a->ms_uniform[0]);
  for (uint32_t k = 1; k < account_floats(a); k++) printf(", all in %s %.3g", kind_name(a, k), a->ms_uniform[k]);
  printf(": %.2f times as fast, kernels %stuned\n", a->ms_floats / a->ms_quantized, a->tuned ? "" : "not ");
}

static void print_heads(const account *a, table *t) {
  static const char *const heads[] = {"LAYER", "OPERATOR", "RANGE", "SCALE", "SQNR", "SQNR OF ALL", "OUTPUTS ALONE", "SAVES MS"};
  for (int i = 0; i < 8; i++) table_cell(t, "%s", heads[i]);
  for (uint32_t k = 1; k < account_floats(a); k++) {
    table_cell(t, "IN %s", kind_name(a, k));
    table_cell(t, "SAVES MS");
  }
  table_cell(t, "%s", "");
}

static void print_row(const account *a, const account_row *r, table *t) {
  table_cell(t, "%s", r->name);
  table_cell(t, "%s", r->op);
  table_cell(t, "%.4g..%.4g", (double)r->low, (double)r->high);
  table_cell(t, "%.4g", (double)r->scale);
  decibels(t, r->sqnr);
  decibels(t, r->accumulated);
  for (uint32_t k = 0; k < account_floats(a); k++) {
    table_cell(t, a->detailed && !r->settled ? "%.3g%%" : "", 100 * r->in[k].alone.error);
    table_cell(t, "%.3f", account_saves(a, r, k));
  }
  if (!r->kind) table_cell(t, "%s", a->n_kinds > 2 ? kind_name(a, 0) : "");
  else table_cell(t, "%s %s: %s", r->kind == account_floats(a) ? "stays in" : "in", kind_name(a, r->kind), reason(a, r));
}

static void print_outcome(const account *a) {
  const quality *q = &a->all;
  if (rows_in(a, 0) < a->n)
    printf("\nall layers quantized: outputs differ by %.3g%% (root mean square), cosine %.6f, the least of an example %.4f", 100 * a->uniform[0].error,
           a->uniform[0].cosine, a->uniform[0].least);
  for (uint32_t k = 1; k < account_floats(a); k++)
    printf("\nall layers in %s: outputs differ by %.3g%%, cosine %.6f, the least of an example %.4f", kind_name(a, k), 100 * a->uniform[k].error, a->uniform[k].cosine,
           a->uniform[k].least);
  printf("\n%u of %u layers quantized", a->n - a->kept, a->n);
  for (uint32_t k = 0; k < account_floats(a) && a->n_kinds > 2; k++) printf("%s%u in %s%s", k ? ", " : " (", rows_in(a, k), kind_name(a, k), k + 1 < account_floats(a) ? "" : ")");
  printf(": outputs differ by %.3g%% (root mean square), cosine %.6f, the least of an example %.4f\n", 100 * q->error, q->cosine, q->least);
}

void account_print(const account *a) {
  table *t = table_make(a->n_kinds == 2 ? "llrrrrrrl" : a->n_kinds == 3 ? "llrrrrrrrrl" : "llrrrrrrrrrrl");
  print_heads(a, t);
  for (uint32_t i = 0; i < a->n; i++) print_row(a, &a->rows[i], t);
  table_print(t, 0);
  table_free(t);
  const quality *q = &a->all;
  print_outcome(a);
  print_reasons(a);
  if (a->classifier && q->items)
    printf("%zu %s: the same best class in %.2f%%, to be expected in %.2f%%; among the best five in %.2f%%\n", q->items, a->steps ? "steps" : "items",
           share(q->top1, q->items), 100 * (1 - q->changing), share(q->top5, q->items));
  if (q->sequences) printf("%zu sequences: %.2f%% read the same (repetitions and the commonest class left out)\n", q->sequences, share(q->read, q->sequences));
  if (a->area) printf("probabilities: a threshold decides otherwise for %.3f%% of their area, on the average of all thresholds (aim: 0.4%%)\n", 100 * q->turned);
  if (q->labelled)
    printf("%zu labels: top-1 %.2f%% before, %.2f%% after\n", q->labelled, share(q->right_before, q->labelled), share(q->right, q->labelled));
}

static json_t *number_or_null(bool known, double v) { return known ? json_number(v) : json_null(); }

static json_t *row_json(const account *a, const account_row *r) {
  bool measured = a->detailed && !r->settled;
  json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:o}", "layer", json_text(r->name), "op", json_text(r->op), "low", json_number((double)r->low), "high",
                        json_number((double)r->high), "scale", json_number((double)r->scale), "sqnr_db", number_or_null(!isnan(r->sqnr), r->sqnr), "sqnr_accumulated_db",
                        number_or_null(!isnan(r->accumulated), r->accumulated), "precision", r->kind == account_floats(a) ? "f32" : kind_name(a, r->kind), "kept",
                        (int)(r->kind == account_floats(a)), "reason", r->kind ? json_text(reason(a, r)) : json_null());
  json_t *in = json_object();
  for (uint32_t k = 0; k < account_floats(a); k++)
    json_object_set_new(in, kind_name(a, k), json_pack("{s:o, s:o, s:o}", "error_alone", number_or_null(measured, r->in[k].alone.error), "lead_shift_alone",
                                                       number_or_null(measured && a->classifier, r->in[k].alone.shift), "saved_ms", json_number(account_saves(a, r, k))));
  json_object_set_new(j, "in", in);
  return j;
}

json_t *account_json(const account *a) {
  json_t *layers = json_array(), *uniform = json_object();
  for (uint32_t i = 0; i < a->n; i++) json_array_append_new(layers, row_json(a, &a->rows[i]));
  for (uint32_t k = 0; k < account_floats(a); k++)
    json_object_set_new(uniform, kind_name(a, k), json_pack("{s:o, s:o, s:o, s:o}", "ms", json_number(a->ms_uniform[k]), "error", json_number(a->uniform[k].error), "cosine",
                                                            json_number(a->uniform[k].cosine), "least_cosine", json_number(a->uniform[k].least)));
  const quality *q = &a->all;
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "turned", number_or_null(a->area, q->turned), "sequences", json_count(q->sequences), "read_same", json_count(q->read), "least_cosine", json_number(q->least), "ms_floats", json_number(a->ms_floats), "ms",
                   json_number(a->ms_quantized), "all_in", uniform, "layers", layers, "kept", (int)a->kept, "error", json_number(q->error), "cosine", json_number(q->cosine), "items",
                   json_count(q->items), "top1_agreement", json_number(share(q->top1, q->items) / 100), "top1_agreement_expected", number_or_null(q->items, 1 - q->changing), "top5_agreement", json_number(share(q->top5, q->items) / 100), "labelled",
                   json_count(q->labelled), "right_before", json_count(q->right_before), "right_after", json_count(q->right));
}
