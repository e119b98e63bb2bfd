/* strips.c - a chain of convolutions, strip by strip: see strip.h. Each thread makes its own share of the last layer's lines
   and the lines before that these need, those at its edges again. */
#include <string.h>

#include "base/parallel.h"
#include "device/cpu/conv/conv.h"

enum {
  RING_BYTES = 384 << 10,   /* of lines between the layers: a part of the second-level cache */
  WEIGHT_BYTES = 1 << 20,   /* of all layers: they are read again for each strip */
  LINES = 8                 /* of a strip, at most */
};

typedef struct member {
  hn_task task;
  hn_conv c;
  int64_t lines; /* made at a time, at most */
  int64_t ring;  /* lines of its result that are kept; the last one has none */
  size_t at;     /* where they are in a thread's scratch, in floats */
} member;

typedef struct strips {
  uint32_t n;
  member *m;
  int64_t lines;   /* of a strip */
  uint32_t residual, gate; /* the last layer's, the first one's: inputs of the chain's task; or HN_NONE */
  size_t rings, scratch; /* floats of a thread, all of it */
} strips;

bool hn_strips_continue(const hn_graph *g, const hn_node *next) {
  const hn_tensor *w = next->op == HN_Conv ? hn_const(g, hn_in(next, 1)) : NULL;
  if (!w || w->rank != 4) return false;
  int64_t group = hn_attr_i(next, "group", 1);
  return (group == 1 && w->dims[2] == 1 && w->dims[3] == 1) || (group == w->dims[0] && w->dims[1] == 1);
}

bool hn_strips_begin(const hn_graph *g, const hn_node *n, uint32_t *image) {
  *image = 0;
  if (n->op == HN_Conv) return true;
  if (n->op != HN_Mul || n->n_main != 2) return false;
  const hn_shape *of = &hn_value_at(g, n->out[0])->shape;
  if (of->rank != 4 || !hn_shape_fixed(of)) return false;
  for (; *image < 2; ++*image) {
    const hn_shape *x = &hn_value_at(g, n->in[*image])->shape, *by = &hn_value_at(g, n->in[1 - *image])->shape;
    if (hn_shape_equal(x, of) && by->rank == 4 && hn_shape_fixed(by) && (by->d[0] == of->d[0] || by->d[0] == 1) &&
        by->d[1] == of->d[1] && by->d[2] == 1 && by->d[3] == 1)
      return true;
  }
  return false;
}

static int64_t reach(const hn_conv *c) { return (c->kernel_h - 1) * c->dilation_h + 1; }

/* The ends of a chain may lie with gaps. */
static void take_gaps(hn_arg *of_member, const hn_arg *of_chain) {
  of_member->pitch = of_chain->pitch;
  of_member->pitch_in = of_chain->pitch_in;
}

/* The task of one layer, as the planner would make it. */
static hone_status open_member(hn_task *t, const strips *s, uint32_t i) {
  member *m = &s->m[i];
  const hn_node *n = hn_node_at(t->g, t->chain[i]);
  m->task = (hn_task){.cx = t->cx, .g = t->g, .node = n, .n_in = n->n_in, .n_out = 1, .threads = 1, .device = t->device,
                      .inplace = -1, .strip = m->lines};
  m->task.in = hn_calloc(n->n_in, sizeof *m->task.in);
  m->task.out = hn_calloc(1, sizeof *m->task.out);
  if (!m->task.in || !m->task.out) return hn_nomem(t->cx);
  for (uint32_t k = 0; k <= n->n_in; k++) {
    hn_id id = k < n->n_in ? n->in[k] : n->out[0];
    hn_arg *a = k < n->n_in ? &m->task.in[k] : m->task.out;
    if (id == HN_NONE) continue;
    const hn_value *v = hn_value_at(t->g, id);
    *a = (hn_arg){.present = true, .dtype = v->dtype, .rank = v->shape.rank, .constant = v->data, .layout = HN_LAYOUT_NHWC};
    memcpy(a->dims, v->shape.d, sizeof a->dims);
  }
  uint32_t image;
  if (i == 0 && hn_strips_begin(t->g, n, &image)) {
    m->task.in[image].layout = t->in[0].layout;
    take_gaps(&m->task.in[image], &t->in[0]);
  }
  if (i + 1 < s->n) return HONE_OK;
  take_gaps(m->task.out, &t->out[0]);
  for (uint32_t k = n->n_main; k < n->n_in; k++)
    for (uint32_t j = 1; j < t->n_in; j++)
      if (t->operands[j] == n->in[k]) take_gaps(&m->task.in[k], &t->in[j]);
  return HONE_OK;
}

