/*
 * hone.h - the public C API of hone: take a trained neural network, make it fast, prove it is still right.
 *
 * Conventions
 *  - Every fallible function returns a hone_status. Results go through the last parameter(s), which are left
 *    untouched on failure. The detail of the last failure (file, node, operator, what to do) is
 *    hone_context_error() of the context that the objects were made from.
 *  - Objects are opaque. hone_*_destroy(T **) accepts NULL and pointers to NULL, and sets the pointer to NULL.
 *  - Option structs start with `uint32_t size`; initialize them with their hone_*_options_init() function, so
 *    that a program compiled against an older header keeps working.
 *  - Strings returned by the library are UTF-8, owned by the object they were asked from, and valid until it
 *    is destroyed or modified.
 *  - A context and all objects made from it may be used by one thread at a time. Different contexts are
 *    independent; the library has no global state. Several threads share a model through sessions in contexts
 *    of their own: hone_session_options.context.
 *  - Tensors are dense and row-major (C order): for images NCHW.
 */
#ifndef HONE_H
#define HONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HONE_VERSION_MAJOR 0
#define HONE_VERSION_MINOR 1
#define HONE_VERSION_PATCH 0

#if defined(HONE_BUILD) && defined(__GNUC__)
#define HONE_API __attribute__((visibility("default")))
#else
#define HONE_API
#endif

/** Largest number of dimensions of a tensor. */
#define HONE_MAX_RANK 8

/** Outcome of a call. */
typedef enum hone_status {
  HONE_OK = 0,
  HONE_NOMEM,       /**< memory could not be allocated */
  HONE_IO,          /**< a file could not be opened, read or written */
  HONE_BAD_FORMAT,  /**< a file is truncated, corrupted or not what its name says */
  HONE_UNSUPPORTED, /**< valid, but hone cannot do it (the error lists all of it at once) */
  HONE_BAD_ARG,     /**< an argument of the caller is wrong */
  HONE_BAD_GRAPH,   /**< the model contradicts itself: shapes, types, cycles, missing tensors */
  HONE_DEVICE       /**< a device is missing, lost or out of resources */
} hone_status;

/** Name of a status, such as "BAD_FORMAT". Never NULL. */
HONE_API const char *hone_status_name(hone_status status);

/** "MAJOR.MINOR.PATCH" of the library that is linked. */
HONE_API const char *hone_version(void);

/** Element types of tensors. The numbers are stable and equal ONNX's TensorProto.DataType. */
typedef enum hone_dtype {
  HONE_DTYPE_UNDEFINED = 0,
  HONE_DTYPE_F32 = 1,
  HONE_DTYPE_U8 = 2,
  HONE_DTYPE_I8 = 3,
  HONE_DTYPE_U16 = 4,
  HONE_DTYPE_I16 = 5,
  HONE_DTYPE_I32 = 6,
  HONE_DTYPE_I64 = 7,
  HONE_DTYPE_STRING = 8,
  HONE_DTYPE_BOOL = 9,
  HONE_DTYPE_F16 = 10,
  HONE_DTYPE_F64 = 11,
  HONE_DTYPE_U32 = 12,
  HONE_DTYPE_U64 = 13,
  HONE_DTYPE_C64 = 14,
  HONE_DTYPE_C128 = 15,
  HONE_DTYPE_BF16 = 16,
  HONE_DTYPE_F8E4M3FN = 17,
  HONE_DTYPE_F8E4M3FNUZ = 18,
  HONE_DTYPE_F8E5M2 = 19,
  HONE_DTYPE_F8E5M2FNUZ = 20,
  HONE_DTYPE_U4 = 21,
  HONE_DTYPE_I4 = 22
} hone_dtype;

/** Short name of an element type ("f32", "i64", ...); "?" for one that is unknown. */
HONE_API const char *hone_dtype_name(hone_dtype dtype);

/** Bytes of one element; 0 for types without a whole number of bytes (strings, 4-bit). */
HONE_API size_t hone_dtype_size(hone_dtype dtype);

/* ------------------------------------------------------------------------------------------- context */

/** Error detail, log callback: everything that would otherwise be global. */
typedef struct hone_context hone_context;

/** Severity of a log message. */
typedef enum hone_log_level { HONE_LOG_DEBUG, HONE_LOG_INFO, HONE_LOG_WARNING } hone_log_level;

/** Receives one line of text without a newline. The library itself never prints. */
typedef void (*hone_log_fn)(void *user, hone_log_level level, const char *message);

/** Makes a context. Free it last, with hone_context_destroy(). */
HONE_API hone_status hone_context_create(hone_context **context);
HONE_API void hone_context_destroy(hone_context **context);

/** The one-line detail of the last failure; "" if none. Valid until the next failing call. */
HONE_API const char *hone_context_error(const hone_context *context);

/** Sets the log callback (NULL: none). */
HONE_API void hone_context_set_log(hone_context *context, hone_log_fn fn, void *user);

/* --------------------------------------------------------------------------------------------- models */

/** A model: a graph with named inputs, outputs and weights. */
typedef struct hone_model hone_model;

/** A graph input or output, or any other tensor. `dims[i]` is -1 where it is not a fixed number; then
    `dim_names[i]` is its symbol ("batch", "2*N+1") or "". `rank` is -1 when unknown. Names belong to the model or session
    they came from, and are valid until it is changed (a shape set, an input fixed, optimized) or destroyed. */
typedef struct hone_tensor_info {
  const char *name;
  hone_dtype dtype;
  int32_t rank;
  int64_t dims[HONE_MAX_RANK];
  const char *dim_names[HONE_MAX_RANK];
} hone_tensor_info;

