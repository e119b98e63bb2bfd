/* cudnn.cpp - a libcudnn.so.9 for no device: the backend's descriptors, checked strictly, and plans that compute plainly. Engines
   are chosen to show mistakes: one that no plan can be made of, one that rounds floats to TF32, one that wants a large
   workspace, and the plain one last. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "numbers.h"
#include "cudnn_graph.h"

namespace {

constexpr cudnnStatus_t OK = CUDNN_STATUS_SUCCESS;
enum engine_number { REFUSED = 0, ROUNDING, HUNGRY, PLAIN };

struct attribute {
  cudnnBackendAttributeType_t type;
  int64_t n;
  std::vector<unsigned char> bytes;
};
struct descriptor {
  cudnnBackendDescriptorType_t type;
  bool finalized = false;
  std::map<int, attribute> a;
  int engine = PLAIN;         /* engines, configurations, plans */
  descriptor *graph = nullptr; /* heuristics, configurations, engines, plans */
  template <typename T> T *list(int name) { return a.count(name) ? reinterpret_cast<T *>(a[name].bytes.data()) : nullptr; }
  template <typename T> T one(int name, T otherwise) { return a.count(name) ? *list<T>(name) : otherwise; }
  int64_t count(int name) { return a.count(name) ? a[name].n : 0; }
};

std::set<descriptor *> living;

cudnnStatus_t complain(cudnnStatus_t st, const char *what, int detail = 0) {
  if (getenv("HONE_EMULATED_VERBOSE")) fprintf(stderr, "emulated cuDNN: %s (%d)\n", what, detail);
  return st;
}

/* ---- what may be set where */
struct rule {
  int name;
  cudnnBackendAttributeType_t type;
  int64_t least, most;
  bool required;
};
const rule pointwise[] = {{CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, 1, true},
                          {CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, 1, true},
                          {CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1, 1, false},
                          {CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, CUDNN_TYPE_DOUBLE, 1, 1, false},
                          {CUDNN_ATTR_POINTWISE_ELU_ALPHA, CUDNN_TYPE_DOUBLE, 1, 1, false},
                          {CUDNN_ATTR_POINTWISE_SWISH_BETA, CUDNN_TYPE_DOUBLE, 1, 1, false}};
const rule convolution[] = {{CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, true},
                            {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, 1, true},
                            {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, 3, true},
                            {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, 3, true},
                            {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, 3, true},
                            {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, 3, true},
                            {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, 1, true}};
const rule forward[] = {{CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, 1, true},
                        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, 1, true},
                        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true}};
const rule backward[] = {{CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1, 1, true},
                         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 1, 1, true},
                         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true}};
const rule operation[] = {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                          {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                          {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, false},
                          {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true},
                          {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, CUDNN_TYPE_FLOAT, 1, 1, false},
                          {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, CUDNN_TYPE_FLOAT, 1, 1, false}};
const rule tensor[] = {{CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1, true},
                       {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1, true},
                       {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 1, 8, true},
                       {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 1, 8, true},
                       {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1, true},
                       {CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, 1, false}};
const rule graph_rules[] = {{CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, 1, true},
                            {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 64, true}};
const rule heuristics[] = {{CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1, true},
                           {CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true}};
const rule plan_rules[] = {{CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, 1, true},
                           {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1, true}};
const rule pack_rules[] = {{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 1, 64, true},
                           {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, 64, true},
                           {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1, false}};

struct rules {
  const rule *p;
  size_t n;
};
#define RULES(list) {list, sizeof list / sizeof *list}
rules rules_of(cudnnBackendDescriptorType_t t) {
  switch (t) {
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR: return RULES(pointwise);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: return RULES(convolution);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR: return RULES(forward);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR: return RULES(backward);
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: return RULES(operation);
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: return RULES(tensor);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: return RULES(graph_rules);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: return RULES(heuristics);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: return RULES(plan_rules);
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR: return RULES(pack_rules);
    default: return {nullptr, 0};
  }
}
size_t size_of(cudnnBackendAttributeType_t t) {
  switch (t) {
    case CUDNN_TYPE_BOOLEAN: return sizeof(bool);
    case CUDNN_TYPE_FLOAT: return 4;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    default: return 4; /* enumerations */
  }
}
descriptor *part(descriptor *d, int name, cudnnBackendDescriptorType_t type) {
  descriptor *p = d->one<descriptor *>(name, nullptr);
  return p && living.count(p) && p->type == type && p->finalized ? p : nullptr;
}

/* ---- tensors */
struct shape {
  int rank;
  int64_t d[8], s[8];
};
shape shape_of(descriptor *t) {
  shape r = {static_cast<int>(t->count(CUDNN_ATTR_TENSOR_DIMENSIONS)), {}, {}};
  memcpy(r.d, t->list<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS), sizeof(int64_t) * static_cast<size_t>(r.rank));
  memcpy(r.s, t->list<int64_t>(CUDNN_ATTR_TENSOR_STRIDES), sizeof(int64_t) * static_cast<size_t>(r.rank));
  return r;
}
int64_t count_of(const shape &s) {
  int64_t n = 1;
  for (int i = 0; i < s.rank; i++) n *= s.d[i];
  return n;
}
bool is_virtual(descriptor *t) { return t->one<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false); }
int64_t uid_of(descriptor *t) { return t->one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID, 0); }
cudnnDataType_t type_of(descriptor *t) { return t->one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_FLOAT); }

