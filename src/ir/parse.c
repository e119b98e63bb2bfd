/* parse.c - graphs from the text that print.c makes. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ir/graph.h"

enum { MAX_LIST = 4096, MAX_DEPTH = 32 };

typedef struct parser {
  hone_context *cx;
  const char *p, *start;
  hn_arena *scratch; /* texts of tokens */
  int depth;
} parser;

static hone_status wrong(const parser *s, const char *what) {
  int line = 1;
  for (const char *c = s->start; c < s->p; c++) line += *c == '\n';
  return hn_fail(s->cx, HONE_BAD_FORMAT, "line %d of the graph text: %s", line, what);
}

static void blanks(parser *s) {
  while (isspace((unsigned char)*s->p)) s->p++;
}

static bool accept(parser *s, const char *word) {
  blanks(s);
  size_t n = strlen(word);
  bool is_word = isalpha((unsigned char)word[n - 1]); /* then it must end there in the text too */
  if (strncmp(s->p, word, n) != 0 || (is_word && (isalnum((unsigned char)s->p[n]) || s->p[n] == '_'))) return false;
  s->p += n;
  return true;
}

/* Characters up to one of `ends`, not empty; NULL: none. */
static char *upto(parser *s, const char *ends) {
  blanks(s);
  size_t n = strcspn(s->p, ends);
  if (!n) return NULL;
  char *t = hn_arena_strndup(s->scratch, s->p, n);
  if (t) s->p += n;
  return t;
}

static char *quoted(parser *s) {
  if (!accept(s, "\"")) return NULL;
  size_t n = strcspn(s->p, "\"");
  char *t = s->p[n] ? hn_arena_strndup(s->scratch, s->p, n) : NULL;
  if (t) s->p += n + 1;
  return t;
}

/* %name or %"name"; NULL: there is none. */
static char *name(parser *s) {
  blanks(s);
  if (*s->p != '%') return NULL;
  s->p++;
  return *s->p == '"' ? quoted(s) : upto(s, " \t\r\n,()[]{}");
}

/* Adds a value's reference; "_" is an absent one. */
static hone_status reference(parser *s, hn_graph *g, hn_id *out) {
  uint32_t v;
  if (accept(s, "_")) {
    *out = HN_NONE;
    return HONE_OK;
  }
  char *n = name(s);
  if (!n) return wrong(s, "a %name is wanted");
  if (!hn_map_get(&g->names, n, &v)) return wrong(s, "no tensor above has this name");
  *out = v;
  return HONE_OK;
}

/* f32[N, 3, floor(H/2)], f32[] or f32[*] */
static hone_status type(parser *s, hn_graph *g, hn_dtype *t, hn_shape *shape) {
  char *word = upto(s, "[ \n");
  *t = word && strcmp(word, hone_dtype_name(HONE_DTYPE_UNDEFINED)) == 0 ? HONE_DTYPE_UNDEFINED : word ? hn_dtype_parse(word) : HONE_DTYPE_UNDEFINED;
  if (!word || !accept(s, "[")) return wrong(s, "a type such as f32[1, 3] is wanted");
  *shape = (hn_shape){.rank = 0};
  if (accept(s, "*")) *shape = hn_shape_unknown();
  while (!accept(s, "]")) {
    if (shape->rank < 0 || shape->rank == HN_MAX_RANK || (shape->rank && !accept(s, ","))) return wrong(s, "a dimension is wanted");
    blanks(s);
    size_t n = 0;
    for (int open = 0; s->p[n] && s->p[n] != '\n' && s->p[n] != ']' && (open || s->p[n] != ','); n++) open += (s->p[n] == '(') - (s->p[n] == ')');
    char *d = hn_arena_strndup(s->scratch, s->p, n);
    if (!d) return hn_nomem(s->cx);
    while (n && d[n - 1] == ' ') d[--n] = 0;
    hn_dim dim = *d == '?' ? hn_dim_unknown(g->dims) : hn_dim_parse(g->dims, d);
    if (dim == HN_DIM_BAD) return wrong(s, "this is not a dimension");
    shape->d[shape->rank++] = dim;
    s->p += n;
  }
  return HONE_OK;
}

