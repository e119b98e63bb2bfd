/* tf_build.h - TensorFlow graphs from text, for tests: a line a node, "name Op in,in key=KIND:value ...". "-" stands for no
   inputs. KIND: i int, f float, b bool, s bytes, t type, n function, S shape, L list of ints, F floats, I int32s, X strings;
   tensors are "1,2,3,4/2x2", the shape left out for a scalar. */
#ifndef TF_BUILD_H
#define TF_BUILD_H
#include <stdarg.h>

#include "harness.h"
#include "hone.h"
#include "tensorflow.pb-c.h"

enum { TF_ROOM = 1 << 20 };
static char tf_pool[TF_ROOM];
static size_t tf_used;

static inline void *tf_take(size_t n) {
  void *p = tf_pool + tf_used;
  tf_used += (n + 15) & ~(size_t)15;
  if (tf_used > TF_ROOM) abort();
  return memset(p, 0, n);
}

static inline char *tf_copy(const char *s, size_t n) {
  char *p = tf_take(n + 1);
  return memcpy(p, s, n);
}

/* Cuts the next piece off at one of `ends`. */
static inline char *tf_piece(char **p, const char *ends) {
  size_t n = strcspn(*p, ends);
  char *s = *p;
  *p += n + (s[n] != 0);
  s[n] = 0;
  return s;
}

static inline Tensorflow__TensorShapeProto *tf_shape(char *dims, const char *ends) {
  Tensorflow__TensorShapeProto *s = tf_take(sizeof *s);
  tensorflow__tensor_shape_proto__init(s);
  s->dim = tf_take(8 * sizeof *s->dim);
  if (*dims == '?') s->unknown_rank = 1;
  while (*dims && *dims != '?') {
    Tensorflow__TensorShapeProto__Dim *d = s->dim[s->n_dim++] = tf_take(sizeof *d);
    tensorflow__tensor_shape_proto__dim__init(d);
    d->size = strtoll(tf_piece(&dims, ends), NULL, 10);
  }
  return s;
}

static inline Tensorflow__TensorProto *tf_tensor(char kind, char *text) {
  Tensorflow__TensorProto *t = tf_take(sizeof *t);
  tensorflow__tensor_proto__init(t);
  char *slash = strrchr(text, '/'), none[1] = "";
  if (slash) *slash = 0;
  t->tensor_shape = tf_shape(slash ? slash + 1 : none, "x");
  t->dtype = kind == 'F' ? 1 : kind == 'I' ? 3 : 7;
  t->float_val = tf_take(4096), t->int_val = tf_take(4096), t->string_val = tf_take(4096);
  while (*text) {
    char *v = tf_piece(&text, ",");
    if (kind == 'F') t->float_val[t->n_float_val++] = strtof(v, NULL);
    if (kind == 'I') t->int_val[t->n_int_val++] = (int32_t)strtol(v, NULL, 10);
    if (kind == 'X') t->string_val[t->n_string_val++] = (ProtobufCBinaryData){strlen(v), (uint8_t *)v};
  }
  return t;
}

static inline Tensorflow__AttrValue *tf_value(char kind, char *v) {
  Tensorflow__AttrValue *a = tf_take(sizeof *a);
  tensorflow__attr_value__init(a);
  switch (kind) {
    case 'i': a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_I, a->i = strtoll(v, NULL, 10); break;
    case 'f': a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_F, a->f = strtof(v, NULL); break;
    case 'b': a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_B, a->b = *v == '1'; break;
    case 's': a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_S, a->s = (ProtobufCBinaryData){strlen(v), (uint8_t *)v}; break;
    case 't': a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_TYPE, a->type = (int)strtol(v, NULL, 10); break;
    case 'S': a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_SHAPE, a->shape = tf_shape(v, ","); break;
    case 'n':
      a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_FUNC;
      a->func = tf_take(sizeof *a->func);
      tensorflow__name_attr_list__init(a->func);
      a->func->name = v;
      break;
    case 'L':
      a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_LIST;
      a->list = tf_take(sizeof *a->list);
      tensorflow__attr_value__list_value__init(a->list);
      a->list->i = tf_take(64 * sizeof *a->list->i);
      while (*v) a->list->i[a->list->n_i++] = strtoll(tf_piece(&v, ","), NULL, 10);
      break;
    default: a->value_case = TENSORFLOW__ATTR_VALUE__VALUE_TENSOR, a->tensor = tf_tensor(kind, v);
  }
  return a;
}