cudnnStatus_t check_tensor(descriptor *t) {
  shape s = shape_of(t);
  int64_t align = t->one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
  if (t->count(CUDNN_ATTR_TENSOR_STRIDES) != s.rank || s.rank < 3) return complain(CUDNN_STATUS_BAD_PARAM, "dimensions and strides differ in number");
  if (align < 1 || (align & (align - 1))) return complain(CUDNN_STATUS_BAD_PARAM, "an alignment is no power of two");
  for (int i = 0; i < s.rank; i++)
    if (s.d[i] < 1 || s.s[i] < 1) return complain(CUDNN_STATUS_BAD_PARAM, "a dimension or stride below 1", i);
  return OK;
}

/* ---- operations */
bool is_forward(descriptor *o) { return o->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR; }
bool is_convolution(descriptor *o) { return is_forward(o) || o->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR; }
descriptor *tensor_of(descriptor *o, int name) { return part(o, name, CUDNN_BACKEND_TENSOR_DESCRIPTOR); }
struct conv_parts {
  descriptor *c, *image, *w, *result; /* image: of forward's x; result: of its y */
};
conv_parts parts_of(descriptor *o) {
  bool f = is_forward(o);
  return {part(o, f ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
               CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR),
          tensor_of(o, f ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX),
          tensor_of(o, f ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W),
          tensor_of(o, f ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY)};
}
cudnnStatus_t check_convolution(descriptor *o) {
  conv_parts p = parts_of(o);
  if (!p.c || !p.image || !p.w || !p.result) return complain(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "a part of a convolution is not finalized");
  shape x = shape_of(p.image), w = shape_of(p.w), y = shape_of(p.result);
  int64_t n = p.c->one<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0);
  if (x.rank != n + 2 || w.rank != x.rank || y.rank != x.rank) return complain(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "ranks of a convolution");
  if (x.d[0] != y.d[0] || x.d[1] % w.d[1] || y.d[1] != w.d[0] || w.d[0] % (x.d[1] / w.d[1]))
    return complain(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "channels of a convolution");
  for (int i = 0; i < n; i++) {
    int64_t reach = (w.d[2 + i] - 1) * p.c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS)[i] + 1;
    int64_t padded = x.d[2 + i] + p.c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)[i] + p.c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS)[i];
    if (padded < reach || (padded - reach) / p.c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)[i] + 1 != y.d[2 + i])
      return complain(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "size of a convolution's output", i);
  }
  return OK;
}
bool broadcasts(const shape &from, const shape &to) {
  for (int i = 0; i < to.rank; i++)
    if (from.rank != to.rank || (from.d[i] != 1 && from.d[i] != to.d[i])) return false;
  return true;
}
bool takes_two(cudnnPointwiseMode_t m) {
  return m == CUDNN_POINTWISE_ADD || m == CUDNN_POINTWISE_MUL || m == CUDNN_POINTWISE_MAX || m == CUDNN_POINTWISE_MIN || m == CUDNN_POINTWISE_DIV;
}
cudnnStatus_t check_pointwise(descriptor *o) {
  descriptor *p = part(o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  descriptor *x = tensor_of(o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC), *y = tensor_of(o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
  if (!p || !x || !y) return complain(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "a part of a pointwise operation is not finalized");
  bool two = takes_two(p->one(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD));
  descriptor *b = tensor_of(o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
  if (two != (b != nullptr)) return complain(CUDNN_STATUS_BAD_PARAM, "operands of a pointwise operation");
  if (!broadcasts(shape_of(x), shape_of(y)) || (b && !broadcasts(shape_of(b), shape_of(y))))
    return complain(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, "shapes of a pointwise operation");
  return OK;
}
std::vector<descriptor *> operations_of(descriptor *g) {
  descriptor **p = g->list<descriptor *>(CUDNN_ATTR_OPERATIONGRAPH_OPS);
  return std::vector<descriptor *>(p, p + g->count(CUDNN_ATTR_OPERATIONGRAPH_OPS));
}
descriptor *output_of(descriptor *o) {
  if (!is_convolution(o)) return tensor_of(o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
  return is_forward(o) ? parts_of(o).result : parts_of(o).image;
}
std::vector<descriptor *> inputs_of(descriptor *o) {
  if (is_convolution(o)) return {is_forward(o) ? parts_of(o).image : parts_of(o).result, parts_of(o).w};
  std::vector<descriptor *> r = {tensor_of(o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC)};
  if (descriptor *b = tensor_of(o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC)) r.push_back(b);
  return r;
}
cudnnStatus_t check_graph(descriptor *g) {
  std::map<int64_t, descriptor *> by_uid;
  std::set<descriptor *> made;
  for (descriptor *o : operations_of(g)) {
    if (!living.count(o) || !o->finalized) return complain(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "an operation is not finalized");
    std::vector<descriptor *> all = inputs_of(o);
    for (descriptor *t : all)
      if (is_virtual(t) && !made.count(t)) return complain(CUDNN_STATUS_BAD_PARAM, "a virtual tensor is read before it is made");
    all.push_back(output_of(o));
    for (descriptor *t : all) {
      if (by_uid.count(uid_of(t)) && by_uid[uid_of(t)] != t) return complain(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES, "two tensors of one number");
      by_uid[uid_of(t)] = t;
    }
    made.insert(output_of(o));
  }
  return OK;
}
/* Like the real one's engines: even padding, channels last, one convolution first and up to four steps behind it. */
cudnnStatus_t can_run(descriptor *g) {
  std::vector<descriptor *> ops = operations_of(g);
  if (!is_convolution(ops[0]) || ops.size() > 5) return complain(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "pattern");
  for (size_t i = 1; i < ops.size(); i++)
    if (is_convolution(ops[i])) return complain(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "pattern");
  conv_parts p = parts_of(ops[0]);
  cudnnDataType_t in = type_of(p.image), sums = p.c->one(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  bool integers = in == CUDNN_DATA_INT8 || in == CUDNN_DATA_UINT8;
  if (sums != (integers ? CUDNN_DATA_INT32 : CUDNN_DATA_FLOAT)) return complain(CUDNN_STATUS_NOT_SUPPORTED, "type of the sums");
  if (integers && (ops.size() > 1 || !is_forward(ops[0]) || type_of(p.w) != CUDNN_DATA_INT8 || type_of(p.result) != CUDNN_DATA_INT32))
    return complain(CUDNN_STATUS_NOT_SUPPORTED, "integers are convolved alone, with signed weights, to sums of 32 bits");
  for (int i = 0; i < p.c->count(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS); i++)
    if (p.c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)[i] != p.c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS)[i])
      return complain(CUDNN_STATUS_NOT_SUPPORTED_PADDING, "uneven padding");
  for (descriptor *t : {p.image, p.w, p.result}) {
    shape s = shape_of(t);
    if (s.s[1] != 1) return complain(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "channels are not last");
  }
  return OK;
}

/* ---- computing */
number kind(cudnnDataType_t t) {
  switch (t) {
    case CUDNN_DATA_HALF: return number::F16;
    case CUDNN_DATA_BFLOAT16: return number::BF16;
    case CUDNN_DATA_INT8: return number::I8;
    case CUDNN_DATA_UINT8: return number::U8;
    case CUDNN_DATA_INT32: return number::I32;
    default: return number::F32;
  }
}

/* A tensor of the plan, copied out of descriptors, which may be gone when it runs. */
struct place {
  shape s;
  cudnnDataType_t type;
  int64_t uid;
  bool inner;
};
place place_of(descriptor *t) { return {shape_of(t), type_of(t), uid_of(t), is_virtual(t)}; }
struct task {
  bool convolution, forward, rounds;
  place in, second, out;
  bool two;
  std::vector<int64_t> stride, dilation, begin;
  cudnnPointwiseMode_t mode;
  double upper, slope, elu, swish;
  float alpha1, alpha2;
};
struct job {
  std::vector<task> tasks;
  std::map<int64_t, void *> pointers;
};

/* Tensors as dense floats in logical order; what lies between operations stays here. */
struct memory {
  job *j;
  std::map<int64_t, std::vector<float>> dense;
  static int64_t offset(const shape &s, int64_t i) {
    int64_t o = 0;
    for (int d = s.rank - 1; d >= 0; d--) o += i % s.d[d] * s.s[d], i /= s.d[d];
    return o;
  }
  const std::vector<float> &get(const place &p) {
    std::vector<float> &m = dense[p.uid];
    if (!m.empty()) return m;
    m.resize(static_cast<size_t>(count_of(p.s)));
    for (size_t i = 0; i < m.size(); i++) m[i] = load(kind(p.type), j->pointers[p.uid], offset(p.s, static_cast<int64_t>(i)));
    return m;
  }
  void put(const place &p, std::vector<float> v) {
    if (!p.inner)
      for (size_t i = 0; i < v.size(); i++) store(kind(p.type), j->pointers[p.uid], offset(p.s, static_cast<int64_t>(i)), v[i]);
    dense[p.uid] = std::move(v);
  }
};

/* A convolution of images as three dimensions, those that are not there of size 1; transposed: it spreads instead of gathers. */
void run_convolution(const task &t, memory &m) {
  const place &image = t.forward ? t.in : t.out, &w = t.second, &result = t.forward ? t.out : t.in;
  int n = image.s.rank - 2;
  int64_t X[3] = {1, 1, 1}, Y[3] = {1, 1, 1}, K[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, begin[3] = {0, 0, 0};
  for (int i = 0; i < n; i++) {
    int at = 3 - n + i;
    size_t k = static_cast<size_t>(i);
    X[at] = image.s.d[2 + i], Y[at] = result.s.d[2 + i], K[at] = w.s.d[2 + i];
    stride[at] = t.stride[k], dilation[at] = t.dilation[k], begin[at] = t.begin[k];
  }
  std::vector<float> in = m.get(t.in), weights = m.get(w);
  if (t.rounds) {
    for (float &v : in) v = rounded(v);
    for (float &v : weights) v = rounded(v);
  }
  std::vector<double> sums(static_cast<size_t>(count_of(t.out.s)));
  int64_t C = image.s.d[1], M = w.s.d[0], c = w.s.d[1], per = M / (C / c), x[3];
  for (int64_t b = 0; b < image.s.d[0]; b++)
    for (int64_t o = 0; o < M; o++)
      for (int64_t y = 0; y < Y[0] * Y[1] * Y[2]; y++) {
        size_t at_y = static_cast<size_t>((b * M + o) * Y[0] * Y[1] * Y[2] + y);
        double sum = 0;
        for (int64_t k = 0; k < K[0] * K[1] * K[2]; k++) {
          x[0] = y / (Y[1] * Y[2]) * stride[0] + k / (K[1] * K[2]) * dilation[0] - begin[0];
          x[1] = y / Y[2] % Y[1] * stride[1] + k / K[2] % K[1] * dilation[1] - begin[1];
          x[2] = y % Y[2] * stride[2] + k % K[2] * dilation[2] - begin[2];
          if (x[0] < 0 || x[1] < 0 || x[2] < 0 || x[0] >= X[0] || x[1] >= X[1] || x[2] >= X[2]) continue;
          for (int64_t i = 0; i < c; i++) {
            size_t at_x = static_cast<size_t>((((b * C + o / per * c + i) * X[0] + x[0]) * X[1] + x[1]) * X[2] + x[2]);
            double v = static_cast<double>(weights[static_cast<size_t>((o * c + i) * K[0] * K[1] * K[2] + k)]);
            if (t.forward) sum += v * static_cast<double>(in[at_x]);
            else sums[at_x] += v * static_cast<double>(in[at_y]);
          }
        }
        if (t.forward) sums[at_y] = sum;
      }
  m.put(t.out, std::vector<float>(sums.begin(), sums.end()));
}
float step_of(const task &t, float x, float b) {
  x *= t.alpha1;
  b *= t.alpha2;
  switch (t.mode) {
    case CUDNN_POINTWISE_ADD: return x + b;
    case CUDNN_POINTWISE_MUL: return x * b;
    case CUDNN_POINTWISE_DIV: return x / b;
    case CUDNN_POINTWISE_MAX: return x > b || x != x ? x : b;
    case CUDNN_POINTWISE_MIN: return x < b || x != x ? x : b;
    case CUDNN_POINTWISE_ABS: return fabsf(x);
    case CUDNN_POINTWISE_RELU_FWD: {
      float v = x < 0 ? x * static_cast<float>(t.slope) : x;
      return v > static_cast<float>(t.upper) ? static_cast<float>(t.upper) : v;
    }
    case CUDNN_POINTWISE_SIGMOID_FWD: return 1 / (1 + expf(-x));
    case CUDNN_POINTWISE_TANH_FWD: return tanhf(x);
    case CUDNN_POINTWISE_ELU_FWD: return x > 0 ? x : static_cast<float>(t.elu) * expm1f(x);
    case CUDNN_POINTWISE_SWISH_FWD: return x / (1 + expf(-static_cast<float>(t.swish) * x));
    case CUDNN_POINTWISE_GELU_FWD: return x / 2 * (1 + erff(x * 0.70710678f));
    case CUDNN_POINTWISE_GELU_APPROX_TANH_FWD: return x / 2 * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
  }
  return NAN;
}
/* Where element i of a tensor is in one that is broadcast to it. */
size_t in_broadcast(const shape &to, const shape &from, int64_t i) {
  int64_t o = 0, step = 1;
  for (int d = to.rank - 1; d >= 0; d--) {
    o += from.d[d] == 1 ? 0 : i % to.d[d] * step;
    step *= from.d[d];
    i /= to.d[d];
  }
  return static_cast<size_t>(o);
}
void run_pointwise(const task &t, memory &m) {
  const std::vector<float> x = m.get(t.in), b = t.two ? m.get(t.second) : std::vector<float>();
  std::vector<float> out(static_cast<size_t>(count_of(t.out.s)));
  for (size_t i = 0; i < out.size(); i++) {
    int64_t k = static_cast<int64_t>(i);
    out[i] = step_of(t, x[in_broadcast(t.out.s, t.in.s, k)], t.two ? b[in_broadcast(t.out.s, t.second.s, k)] : 0);
  }
  m.put(t.out, std::move(out));
}
void run_job(const void *arg) {
  job *j = *static_cast<job *const *>(arg);
  memory m = {j, {}};
  for (const task &t : j->tasks) t.convolution ? run_convolution(t, m) : run_pointwise(t, m);
}
std::vector<task> tasks_of(descriptor *g, bool rounds) {
  std::vector<task> all;
  for (descriptor *o : operations_of(g)) {
    task t = {};
    std::vector<descriptor *> in = inputs_of(o);
    t.in = place_of(in[0]);
    if ((t.two = in.size() > 1)) t.second = place_of(in[1]);
    t.out = place_of(output_of(o));
    if ((t.convolution = is_convolution(o))) {
      descriptor *c = parts_of(o).c;
      t.forward = is_forward(o);
      t.rounds = rounds;
      for (int64_t i = 0; i < c->one<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0); i++) {
        t.stride.push_back(c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES)[i]);
        t.dilation.push_back(c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_DILATIONS)[i]);
        t.begin.push_back(c->list<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS)[i]);
      }
    } else {
      descriptor *p = part(o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
      t.mode = p->one(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD);
      t.upper = p->one<double>(CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, INFINITY);
      t.slope = p->one<double>(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0);
      t.elu = p->one<double>(CUDNN_ATTR_POINTWISE_ELU_ALPHA, 1);
      t.swish = p->one<double>(CUDNN_ATTR_POINTWISE_SWISH_BETA, 1);
      t.alpha1 = o->one<float>(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1);
      t.alpha2 = o->one<float>(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1);
    }
    all.push_back(t);
  }
  return all;
}
std::vector<std::unique_ptr<job>> jobs; /* kept to the end: graphs may run them again */
} // namespace