/* ---- constants */

static void fill_from_digest(hn_tensor *t, uint64_t digest) {
  uint64_t x = digest | 1;
  for (int64_t i = 0; i < t->count; i++) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    if (hn_is_float(t->dtype)) hn_store_f64(t->dtype, t->data, (size_t)i, (double)(int32_t)(x >> 33) / 1073741824.0 - 1);
    else hn_store_i64(t->dtype, t->data, (size_t)i, (int64_t)(x >> 62));
  }
}

static hone_status content(parser *s, hn_dtype t, const hn_shape *shape, hn_tensor **out) {
  if (!hn_shape_fixed(shape) || !t || t == HONE_DTYPE_STRING) return wrong(s, "a constant needs a type with fixed dimensions");
  HN_TRY(hn_tensor_create(s->cx, t, shape->rank, shape->d, out));
  if (accept(s, "digest:")) {
    char *end;
    fill_from_digest(*out, strtoull(s->p, &end, 16));
    s->p = end;
    return HONE_OK;
  }
  bool ok = accept(s, "{");
  for (int64_t i = 0; ok && i < (*out)->count; i++) {
    char *end;
    if (i) ok = accept(s, ",");
    blanks(s);
    if (hn_is_float(t)) hn_store_f64(t, (*out)->data, (size_t)i, strtod(s->p, &end));
    else hn_store_i64(t, (*out)->data, (size_t)i, strtoll(s->p, &end, 10));
    ok = ok && end != s->p;
    s->p = end;
  }
  if (ok && accept(s, "}")) return HONE_OK;
  hn_tensor_unref(*out);
  return wrong(s, "the constant does not have as many numbers as its type says");
}

/* ---- nodes */

static hone_status graph_body(parser *s, hn_graph *g);

static hone_status list(parser *s, double *v, uint32_t *n) {
  *n = 0;
  if (!accept(s, "[")) return wrong(s, "a list is wanted");
  while (!accept(s, "]")) {
    char *end;
    if (*n && !accept(s, ",")) return wrong(s, "a list is wanted");
    blanks(s);
    if (*n == MAX_LIST) return wrong(s, "the list is too long");
    v[(*n)++] = strtod(s->p, &end);
    if (end == s->p) return wrong(s, "a number is wanted");
    s->p = end;
  }
  return HONE_OK;
}

static hone_status nested(parser *s, hn_graph *g, hn_id node, const char *attr) {
  char *title;
  if (!accept(s, "graph") || !(title = quoted(s)) || !accept(s, "{")) return wrong(s, "a nested graph is wanted");
  if (++s->depth > MAX_DEPTH) return wrong(s, "graphs are nested too deeply");
  hn_graph *sub = hn_graph_create_nested(g, title);
  if (!sub) return hn_nomem(s->cx);
  hone_status st = graph_body(s, sub);
  s->depth--;
  if (st) hn_graph_destroy(sub);
  else hn_set_graph(g, node, attr, sub);
  return st;
}

