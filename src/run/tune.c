#include "run/tuner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/isa.h"
#include "base/parallel.h"
#include "base/str.h"
#include "device/cpu/conv/before.h"
#include "device/cpu/peak/peak.h"
#include "plan/fork.h"
#include "plan/place.h"

/* ----------------------------------------------------------------------------------- what is timed */

static void add_tensor(const hn_graph *g, hn_id v, hn_str *s) {
  if (v == HN_NONE) {
    hn_str_add(s, " -");
    return;
  }
  const hn_value *val = hn_value_at(g, v);
  hn_str_printf(s, " %s%s[", val->data ? "const " : "", hone_dtype_name(val->dtype));
  for (int32_t k = 0; k < val->shape.rank; k++) {
    if (k) hn_str_add(s, ",");
    hn_str_add(s, hn_dim_text(g->dims, val->shape.d[k]));
  }
  hn_str_add(s, "]");
}

/* One line without tabs; from the specialized graph, whose shapes are fixed. */
static const char *layer_text(tuner *t, const hn_graph *g, const hn_task *task) {
  hn_str s = {0};
  for (uint32_t k = 0; k < (task->chain ? task->n_chain : 1); k++) {
    const hn_node *n = task->chain ? hn_node_at(g, task->chain[k]) : task->node;
    if (k) hn_str_add(&s, ", then ");
    hn_node_kind_text(n, &s);
    for (uint32_t i = 0; i < n->n_in; i++) add_tensor(g, n->in[i], &s);
    hn_str_add(&s, " ");
    hn_attrs_text(g, n, &s);
    if (task->on) hn_str_printf(&s, " on %s", task->on->name);
    const hn_value *v = n->n_out && n->out[0] != HN_NONE ? hn_value_at(g, n->out[0]) : NULL;
    for (uint32_t i = 0; v && i < v->n_users; i++)
      if (hn_node_at(g, v->users[i])->op == HN_Concat) {
        hn_str_add(&s, " into a Concat");
        break;
      }
  }
  for (size_t i = 0; i < s.n; i++)
    if ((unsigned char)s.p[i] < ' ') s.p[i] = ' ';
  const char *text = s.failed ? NULL : hn_arena_strdup(t->texts, s.p);
  hn_str_free(&s);
  return text;
}

uint32_t hn_tuner_layer(const tuner *t, const hn_planned *s) {
  uint32_t n = (uint32_t)t->g->nodes.n;
  if (s->node >= n) return HN_NONE; /* a reorder, or specialization has appended it */
  return s->task.chain ? n + s->node : s->node;
}

const char *hn_tuner_plan_text(tuner *t, const hn_program *p) {
  const hn_plan *plan = hn_program_plan(p);
  uint64_t h = 1;
  for (size_t i = 0; i < plan->steps.n; i++) {
    const hn_planned *s = &plan->steps.p[i];
    uint32_t id = hn_tuner_layer(t, s);
    const char *text = id == HN_NONE ? "" : t->layers[id].text;
    h = hn_hash(text, strlen(text), h);
    h = hn_hash(hn_planned_tactic(s), strlen(hn_planned_tactic(s)), h);
    for (uint32_t k = 0; k < s->task.n_in; k++) h = 31 * h + (uint64_t)s->task.in[k].layout;
  }
  for (size_t i = 0; i < plan->forks.n; i++) {
    const hn_fork *f = &plan->forks.p[i];
    h = hn_hash(f->lane, f->n * sizeof *f->lane, h + f->first);
  }
  return hn_arena_printf(t->texts, "plan of %zu steps %016llx", plan->steps.n, (unsigned long long)h);
}

/* The step that does a node, or the number of steps. */
static size_t step_of(const hn_plan *plan, hn_id node) {
  size_t i = 0;
  for (; i < plan->steps.n; i++) {
    const hn_planned *s = &plan->steps.p[i];
    bool in_chain = false;
    for (uint32_t k = 0; s->task.chain && k < s->task.n_chain; k++) in_chain = in_chain || s->task.chain[k] == node;
    if (in_chain || s->node == node) break;
  }
  return i;
}

