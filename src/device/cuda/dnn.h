/* dnn.h - cuDNN 9's graphs of operations through its C interface. The library is opened when a device is; where it is not
   there, what it would do is done elsewhere. */
#ifndef HN_CUDA_DNN_H
#define HN_CUDA_DNN_H
#include <cudnn_graph.h>

#include "device/cuda/cuda_device.h"

#define HN_DNN_FUNCTIONS(F)                                                                                            \
  F(cudnnGetVersion) F(cudnnGetErrorString) F(cudnnCreate) F(cudnnDestroy) F(cudnnSetStream) F(cudnnBackendCreateDescriptor) \
  F(cudnnBackendDestroyDescriptor) F(cudnnBackendSetAttribute) F(cudnnBackendGetAttribute) F(cudnnBackendFinalize)       \
  F(cudnnBackendExecute)

typedef struct hn_dnn {
  cudnnHandle_t handle;
  cudnnBackendDescriptor_t properties; /* of a device that is not here, for plans that are only made; NULL: the handle's is */
  size_t version;
#define F(name) __typeof__(&name) name;
  HN_DNN_FUNCTIONS(F)
#undef F
} hn_dnn;

/* *out is NULL where the library is not there or does not work, with the reason. */
void hn_dnn_open(hn_dnn **out, char *reason, size_t size);
void hn_dnn_version(char *text, size_t size); /* "cuDNN 9.19.0", or what is missing without it */
void hn_dnn_close(hn_dnn *dnn); /* accepts NULL */
bool hn_dnn_type(hn_dtype t, cudnnDataType_t *out); /* false: none of those it computes with */

/* Operations that become one plan. Once something has failed, nothing more is done and nothing can be built. */
enum { HN_DNN_DESCRIPTORS = 96, HN_DNN_OPERATIONS = 16 };
typedef struct hn_dnn_graph {
  const hn_dnn *dnn;
  cudnnBackendDescriptor_t all[HN_DNN_DESCRIPTORS], operations[HN_DNN_OPERATIONS], plan;
  int n, n_operations;
  int64_t n_tensors; /* tensors are numbered from 1 */
  cudnnStatus_t status;
  size_t workspace;  /* bytes that the plan needs */
} hn_dnn_graph;
typedef cudnnBackendDescriptor_t hn_dnn_tensor;

void hn_dnn_graph_begin(const hn_dnn *dnn, hn_dnn_graph *g);
void hn_dnn_graph_end(hn_dnn_graph *g);
/* Channels last; `kept` ones are given when it runs, under the number in *uid; others lie between operations as floats. */
hn_dnn_tensor hn_dnn_image(hn_dnn_graph *g, cudnnDataType_t type, int rank, const int64_t *dims, bool kept, int64_t *uid);
typedef struct hn_dnn_window {
  int64_t n;
  int64_t stride[3], dilation[3], begin[3], end[3];
} hn_dnn_window;
/* y of x, or transposed: x of y. Sums are FLOAT, or INT32 where x and weights are integers. */
void hn_dnn_convolve(hn_dnn_graph *g, const hn_dnn_window *w, bool transposed, cudnnDataType_t sums, hn_dnn_tensor x, hn_dnn_tensor weights,
                     hn_dnn_tensor y);
typedef struct hn_dnn_step {
  cudnnPointwiseMode_t mode;
  float alpha1, alpha2; /* of both sides, 1 and 1 where nothing else is meant */
  struct {
    cudnnBackendAttributeName_t name; /* 0: none, as nothing else of a step is */
    double value;
  } extra;
} hn_dnn_step;
void hn_dnn_pointwise(hn_dnn_graph *g, const hn_dnn_step *s, hn_dnn_tensor x, hn_dnn_tensor b, hn_dnn_tensor y); /* b NULL: unary */

typedef struct hn_dnn_choice {
  size_t workspace;   /* at most */
  bool exact;         /* no engine that rounds its inputs to fewer bits */
  uint32_t skip;      /* how many of the plans that fit are passed over */
} hn_dnn_choice;
/* Finds a plan by cuDNN's heuristics, then by those for everything that they do not know. false: there is none. */
bool hn_dnn_plan(hn_dnn_graph *g, const hn_dnn_choice *c);
/* Gives the plan's work to a stream; pointers[i] is tensor uids[i]. Kept between runs in *pack while pointers are the same. */
typedef struct hn_dnn_pack {
  cudnnBackendDescriptor_t pack;
  int n;
  int64_t uids[HN_DNN_OPERATIONS + 2];
  void *pointers[HN_DNN_OPERATIONS + 2];
  void *scratch;
} hn_dnn_pack;
hone_status hn_dnn_execute(const hn_exec *x, const hn_dnn_graph *g, hn_dnn_pack *pack, void *const *pointers, void *scratch);
#endif