/** Figures of a whole model, for one run with the shapes known (symbolic dimensions count as 1 and set `symbolic`). */
typedef struct hone_model_stats {
  uint64_t layers;           /**< nodes, constants not counted, nested graphs included */
  uint64_t parameters;       /**< elements of all constant floating-point or quantized weights */
  uint64_t weight_bytes;     /**< bytes of all constants */
  uint64_t macs;             /**< multiply-accumulate operations */
  uint64_t activation_bytes; /**< sum of all that layers make; a tensor of unknown rank counts as nothing */
  bool symbolic;             /**< a symbolic dimension was counted as 1 */
} hone_model_stats;

/** What products are computed in. Each has a peak of its own. */
typedef enum hone_arithmetic {
  HONE_ARITHMETIC_F32,  /**< single precision, and whatever is neither of the others */
  HONE_ARITHMETIC_BF16, /**< BF16 values, single-precision sums */
  HONE_ARITHMETIC_INT8, /**< 8-bit integers, 32-bit sums */
  HONE_ARITHMETICS
} hone_arithmetic;
/** "f32", "bf16", "int8". */
HONE_API const char *hone_arithmetic_name(hone_arithmetic arithmetic);
/** What a machine can do at most. */
typedef struct hone_peak {
  double flops[HONE_ARITHMETICS];   /**< operations a second, a multiply-accumulate being two; 0: not measured */
  const char *by[HONE_ARITHMETICS]; /**< the instructions that do them: "avx512", "avx512-vnni", "amx-int8"; a static string */
  double bandwidth;                 /**< bytes read from memory a second */
} hone_peak;

/** One layer (node) in execution order. Strings live as long as the model is not modified. */
typedef struct hone_layer_info {
  const char *name;
  const char *op;     /**< operator, with what is fused into it: "Conv+Add+Relu" */
  const char *detail; /**< attributes on one line */
  uint32_t input_count, output_count;
  uint64_t parameters, weight_bytes, macs;
  const char *tactic; /**< the kernel that tuning chose, "" if none was */
  double tactic_ms;   /**< what it took then, with the changes of layout before it */
  const char *layout; /**< of the first output in the plan that the engine holds; "" if it holds none */
  uint64_t bytes;     /**< of inputs, weights and outputs; a symbolic dimension counts as 1 */
  int32_t chain;      /**< the first of the layers with which this one is run strip by strip, whose tactic_ms is that of all of
                           them; -1: it runs alone */
  hone_arithmetic arithmetic; /**< what its products are computed in */
  uint32_t fork;      /**< the group of layers that run side by side of which this is one, from 1; 0: it runs on all threads */
  uint32_t branch;    /**< which of the group's branches, each on one thread; from 1 */
} hone_layer_info;

/** Which part of a file is the model, where the format leaves a choice (TensorFlow). NULL: what the format says. */
typedef struct hone_load_options {
  uint32_t size;
  const char *tag_set;   /**< tags of the MetaGraph, as in "serve" or "serve,gpu"; NULL: "serve", or the only one */
  const char *signature; /**< key of the SignatureDef; NULL: "serving_default", or the only one */
  const char *inputs;    /**< comma-separated tensors ("x:0") to feed in place of the signature's inputs or those found */
  const char *outputs;   /**< comma-separated tensors to fetch in place of the signature's outputs or those found */
  bool where_known;      /**< formats that have no such choice ignore these options instead of refusing them */
} hone_load_options;
HONE_API void hone_load_options_init(hone_load_options *options);

/** Reads a model from a file or a directory. The format is recognized by content: ONNX, TensorFlow (a SavedModel's
    directory, a frozen GraphDef, a checkpoint's .meta), Keras (.h5, .keras, the layers models of TensorFlow.js:
    model.json or its folder) or a hone engine (.hone).
    Errors: IO, BAD_FORMAT, UNSUPPORTED (lists every unsupported operator with a node name), BAD_GRAPH, NOMEM. */
HONE_API hone_status hone_model_load(hone_context *context, const char *path, hone_model **model);

/** As hone_model_load() with a choice. `options` may be NULL. Errors also: BAD_ARG (no such tag set, signature or
    tensor: the message lists the known ones; or the format leaves no choice). */
HONE_API hone_status hone_model_load_with(hone_context *context, const char *path, const hone_load_options *options,
                                          hone_model **model);

/** As hone_model_load() from memory. `data` must outlive the call only. External data files are refused. */
HONE_API hone_status hone_model_load_memory(hone_context *context, const void *data, size_t size, hone_model **model);
HONE_API void hone_model_destroy(hone_model **model);

/** What a file has to choose from: tag sets, signatures, functions. */
typedef struct hone_catalog hone_catalog;

typedef enum hone_catalog_kind {
  HONE_CATALOG_TAG_SET,   /**< `name`: "serve,gpu"; `detail`: the version that wrote it */
  HONE_CATALOG_SIGNATURE, /**< of the tag set before; `name`: its key; `detail`: method name */
  HONE_CATALOG_INPUT,     /**< of the signature before; `name`: key; `tensor`: "x:0" */
  HONE_CATALOG_OUTPUT,
  HONE_CATALOG_ASSET,     /**< `name`: file; `tensor`: what it is fed to */
  HONE_CATALOG_FUNCTION,  /**< `name`: attribute of the model; `tensor`: the concrete function */
  HONE_CATALOG_ARGUMENT,  /**< of the function before */
  HONE_CATALOG_CAPTURE,   /**< of the function before: `name`: variable */
  HONE_CATALOG_SEGMENT    /**< TRTEngineOp: `name`: node; `tensor`: native segment; `detail`: precision and contents */
} hone_catalog_kind;