static hone_status attribute(parser *s, hn_graph *g, hn_id node) {
  char *attr = upto(s, "= \n"), *end, *text;
  hn_op op = hn_node_at(g, node)->op;
  if (!attr || !accept(s, "=")) return wrong(s, "an attribute name=value is wanted");
  blanks(s);
  switch (hn_op_attr_type(op, attr)) {
    case 'i': hn_set_i(g, node, attr, strtoll(s->p, &end, 10)); break;
    case 'f': hn_set_f(g, node, attr, strtod(s->p, &end)); break;
    case 's':
    case '*':
      if (!(text = quoted(s))) return wrong(s, "a text in quotes is wanted");
      hn_set_s(g, node, attr, text);
      return HONE_OK;
    case 'I':
    case 'F': {
      double *v = hn_arena_alloc(s->scratch, sizeof *v * MAX_LIST);
      int64_t *ints = hn_arena_alloc(s->scratch, sizeof *ints * MAX_LIST);
      uint32_t n;
      if (!v || !ints) return hn_nomem(s->cx);
      HN_TRY(list(s, v, &n));
      for (uint32_t i = 0; i < n; i++) ints[i] = (int64_t)v[i];
      if (hn_op_attr_type(op, attr) == 'F') hn_set_floats(g, node, attr, v, n);
      else hn_set_ints(g, node, attr, ints, n);
      return HONE_OK;
    }
    case 't': {
      hn_dtype t;
      hn_shape shape;
      hn_tensor *value;
      HN_TRY(type(s, g, &t, &shape));
      HN_TRY(content(s, t, &shape, &value));
      hn_set_tensor(g, node, attr, value);
      hn_tensor_unref(value);
      return HONE_OK;
    }
    case 'g': return nested(s, g, node, attr);
    default: return wrong(s, "the operator has no such attribute");
  }
  if (end == s->p) return wrong(s, "a number is wanted");
  s->p = end;
  return HONE_OK;
}

/* post [Relu, Clip(0, 6), Add(.,%x), Sub(%x,.)] */
static hone_status steps(parser *s, hn_graph *g, hn_id node) {
  if (!accept(s, "[")) return wrong(s, "the list of an epilogue is wanted");
  for (bool first = true; !accept(s, "]"); first = false) {
    float v[2] = {0, 0};
    hn_id operand = HN_NONE;
    bool swapped = false;
    if (!first && !accept(s, ",")) return wrong(s, "a step of an epilogue is wanted");
    char *word = upto(s, "(,] \n");
    hn_op op = word ? hn_op_parse(word) : HN_OP_NONE;
    if (op == HN_OP_NONE) return wrong(s, "this is not an operator");
    if (accept(s, "(")) {
      blanks(s);
      if (*s->p == '%') {
        HN_TRY(reference(s, g, &operand));
        swapped = true;
        if (!accept(s, ",") || !accept(s, ".")) return wrong(s, "(%x,.) is wanted");
      } else if (*s->p == '.' && s->p[1] == ',') {
        s->p += 2;
        HN_TRY(reference(s, g, &operand));
      } else {
        for (int i = 0; i < 2; i++) {
          char *end;
          if (i && !accept(s, ",")) return wrong(s, "two numbers are wanted");
          v[i] = strtof(s->p, &end);
          if (end == s->p) return wrong(s, "a number is wanted");
          s->p = end;
        }
      }
      if (!accept(s, ")")) return wrong(s, "')' is wanted");
    }
    hn_add_post(g, node, op, operand, swapped, v[0], v[1]);
  }
  return HONE_OK;
}

