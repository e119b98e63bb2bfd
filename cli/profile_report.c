/* profile_report.c - figures of a profile, and what they advise. */
#include "profile_report.h"

#include <stdlib.h>
#include <string.h>

static const hone_profile_layer *sorted; /* qsort takes no argument; set for the call alone */
static int slower_first(const void *a, const void *b) {
  double x = sorted[*(const uint32_t *)a].total_ms, y = sorted[*(const uint32_t *)b].total_ms;
  return x < y ? 1 : x > y ? -1 : 0;
}

int profile_report_make(cli *c, const hone_profile *p, const char *model, profile_report *r) {
  *r = (profile_report){.model = model, .n = hone_profile_layer_count(p)};
  hone_status st = hone_profile_totals_get(p, &r->totals);
  r->layers = cli_alloc(r->n, sizeof *r->layers);
  r->order = cli_alloc(r->n, sizeof *r->order);
  for (uint32_t i = 0; !st && i < r->n; i++) {
    st = hone_profile_layer_at(p, i, &r->layers[i]);
    r->order[i] = i;
  }
  if (st) return cli_fail_hone(c->cx, st);
  sorted = r->layers;
  qsort(r->order, r->n, sizeof *r->order, slower_first);
  return CLI_OK;
}

void profile_report_free(profile_report *r) {
  free(r->layers);
  free(r->order);
}

/* ------------------------------------------------------------------------------------------- figures */

double layer_ms(const profile_report *r, const hone_profile_layer *l) { return r->totals.runs ? l->total_ms / r->totals.runs : 0; }
double layer_flops(const hone_profile_layer *l) { return l->mean_ms > 0 ? l->flops / l->mean_ms * 1e3 : 0; }
double layer_rate(const hone_profile_layer *l) { return l->mean_ms > 0 ? (double)l->bytes / l->mean_ms * 1e3 : 0; }

double layer_peak(const profile_report *r, const hone_profile_layer *l) { return r->totals.peak.flops[l->arithmetic]; }

double layer_of_peak(const profile_report *r, const hone_profile_layer *l) {
  return layer_peak(r, l) > 0 ? layer_flops(l) / layer_peak(r, l) : 0;
}

bool layer_is_memory_bound(const profile_report *r, const hone_profile_layer *l) {
  return l->flops * r->totals.peak.bandwidth < (double)l->bytes * layer_peak(r, l);
}

double layer_of_roof(const profile_report *r, const hone_profile_layer *l) {
  if (!layer_is_memory_bound(r, l)) return layer_of_peak(r, l);
  return r->totals.peak.bandwidth > 0 ? layer_rate(l) / r->totals.peak.bandwidth : 0;
}

static int larger_first(const void *a, const void *b) {
  double x = ((const operator_time *)a)->ms, y = ((const operator_time *)b)->ms;
  return x < y ? 1 : x > y ? -1 : 0;
}

operator_time *profile_operators(const profile_report *r, size_t *n) {
  operator_time *all = cli_alloc(r->n, sizeof *all);
  *n = 0;
  for (uint32_t i = 0; i < r->n; i++) {
    const hone_profile_layer *l = &r->layers[i];
    size_t k = 0;
    if (!l->calls) continue;
    while (k < *n && strcmp(all[k].op, l->op) != 0) k++;
    if (k == *n) all[(*n)++].op = l->op;
    all[k].layers++;
    all[k].ms += layer_ms(r, l);
    all[k].flops += l->flops * l->calls / r->totals.runs;
  }
  qsort(all, *n, sizeof *all, larger_first);
  return all;
}

/* -------------------------------------------------------------------------------------------- advice */

typedef bool (*layer_test)(const profile_report *r, const hone_profile_layer *l);