static void close_member(member *m) {
  if (m->task.kernel) m->task.kernel->destroy(&m->task);
  hn_task_unpack(&m->task);
  hn_free(m->task.in);
  hn_free(m->task.out);
  m->task = (hn_task){.node = NULL};
}

static hone_status plan_member(hn_task *t, strips *s, uint32_t i) {
  HN_TRY(open_member(t, s, i));
  hn_task *m = &s->m[i].task;
  const hn_kernel *best = NULL;
  for (uint32_t k = 0; hn_kernel_at(k); k++) {
    const hn_kernel *row = hn_kernel_at(k);
    if (row->op == m->node->op && row->lines && row->supports(m) && (!best || row->priority > best->priority)) best = row;
  }
  if (!best) return HONE_UNSUPPORTED;
  m->kernel = best;
  HN_TRY(best->plan(m));
  uint32_t image, *operand = m->node->op == HN_Mul ? &s->gate : &s->residual;
  bool channels_last = m->in[0].layout == HN_LAYOUT_NHWC || i == 0; /* the first one reads a tensor as it lies */
  if (m->fused != m->node->n_post || !channels_last || !hn_strips_begin(t->g, m->node, &image)) return HONE_UNSUPPORTED;
  for (uint32_t k = 0; k < m->n_in; k++) {
    if (k == image || !m->in[k].present || m->in[k].unused) continue;
    for (uint32_t j = 1; j < t->n_in; j++) /* only a gate and the last layer have operands that are not constant: the task's inputs */
      if ((operand == &s->gate || i + 1 == s->n) && t->operands[j] == m->node->in[k]) *operand = j;
    if (*operand == HN_NONE) return HONE_UNSUPPORTED;
  }
  t->packed += m->packed;
  return t->packed > WEIGHT_BYTES ? HONE_UNSUPPORTED : HONE_OK;
}

/* Lines of each layer for strips of so many of the last; returns the bytes kept between layers. */
static int64_t measure(strips *s, int64_t lines) {
  int64_t bytes = 0;
  s->lines = s->m[s->n - 1].lines = lines;
  for (uint32_t i = s->n - 1; i-- > 0;) {
    const hn_conv *next = &s->m[i + 1].c, *c = &s->m[i].c;
    int64_t need = (s->m[i + 1].lines - 1) * next->stride_h + reach(next);
    s->m[i].lines = s->m[i].ring = need < c->out_h ? need : c->out_h;
    bytes += s->m[i].ring * c->out_w * c->out_c * 4;
  }
  return bytes;
}

/* How a layer's lines are made of the lines before: a gate is like a convolution of pixels. */
static hone_status measure_member(hn_task *t, hn_conv *c) {
  const int64_t *d = t->out[0].dims;
  if (t->node->op == HN_Mul) {
    *c = (hn_conv){.images = d[0], .in_c = d[1], .in_h = d[2], .in_w = d[3], .out_c = d[1], .out_h = d[2], .out_w = d[3],
                   .group = d[1], .kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1};
    return HONE_OK;
  }
  if (!hn_conv_supported(t) || t->in[0].rank != 4) return HONE_UNSUPPORTED;
  return hn_conv_resolve(t, c);
}