/** One row. Texts live as long as the catalog; none is NULL. */
typedef struct hone_catalog_row {
  hone_catalog_kind kind;
  const char *name, *tensor, *detail;
  const char *type;      /**< element type as the format spells it ("DT_FLOAT"); "" where there is none */
  hone_tensor_info info; /**< shape and element type of inputs, outputs, arguments and captures */
} hone_catalog_row;

/** Lists what `path` has to choose from; formats without a choice give an empty list.
    Errors: IO, BAD_FORMAT, NOMEM. */
HONE_API hone_status hone_catalog_open(hone_context *context, const char *path, hone_catalog **catalog);
HONE_API void hone_catalog_destroy(hone_catalog **catalog);
/** The `index`-th row; false past the end. */
HONE_API bool hone_catalog_row_at(const hone_catalog *catalog, uint32_t index, hone_catalog_row *row);

/** A SavedModel to be written again with all its MetaGraphs and signatures. What hone takes of its graphs are segments,
    models of their own between the tensors that they share with the rest; what it leaves stays TensorFlow's operators. */
typedef struct hone_conversion hone_conversion;

typedef struct hone_conversion_options {
  uint32_t size;
  const char *tag_set;          /**< only this MetaGraph; NULL: all */
  int32_t minimum_segment_size; /**< connected nodes (constants not counted) that are worth taking; default 1 */
} hone_conversion_options;
HONE_API void hone_conversion_options_init(hone_conversion_options *options);

/** `nodes`: TensorFlow's that the segment stands for, those of functions included. Texts live as long as the conversion. */
typedef struct hone_segment_info {
  const char *tag_set;
  uint32_t nodes;
} hone_segment_info;

/** A node that stays as it is, and why. */
typedef struct hone_left_node {
  const char *tag_set, *name, *op, *why;
} hone_left_node;

/** Reads a SavedModel and cuts its graphs. `options` may be NULL. Errors: IO, BAD_FORMAT, BAD_GRAPH, BAD_ARG (no SavedModel; no
    such tag set), NOMEM. */
HONE_API hone_status hone_conversion_open(hone_context *context, const char *path, const hone_conversion_options *options,
                                          hone_conversion **conversion);
HONE_API void hone_conversion_destroy(hone_conversion **conversion);
/** One MetaGraph with one signature, nothing left of it: hone_model_load() reads the same, whole. */
HONE_API bool hone_conversion_is_plain(const hone_conversion *conversion);
HONE_API uint32_t hone_conversion_segment_count(const hone_conversion *conversion);
/** The `index`-th segment, the conversion's own, to be optimized or quantized in place; `info` may be NULL. NULL past the end. */
HONE_API hone_model *hone_conversion_segment(hone_conversion *conversion, uint32_t index, hone_segment_info *info);
/** The `index`-th node that is left for a reason; false past the end. */
HONE_API bool hone_conversion_left_at(const hone_conversion *conversion, uint32_t index, hone_left_node *row);
/** Writes the SavedModel: the segments as they now are, the rest as it was, with checkpoint and assets where the rest needs
    them. A segment that TensorFlow's operators cannot spell as it now is fails with UNSUPPORTED. Errors: IO, NOMEM. */
HONE_API hone_status hone_conversion_save(hone_conversion *conversion, const char *path);

/** An independent copy. Weights are shared and immutable. */
HONE_API hone_status hone_model_clone(const hone_model *model, hone_model **copy);

/** Writes a model, the format chosen by the name: .onnx (standard operators only), .hone (engine, mapped on load), .pb (a
    frozen TensorFlow GraphDef), or a folder (ends in / or has no extension): a TensorFlow SavedModel. Files appear under
    their names only when they are complete.
    Errors: IO, UNSUPPORTED (unknown extension, operators that have no spelling there), NOMEM. */
HONE_API hone_status hone_model_save(const hone_model *model, const char *path);
/** As hone_model_save() in a format by name: "onnx", "hone", "graphdef", "savedmodel". Errors also: BAD_ARG. */
HONE_API hone_status hone_model_save_as(const hone_model *model, const char *path, const char *format);
/** The name of the format that hone_model_save() would choose for a path; NULL: none. */
HONE_API const char *hone_format_of_path(const char *path);

/** Compares all weights, portable and packed, with the checksums of the engine they came from; of other models with those
    computed so far. Loading checks all but the weights, which would have to be read for it. How many bytes were compared
    goes to the out pointers, which may be NULL. Errors: BAD_FORMAT (names the damaged tensor). */
HONE_API hone_status hone_model_check(const hone_model *model, uint64_t *weight_bytes, uint64_t *packed_bytes);

HONE_API uint32_t hone_model_input_count(const hone_model *model);
HONE_API uint32_t hone_model_output_count(const hone_model *model);
HONE_API hone_status hone_model_input_info(const hone_model *model, uint32_t index, hone_tensor_info *info);
HONE_API hone_status hone_model_output_info(const hone_model *model, uint32_t index, hone_tensor_info *info);

/** Metadata by key: "format", "producer", "producer_version", "domain", "model_version", "ir_version", "opset"
    ("ai.onnx 17, com.microsoft 1"), "graph", "doc", and the file's own metadata properties. NULL if absent. */
HONE_API const char *hone_model_metadata(const hone_model *model, const char *key);
/** Sets a metadata property; formats that have a place for it write it. */
HONE_API hone_status hone_model_set_metadata(hone_model *model, const char *key, const char *value);
/** How many plans sessions of the model keep where hone_session_options.shape_plans is 0. */
#define HONE_META_SHAPE_PLANS "hone.shape_plans"
/** The `index`-th metadata pair; false past the end. */
HONE_API bool hone_model_metadata_at(const hone_model *model, uint32_t index, const char **key, const char **value);