/* Of a conversion that was put around a node computing in F32 among 16-bit floats: that node. HN_NONE: it is no such. */
static hn_id widened_by(const tuner *t, const hn_plan *plan, const hn_planned *s) {
  const hn_graph *g = plan->g;
  const hn_node *n = s->task.node;
  if (!n || s->node < t->g->nodes.n || n->op != HN_Cast || s->task.chain) return HN_NONE;
  const hn_value *out = hn_value_at(g, n->out[0]);
  if (out->dtype == HONE_DTYPE_F32) return out->n_users ? out->users[0] : HN_NONE;
  return hn_producer(g, n->in[0]);
}

/* The step that step i's time is charged to: of a change of layout the one it is made for, of a conversion the one it is put
   around. The number of steps: to none. */
static size_t charged(const tuner *t, const hn_plan *plan, size_t i) {
  i = hn_step_served(plan, i);
  hn_id around = i < plan->steps.n ? widened_by(t, plan, &plan->steps.p[i]) : HN_NONE;
  return around == HN_NONE ? i : step_of(plan, around);
}

hone_status hn_tuner_name_layers(tuner *t, const hn_program *p) {
  const hn_plan *plan = hn_program_plan(p);
  for (size_t i = 0; i < plan->steps.n; i++) {
    uint32_t id = hn_tuner_layer(t, &plan->steps.p[i]);
    if (id == HN_NONE || t->layers[id].text) continue;
    layer *l = &t->layers[id];
    l->text = layer_text(t, hn_program_graph(p), &plan->steps.p[i].task);
    if (!l->text) return hn_nomem(t->g->cx);
    if (hn_map_get(&t->kinds, l->text, &l->first)) continue;
    l->first = id;
    if (!hn_map_put(&t->kinds, l->text, id)) return hn_nomem(t->g->cx);
  }
  return HONE_OK;
}

/* --------------------------------------------------------------------------------------- measuring */

static bool all_known(tuner *t, const hn_plan *plan, const char *whole) {
  double unused;
  for (size_t i = 0; i < plan->steps.n; i++) {
    uint32_t id = hn_tuner_layer(t, &plan->steps.p[i]);
    if (id != HN_NONE &&
        !hn_timing_cache_get(t->cache, t->machine, t->layers[id].text, hn_planned_tactic(&plan->steps.p[i]), &unused))
      return false;
  }
  return hn_tuner_ways_known(t, plan) && hn_timing_cache_get(t->cache, t->machine, whole, "all", &unused);
}

/* Layers of one text and tactic share the mean of their times. */
typedef struct shared {
  const char *text, *tactic;
  double sum;
  uint32_t n;
} shared;

static hone_status remember(tuner *t, const hn_plan *plan, const double *seconds) {
  HN_VEC(shared) all = {0};
  hone_status st = HONE_OK;
  for (size_t i = 0; i < plan->steps.n && !st; i++) {
    size_t of = charged(t, plan, i);
    uint32_t id = of < plan->steps.n ? hn_tuner_layer(t, &plan->steps.p[of]) : HN_NONE;
    if (id == HN_NONE) continue;
    const char *tactic = hn_planned_tactic(&plan->steps.p[of]);
    size_t at = 0;
    while (at < all.n && (strcmp(all.p[at].tactic, tactic) != 0 || strcmp(all.p[at].text, t->layers[id].text) != 0)) at++;
    if (at == all.n && !hn_push(&all, ((shared){t->layers[id].text, tactic, 0, 0}))) st = hn_nomem(t->g->cx);
    if (st) break;
    all.p[at].sum += seconds[i];
    all.p[at].n += of == i;
  }
  for (size_t i = 0; i < all.n && !st; i++) {
    const shared *a = &all.p[i];
    double known; /* a time once taken stays, so that the choice from the file is the choice made now */
    if (hn_timing_cache_get(t->cache, t->machine, a->text, a->tactic, &known)) continue;
    st = hn_timing_cache_put(t->cache, t->machine, a->text, a->tactic, a->sum / a->n);
    t->result.measured += !t->assigns; /* else ways are counted */
  }
  hn_vec_free(&all);
  return st;
}