struct cudnnContext {
  cudaStream_t stream;
};
namespace {
int64_t workspace_of(int engine) { return engine == HUNGRY ? 64 << 20 : engine == ROUNDING ? 4096 : 0; }
} // namespace

extern "C" {
#pragma GCC visibility push(default)
size_t cudnnGetVersion(void) { return 91900; }
const char *cudnnGetErrorString(cudnnStatus_t st) { return st == CUDNN_STATUS_EXECUTION_FAILED ? "CUDNN_STATUS_EXECUTION_FAILED" : "an error of the emulated cuDNN"; }
cudnnStatus_t cudnnCreate(cudnnHandle_t *h) { return *h = new cudnnContext{nullptr}, OK; }
cudnnStatus_t cudnnDestroy(cudnnHandle_t h) { return delete h, OK; }
cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t s) { return h->stream = s, OK; }

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *out) {
  descriptor *d = new descriptor();
  d->type = type;
  living.insert(d);
  *out = d;
  return OK;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t p) {
  descriptor *d = static_cast<descriptor *>(p);
  if (!living.erase(d)) return complain(CUDNN_STATUS_BAD_PARAM, "a descriptor is destroyed twice");
  delete d;
  return OK;
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t p, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t n, const void *values) {
  descriptor *d = static_cast<descriptor *>(p);
  if (!living.count(d) || !values) return complain(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no descriptor or no values", name);
  if (d->finalized) return complain(CUDNN_STATUS_BAD_PARAM, "an attribute is set after finalizing", name);
  rules r = rules_of(d->type);
  for (size_t i = 0; i < r.n; i++) {
    if (r.p[i].name != static_cast<int>(name)) continue;
    if (r.p[i].type != type) return complain(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "an attribute's type", name);
    if (n < r.p[i].least || n > r.p[i].most) return complain(CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT, "an attribute's count", name);
    const unsigned char *b = static_cast<const unsigned char *>(values);
    d->a[name] = {type, n, std::vector<unsigned char>(b, b + size_of(type) * static_cast<size_t>(n))};
    return OK;
  }
  return complain(CUDNN_STATUS_BAD_PARAM, "no such attribute", name);
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t p) {
  descriptor *d = static_cast<descriptor *>(p);
  cudnnStatus_t st = OK;
  rules r = rules_of(d->type);
  if (d->finalized) return complain(CUDNN_STATUS_BAD_PARAM, "finalized twice");
  for (size_t i = 0; i < r.n; i++)
    if (r.p[i].required && !d->a.count(r.p[i].name)) return complain(CUDNN_STATUS_BAD_PARAM, "an attribute is missing", r.p[i].name);
  if (d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR) st = check_tensor(d);
  if (is_convolution(d)) st = check_convolution(d);
  if (d->type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) st = check_pointwise(d);
  if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) st = check_graph(d);
  if (d->type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
    d->graph = part(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    st = d->graph ? can_run(d->graph) : complain(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "heuristics of no graph");
  }
  if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    descriptor *c = part(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!c) return complain(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "a plan of no configuration");
    d->graph = c->graph;
    d->engine = c->engine;
    if (c->engine == REFUSED) st = CUDNN_STATUS_NOT_SUPPORTED;
  }
  if (d->type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR && d->count(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS) != d->count(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS))
    st = complain(CUDNN_STATUS_BAD_PARAM, "numbers and pointers differ in number");
  d->finalized = !st;
  return st;
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t p, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t wanted, int64_t *n, void *values) {
  descriptor *d = static_cast<descriptor *>(p);
  if (!living.count(d) || !d->finalized) return complain(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "asked before it was finalized", name);
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    static const int by_heuristics[] = {REFUSED, ROUNDING, HUNGRY, PLAIN}, otherwise[] = {PLAIN};
    bool a = d->one(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_A) == CUDNN_HEUR_MODE_A;
    const int *list = a ? by_heuristics : otherwise;
    *n = a ? 4 : 1;
    for (int64_t i = 0; i < *n && i < wanted; i++) {
      descriptor *c = static_cast<descriptor **>(values)[i];
      if (!living.count(c) || c->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR) return complain(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "results need configurations");
      c->engine = list[i];
      c->graph = d->graph;
      c->finalized = true;
    }
    if (*n > wanted) *n = wanted;
    return OK;
  }
  if (name == CUDNN_ATTR_ENGINECFG_ENGINE && type == CUDNN_TYPE_BACKEND_DESCRIPTOR && wanted >= 1) {
    descriptor *e = *static_cast<descriptor **>(values);
    if (!living.count(e) || e->type != CUDNN_BACKEND_ENGINE_DESCRIPTOR) return complain(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "no engine to fill in");
    e->engine = d->engine;
    e->finalized = true;
    *n = 1;
    return OK;
  }
  if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE) {
    cudnnBackendNumericalNote_t *notes = static_cast<cudnnBackendNumericalNote_t *>(values);
    *n = d->engine == ROUNDING ? 1 : 0;
    if (*n && wanted) notes[0] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    return OK;
  }
  if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64 && wanted >= 1) {
    *static_cast<int64_t *>(values) = workspace_of(d->engine);
    *n = 1;
    return OK;
  }
  return complain(CUDNN_STATUS_BAD_PARAM, "no such attribute to ask for", name);
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t h, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  descriptor *p = static_cast<descriptor *>(plan), *v = static_cast<descriptor *>(pack);
  if (!living.count(p) || !living.count(v) || !p->finalized || !v->finalized) return complain(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "run before it was finalized");
  std::unique_ptr<job> j(new job());
  std::set<int64_t> needed;
  for (descriptor *o : operations_of(p->graph)) {
    std::vector<descriptor *> all = inputs_of(o);
    all.push_back(output_of(o));
    for (descriptor *t : all)
      if (!is_virtual(t)) needed.insert(uid_of(t));
  }
  for (int64_t i = 0; i < v->count(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS); i++) {
    void *data = v->list<void *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)[i];
    if (!data || reinterpret_cast<uintptr_t>(data) % 16) return complain(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "a pointer is missing or not aligned");
    if (!j->pointers.insert({v->list<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS)[i], data}).second) return complain(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES, "a tensor is given twice");
  }
  for (int64_t uid : needed)
    if (!j->pointers.count(uid)) return complain(CUDNN_STATUS_BAD_PARAM, "a tensor is not given", static_cast<int>(uid));
  if (j->pointers.size() != needed.size()) return complain(CUDNN_STATUS_BAD_PARAM, "a tensor is given that nothing uses");
  if (workspace_of(p->engine) && !v->one<void *>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, nullptr)) return complain(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no workspace");
  j->tasks = tasks_of(p->graph, p->engine == ROUNDING && type_of(inputs_of(operations_of(p->graph)[0])[0]) == CUDNN_DATA_FLOAT);
  job *raw = j.get();
  jobs.push_back(std::move(j));
  return hn_emulated_enqueue(h->stream, run_job, &raw, sizeof raw) ? CUDNN_STATUS_EXECUTION_FAILED : OK;
}
#pragma GCC visibility pop
}