static hone_status strips_plan(hn_task *t) {
  strips *s = hn_calloc(1, sizeof *s);
  t->state = s;
  if (!s) return hn_nomem(t->cx);
  s->m = hn_calloc(t->n_chain, sizeof *s->m);
  if (!s->m) return hn_nomem(t->cx);
  s->n = t->n_chain;
  s->residual = s->gate = HN_NONE;
  int64_t macs = 0;
  for (uint32_t i = 0; i < s->n; i++) { /* the geometry first: it says how many lines each makes */
    HN_TRY(open_member(t, s, i));
    HN_TRY(measure_member(&s->m[i].task, &s->m[i].c));
    macs += hn_conv_macs(&s->m[i].c);
    close_member(&s->m[i]);
  }
  t->threads = hn_conv_threads(t, macs);
  int64_t lines = LINES < s->m[s->n - 1].c.out_h ? LINES : s->m[s->n - 1].c.out_h;
  while (lines > 1 && measure(s, lines) > RING_BYTES) lines--;
  measure(s, lines);
  for (uint32_t i = 0; i < s->n; i++) {
    HN_TRY(plan_member(t, s, i));
    member *m = &s->m[i];
    m->at = s->rings;
    s->rings += (size_t)((m->ring * m->c.out_w * m->c.out_c + 15) / 16 * 16);
    if (m->task.scratch / sizeof(float) > s->scratch) s->scratch = (m->task.scratch / sizeof(float) + 15) / 16 * 16;
  }
  s->scratch += s->rings;
  t->scratch = sizeof(float) * s->scratch * (size_t)t->threads;
  t->fused = t->node->n_post;
  for (uint32_t i = 0; i < t->n_in; i++) {
    t->in[i].layout = i ? HN_LAYOUT_NHWC : s->m[0].task.in[0].layout;
    if (i != s->gate && t->in[i].layout == HN_LAYOUT_NHWC) hn_take_pitch(&t->in[i]);
  }
  t->out[0].layout = HN_LAYOUT_NHWC;
  hn_take_pitch(&t->out[0]);
  return HONE_OK;
}

static void strips_destroy(hn_task *t) {
  strips *s = t->state;
  for (uint32_t i = 0; s && s->m && i < s->n; i++) close_member(&s->m[i]);
  if (s) hn_free(s->m);
  hn_free(s);
  t->state = NULL;
}

/* Lines y..y_end of the last layer in one image. */
static void run_lines(const strips *s, const hn_exec *x, int64_t image, int64_t y, int64_t y_end, float *scratch) {
  int64_t done[HN_MAX_CHAIN], end[HN_MAX_CHAIN];
  uint32_t last = s->n - 1;
  done[last] = y;
  for (uint32_t i = last; i-- > 0;) {
    const hn_conv *next = &s->m[i + 1].c;
    int64_t from = done[i + 1] * next->stride_h - next->pad_top;
    done[i] = from > 0 ? from : 0;
  }
  while (done[last] < y_end) {
    end[last] = done[last] + s->lines < y_end ? done[last] + s->lines : y_end;
    for (uint32_t i = last; i-- > 0;) {
      const hn_conv *next = &s->m[i + 1].c;
      int64_t to = (end[i + 1] - 1) * next->stride_h - next->pad_top + reach(next);
      end[i] = to < s->m[i].c.out_h ? to : s->m[i].c.out_h;
    }
    for (uint32_t i = 0; i <= last; i++) {
      const member *m = &s->m[i];
      if (end[i] <= done[i]) continue;
      hn_strip p = {.in = i ? scratch + s->m[i - 1].at : x->in[0].data, .in_ring = i ? s->m[i - 1].ring : 0,
                    .out = i < last ? scratch + m->at : x->out[0].data, .out_ring = m->ring,
                    .gate = s->gate != HN_NONE ? x->in[s->gate].data : NULL,
                    .residual = i == last && s->residual != HN_NONE ? x->in[s->residual].data : NULL, .image = image,
                    .begin = done[i], .end = end[i]};
      m->task.kernel->lines(&m->task, &p, scratch + s->rings);
      done[i] = end[i];
    }
  }
}

static void run_share(void *arg, int64_t begin, int64_t end) {
  const hn_exec *x = arg;
  const strips *s = x->task->state;
  int64_t lines = s->m[s->n - 1].c.out_h, all = s->m[0].c.images * lines, threads = x->task->threads;
  for (int64_t id = begin; id < end; id++)
    for (int64_t at = all * id / threads, stop = all * (id + 1) / threads, next; at < stop; at = next) {
      next = (at / lines + 1) * lines < stop ? (at / lines + 1) * lines : stop;
      run_lines(s, x, at / lines, at % lines, at % lines + next - at, (float *)x->scratch + (size_t)id * s->scratch);
    }
}

static hone_status strips_run(hn_exec *x) {
  hn_parallel_for(x->task->threads, x->task->threads, 1, run_share, x);
  return HONE_OK;
}

const hn_kernel hn_strips_kernel = {.name = "strips", .op = HN_Conv, .plan = strips_plan, .run = strips_run, .destroy = strips_destroy};
