/* profile_print.c - a profile on the terminal and as JSON. */
#include <stdlib.h>
#include <string.h>

#include "profile_report.h"

static void cell_rate(table *t, double per_second) {
  if (per_second > 0) table_cell(t, "%.1f", per_second * 1e-9);
  else table_cell(t, "%s", "");
}

static void cell_percent(table *t, double share) {
  if (share > 0) table_cell(t, "%.0f%%", 100 * share);
  else table_cell(t, "%s", "");
}

static void print_layers(const profile_report *r, size_t top) {
  static const char *const heads[] = {"LAYER", "OPERATOR", "KERNEL", "OUTPUT", "MS", "SHARE", "GFLOP/S", "PEAK", "OF", "GB/S", "ROOF", "BOUND BY"};
  table *t = table_make("llllrrrrlrrl");
  for (int i = 0; i < 12; i++) table_cell(t, "%s", heads[i]);
  for (size_t i = 0; i < r->n && i < top; i++) {
    const hone_profile_layer *l = &r->layers[r->order[i]];
    if (!l->calls) break;
    table_cell(t, "%s", l->name);
    table_cell(t, "%s", l->op);
    table_cell(t, "%s", l->kernel);
    table_cell(t, "%s", l->outputs);
    table_cell(t, "%.4f", layer_ms(r, l));
    table_cell(t, "%.1f%%", 100 * layer_ms(r, l) / r->totals.run_ms);
    cell_rate(t, layer_flops(l));
    cell_percent(t, layer_of_peak(r, l));
    table_cell(t, "%s", layer_of_peak(r, l) > 0 ? hone_arithmetic_name(l->arithmetic) : "");
    cell_rate(t, layer_rate(l));
    cell_percent(t, layer_of_roof(r, l));
    table_cell(t, "%s", layer_peak(r, l) <= 0 ? "" : layer_is_memory_bound(r, l) ? "memory" : "arithmetic");
  }
  printf("\nself time by layer");
  if (table_rows(t) < r->n) printf(" (the %zu slowest of %u)", table_rows(t), r->n);
  printf(":\n");
  table_print(t, 2);
  table_free(t);
}

static void print_operators(const profile_report *r) {
  static const char *const heads[] = {"OPERATOR", "LAYERS", "MS", "SHARE", "GFLOP/S"};
  size_t n;
  operator_time *all = profile_operators(r, &n);
  table *t = table_make("lrrrr");
  for (int i = 0; i < 5; i++) table_cell(t, "%s", heads[i]);
  for (size_t i = 0; i < n; i++) {
    table_cell(t, "%s", all[i].op);
    table_cell(t, "%u", all[i].layers);
    table_cell(t, "%.4f", all[i].ms);
    table_cell(t, "%.1f%%", 100 * all[i].ms / r->totals.run_ms);
    cell_rate(t, all[i].ms > 0 ? all[i].flops / all[i].ms * 1e3 : 0);
  }
  printf("\nself time by operator:\n");
  table_print(t, 2);
  table_free(t);
  free(all);
}

/* Of the layers that arithmetic binds and compute in the same, what they do against its peak. */
static void print_bound_by(const profile_report *r, hone_arithmetic a) {
  const hone_profile_totals *m = &r->totals;
  double ms = 0, flops = 0, peak = m->peak.flops[a];
  for (uint32_t i = 0; i < r->n; i++) {
    const hone_profile_layer *l = &r->layers[i];
    if (l->arithmetic != a || layer_is_memory_bound(r, l)) continue;
    ms += layer_ms(r, l);
    flops += l->flops * l->calls / m->runs;
  }
  if (ms > 0)
    printf("  bound by arithmetic: %.1f%% of a run, at %.0f%% of the peak in %s (%s, %.1f GFLOP/s)%s\n", 100 * ms / m->run_ms,
           100 * flops / ms * 1e3 / peak, hone_arithmetic_name(a), m->peak.by[a], peak * 1e-9,
           flops / ms * 1e3 > peak ? " (Winograd does with fewer operations than are counted)" : "");
}

static bool computes_in(const profile_report *r, hone_arithmetic a) {
  for (uint32_t i = 0; i < r->n; i++)
    if (r->layers[i].calls && r->layers[i].arithmetic == a) return true;
  return false;
}