/** Fixes the shape of an input (all dimensions > 0 or 0-sized as given) and infers all shapes anew.
    Errors: BAD_ARG (no such input, wrong rank, contradicts a fixed dimension), BAD_GRAPH. */
HONE_API hone_status hone_model_set_input_shape(hone_model *model, const char *input, uint32_t rank, const int64_t *dims);

/** Makes an input a constant: the model no longer has it, and optimization can use what it is (a sampling rate that chooses
    a branch, say). `data` is `bytes` of the input's type, dense; its shape must be fixed. On failure the model is unchanged.
    Errors: BAD_ARG (no such input, open shape, other size). */
HONE_API hone_status hone_model_fix_input(hone_model *model, const char *input, const void *data, size_t bytes);

HONE_API hone_status hone_model_get_stats(const hone_model *model, hone_model_stats *stats);
HONE_API uint32_t hone_model_layer_count(const hone_model *model);
HONE_API hone_status hone_model_layer_info(hone_model *model, uint32_t index, hone_layer_info *info);
/** Input or output tensors of a layer; an absent optional input has name "". */
HONE_API hone_status hone_model_layer_input(hone_model *model, uint32_t layer, uint32_t index, hone_tensor_info *info);
HONE_API hone_status hone_model_layer_output(hone_model *model, uint32_t layer, uint32_t index, hone_tensor_info *info);

/** Adds tensors (by name) as extra graph outputs, so that a run shows them. Errors: BAD_ARG. */
HONE_API hone_status hone_model_add_output(hone_model *model, const char *tensor);

/** The whole graph as text (the form golden tests use). `*text` is freed with hone_text_free(). */
HONE_API hone_status hone_model_print(const hone_model *model, char **text);
HONE_API void hone_text_free(char **text);

/* ----------------------------------------------------------------------------------------- optimizing */

/** What one pass or rule did. */
typedef struct hone_report_row {
  const char *pass; /**< name of the pass */
  const char *rule; /**< name of the rule within it; "" for the pass as a whole */
  const char *doc;  /**< one line that says what it does */
  uint32_t hits;    /**< how many times it changed the graph */
  bool exact;       /**< bit-exact: outputs are the same to the last bit */
} hone_report_row;

/** Called after each pass with the graph as text when asked for (see hone_optimize_options.print_after). */
typedef void (*hone_print_fn)(void *user, const char *pass, const char *graph_text);

typedef struct hone_optimize_options {
  uint32_t size;
  int32_t level;           /**< 0: nothing; 1: exact clean-up; 2 (default): + folding and fusion; 3: + search */
  const char *passes;      /**< comma-separated pass names instead of the level's list; NULL: the level's */
  const char *print_after; /**< pass name, or "all": print_fn gets the graph after it; NULL: never */
  hone_print_fn print_fn;
  void *print_user;
  bool verify;             /**< check the graph's legality after each pass */
  uint64_t fold_limit;     /**< bytes of a constant that folding may make where it is more than twice what it replaces
                                (default 1 MiB); weights of convolutions and products are made whatever their size */
} hone_optimize_options;
HONE_API void hone_optimize_options_init(hone_optimize_options *options);

/** Optimizes the model in place. `options` may be NULL. On failure the model is unchanged.
    Errors: BAD_ARG (unknown pass: the message lists the known ones), BAD_GRAPH, NOMEM. */
HONE_API hone_status hone_model_optimize(hone_model *model, const hone_optimize_options *options);

/** The `index`-th row of the last optimization's report; false past the end. */
HONE_API bool hone_model_report_row(const hone_model *model, uint32_t index, hone_report_row *row);

/** The `index`-th optimization pass in pipeline order: name, first level that runs it, one line of doc. */
HONE_API bool hone_pass_at(uint32_t index, const char **name, int32_t *level, const char **doc);

/** The `index`-th operator hone knows; false past the end. `doc` is one line. */
HONE_API bool hone_operator_at(uint32_t index, const char **name, const char **doc);

/** The `index`-th kernel of this build and the operator it runs: first the fast ones, then the references. */
HONE_API bool hone_kernel_at(uint32_t index, const char **op, const char **kernel);

/** The `index`-th kernel of a device with kernels of its own ("cuda"), and the operator it runs, whether or not there is such a
    device; false past the end. */
HONE_API bool hone_device_kernel_at(uint32_t index, const char **device, const char **op, const char **kernel);

/* -------------------------------------------------------------------------------------------- devices */

/** A device that layers may run on. */
typedef struct hone_device_info {
  char name[32];          /**< as sessions take it: "cpu", "cuda:0", "null" */
  char description[128];  /**< what it is */
  char features[256];     /**< instruction sets, compute capability, settings */
  char reason[256];       /**< why it is not available; "" if it is */
  bool available;
  uint64_t memory, free_memory; /**< bytes; 0: not known */
} hone_device_info;

/** The `index`-th device of this machine, those included that are known but not available; false past the last. */
HONE_API bool hone_device_at(uint32_t index, hone_device_info *info);

/* ------------------------------------------------------------------------------------------- sessions */

/** A model prepared to run: chosen kernels, packed weights, planned memory. */
typedef struct hone_session hone_session;