/* The step that makes a value, or the number of steps. */
static size_t maker_of(const hn_plan *plan, hn_id value) {
  size_t i = 0;
  for (; i < plan->steps.n; i++) {
    const hn_planned *s = &plan->steps.p[i];
    hn_id node = s->task.chain ? s->task.chain[s->task.n_chain - 1] : s->node;
    if (node != HN_NONE && node == hn_producer(plan->g, value)) break;
  }
  return i;
}

/* What a Concat copies because the kernels before it could not write there is their time too. */
static void charge_copies(const hn_plan *plan, double *seconds) {
  for (size_t i = 0; i < plan->steps.n; i++) {
    const hn_planned *s = &plan->steps.p[i];
    if (!s->task.node || s->task.node->op != HN_Concat || s->task.chain) continue;
    double all = 0;
    for (uint32_t k = 0; k < s->task.n_in; k++) all += s->in[k] == HN_NONE ? 0 : (double)plan->slots.p[s->in[k]].count;
    for (uint32_t k = 0; k < s->task.n_in && all > 0; k++) {
      size_t maker = s->in[k] == HN_NONE ? plan->steps.n : maker_of(plan, s->task.node->in[k]);
      if (maker < plan->steps.n) seconds[maker] += seconds[i] * (double)plan->slots.p[s->in[k]].count / all;
    }
  }
}

/* How often another process has taken a processor from a thread of this one. */
static long preempted(void) {
  struct rusage u;
  return getrusage(RUSAGE_SELF, &u) ? 0 : u.ru_nivcsw;
}

/* The smallest time of each step and of a whole run: what disturbs a run only adds to it. While others take processors away, as many
   runs again, for else each time may be of a run that was disturbed. */
hone_status hn_tuner_time_steps(tuner *t, hn_program *p, double *least, double *total) {
  enum { PASSES = 5 };
  const hn_plan *plan = hn_program_plan(p);
  int32_t runs = t->how->runs;
  long before = 0;
  hone_status st = hn_program_run(p, t->inputs, t->outputs); /* warm-up */
  hn_program_profile(p, true);
  for (int32_t r = 0; r < PASSES * runs && !st; r++) {
    double sum = 0;
    if (r % runs == 0 && r && preempted() - before <= runs) break;
    if (r % runs == 0) before = preempted();
    st = hn_program_run(p, t->inputs, t->outputs);
    for (size_t i = 0; i < plan->steps.n && !st; i++) {
      double s = plan->steps.p[i].once ? 0 : hn_program_step_seconds(p, (uint32_t)i);
      sum += s;
      if (!r || s < least[i]) least[i] = s;
    }
    if (!r || sum < *total) *total = sum;
  }
  return st ? st : hn_tuner_remember_ways(t, plan, least);
}

static hone_status time_program(tuner *t, hn_program *p, const char *whole, bool copied) {
  const hn_plan *plan = hn_program_plan(p);
  double *least = hn_calloc(plan->steps.n, sizeof *least), total = 0;
  hone_status st = least ? hn_tuner_time_steps(t, p, least, &total) : hn_nomem(t->g->cx);
  if (!st && !copied) charge_copies(plan, least);
  if (!st) st = remember(t, plan, least);
  if (!st) st = hn_timing_cache_put(t->cache, t->machine, whole, "all", total);
  hn_free(least);
  return st;
}

