#define _GNU_SOURCE
#include "case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "format/onnx/tensor_onnx.h"
#include "hone.h"
#include "ir/opcode.h"

enum { MAX_TENSORS = 64 };

typedef struct data_set {
  int n_in, n_out;
  hn_tensor *in[MAX_TENSORS], *out[MAX_TENSORS];
} data_set;

static bool whole_file(hone_context *cx, const char *path, hn_mapping **m) {
  FILE *f = fopen(path, "rb");
  if (!f) return false;
  fclose(f);
  return hn_map_file(cx, path, m) == HONE_OK;
}

/* ---- what is outside hone's scope: said by types and operators, not by names of cases */

static bool tensor_of_numbers(const Onnx__ValueInfoProto *v) {
  return !v->type || (v->type->tensor_type && v->type->tensor_type->elem_type != HONE_DTYPE_STRING);
}

static bool starts(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

static const char *node_out_of_scope(const Onnx__NodeProto *n) {
  static const char *const text[] = {"StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch", "TfIdfVectorizer", "LabelEncoder"};
  const char *op = n->op_type ? n->op_type : "", *domain = n->domain ? n->domain : "";
  if (starts(domain, "ai.onnx.ml")) return "ai.onnx.ml";
  if (strstr(domain, "training")) return "training";
  if (starts(op, "Sequence") || strstr(op, "Sequence") == op + strlen(op) - 8 || starts(op, "SplitToSequence") ||
      starts(op, "ConcatFromSequence"))
    if (strcmp(op, "ReverseSequence") != 0) return "sequences";
  if (starts(op, "Optional")) return "optionals";
  for (size_t i = 0; i < sizeof text / sizeof *text; i++)
    if (strcmp(op, text[i]) == 0) return "strings";
  if (strcmp(op, "ImageDecoder") == 0) return "image files";
  if (strcmp(op, "Dropout") == 0 && n->n_input > 2 && *n->input[2]) return "training";
  for (size_t i = 0; i < n->n_attribute; i++)
    if (strcmp(op, "BatchNormalization") == 0 && strcmp(n->attribute[i]->name, "training_mode") == 0 && n->attribute[i]->i)
      return "training";
  return NULL;
}

static const char *graph_out_of_scope(const Onnx__GraphProto *g) {
  for (size_t i = 0; i < g->n_input; i++)
    if (!tensor_of_numbers(g->input[i])) return "strings, sequences or optionals";
  for (size_t i = 0; i < g->n_output; i++)
    if (!tensor_of_numbers(g->output[i])) return "strings, sequences or optionals";
  for (size_t i = 0; i < g->n_node; i++) {
    const char *why = node_out_of_scope(g->node[i]);
    if (why) return why;
    for (size_t k = 0; k < g->node[i]->n_attribute; k++) {
      const Onnx__AttributeProto *a = g->node[i]->attribute[k];
      why = a->g ? graph_out_of_scope(a->g) : a->t && a->t->data_type == HONE_DTYPE_STRING ? "strings" : NULL;
      if (why) return why;
    }
  }
  return NULL;
}

static bool random_graph(const Onnx__GraphProto *g) {
  for (size_t i = 0; i < g->n_node; i++)
    if (hn_op_is(hn_op_parse(g->node[i]->op_type), HN_OP_RANDOM)) return true;
  return false;
}

/* ---- data */

static bool read_tensor(hone_context *cx, const char *path, hn_tensor **t) {
  hn_mapping *m;
  if (!whole_file(cx, path, &m)) return false;
  Onnx__TensorProto *p = onnx__tensor_proto__unpack(NULL, hn_mapping_size(m), hn_mapping_data(m));
  bool ok = p && hn_onnx_tensor(cx, NULL, p, t) == HONE_OK;
  if (p) onnx__tensor_proto__free_unpacked(p, NULL);
  hn_mapping_unref(m);
  return ok;
}

static void read_set(hone_context *cx, const char *dir, data_set *d) {
  char path[8192];
  *d = (data_set){0};
  for (; d->n_in < MAX_TENSORS; d->n_in++) {
    snprintf(path, sizeof path, "%.4000s/input_%d.pb", dir, d->n_in);
    if (!read_tensor(cx, path, &d->in[d->n_in])) break;
  }
  for (; d->n_out < MAX_TENSORS; d->n_out++) {
    snprintf(path, sizeof path, "%.4000s/output_%d.pb", dir, d->n_out);
    if (!read_tensor(cx, path, &d->out[d->n_out])) break;
  }
}

static void free_set(data_set *d) {
  for (int i = 0; i < d->n_in; i++) hn_tensor_unref(d->in[i]);
  for (int i = 0; i < d->n_out; i++) hn_tensor_unref(d->out[i]);
}

/* ---- comparison: numpy's assert_allclose with the ONNX backend tests' bounds; wider for short floats. The fast
   kernels may sum in another order: near zero they are allowed 1e-5. */

static bool close_enough(hn_dtype t, double got, double want, bool fast) {
  double relative = t == HONE_DTYPE_F16 ? 1e-2 : t == HONE_DTYPE_BF16 ? 2e-2 : 1e-3, absolute = fast ? 1e-5 : 1e-7;
  if (t == HONE_DTYPE_F16 || t == HONE_DTYPE_BF16) absolute = 1e-3;
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  if (isinf(want) || isinf(got)) return want == got;
  return fabs(got - want) <= absolute + relative * fabs(want);
}

static bool same_output(const hone_tensor_info *info, const void *data, const hn_tensor *want, int index, bool only_shape,
                        bool fast, char *why, size_t size) {
  bool shape = info->rank == want->rank;
  for (int32_t i = 0; shape && i < want->rank; i++) shape = info->dims[i] == want->dims[i];
  if (info->dtype != want->dtype || !shape) {
    snprintf(why, size, "output %d is %s of rank %d where %s of rank %d is wanted, or has other dimensions", index,
             hone_dtype_name(info->dtype), info->rank, hone_dtype_name(want->dtype), want->rank);
    return false;
  }
  for (int64_t i = 0; i < want->count && !only_shape; i++) {
    size_t k = (size_t)i;
    bool ints = hn_is_int(want->dtype);
    bool ok = ints ? hn_load_i64(want->dtype, data, k) == hn_tensor_i(want, k)
                   : close_enough(want->dtype, hn_load_f64(want->dtype, data, k), hn_tensor_f(want, k), fast);
    if (ok) continue;
    snprintf(why, size, "output %d, element %lld is %.9g where %.9g is wanted", index, (long long)i,
             hn_load_f64(want->dtype, data, k), hn_tensor_f(want, k));
    return false;
  }
  return true;
}

static verdict run_set(hone_context *cx, hone_model *m, const data_set *d, bool fast, bool only_shape, char *why, size_t size) {
  hone_session_options o;
  hone_session *s = NULL;
  hone_session_options_init(&o);
  o.threads = 1;
  o.reference = !fast;
  hone_status st = hone_session_create(m, &o, &s);
  uint32_t n = hone_model_input_count(m), n_out = hone_model_output_count(m);
  if (!st && (n > (uint32_t)d->n_in || n_out > (uint32_t)d->n_out)) {
    snprintf(why, size, "the model has %u inputs and %u outputs, the data %d and %d", n, n_out, d->n_in, d->n_out);
    hone_session_destroy(&s);
    return CASE_FAIL;
  }
  for (uint32_t i = 0; i < n && !st; i++) st = hone_session_set_input_shape(s, i, (uint32_t)d->in[i]->rank, d->in[i]->dims);
  for (uint32_t i = 0; i < n && !st; i++) st = hone_session_set_input(s, i, d->in[i]->data, d->in[i]->bytes);
  if (!st) st = hone_session_run(s);
  verdict v = st ? CASE_FAIL : CASE_PASS;
  if (st) snprintf(why, size, "%s", hone_context_error(cx));
  for (uint32_t i = 0; i < n_out && v == CASE_PASS; i++) {
    hone_tensor_info info;
    const void *data;
    if (hone_session_output(s, i, &info, &data, NULL) || !same_output(&info, data, d->out[i], (int)i, only_shape, fast, why, size))
      v = CASE_FAIL;
  }
  hone_session_destroy(&s);
  return v;
}

static verdict run_sets(hone_context *cx, const char *dir, hone_model *m, bool fast, bool only_shape, char *why, size_t size) {
  verdict v = CASE_NO_DATA;
  for (int i = 0; i < 100; i++) {
    char path[8192];
    data_set d;
    snprintf(path, sizeof path, "%s/test_data_set_%d", dir, i);
    read_set(cx, path, &d);
    bool any = d.n_out > 0;
    if (any) v = run_set(cx, m, &d, fast, only_shape, why, size);
    free_set(&d);
    if (!any || v != CASE_PASS) break;
  }
  if (v == CASE_NO_DATA) snprintf(why, size, "no readable data");
  return v;
}

/* The same after it went out to a file and came back. */
static verdict run_written(hone_context *cx, const char *dir, const hone_model *m, bool only_shape, char *why, size_t size) {
  char path[] = "/tmp/hone-conformance-XXXXXX.onnx";
  int fd = mkstemps(path, 5);
  hone_model *again = NULL;
  if (fd < 0) return CASE_FAIL;
  close(fd);
  hone_status st = hone_model_save(m, path);
  if (!st) st = hone_model_load(cx, path, &again);
  if (st) snprintf(why, size, "%s", hone_context_error(cx));
  verdict v = st ? CASE_FAIL : run_sets(cx, dir, again, false, only_shape, why, size);
  hone_model_destroy(&again);
  unlink(path);
  return v;
}

static void run_both(hone_context *cx, const char *dir, const char *path, bool only_shape, outcome *out) {
  hone_model *m = NULL;
  out->reference = out->optimized = CASE_FAIL;
  if (hone_model_load(cx, path, &m)) {
    const char *e = hone_context_error(cx), *after = strstr(e, "model.onnx: ");
    snprintf(out->why, sizeof out->why, "%s", after ? after + 12 : e);
    return;
  }
  out->reference = run_sets(cx, dir, m, false, only_shape, out->why, sizeof out->why);
  char why[sizeof out->why] = "";
  hone_optimize_options o;
  hone_optimize_options_init(&o);
  o.level = 3;
  o.verify = true;
  if (hone_model_optimize(m, &o)) snprintf(why, sizeof why, "%s", hone_context_error(cx));
  else out->optimized = run_sets(cx, dir, m, true, only_shape, why, sizeof why);
  if (out->optimized == CASE_PASS) {
    out->optimized = run_written(cx, dir, m, only_shape, why, sizeof why);
    if (out->optimized != CASE_PASS) snprintf(out->why, sizeof out->why, "optimized and written: %.360s", why);
  } else if (out->reference == CASE_PASS) {
    snprintf(out->why, sizeof out->why, "optimized: %.380s", why);
  }
  hone_model_destroy(&m);
}

void run_case(const char *dir, outcome *out) {
  char path[8192];
  hone_context *cx = NULL;
  hn_mapping *file = NULL;
  *out = (outcome){CASE_NO_DATA, CASE_NO_DATA, ""};
  snprintf(path, sizeof path, "%s/model.onnx", dir);
  if (hone_context_create(&cx) || !whole_file(cx, path, &file)) {
    snprintf(out->why, sizeof out->why, "model.onnx cannot be read");
    hone_context_destroy(&cx);
    return;
  }
  Onnx__ModelProto *p = onnx__model_proto__unpack(NULL, hn_mapping_size(file), hn_mapping_data(file));
  const char *beyond = p && p->graph ? graph_out_of_scope(p->graph) : NULL;
  bool only_shape = p && p->graph && random_graph(p->graph);
  if (p) onnx__model_proto__free_unpacked(p, NULL);
  hn_mapping_unref(file);
  if (beyond) {
    out->reference = out->optimized = CASE_OUT_OF_SCOPE;
    snprintf(out->why, sizeof out->why, "%s", beyond);
  } else {
    run_both(cx, dir, path, only_shape, out);
  }
  hone_context_destroy(&cx);
}