static void print_roofline(const profile_report *r) {
  const hone_profile_totals *m = &r->totals;
  const double *peak = m->peak.flops;
  double ms = 0, bytes = 0;
  if (peak[0] <= 0) return;
  for (uint32_t i = 0; i < r->n; i++) {
    const hone_profile_layer *l = &r->layers[i];
    if (!layer_is_memory_bound(r, l)) continue;
    ms += layer_ms(r, l);
    bytes += (double)l->bytes * l->calls / m->runs;
  }
  printf("\nroofline: this machine reads %.1f GB/s (measured now) and does", m->peak.bandwidth * 1e-9);
  for (int a = 0; a < HONE_ARITHMETICS; a++)
    if (a == 0 || computes_in(r, (hone_arithmetic)a))
      printf("%s %.1f GFLOP/s in %s (%s, balanced at %.1f FLOP a byte)", a ? "," : "", peak[a] * 1e-9, hone_arithmetic_name((hone_arithmetic)a),
             m->peak.by[a], peak[a] / m->peak.bandwidth);
  printf("\n");
  for (int a = 0; a < HONE_ARITHMETICS; a++) print_bound_by(r, (hone_arithmetic)a);
  if (ms > 0)
    printf("  bound by memory:     %.1f%% of a run, at %.0f%% of the bandwidth%s\n", 100 * ms / m->run_ms,
           100 * bytes / ms * 1e3 / m->peak.bandwidth,
           bytes / ms * 1e3 > m->peak.bandwidth ? " (what the caches hold comes faster than from memory)" : "");
}

void profile_print(const profile_report *r, size_t top) {
  const hone_profile_totals *m = &r->totals;
  size_t n;
  printf("%s: %u runs after %u to warm up, %s each (fastest %s, slowest %s)\n", r->model, m->runs, m->warmups,
         human_ms(m->run_ms).s, human_ms(m->min_ms).s, human_ms(m->max_ms).s);
  print_layers(r, top);
  print_operators(r);
  printf("\na run: layers %.1f%%, changes of layout %.1f%%, transfers %.1f%% (%llu copies, %s), between them %.1f%%\n",
         100 * m->layers_ms / m->run_ms, 100 * m->reorders_ms / m->run_ms, 100 * m->transfers_ms / m->run_ms,
         (unsigned long long)m->transfers, human_bytes(m->transfer_bytes).s, 100 * m->between_ms / m->run_ms);
  print_roofline(r);
  profile_advice *a = profile_advise(r, &n);
  if (n) printf("\nwhat to do about it:\n");
  for (size_t i = 0; i < n; i++) printf("  - %s\n", a[i].text);
  profile_advice_free(a, n);
  if (m->dropped) printf("\n%llu slices found no room and are not in the trace\n", (unsigned long long)m->dropped);
}

/* What is not counted: one line for each reason. */
static void print_missing(const hone_profile *p) {
  const char *name, *reason, *other, *because;
  for (uint32_t i = 0; hone_profile_counter_at(p, i, &name, &reason); i++) {
    bool told = !*reason;
    for (uint32_t k = 0; k < i && !told && hone_profile_counter_at(p, k, &other, &because); k++)
      told = *because && strcmp(strchr(because, ':'), strchr(reason, ':')) == 0;
    if (told) continue;
    printf("\nnot counted: %s", name);
    for (uint32_t k = i + 1; hone_profile_counter_at(p, k, &other, &because); k++)
      if (*because && strcmp(strchr(because, ':'), strchr(reason, ':')) == 0) printf(", %s", other);
    printf("%s\n", strchr(reason, ':'));
  }
}

void profile_print_counters(const profile_report *r, const hone_profile *p, size_t top) {
  char columns[HONE_PROFILE_COUNTERS + 3] = "l";
  const char *name, *reason;
  uint32_t have[HONE_PROFILE_COUNTERS], n = 0;
  print_missing(p);
  for (uint32_t i = 0; hone_profile_counter_at(p, i, &name, &reason); i++)
    if (!*reason) have[n++] = i;
  if (!r->totals.counted || !n) return;
  table *t = table_make(memset(columns + 1, 'r', n) ? columns : columns);
  table_cell(t, "LAYER");
  for (uint32_t i = 0; i < n; i++) {
    hone_profile_counter_at(p, have[i], &name, NULL);
    table_cell(t, "%s", name);
  }
  for (size_t i = 0; i < r->n && i < top; i++) {
    const hone_profile_layer *l = &r->layers[r->order[i]];
    if (l->counters[have[0]] < 0) continue;
    table_cell(t, "%s", *l->name ? l->name : l->op);
    for (uint32_t k = 0; k < n; k++) table_cell(t, "%s", human_count((uint64_t)l->counters[have[k]]).s);
  }
  printf("\ncounted in %u further runs, by layer:\n", r->totals.counted);
  table_print(t, 2);
  table_free(t);
}