static bool is_reference(const profile_report *r, const hone_profile_layer *l) {
  size_t n = strlen(l->kernel);
  (void)r;
  return l->kind == HONE_SLICE_LAYER && n > 4 && strcmp(l->kernel + n - 4, "_ref") == 0;
}
static bool is_reorder(const profile_report *r, const hone_profile_layer *l) { return (void)r, l->kind == HONE_SLICE_REORDER; }
static bool is_transfer(const profile_report *r, const hone_profile_layer *l) { return (void)r, l->kind == HONE_SLICE_TRANSFER; }
static bool at_the_roof(const profile_report *r, const hone_profile_layer *l) {
  return l->flops > 0 && !layer_is_memory_bound(r, l) && layer_of_peak(r, l) > 0.6;
}
static bool below_the_roof(const profile_report *r, const hone_profile_layer *l) {
  return layer_peak(r, l) > 0 && l->flops > 0 && l->mean_ms > 0.02 && !layer_is_memory_bound(r, l) && layer_of_peak(r, l) < 0.35;
}
static bool waits_for_memory(const profile_report *r, const hone_profile_layer *l) {
  return l->kind == HONE_SLICE_LAYER && layer_peak(r, l) > 0 && l->mean_ms > 0.02 && layer_is_memory_bound(r, l);
}
static bool is_tiny(const profile_report *r, const hone_profile_layer *l) { return (void)r, l->mean_ms < 0.01; }

/* What a group of layers has in common, from which share of the run on it matters, and what can be done. */
static const struct {
  layer_test test;
  double from;
  const char *text;
} advices[] = {
    {is_reference, 0.03, "runs on plain reference kernels (slowest: %s): no fast kernel takes these types or attributes; another "
                         "export, type or fixed shape may be taken (--shape)"},
    {is_transfer, 0.05, "is spent on copies between devices (largest: %s): 'hone place' finds the placement with the least"},
    {is_reorder, 0.05, "is spent on changes of layout (largest: %s): 'hone optimize --tune=full' chooses kernels with their "
                       "layouts in mind"},
    {at_the_roof, 0.25, "is in layers at more than 60%% of the arithmetic peak (first: %s): only fewer or narrower operations help, "
                        "as int8 or a smaller model"},
    {below_the_roof, 0.10, "is in layers that could compute faster, at less than 35%% of the peak (first: %s): "
                           "'hone optimize --tune=full' tries every kernel; more images a run (--batch) fill it better"},
    {waits_for_memory, 0.15, "is in layers limited by memory (first: %s): fusion and smaller types save bytes, faster arithmetic "
                             "does not help"},
    {is_tiny, 0.10, "is in layers of less than 10 us (first: %s), where starting one is what costs: a larger batch shares it"}};
enum { ADVICES = sizeof advices / sizeof *advices };

static int weightier_first(const void *a, const void *b) {
  double x = ((const profile_advice *)a)->share, y = ((const profile_advice *)b)->share;
  return x < y ? 1 : x > y ? -1 : 0;
}

profile_advice *profile_advise(const profile_report *r, size_t *n) {
  profile_advice *all = cli_alloc(ADVICES + 2, sizeof *all);
  double run = r->totals.run_ms > 0 ? r->totals.run_ms : 1;
  *n = 0;
  for (size_t k = 0; k < ADVICES; k++) {
    const hone_profile_layer *largest = NULL;
    double ms = 0;
    for (uint32_t i = 0; i < r->n; i++) {
      const hone_profile_layer *l = &r->layers[r->order[i]];
      if (!l->calls || !advices[k].test(r, l)) continue;
      ms += layer_ms(r, l);
      if (!largest) largest = l;
    }
    if (!largest || ms / run < advices[k].from) continue;
    const char *name = *largest->name ? largest->name : largest->op, *at = strstr(advices[k].text, "%s");
    char *head = cli_format("%.*s%s", (int)(at - advices[k].text), advices[k].text, name);
    char *text = cli_format("%.0f%% of a run %s%s", 100 * ms / run, head, at + 2), *to = text;
    for (const char *from = text; (*to = *from); from++, to++)
      if (from[0] == '%' && from[1] == '%') from++;
    free(head);
    all[(*n)++] = (profile_advice){ms / run, text};
  }
  if (r->totals.between_ms / run > 0.05)
    all[(*n)++] = (profile_advice){r->totals.between_ms / run,
                                   cli_format("%.0f%% of a run lies between layers: a larger batch or fewer layers share it",
                                              100 * r->totals.between_ms / run)};
  if (r->fewer)
    all[(*n)++] = (profile_advice){1, cli_format("the model is not optimized: 'hone optimize' leaves %u of its layers", r->fewer)};
  qsort(all, *n, sizeof *all, weightier_first);
  return all;
}

void profile_advice_free(profile_advice *a, size_t n) {
  for (size_t i = 0; i < n; i++) free(a[i].text);
  free(a);
}