typedef struct hone_session_options {
  uint32_t size;
  int32_t threads;      /**< worker threads; 0 (default): all processors of the process */
  bool reference;       /**< only the plain reference kernels: slow and obvious, to compare with */
  bool keep_all;        /**< every tensor keeps memory of its own to the end of the run */
  const char *sources;  /**< whose fast kernels may be chosen: "hone", "onednn", "bf16x3" (single precision by the sum of
                             three bfloat16 numbers for each float, on processors with AMX), or several with commas between; NULL: all.
                             Layers that these have no kernel for run on the references. Read by hone_session_create() */
  double winograd_error; /**< the largest rounding error, relative to the largest result, that Winograd's convolution or a
                             product by bfloat16 parts may make in a layer, measured on random data when its weights are prepared; above it other kernels
                             run the layer. Default 1e-4; 0: never use them. Lavin & Gray, 2015 */
  int32_t shape_plans;  /**< plans kept for the input shapes used last, so that shapes that alternate are not planned again;
                             each has its activations' memory, packed weights are shared; 0 (default): what the
                             model says (HONE_META_SHAPE_PLANS), or else 4 */
  hone_context *context; /**< the session belongs to this context; NULL: to the model's. Sessions of one model in contexts of
                             their own may be created and run by as many threads at once, and share its weights, as long as
                             nobody changes or destroys the model while they are created */
  const char *devices;  /**< what else than the CPU layers may run on, ";" between: "cuda:0", "null:speed=100,latency=5"; NULL:
                             nothing. Layers go to the first, unless a rule or "auto" says otherwise; what it does not run
                             stays on the CPU */
  const char *const *place; /**< rules "REGEX=DEVICE" on the names of layers or operators, the last that matches counting; or
                                 "auto": the placement with the least time over steps and copies, measured or as modelled */
  uint32_t place_count;
  uint32_t min_segment; /**< with "auto": fewer layers next to each other are not worth a device; 0: any number is */
  uint64_t workspace;   /**< bytes of working memory that a step on a device may take at most: library algorithms that want more are
                             passed over; 0: as the device's own setting says, which is not exceeded either */
} hone_session_options;
HONE_API void hone_session_options_init(hone_session_options *options);

/** Prepares a model to run. The model may be destroyed afterwards. `options` may be NULL. */
HONE_API hone_status hone_session_create(const hone_model *model, const hone_session_options *options,
                                         hone_session **session);
HONE_API void hone_session_destroy(hone_session **session);

/** Sets an input's shape; fixed dimensions must agree. Planning happens at the next run (or
    hone_session_prepare()). Shapes stay until set again. Errors: BAD_ARG. */
HONE_API hone_status hone_session_set_input_shape(hone_session *session, uint32_t input, uint32_t rank,
                                                  const int64_t *dims);

/** Chooses kernels and plans memory for the shapes set. Called by hone_session_run() when needed.
    Errors: BAD_ARG (an input's shape is not known), BAD_GRAPH (shapes do not fit), UNSUPPORTED, NOMEM. */
HONE_API hone_status hone_session_prepare(hone_session *session);

/** Writes an engine (.hone) that holds, beside the model of the session and its weights, the weights as this session's
    kernels want them: sessions of the same threads on such a machine, made from that file, start by mapping it. Prepares
    the session if that is still to be done. hone_model_save() writes the same without them, half as large; either runs
    anywhere. Errors: those of hone_session_prepare(), BAD_ARG (a session of reference kernels), IO, UNSUPPORTED. */
HONE_API hone_status hone_session_save(hone_session *session, const char *path);

/** Lends `data` (dense, of the input's dtype and shape) to the session as input `input`. It must stay
    valid and unchanged until the run has ended. `bytes` must equal the tensor's size. */
HONE_API hone_status hone_session_set_input(hone_session *session, uint32_t input, const void *data, size_t bytes);

/** Runs once. Allocates nothing when all shapes were known at preparation. */
HONE_API hone_status hone_session_run(hone_session *session);

/** Output `output` of the last run: its actual dtype and shape, and its data, owned by the session and
    valid until the next run or until the session is destroyed. Any out pointer may be NULL. */
HONE_API hone_status hone_session_output(const hone_session *session, uint32_t output, hone_tensor_info *info,
                                         const void **data, size_t *bytes);

/** Bytes of the planned activation arena and of packed weights. Any pointer may be NULL. */
HONE_API hone_status hone_session_memory(const hone_session *session, size_t *arena, size_t *weights);

/** Of the `index`-th device but the CPU: its name, borrowed while the session lives, and the bytes of its memory that activations,
    weights and working memory of the prepared plan take. Errors: BAD_ARG (not prepared yet, or past the last). */
HONE_API hone_status hone_session_device_memory(const hone_session *session, uint32_t index, const char **device, size_t *bytes);

/** What the arena cannot be smaller than: the largest sum of tensors that are alive at once in the prepared plan. */
HONE_API hone_status hone_session_memory_bound(const hone_session *session, size_t *bytes);

/** What a run of the prepared plan cannot do without: arithmetic operations (two a multiply-accumulate, convolutions directly)
    by what they are computed in, and bytes of weights (their scales too), inputs and outputs, each moved once. Either pointer may be NULL. Errors:
    BAD_ARG (not prepared yet). */
HONE_API hone_status hone_session_work(const hone_session *session, uint64_t flops[HONE_ARITHMETICS], uint64_t *bytes);

/** How many plans the session keeps, and how many it has made so far. Either pointer may be NULL. */
HONE_API hone_status hone_session_plans(const hone_session *session, uint32_t *kept, uint64_t *made);

/** One step of the prepared plan. */
typedef struct hone_step_info {
  const char *name;   /**< source node's name, or "reorder" */
  const char *op;     /**< as hone_layer_info.op; "Reorder" for a change of layout */
  const char *kernel; /**< kernel that runs it */
  const char *layout; /**< layout of its first output: "plain", "nhwc", "nChw16c", ... */
  uint64_t macs;
  double last_ms;     /**< time of the last run when profiling is on, else 0 */
  const char *device; /**< what runs it; of a transfer: the device that is not the CPU */
} hone_step_info;
HONE_API uint32_t hone_session_step_count(const hone_session *session);
HONE_API hone_status hone_session_step_info(const hone_session *session, uint32_t index, hone_step_info *info);
/** The `index`-th layer that a step runs, and its multiply-accumulates: several where a chain of layers runs as one step, none for
    a change of layout or a transfer. False past the last. Either pointer may be NULL. */