static json_t *layer_json(const profile_report *r, const hone_profile_layer *l) {
  static const char *const kinds[] = {"layer", "reorder", "transfer"};
  json_t *j = json_pack("{s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:s}", "name", json_text(l->name), "operator", json_text(l->op),
                        "kind", kinds[l->kind], "kernel", json_text(l->kernel), "layout", l->layout, "device", json_text(l->device),
                        "inputs", json_text(l->inputs), "outputs", json_text(l->outputs), "source", json_text(l->source),
                        "dtype", hone_dtype_name(l->dtype));
  const struct { const char *key; double value; } numbers[] = {
      {"ms", layer_ms(r, l)}, {"mean_ms", l->mean_ms}, {"min_ms", l->min_ms}, {"max_ms", l->max_ms}, {"flop", l->flops},
      {"flops", layer_flops(l)}, {"bytes_per_second", layer_rate(l)}, {"of_peak", layer_of_peak(r, l)}, {"of_roof", layer_of_roof(r, l)}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) json_object_set_new(j, numbers[i].key, json_number(numbers[i].value));
  json_object_set_new(j, "calls", json_count(l->calls));
  json_object_set_new(j, "bytes", json_count(l->bytes));
  json_object_set_new(j, "arithmetic", json_string(hone_arithmetic_name(l->arithmetic)));
  json_object_set_new(j, "memory_bound", json_boolean(layer_is_memory_bound(r, l)));
  return j;
}

json_t *profile_json(const profile_report *r) {
  const hone_profile_totals *m = &r->totals;
  const struct { const char *key; double value; } numbers[] = {
      {"run_ms", m->run_ms}, {"min_ms", m->min_ms}, {"max_ms", m->max_ms}, {"layers_ms", m->layers_ms}, {"reorders_ms", m->reorders_ms},
      {"transfers_ms", m->transfers_ms}, {"between_ms", m->between_ms}, {"peak_flops", m->peak.flops[HONE_ARITHMETIC_F32]},
      {"peak_bf16", m->peak.flops[HONE_ARITHMETIC_BF16]}, {"peak_int8", m->peak.flops[HONE_ARITHMETIC_INT8]},
      {"peak_bandwidth", m->peak.bandwidth}, {"recording_overhead", r->overhead}};
  json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:o}", "model", json_text(r->model), "runs", json_count(m->runs), "warmups",
                        json_count(m->warmups), "transfers", json_count(m->transfers), "transfer_bytes", json_count(m->transfer_bytes));
  json_t *layers = json_array(), *operators = json_array(), *advice = json_array();
  size_t n;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) json_object_set_new(j, numbers[i].key, json_number(numbers[i].value));
  for (uint32_t i = 0; i < r->n; i++) json_array_append_new(layers, layer_json(r, &r->layers[i]));
  operator_time *ops = profile_operators(r, &n);
  for (size_t i = 0; i < n; i++)
    json_array_append_new(operators, json_pack("{s:o, s:o, s:o}", "operator", json_text(ops[i].op), "layers", json_count(ops[i].layers),
                                               "ms", json_number(ops[i].ms)));
  free(ops);
  profile_advice *a = profile_advise(r, &n);
  for (size_t i = 0; i < n; i++) json_array_append_new(advice, json_text(a[i].text));
  profile_advice_free(a, n);
  json_t *by = json_object();
  for (int k = 0; k < HONE_ARITHMETICS && m->peak.by[k]; k++) json_object_set_new(by, hone_arithmetic_name((hone_arithmetic)k), json_string(m->peak.by[k]));
  json_object_set_new(j, "peak_by", by);
  json_object_set_new(j, "layers", layers);
  json_object_set_new(j, "operators", operators);
  json_object_set_new(j, "advice", advice);
  return j;
}