/* Names and types of a node's outputs are known only when its line has been read: they are set at its end. */
static hone_status node_line(parser *s, hn_graph *g) {
  enum { MAX_OUT = 256, MAX_IN = 1024 };
  char *outs[MAX_OUT];
  hn_id in[MAX_IN];
  uint32_t n_out = 0, n_in = 0;
  do {
    if (n_out == MAX_OUT) return wrong(s, "too many outputs");
    outs[n_out] = accept(s, "_") ? NULL : name(s);
    n_out++;
  } while (accept(s, ","));
  if (!accept(s, "=")) return wrong(s, "'%result = Operator(...)' is wanted");
  char *word = upto(s, "( \n");
  hn_op op = word ? hn_op_parse(word) : HN_OP_NONE;
  if (op == HN_OP_NONE || !accept(s, "(")) return wrong(s, "this is not an operator");
  while (!accept(s, ")")) {
    if (n_in == MAX_IN || (n_in && !accept(s, ","))) return wrong(s, "an input is wanted");
    HN_TRY(reference(s, g, &in[n_in]));
    n_in++;
  }
  hn_id node = hn_graph_add_node(g, op, NULL, in, n_in, n_out);
  if (node == HN_NONE) return hn_nomem(s->cx);
  if (accept(s, "{"))
    while (!accept(s, "}")) HN_TRY(attribute(s, g, node));
  if (accept(s, "post")) HN_TRY(steps(s, g, node));
  for (uint32_t i = 0; i < n_out; i++) {
    hn_id v = hn_node_at(g, node)->out[i];
    hn_dtype t;
    hn_shape shape;
    if (!outs[i]) {
      hn_node_at(g, node)->out[i] = HN_NONE;
      continue;
    }
    if (!accept(s, i ? "," : ":")) return wrong(s, "the type of an output is wanted");
    HN_TRY(type(s, g, &t, &shape));
    hn_value_rename(g, v, outs[i]);
    hn_value_at(g, v)->dtype = t;
    hn_value_at(g, v)->shape = shape;
  }
  if (accept(s, "#")) {
    size_t n = strcspn(s->p, "\n");
    const char *label = n > 1 ? hn_arena_strndup(g->arena, s->p + 1, n - 1) : NULL;
    if (label) hn_node_at(g, node)->name = label;
    s->p += n;
  }
  return g->oom ? hn_nomem(s->cx) : HONE_OK;
}

static hone_status graph_body(parser *s, hn_graph *g) {
  while (!accept(s, "}")) {
    hn_dtype t;
    hn_shape shape;
    if (accept(s, "input")) {
      char *n = name(s);
      if (!n || !accept(s, ":")) return wrong(s, "'input %name : type' is wanted");
      HN_TRY(type(s, g, &t, &shape));
      if (hn_graph_add_input(g, n, t, &shape) == HN_NONE) return hn_nomem(s->cx);
    } else if (accept(s, "const")) {
      hn_tensor *c;
      char *n = name(s);
      if (!n || !accept(s, ":")) return wrong(s, "'const %name : type = {...}' is wanted");
      HN_TRY(type(s, g, &t, &shape));
      if (!accept(s, "=")) return wrong(s, "'const %name : type = {...}' is wanted");
      HN_TRY(content(s, t, &shape, &c));
      if (hn_graph_add_constant(g, n, c) == HN_NONE) return hn_nomem(s->cx);
    } else if (accept(s, "output")) {
      hn_id v;
      char *n = quoted(s);
      if (!n || !accept(s, "=")) return wrong(s, "'output \"name\" = %value' is wanted");
      HN_TRY(reference(s, g, &v));
      if (v == HN_NONE) return wrong(s, "an output cannot be absent");
      hn_graph_add_output(g, n, v);
    } else if (*s->p) {
      HN_TRY(node_line(s, g));
    } else {
      return wrong(s, "'}' is wanted");
    }
  }
  return g->oom ? hn_nomem(s->cx) : HONE_OK;
}

hone_status hn_graph_parse(hone_context *cx, const char *text, hn_graph **out) {
  parser s = {.cx = cx, .p = text, .start = text, .scratch = hn_arena_create()};
  if (!s.scratch) return hn_nomem(cx);
  char *title = accept(&s, "graph") ? quoted(&s) : NULL;
  hone_status st = title && accept(&s, "{") ? HONE_OK : wrong(&s, "'graph \"name\" {' is wanted");
  hn_graph *g = st ? NULL : hn_graph_create(cx, title);
  if (!st) st = g ? graph_body(&s, g) : hn_nomem(cx);
  blanks(&s);
  if (!st && *s.p) st = wrong(&s, "there is more behind the graph");
  if (!st) st = hn_graph_verify(g);
  hn_arena_destroy(s.scratch);
  if (st) hn_graph_destroy(g);
  else *out = g;
  return st;
}