HONE_API bool hone_session_step_layer(const hone_session *session, uint32_t step, uint32_t index, const char **name, uint64_t *macs);
/** The `index`-th layer that stays on the CPU because the device it was meant for does not run it; false past the last. */
HONE_API bool hone_session_fallback_at(const hone_session *session, uint32_t index, const char **name, const char **op);
/** What "auto" expects of a run, in ms, copies beside steps: all on the CPU, all on the first device as far as it can, and as placed.
    False without it. */
HONE_API bool hone_session_place_estimate(const hone_session *session, double *cpu_ms, double *device_ms, double *placed_ms);
/** Turns per-step timing on or off. */
HONE_API void hone_session_set_profile(hone_session *session, bool on);

/* --------------------------------------------------------------------------------------------- tuning */

/** Called after each plan that was tried; false stops the tuning. `expected` is an estimate that may grow. */
typedef bool (*hone_tune_progress_fn)(void *user, uint32_t done, uint32_t expected);

typedef struct hone_tune_options {
  uint32_t size;
  int32_t effort;       /**< 1 (default): each kernel once, then the fastest for each layer; 2: then also layers of one
                             kind changed together, kept if the whole becomes faster */
  int32_t runs;         /**< timed runs of each plan, of which the fastest counts; default 5 */
  const char *cache;    /**< timing cache file: read if it is there, added to, written; NULL: none */
  hone_tune_progress_fn progress; /**< may be NULL */
  void *user;
} hone_tune_options;
HONE_API void hone_tune_options_init(hone_tune_options *options);

typedef struct hone_tune_result {
  uint32_t layers;   /**< that more than one kernel was tried for */
  uint32_t measured; /**< times taken, of a kernel for a kind of layer */
  uint32_t recalled; /**< plans all of whose times came from the cache */
  double before_ms, after_ms; /**< a run by the kernels' fixed priorities, and by the choice made */
  uint32_t assigned_layers, assigned_reorders; /**< layers and possible changes of layout in the assignment over the graph; 0: there was
                                none (devices, 16-bit floats) */
  double single_ms, assigned_ms, bound_ms; /**< steps and changes of layout, summed: chosen layer by layer; over the whole graph;
                                what no choice is below */
  double assigned_ratio; /**< a run of the latter by one of the former, by turns; 1: they are the same plan. It was kept if below 1 */
} hone_tune_result;

/** Kernel auto-tuning: times the kernels that may run each layer, in their places in the whole graph, with the shapes,
    data, threads and sources of `session`, and notes the choice in `model`: the model the session was created from, not
    changed since. Sessions created from `model` afterwards, and engines saved, use the choice where it applies. With a
    complete cache nothing is timed and the choice is the same again. `options` and `result` may be NULL.
    Errors: BAD_ARG (an input has no data, another model), those of running, of the cache: IO, BAD_FORMAT, NOMEM. The
    model is unchanged then. */
HONE_API hone_status hone_session_tune(hone_session *session, hone_model *model, const hone_tune_options *options,
                                       hone_tune_result *result);

/* ------------------------------------------------------------------------------------------ profiling */

/** What a session does, slice by slice: steps on every thread, ranges of the caller, memory. A profile belongs to a
    context and may record several sessions of it, one after the other. */
typedef struct hone_profile hone_profile;

HONE_API hone_status hone_profile_create(hone_context *context, hone_profile **profile);
HONE_API void hone_profile_destroy(hone_profile **profile);

/** Runs of `session` are recorded in `profile` from now on; NULL: no longer. The profile must outlive the recording.
    Room for what is recorded is made between runs; a session that is not recorded pays nothing. Errors: NOMEM. */
HONE_API hone_status hone_session_record(hone_session *session, hone_profile *profile);

/** What the runs that follow are for. */
typedef enum hone_profile_phase {
  HONE_PROFILE_TIMED,   /**< they count (the state a profile begins in) */
  HONE_PROFILE_WARMUP,  /**< they are in the trace, marked, and in no figure */
  HONE_PROFILE_COUNTED, /**< events of the processor are counted for every step, which takes time: as for a warm-up */
  HONE_PROFILE_PAUSED   /**< they are not recorded */
} hone_profile_phase;
/** Errors: UNSUPPORTED (COUNTED, and the system lets nothing be counted: the error says why). */
HONE_API hone_status hone_profile_set_phase(hone_profile *profile, hone_profile_phase phase);

/** Opens a named range in the trace, around runs or within whatever the caller does; ranges nest. Errors: NOMEM,
    BAD_ARG (deeper than 64). */
HONE_API hone_status hone_profile_range_push(hone_profile *profile, const char *name);
/** Closes the range opened last. Errors: BAD_ARG (none is open), NOMEM. */
HONE_API hone_status hone_profile_range_pop(hone_profile *profile);

/** Measures what this machine can do at most on `threads` threads (0: all). Takes some tenths of a second. */
HONE_API hone_status hone_measure_peak(hone_context *context, int32_t threads, hone_peak *peak);
/** The same, and figures of the profile are related to it. `peak` may be NULL. */
HONE_API hone_status hone_profile_measure_peak(hone_profile *profile, int32_t threads, hone_peak *peak);

/** What may be counted: cycles, instructions, cache misses, task clock, page faults, context switches. */
enum { HONE_PROFILE_COUNTERS = 6 };
/** Name of a counter; false past the last. `reason` is why it is not available, "" if it is or no COUNTED phase was asked
    for. Any out pointer may be NULL. */