static inline Tensorflow__NodeDef *tf_node_of(char *line) {
  Tensorflow__NodeDef *n = tf_take(sizeof *n);
  tensorflow__node_def__init(n);
  n->name = tf_piece(&line, " ");
  n->op = tf_piece(&line, " ");
  n->input = tf_take(16 * sizeof *n->input);
  n->attr = tf_take(16 * sizeof *n->attr);
  char *in = tf_piece(&line, " ");
  while (*in && strcmp(in, "-") != 0) n->input[n->n_input++] = tf_piece(&in, ",");
  while (*line) {
    char *word = tf_piece(&line, " ");
    if (!*word) continue;
    Tensorflow__AttrEntry *e = n->attr[n->n_attr++] = tf_take(sizeof *e);
    tensorflow__attr_entry__init(e);
    e->key = tf_piece(&word, "=");
    char kind = *word;
    e->value = tf_value(kind, word + 2);
  }
  return n;
}

static inline Tensorflow__NodeDef **tf_nodes(const char *text, size_t *n) {
  char *p = tf_copy(text, strlen(text));
  Tensorflow__NodeDef **nodes = tf_take(128 * sizeof *nodes);
  for (*n = 0; *p;) {
    char *line = tf_piece(&p, "\n");
    if (*line) nodes[(*n)++] = tf_node_of(line);
  }
  return nodes;
}

static inline Tensorflow__GraphDef *tf_graph(const char *text) {
  tf_used = 0;
  Tensorflow__GraphDef *g = tf_take(sizeof *g);
  tensorflow__graph_def__init(g);
  g->node = tf_nodes(text, &g->n_node);
  g->versions = tf_take(sizeof *g->versions);
  tensorflow__version_def__init(g->versions);
  g->versions->producer = 1000;
  return g;
}

static inline Tensorflow__OpDef__ArgDef **tf_args(const char *names, size_t *n) {
  char *p = tf_copy(names, strlen(names));
  Tensorflow__OpDef__ArgDef **args = tf_take(16 * sizeof *args);
  for (*n = 0; *p;) {
    Tensorflow__OpDef__ArgDef *a = args[(*n)++] = tf_take(sizeof *a);
    tensorflow__op_def__arg_def__init(a);
    a->name = tf_piece(&p, " ");
    a->type = 1;
  }
  return args;
}

/* `returns`: "out=node:port:0 ..." */
static inline void tf_function(Tensorflow__GraphDef *g, const char *name, const char *args, const char *returns, const char *nodes) {
  Tensorflow__FunctionDef *f = tf_take(sizeof *f);
  tensorflow__function_def__init(f);
  if (!g->library) {
    g->library = tf_take(sizeof *g->library);
    tensorflow__function_def_library__init(g->library);
    g->library->function = tf_take(16 * sizeof f);
  }
  g->library->function[g->library->n_function++] = f;
  f->signature = tf_take(sizeof *f->signature);
  tensorflow__op_def__init(f->signature);
  f->signature->name = tf_copy(name, strlen(name));
  f->signature->input_arg = tf_args(args, &f->signature->n_input_arg);
  f->node_def = tf_nodes(nodes, &f->n_node_def);
  f->ret = tf_take(16 * sizeof *f->ret);
  f->signature->output_arg = tf_take(16 * sizeof *f->signature->output_arg);
  for (char *p = tf_copy(returns, strlen(returns)); *p;) {
    Tensorflow__StringEntry *e = f->ret[f->n_ret++] = tf_take(sizeof *e);
    Tensorflow__OpDef__ArgDef *a = f->signature->output_arg[f->signature->n_output_arg++] = tf_take(sizeof *a);
    tensorflow__string_entry__init(e);
    tensorflow__op_def__arg_def__init(a);
    char *word = tf_piece(&p, " ");
    a->name = e->key = tf_piece(&word, "=");
    e->value = word;
    a->type = 1;
  }
}

static uint8_t tf_bytes[TF_ROOM];

/* For tests/fuzz/fuzz_tf.c: HONE_TF_SEEDS names a folder that the graphs are written to. */
static inline void tf_keep_seed(const uint8_t *bytes, size_t size) {
  static int count;
  const char *folder = getenv("HONE_TF_SEEDS");
  char path[512];
  if (!folder) return;
  snprintf(path, sizeof path, "%s/%d-%zu", folder, count++, size);
  FILE *f = fopen(path, "wb");
  if (f && fwrite(bytes, 1, size, f) != size) fprintf(stderr, "%s is not complete\n", path);
  if (f) fclose(f);
}

static inline hone_status tf_load(hone_context *cx, const Tensorflow__GraphDef *g, hone_model **m) {
  size_t size = tensorflow__graph_def__pack(g, tf_bytes);
  tf_keep_seed(tf_bytes, size);
  return hone_model_load_memory(cx, tf_bytes, size, m);
}
#endif