static hone_status time_run(tuner *t, hn_program *p, double *seconds) {
  double begin = hn_now();
  hone_status st = hn_program_run(p, t->inputs, t->outputs);
  *seconds = hn_now() - begin;
  return st;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

hone_status hn_tuner_compare(tuner *t, hn_program *a, hn_program *b, double *ratio) {
  enum { MOST = 64 };
  double of[MOST], x, y;
  int32_t runs = 3 * t->how->runs < MOST ? 3 * t->how->runs : MOST;
  if (runs < 9) runs = 9;
  for (int32_t r = -1; r < runs; r++) { /* the first warms up */
    HN_TRY(time_run(t, a, &x));
    HN_TRY(time_run(t, b, &y));
    if (r >= 0) of[r] = y / x;
  }
  qsort(of, (size_t)runs, sizeof *of, ascending);
  *ratio = of[runs / 2];
  return HONE_OK;
}

static hone_status note(tuner *t, layer *l, const hn_planned *s, double seconds) {
  uint32_t i = 0;
  while (i < l->n && strcmp(l->tried[i].tactic, hn_planned_tactic(s)) != 0) i++;
  const char *tactic = i < l->n ? l->tried[i].tactic : hn_arena_strdup(t->texts, hn_planned_tactic(s));
  if (!tactic) return hn_nomem(t->g->cx);
  l->last = tactic;
  if (i == MAX_TRIED) return HONE_OK;
  if (i == l->n) l->n++;
  l->tried[i] = (timing){tactic, hn_kernel_origin(s->task.kernel) == HN_ORIGIN_ONEDNN, seconds};
  return HONE_OK;
}

/* What a time counts for: a kernel of oneDNN is generated anew in every process, 0.1 ms each, and needs its threads, so it
   must be worth it. */
static double worth(const timing *t) { return t->seconds * (t->generated ? 1.02 : 1); }

static const timing *best_of(const layer *l) {
  const timing *best = NULL;
  for (uint32_t i = 0; i < l->n; i++)
    if (!best || worth(&l->tried[i]) < worth(best)) best = &l->tried[i];
  return best;
}

const timing *hn_tuner_tried(const layer *l, const char *tactic) {
  for (uint32_t i = 0; i < l->n; i++)
    if (tactic && strcmp(l->tried[i].tactic, tactic) == 0) return &l->tried[i];
  return NULL;
}

/* Does the search go by this layer, as the first of its kind? */
static bool leads(const tuner *t, hn_id id) { return t->layers[id].text && t->layers[id].first == id; }

static void choose(tuner *t, hn_id id, const timing *with) {
  hn_node *n = hn_node_at(t->g, id);
  n->tactic = with->tactic;
  n->tactic_ms = with->seconds * 1e3;
}

/* Was it chosen as the first of a chain? */
static bool starts_chain(const tuner *t, hn_id id) {
  const char *tactic = hn_node_at(t->g, id)->tactic;
  return hn_tactic_is(tactic, hn_strips_kernel.name) || hn_streq(tactic, hn_prologue_kernel.name);
}

/* A chain is run as one if that is faster than its layers one by one, each by its best kernel. */
static void weigh_chain(tuner *t, const hn_planned *s) {
  if (!s->task.chain || hn_tuner_layer(t, s) == HN_NONE) return;
  const timing *together = best_of(&t->layers[hn_tuner_layer(t, s)]);
  double apart = 0;
  for (uint32_t i = 0; i < s->task.n_chain; i++) {
    hn_id id = s->task.chain[i];
    const timing *one = id < t->g->nodes.n ? best_of(&t->layers[id]) : NULL;
    if (!one) return;
    if (i && starts_chain(t, id)) { /* the rest is a chain of its own */
      apart += hn_node_at(t->g, id)->tactic_ms * 1e-3;
      break;
    }
    apart += one->seconds;
  }
  if (together && together->seconds < apart) choose(t, s->node, together);
}

hone_status hn_tuner_try(tuner *t, const hn_plan_options *how, uint32_t *alternatives, double *seconds) {
  hn_plan_options o = t->plan;
  hn_program *p;
  o.round = how->round;
  o.untuned = how->untuned;
  o.widen = how->widen;
  o.strips = how->strips;
  o.copy_joins = how->copy_joins;
  HN_TRY(hn_program_create(t->g, t->inputs, &o, &p));
  const hn_plan *plan = hn_program_plan(p);
  hone_status st = hn_tuner_name_layers(t, p);
  if (!st) st = hn_tuner_look(t, plan);
  const char *whole = st ? NULL : hn_tuner_plan_text(t, p);
  if (!st && !whole) st = hn_nomem(t->g->cx);
  if (!st && !all_known(t, plan, whole)) st = time_program(t, p, whole, how->copy_joins);
  else if (!st) t->result.recalled++;
  for (size_t i = 0; i < plan->steps.n && !st; i++) {
    uint32_t id = hn_tuner_layer(t, &plan->steps.p[i]);
    double s;
    const hn_planned *step = &plan->steps.p[i];
    if (id != HN_NONE && hn_timing_cache_get(t->cache, t->machine, t->layers[id].text, hn_planned_tactic(step), &s))
      st = note(t, &t->layers[id], step, s);
  }
  if (!st) hn_timing_cache_get(t->cache, t->machine, whole, "all", seconds);
  if (alternatives) *alternatives = plan->alternatives;
  for (size_t i = 0; i < plan->steps.n && !st && o.strips >= HN_STRIPS_THIN; i++) weigh_chain(t, &plan->steps.p[i]);
  hn_program_destroy(p);
  t->done++;
  if (!st && t->how->progress && !t->how->progress(t->how->user, t->done, t->expected > t->done ? t->expected : t->done))
    st = hn_fail(t->g->cx, HONE_BAD_ARG, "tuning was stopped");
  return st;
}

/* ---------------------------------------------------------------------------------------- choosing */

static void choose_kind(tuner *t, hn_id first, const timing *with) {
  for (hn_id id = 0; id < t->g->nodes.n; id++)
    if (t->layers[id].text && t->layers[id].first == first) choose(t, id, with);
}

/* Layers of one text change their kernel together, and the change stays if the whole graph becomes faster: what a
   layer's own time cannot show, the layouts and caches it leaves to others, decides here. */
static hone_status descend(tuner *t, double *total) {
  const hn_plan_options chosen = {.round = 0};
  const double near = 1.3, gain = 0.995;
  for (hn_id id = 0; id < t->g->nodes.n; id++) {
    const layer *l = &t->layers[id];
    const timing *now = leads(t, id) ? hn_tuner_tried(l, hn_node_at(t->g, id)->tactic) : NULL;
    for (uint32_t i = 0; now && i < l->n; i++) {
      const timing other = l->tried[i], was = *now;
      double seconds;
      if (other.tactic == was.tactic || other.seconds > was.seconds * near) continue;
      choose_kind(t, id, &other);
      HN_TRY(hn_tuner_try(t, &chosen, NULL, &seconds));
      if (seconds < *total * gain) {
        *total = seconds;
        now = hn_tuner_tried(l, other.tactic);
        continue;
      }
      choose_kind(t, id, &was);
    }
  }
  return HONE_OK;
}

/* How many plans descend() will try at most, for the progress. */
static uint32_t count_close(const tuner *t) {
  uint32_t n = 0;
  for (hn_id id = 0; id < t->g->nodes.n; id++) {
    const layer *l = &t->layers[id];
    const timing *best = leads(t, id) ? best_of(l) : NULL;
    for (uint32_t i = 0; best && i < l->n; i++) n += &l->tried[i] != best && l->tried[i].seconds < best->seconds * 1.3;
  }
  return n;
}

/* Of the chains that may run strip by strip, those that are faster so; all of them or none, by the time of the whole. */
static hone_status search_chains(tuner *t, double *total) {
  uint32_t n = (uint32_t)t->g->nodes.n;
  double seconds;
  HN_TRY(hn_tuner_try(t, &(hn_plan_options){.strips = HN_STRIPS_THIN}, NULL, &seconds));
  HN_TRY(hn_tuner_try(t, &(hn_plan_options){.strips = HN_STRIPS_ALL}, NULL, &seconds));
  HN_TRY(hn_tuner_try(t, &(hn_plan_options){.strips = HN_STRIPS_CHOSEN}, NULL, &seconds));
  if (seconds < *total) {
    *total = seconds;
    return HONE_OK;
  }
  for (hn_id id = 0; id < n; id++)
    if (starts_chain(t, id)) choose(t, id, best_of(&t->layers[id]));
  return HONE_OK;
}

/* The kernel that copies what may also be written or read in place: which of both a layer does is for the whole to show, since
   the time goes to others. NULL: another layer. */
static const char *copies(const tuner *t, hn_id id) {
  hn_op op = hn_node_at(t->g, id)->op;
  const char *name = op == HN_Concat ? "concat_move" : op == HN_Split ? "split_move" : op == HN_Slice ? "slice_move" : NULL;
  const timing *measured = name ? hn_tuner_tried(&t->layers[id], name) : NULL;
  return measured ? measured->tactic : NULL;
}

/* Copies, or not, all of one kind (HN_NONE: all there are). */
static void copy_alike(tuner *t, hn_id first, bool copy) {
  for (hn_id id = 0; id < t->g->nodes.n; id++) {
    const char *copying = copies(t, id);
    if (!copying || (first != HN_NONE && t->layers[id].first != first)) continue;
    if (copy) choose(t, id, hn_tuner_tried(&t->layers[id], copying));
    else hn_node_at(t->g, id)->tactic = NULL;
  }
}

/* In place or copied: all alike, then with full effort each. */
static hone_status search_joins(tuner *t, double *total) {
  const hn_plan_options chosen = {.round = 0};
  double seconds;
  HN_TRY(hn_tuner_try(t, &(hn_plan_options){.copy_joins = true}, NULL, &seconds));
  if (seconds < *total) {
    copy_alike(t, HN_NONE, true);
    *total = seconds;
  }
  for (hn_id id = 0; id < t->g->nodes.n && t->how->effort > 1; id++) {
    if (!leads(t, id) || !copies(t, id)) continue;
    bool was = hn_node_at(t->g, id)->tactic != NULL;
    copy_alike(t, id, !was);
    HN_TRY(hn_tuner_try(t, &chosen, NULL, &seconds));
    if (seconds < *total * 0.995) *total = seconds;
    else copy_alike(t, id, was);
  }
  return HONE_OK;
}

void hn_tuner_name_machine(tuner *t) {
  char cpu[HN_CPU_NAME];
  hn_str devices = {0};
  hn_cpu_name(cpu);
  if (t->plan.place) hn_place_describe(t->plan.place, &devices);
  snprintf(t->machine, sizeof t->machine, "%s, %s, %d thread%s%s", cpu, hn_isa_name(hn_isa_best()), t->plan.threads,
           t->plan.threads == 1 ? "" : "s", devices.p ? devices.p : "");
  hn_str_free(&devices);
}

static const timing *best_of_ours(const layer *l) {
  const timing *best = NULL;
  for (uint32_t i = 0; i < l->n; i++)
    if (!l->tried[i].generated && (!best || l->tried[i].seconds < best->seconds)) best = &l->tried[i];
  return best;
}

/* The layers that oneDNN does, and what it would cost if our kernels did them; false: some would have none. */
static bool price_without(const tuner *t, const hn_plan *plan, bool *of_dnnl, double *cost) {
  *cost = 0;
  for (size_t i = 0; i < plan->steps.n; i++) {
    const hn_planned *s = &plan->steps.p[i];
    if (hn_kernel_origin(s->task.kernel) != HN_ORIGIN_ONEDNN) continue;
    if (s->node >= t->g->nodes.n || s->task.chain) return false;
    const timing *ours = best_of_ours(&t->layers[s->node]), *now = hn_tuner_tried(&t->layers[s->node], hn_planned_tactic(s));
    if (!ours || !now) return false;
    *cost += ours->seconds - now->seconds;
    of_dnnl[s->node] = true;
  }
  return true;
}

/* A process that uses nothing of oneDNN starts some 2 ms sooner, and its threads are not OpenMP's: that is worth a hundredth of a
   run, as a whole. */
static hone_status do_without(tuner *t, double *total) {
  const double may_cost = 0.01, noise = 1.01;
  bool *of_dnnl = hn_calloc(t->g->nodes.n, sizeof *of_dnnl), some = false;
  const char **was = hn_calloc(t->g->nodes.n, sizeof *was);
  hn_program *p = NULL;
  double cost, seconds = *total;
  hone_status st = of_dnnl && was ? hn_program_create(t->g, t->inputs, &t->plan, &p) : hn_nomem(t->g->cx);
  bool cheap = !st && price_without(t, hn_program_plan(p), of_dnnl, &cost) && cost <= may_cost * *total;
  hn_program_destroy(p);
  for (hn_id id = 0; cheap && id < t->g->nodes.n; id++) {
    if (!of_dnnl[id]) continue;
    some = true;
    was[id] = hn_node_at(t->g, id)->tactic;
    choose(t, id, best_of_ours(&t->layers[id]));
  }
  if (some) st = hn_tuner_try(t, &(hn_plan_options){.round = 0}, NULL, &seconds);
  bool back = seconds > *total * (1 + may_cost) * noise;
  for (hn_id id = 0; !st && some && back && id < t->g->nodes.n; id++) {
    const timing *before = of_dnnl[id] ? hn_tuner_tried(&t->layers[id], was[id]) : NULL;
    if (before) choose(t, id, before);
    if (of_dnnl[id]) hn_node_at(t->g, id)->tactic = was[id]; /* with its layout */
  }
  if (!st && some && !back) *total = seconds;
  hn_free(of_dnnl);
  hn_free(was);
  return st;
}

static bool has_short_floats(const hn_graph *g) {
  bool has = false;
  for (hn_id v = 0; v < g->values.n; v++) {
    hn_dtype type = hn_value_at(g, v)->dtype;
    has = has || type == HONE_DTYPE_F16 || type == HONE_DTYPE_BF16;
  }
  return has;
}

/* The graph as often as a node has kernels, each time one further down. */
static hone_status search_uniform(tuner *t, bool widen, double *least) {
  uint32_t rounds = 1, alternatives = 1;
  double total;
  for (uint32_t r = 0; r < rounds; r++) {
    HN_TRY(hn_tuner_try(t, &(hn_plan_options){.round = r, .untuned = true, .widen = widen, .strips = HN_STRIPS_NONE}, &alternatives, &total));
    if (!r) {
      rounds = alternatives ? alternatives : 1;
      t->expected = t->done + rounds + (t->plan.threads > 1 ? 6 : 5);
    }
    if (!r && !widen) t->result.before_ms = total * 1e3;
    if (*least > 0 && total >= *least) continue;
    *least = total;
    for (hn_id id = 0; id < t->g->nodes.n; id++) t->layers[id].uniform = t->layers[id].last;
  }
  return HONE_OK;
}

static hone_status search(tuner *t) {
  double least = 0, mixed;
  t->assigns = !t->plan.place && !has_short_floats(t->g);
  HN_TRY(search_uniform(t, false, &least));
  if (has_short_floats(t->g)) HN_TRY(search_uniform(t, true, &least)); /* a layer may be faster in F32, conversions and all */
  if (t->assigns) HN_TRY(hn_tuner_offer_layouts(t));
  for (hn_id id = 0; id < t->g->nodes.n; id++) {
    const timing *best = best_of(&t->layers[id]);
    hn_node *n = hn_node_at(t->g, id);
    n->tactic = NULL;
    if (best && n->op != HN_Concat && n->op != HN_Split && n->op != HN_Slice) choose(t, id, best);
    t->result.layers += t->layers[id].n > 1;
  }
  HN_TRY(hn_tuner_try(t, &(hn_plan_options){.strips = HN_STRIPS_NONE}, NULL, &mixed));
  HN_TRY(search_chains(t, &mixed));
  HN_TRY(search_joins(t, &mixed));
  if (t->assigns) HN_TRY(hn_tuner_assign(t, &mixed));
  if (t->how->effort > 1) {
    t->expected = t->done + count_close(t);
    HN_TRY(descend(t, &mixed));
  }
  if (mixed > least) { /* no mixture beats the plain order of the table, begun further down */
    for (hn_id id = 0; id < t->g->nodes.n; id++)
      if (t->layers[id].uniform && !copies(t, id)) choose(t, id, hn_tuner_tried(&t->layers[id], t->layers[id].uniform));
    copy_alike(t, HN_NONE, false);
    mixed = least;
  }
  if (!t->plan.place) HN_TRY(do_without(t, &mixed));
  HN_TRY(hn_tuner_forks(t, &mixed));
  t->result.after_ms = mixed * 1e3;
  return HONE_OK;
}

/* What the machine can do at most, for the engine to tell how near its layers come; known from the cache once measured. The
   metadata says by which instructions: "peak_int8" is "2.1e+12 amx-int8". */
static hone_status note_peak(tuner *t, hn_graph *g) {
  static const double unit = 1e9;
  static const char read[] = "1e9 bytes read";
  static const char *const operations[HONE_ARITHMETICS] = {"1e9 float operations", "1e9 bf16 operations", "1e9 int8 operations"};
  static const char *const keys[HONE_ARITHMETICS] = {"peak_flops", "peak_bf16", "peak_int8"};
  hone_peak p;
  double s;
  bool known = hn_timing_cache_get(t->cache, t->machine, read, "peak", &s);
  for (int a = 0; a < HONE_ARITHMETICS && known; a++)
    known = hn_timing_cache_get(t->cache, t->machine, operations[a], hn_cpu_peak_by(hn_isa_best(), (hone_arithmetic)a), &s);
  if (!known) {
    HN_TRY(hn_cpu_measure(t->g->cx, hn_isa_best(), t->plan.threads, &p));
    for (int a = 0; a < HONE_ARITHMETICS; a++) HN_TRY(hn_timing_cache_put(t->cache, t->machine, operations[a], p.by[a], unit / p.flops[a]));
    HN_TRY(hn_timing_cache_put(t->cache, t->machine, read, "peak", unit / p.bandwidth));
  }
  for (int a = 0; a < HONE_ARITHMETICS; a++) { /* as rounded for the file */
    const char *by = hn_cpu_peak_by(hn_isa_best(), (hone_arithmetic)a);
    hn_timing_cache_get(t->cache, t->machine, operations[a], by, &s);
    hn_meta_set(g, keys[a], hn_arena_printf(t->texts, "%.4g %s", unit / s, by));
  }
  hn_timing_cache_get(t->cache, t->machine, read, "peak", &s);
  hn_meta_set(g, "peak_bandwidth", hn_arena_printf(t->texts, "%.4g", unit / s));
  return HONE_OK;
}

/* The shapes whose times these are, input by input. */
static void note_shapes(const tuner *t, hn_graph *g) {
  hn_str s = {0};
  for (size_t i = 0; i < t->g->inputs.n; i++) {
    if (i) hn_str_add(&s, " ");
    if (!t->inputs[i].rank) hn_str_add(&s, "scalar");
    for (int32_t k = 0; k < t->inputs[i].rank; k++) hn_str_printf(&s, "%s%lld", k ? "x" : "", (long long)t->inputs[i].dims[k]);
  }
  hn_meta_set(g, "tuned_shapes", s.p ? s.p : "");
  hn_str_free(&s);
}

hone_status hn_tune(hn_graph *g, const hn_view *inputs, const hn_plan_options *o, const hone_tune_options *how,
                    hone_tune_result *result) {
  tuner t = {.inputs = inputs, .how = how, .plan = *o, .g = hn_graph_clone(g), .texts = hn_arena_create()};
  t.layers = hn_calloc(2 * g->nodes.n, sizeof *t.layers);
  t.outputs = hn_calloc(g->outputs.n, sizeof *t.outputs);
  t.expected = 1;
  bool forked = false;
  hn_tuner_name_machine(&t);
  hone_status st = t.g && t.texts && t.layers && t.outputs ? HONE_OK : hn_nomem(g->cx);
  if (!st) hn_tuner_unmark(&t); /* of an earlier tuning */
  if (!st) st = hn_timing_cache_open(g->cx, how->cache, &t.cache);
  if (!st) st = search(&t);
  if (!st) st = note_peak(&t, g);
  if (!st) st = hn_timing_cache_save(t.cache);
  for (hn_id id = 0; id < g->nodes.n && !st; id++) {
    const char *tactic = hn_node_at(t.g, id)->tactic;
    hn_node_at(g, id)->tactic = tactic ? hn_arena_strdup(g->arena, tactic) : NULL;
    if (tactic && !hn_node_at(g, id)->tactic) st = hn_nomem(g->cx);
    hn_node_at(g, id)->tactic_ms = hn_node_at(t.g, id)->tactic_ms;
    hn_node_at(g, id)->fork = hn_node_at(t.g, id)->fork;
    hn_node_at(g, id)->branch = hn_node_at(t.g, id)->branch;
    forked |= hn_node_at(g, id)->fork > 0;
  }
  if (!st && forked) hn_forks_note(g, o->threads);
  if (!st) note_shapes(&t, g);
  if (!st) hn_meta_set(g, "tuned", t.machine);
  if (!st && g->oom) st = hn_nomem(g->cx);
  if (!st) *result = t.result;
  hn_timing_cache_close(t.cache);
  hn_graph_destroy(t.g);
  hn_arena_destroy(t.texts);
  hn_map_free(&t.kinds);
  hn_vec_free(&t.ways);
  hn_free(t.layers);
  hn_free(t.outputs);
  return st;
}