HONE_API bool hone_profile_counter_at(const hone_profile *profile, uint32_t index, const char **name, const char **reason);

typedef enum hone_slice_kind {
  HONE_SLICE_LAYER,
  HONE_SLICE_REORDER, /**< a change of layout between layers */
  HONE_SLICE_TRANSFER /**< a copy from one device to another */
} hone_slice_kind;

/** All timed runs of one step. Times are its own: those of layers in a nested graph are not in them. Strings live as
    long as the profile. */
typedef struct hone_profile_layer {
  const char *name;    /**< node's name; of a reorder or transfer: the tensor's */
  const char *op;      /**< as hone_layer_info.op, "Reorder", "Transfer" */
  const char *kernel, *layout;
  const char *source;  /**< nodes of the original model that it came from, "+" between */
  const char *device;
  const char *inputs, *outputs; /**< types and shapes, comma-separated: "f32[1,3,224,224]" */
  hone_dtype dtype;    /**< of the first output */
  hone_slice_kind kind;
  uint32_t calls;      /**< timed */
  double total_ms, mean_ms, min_ms, max_ms;
  double flops;        /**< arithmetic operations of one call, a multiply-accumulate being two */
  hone_arithmetic arithmetic; /**< what its products are computed in */
  uint64_t bytes;      /**< read and written in one call: inputs, weights, outputs */
  uint64_t live_bytes; /**< planned activations alive while it runs */
  double counters[HONE_PROFILE_COUNTERS]; /**< mean of the counted calls; negative: not counted */
} hone_profile_layer;
HONE_API uint32_t hone_profile_layer_count(const hone_profile *profile);
HONE_API hone_status hone_profile_layer_at(const hone_profile *profile, uint32_t index, hone_profile_layer *layer);
/** The layer that produces what `layer` reads first, second, ...; false past the end. */
HONE_API bool hone_profile_layer_from(const hone_profile *profile, uint32_t layer, uint32_t index, uint32_t *producer);

/** Timed runs as a whole. */
typedef struct hone_profile_totals {
  uint32_t runs, warmups, counted;
  double run_ms, min_ms, max_ms;                /**< of a run: mean, fastest, slowest */
  double layers_ms, reorders_ms, transfers_ms;  /**< of a run, mean */
  double between_ms;                            /**< of a run, mean, spent in no step */
  uint64_t transfers, transfer_bytes;           /**< of a run, rounded */
  hone_peak peak;                               /**< as measured; zeros: not measured */
  uint64_t dropped;                             /**< slices that found no room */
} hone_profile_totals;
HONE_API hone_status hone_profile_totals_get(const hone_profile *profile, hone_profile_totals *totals);

/** The trace as text in Chrome's trace event format, which chrome://tracing and Perfetto open: a lane a thread and stream, a slice
    a step, transfers with flow arrows, memory as counters. `*text` is freed with hone_text_free(). */
HONE_API hone_status hone_profile_trace(const hone_profile *profile, char **text);
/** Writes the same to a file, which appears when it is complete. Errors: IO, NOMEM. */
HONE_API hone_status hone_profile_save(const hone_profile *profile, const char *path);

/* --------------------------------------------------------------------------------------- quantization */

/** Ranges of a model's activations, collected while it runs on examples. */
typedef struct hone_calibration hone_calibration;

/** What proposes the factors of hone_model_balance(). */
enum {
  HONE_BALANCE_WEIGHTS = 1,    /**< cross-layer equalization: both sides' weights get one range in each channel (Nagel et al., 2019) */
  HONE_BALANCE_ACTIVATIONS = 2 /**< the channels of the activation get one range, all or part of the way (after Xiao et al., "SmoothQuant", 2023) */
};

/** Balances channels of an optimized model in floats: where a convolution or matrix product makes a tensor that others alone read, each
    of its channels gets a factor, which goes into the weights of the layer before (through Relu and factors a channel, or else as one
    step more) and out of the weights that read it. Of the factors that `by`, flags HONE_BALANCE_..., proposes, each tensor gets those
    with which the layers that read it, in 8 bits, come nearest to their results in floats on the calibration's samples, and none where
    none do. What is computed stays the same but for rounding. With `by` 0 the factors are those that `calibration` read from a file.
    `calibration` has run on the model; it keeps the factors, forgets what else it saw and is then to observe the balanced model.
    `threads`: 0 for as many as there are processors. `*tensors` (may be NULL) counts. On failure the model is unchanged.
    Errors: BAD_ARG (another model, no samples, factors of a tensor that cannot have any), NOMEM. */
HONE_API hone_status hone_model_balance(hone_model *model, hone_calibration *calibration, uint32_t by, int32_t threads, uint32_t *tensors);

/** How the range of an activation is chosen from what was seen of it. */
typedef enum hone_observer {
  HONE_OBSERVER_MINMAX,         /**< smallest and largest value seen */
  HONE_OBSERVER_MOVING_AVERAGE, /**< moving average of the batches' smallest and largest */
  HONE_OBSERVER_PERCENTILE,     /**< without the share of values furthest out */
  HONE_OBSERVER_ENTROPY,        /**< the cut that loses least information (Kullback-Leibler divergence) */
  HONE_OBSERVER_MSE             /**< the range with the least mean square error */
} hone_observer;

typedef struct hone_calibration_options {
  uint32_t size;
  hone_observer observer; /**< default: HONE_OBSERVER_MINMAX */
  double percentile;      /**< of HONE_OBSERVER_PERCENTILE; default 99.99 */
  bool samples;           /**< also keep samples of what layers read: up to 8 MiB of each, and about 512 MiB of all; default: true */
} hone_calibration_options;
HONE_API void hone_calibration_options_init(hone_calibration_options *options);

/** Nothing seen yet. `model` is the one that will be quantized, already optimized; it may be destroyed afterwards.
    `options` may be NULL. Errors: BAD_ARG, NOMEM. */
HONE_API hone_status hone_calibration_create(const hone_model *model, const hone_calibration_options *options,
                                             hone_calibration **calibration);
HONE_API void hone_calibration_destroy(hone_calibration **calibration);

/** Takes in the tensors of the last run of `session`, which was created from the model with keep_all set.
    Errors: BAD_ARG (another model, no keep_all, no run, a tensor holds NaN or infinity: it and its layer are named). */
HONE_API hone_status hone_calibration_observe(hone_calibration *calibration, const hone_session *session);

/** Writes the ranges as text, one tensor a line ("NAME LOW HIGH", names quoted as JSON strings), and the corrections of biases that
    hone_model_quantize() found. A file that was edited is as good as one that was written. */
HONE_API hone_status hone_calibration_save(const hone_calibration *calibration, const char *path);
/** Reads ranges and corrections, which take the place of what was seen of those tensors. Errors: IO, BAD_FORMAT (with the line). */
HONE_API hone_status hone_calibration_load(hone_calibration *calibration, const char *path);
/** The range of a tensor; false if it has none. */
HONE_API bool hone_calibration_range(const hone_calibration *calibration, const char *tensor, float *low, float *high);
/** How many tensors have a range. */
HONE_API uint32_t hone_calibration_count(const hone_calibration *calibration);
/** How many layers have a correction of their bias: from a file, or from hone_model_quantize(). */
HONE_API uint32_t hone_calibration_corrections(const hone_calibration *calibration);

/** What the layers of a model compute with. */
typedef enum hone_precision {
  HONE_PRECISION_F32,
  HONE_PRECISION_INT8, /**< 8-bit activations and weights: convolutions, matrix products and what lies between them */
  HONE_PRECISION_BF16, /**< the same in bfloat16: 8 bits of precision, the range of F32; needs no calibration */
  HONE_PRECISION_F16,  /**< the same in IEEE half precision; a CPU without AVX512-FP16 stores it and computes in F32 */
  HONE_PRECISION_INT8_WEIGHTS, /**< 8-bit weights, activations in F32: a quarter of the size; products with few rows read the small weights */
  HONE_PRECISION_INT4_WEIGHTS, /**< 4-bit weights of matrix products with a scale for each 32 along the sum, activations in F32 */
  HONE_PRECISION_INT8_DYNAMIC  /**< 8-bit matrix products and recurrent layers; what they read is quantized in each run, by the range it has then */
} hone_precision;

/** Notes what a layer computes with when the model is quantized by this calibration: F32 (it stays as it is), BF16 or F16. Files keep the
    note, a line `keep "NAME"`, `bf16 "NAME"` or `f16 "NAME"`. NULL: it is settled which layers do not become 8 bits, even if none
    (`keep none`). Errors: BAD_ARG (another precision), NOMEM. */
HONE_API hone_status hone_calibration_assign(hone_calibration *calibration, const char *layer, hone_precision precision);
/** Whether something is noted of a layer, and what (`precision` may be NULL); with NULL, whether that is settled. */
HONE_API bool hone_calibration_assigned(const hone_calibration *calibration, const char *layer, hone_precision *precision);

/** Called before each layer whose weights are fitted to samples. */
typedef void (*hone_quantize_progress_fn)(void *user, uint32_t done, uint32_t expected);

typedef struct hone_quantize_options {
  uint32_t size;
  hone_precision precision; /**< default: HONE_PRECISION_INT8 */
  const hone_precision *layers; /**< what each layer (by index, as in hone_model_layer_info) computes with, in place of `precision`: that, F32 (it
                                     stays as it is), BF16 or F16; NULL: all the same */
  uint32_t layer_count;
  bool correct_bias;        /**< takes the mean error that 8 bits make in a layer on samples of its input out of its bias (Nagel et al.,
                                 "Data-Free Quantization", 2019), or what the calibration's file says; default: true */
  bool reconstruct;         /**< rounds weights up or down so that each layer's results on samples of its input stay nearest to what they were
                                 (layer-wise reconstruction, as AdaRound: Nagel et al., "Up or Down?", 2020). Needs
                                 hone_calibration_options.samples; layers without are rounded to the nearest. What was found for a
                                 layer, so or for its bias, is kept in the calibration, which one thread at a time may use then */
  int32_t threads;          /**< that fit weights to samples; 0 (default): as many as there are processors */
  hone_quantize_progress_fn progress; /**< may be NULL */
  void *user;
} hone_quantize_options;
HONE_API void hone_quantize_options_init(hone_quantize_options *options);

typedef struct hone_quantize_result {
  uint32_t layers;      /**< that compute with fewer bits now */
  uint32_t candidates;  /**< that could */
  uint32_t unseen;      /**< that could, but whose tensors have no range */
  uint32_t refined;     /**< whose weights or bias were fitted to samples of what they read */
  uint32_t uncorrected; /**< whose bias was to be corrected, but there are no samples, nor a correction for the range of their input */
} hone_quantize_result;

/** Lowers the precision of a model in place; the result is explicit: QuantizeLinear and DequantizeLinear around the layers, which a
    session runs as integer kernels. `calibration` may be NULL where the precision needs no ranges. On failure the model is
    unchanged. `options` and `result` may be NULL.
    Errors: BAD_ARG (no calibration, nothing to quantize), BAD_GRAPH, NOMEM. */
HONE_API hone_status hone_model_quantize(hone_model *model, const hone_calibration *calibration, const hone_quantize_options *options,
                                         hone_quantize_result *result);

#ifdef __cplusplus
}
#endif
#endif
