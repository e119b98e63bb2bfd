/* feed.c - what goes into a model: files, pictures, random numbers, round by round. */
#include "feed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"

const arg_option feed_option_rows[] = {
    {"input", 'i', ARG_LIST, offsetof(feed_options, inputs), "[NAME=]SOURCE",
     "What an input gets: an image (JPEG, PNG, BMP), a folder or glob of images, a .npy file, the array of its name in a .npz file (without "
     "NAME=: of all inputs), a glob of either, random, random:LOW:HIGH, "
     "zeros, ones or a number. Once per input; inputs not named get random. NAME= may be left out where it is clear.", 0, 0},
    {"shape", 0, ARG_LIST, offsetof(feed_options, shapes), "[NAME=]DIMS",
     "Fixes the shape of an input, as in image=1x3x224x224.", 0, 0},
    {"fix", 0, ARG_LIST, offsetof(feed_options, fixed), "[NAME=]VALUE",
     "Makes an input a constant, a number or a .npy file, as in sr=16000: branches that it decides are decided then.", 0, 0},
    {"batch", 'b', ARG_INT, offsetof(feed_options, batch), "N",
     "Size of the first dimension where the model leaves it open (default 1; up to 16 for images).", 1, 65536},
    {"seed", 0, ARG_INT, offsetof(feed_options, seed), "N", "Seed of random inputs (default 1).", 0, 9007199254740992.0},
    {0}};

const arg_option choice_option_rows[] = {
    {"tag-set", 0, ARG_TEXT, offsetof(feed_options, choice.tag_set), "A,B", "Tags of the MetaGraph in a SavedModel (default: serve, or the only one).", 0, 0},
    {"signature-def", 0, ARG_TEXT, offsetof(feed_options, choice.signature), "KEY",
     "Its signature (default: serving_default, or the only one); 'hone show' lists them.", 0, 0},
    {"inputs", 0, ARG_TEXT, offsetof(feed_options, choice.inputs), "X:0,...", "Tensors of the graph to feed, in place of the signature's or those found.", 0, 0},
    {"outputs", 0, ARG_TEXT, offsetof(feed_options, choice.outputs), "Y:0,...", "Tensors of the graph to compute, in place of the signature's or those found.", 0, 0},
    {0}};

/* ---------------------------------------------------------------------------------------- names of inputs */

/* Splits "[NAME=]REST": the index of the input that is meant. */
static int which_input(const hone_model *m, const char *option, const char *text, uint32_t *index, const char **rest) {
  uint32_t n = hone_model_input_count(m);
  hone_tensor_info info;
  for (uint32_t i = 0; i < n; i++) { /* a name may hold '=' itself, so names are tried */
    hone_model_input_info(m, i, &info);
    size_t length = strlen(info.name);
    if (strncmp(text, info.name, length) == 0 && text[length] == '=') {
      *index = i;
      *rest = text + length + 1;
      return CLI_OK;
    }
  }
  if (!n) return cli_usage("--%s=%s: the model has no inputs", option, text);
  hone_model_input_info(m, 0, &info);
  if (strchr(text, '=')) return cli_usage("--%s=%s: no input has this name; the first is '%s'", option, text, info.name);
  if (n > 1)
    return cli_usage("--%s=%s: the model has %u inputs; say which, as in --%s=%s=%s", option, text, n, option, info.name, text);
  *index = 0;
  *rest = text;
  return CLI_OK;
}

static int fix_shape(cli *c, hone_model *m, const char *text) {
  uint32_t index;
  const char *dims_text;
  int32_t rank;
  int64_t dims[HONE_MAX_RANK];
  hone_tensor_info info;
  int code = which_input(m, "shape", text, &index, &dims_text);
  if (code) return code;
  if (!shape_parse(dims_text, &rank, dims)) return cli_usage("--shape: '%s' is no shape such as 1x3x224x224", dims_text);
  hone_model_input_info(m, index, &info);
  hone_status st = hone_model_set_input_shape(m, info.name, (uint32_t)rank, dims);
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

/* An input that becomes a constant, of the type and shape the model gives it: open dimensions are those of the file, or 1. */
static int fix_value(cli *c, hone_model *m, const char *text) {
  uint32_t index;
  const char *source;
  tensor t = {0};
  double number = 0;
  hone_tensor_info info;
  int code = which_input(m, "fix", text, &index, &source);
  if (code) return code;
  hone_model_input_info(m, index, &info);
  if (ends_with(source, ".npy")) {
    code = npy_read(source, &t);
    if (!code && !tensor_convert(&t, info.dtype))
      code = cli_usage("%s: elements of type %s; input '%s' is %s", source, hone_dtype_name(t.dtype), info.name, hone_dtype_name(info.dtype));
  } else if (!args_real(source, &number)) {
    return cli_usage("--fix=%s: '%s' is neither a number nor a .npy file", text, source);
  } else {
    for (int32_t k = 0; k < info.rank; k++)
      if (info.dims[k] < 0) info.dims[k] = 1;
    if (info.rank < 0 || !dtype_numeric(info.dtype) || !tensor_make(&t, info.dtype, info.rank, info.dims))
      return cli_usage("--fix: input '%s' (%s %s) cannot be made of a number; give it a .npy file", info.name, hone_dtype_name(info.dtype), info_shape_text(&info).s);
    for (size_t k = 0; k < t.count; k++) tensor_set(t.dtype, t.data, k, number);
    if (t.count && tensor_get(t.dtype, t.data, 0) != number && !dtype_float(t.dtype))
      code = cli_usage("--fix=%s: %s does not hold %s", text, hone_dtype_name(t.dtype), source);
  }
  hone_status st = HONE_OK;
  if (!code) st = hone_model_set_input_shape(m, info.name, (uint32_t)t.rank, t.dims);
  hone_model_input_info(m, index, &info); /* its name lived in the graph that had the other shape */
  if (!code && !st) st = hone_model_fix_input(m, info.name, t.data, t.bytes);
  tensor_free(&t);
  return st ? cli_fail_hone(c->cx, st) : code;
}

int model_open(cli *c, const char *path, const feed_options *o, hone_model **model) {
  hone_model *m;
  hone_load_options lo;
  hone_load_options_init(&lo);
  lo.tag_set = o->choice.tag_set;
  lo.signature = o->choice.signature;
  lo.inputs = o->choice.inputs;
  lo.outputs = o->choice.outputs;
  lo.where_known = path != c->args[0];
  hone_status st = hone_model_load_with(c->cx, path, &lo, &m);
  if (st) return cli_fail_hone(c->cx, st);
  int code = CLI_OK;
  for (size_t i = 0; !code && i < o->shapes.n; i++) code = fix_shape(c, m, o->shapes.p[i]);
  for (size_t i = 0; !code && i < o->fixed.n; i++) code = fix_value(c, m, o->fixed.p[i]);
  if (code)
    hone_model_destroy(&m);
  else
    *model = m;
  return code;
}

/* ------------------------------------------------------------------------------------------------ sources */

static int parse_random(feed_input *in, const char *range) {
  in->kind = SOURCE_RANDOM;
  if (!*range) return CLI_OK;
  const char *colon = strchr(range + 1, ':');
  char *low = cli_copy(range + 1);
  if (colon) low[colon - range - 1] = 0;
  in->ranged = colon && args_real(low, &in->low) && args_real(colon + 1, &in->high) && in->low <= in->high;
  free(low);
  return in->ranged ? CLI_OK : cli_usage("--input: 'random%s' is not random:LOW:HIGH", range);
}

/* What a dimension that has a name is in the arrays that are given; -1: none has it. */
static int64_t dimension_given(const feed *f, const hone_model *m, const char *name) {
  hone_tensor_info info;
  for (uint32_t i = 0; name && *name && i < f->n; i++) {
    const feed_input *in = &f->in[i];
    if (in->kind != SOURCE_ARRAYS || !in->count || hone_model_input_info(m, i, &info)) continue;
    const tensor *head = &in->list->p[in->first].head;
    for (int32_t k = 0; k < info.rank && k < head->rank; k++)
      if (info.dims[k] < 0 && info.dim_names[k] && strcmp(info.dim_names[k], name) == 0) return head->dims[k];
  }
  return -1;
}

/* Constants take the shape of the model; its open dimensions are resolved here. */
static int fixed_shape(const feed *f, const hone_model *m, feed_input *in, const hone_tensor_info *info) {
  int64_t dims[HONE_MAX_RANK];
  if (info->rank < 0) return cli_usage("input '%s' has no known shape: give it one with --shape", in->name);
  for (int32_t k = 0; k < info->rank; k++) {
    dims[k] = info->dims[k];
    if (dims[k] < 0) dims[k] = dimension_given(f, m, info->dim_names[k]);
    if (dims[k] < 0 && k == 0) dims[k] = (int64_t)f->batch;
    if (dims[k] < 0)
      return cli_usage("input '%s' is %s: give it a fixed shape, as in --shape=%s=DIMS", in->name,
                       info_shape_text(info).s, in->name);
  }
  if (!dtype_numeric(info->dtype) || !tensor_make(&in->t, info->dtype, info->rank, dims))
    return cli_usage("input '%s' (%s %s) cannot be made up; give it a .npy file", in->name, hone_dtype_name(info->dtype),
                     info_shape_text(info).s);
  return CLI_OK;
}

static int parse_source(feed_input *in, const char *source, const hone_tensor_info *info, const image_options *images, bool alone) {
  in->given = true;
  if (strncmp(source, "random", 6) == 0 && (!source[6] || source[6] == ':')) return parse_random(in, source + 6);
  if (strcmp(source, "zeros") == 0 || strcmp(source, "ones") == 0) {
    in->kind = SOURCE_CONSTANT;
    in->low = source[0] == 'o';
    return CLI_OK;
  }
  if (args_real(source, &in->low)) {
    in->kind = SOURCE_CONSTANT;
    return CLI_OK;
  }
  int code = paths_find(source, &in->files);
  if (code) return code;
  if (arrays_path(in->files.p[0])) {
    in->kind = SOURCE_ARRAYS;
    code = arrays_add_files(&in->own, &in->files, in->name, alone);
    in->list = &in->own;
    in->step = 1;
    in->count = in->own.n;
    return code;
  }
  in->kind = SOURCE_IMAGES;
  return image_plan_make(info, images, &in->plan);
}

/* ------------------------------------------------------------------------------------------------ arrays */

static const array_at *array_of(const feed_input *in, size_t i) { return &in->list->p[in->first + i * in->step]; }

static size_t parts_of(const feed_input *in, size_t i) {
  const tensor *head = &array_of(in, i)->head;
  return in->at_once ? (size_t)(head->dims[0] / in->at_once) : 1;
}

static size_t array_rounds(const feed_input *in) {
  size_t n = 0;
  for (size_t i = 0; i < in->count; i++) n += parts_of(in, i);
  return n;
}

/* Do the arrays fit the input? An array may hold several times as many items as a model with a fixed batch takes. */
static int check_arrays(feed_input *in, const hone_tensor_info *info) {
  in->dtype = info->dtype;
  in->at_once = info->rank > 0 && info->dims[0] > 0 ? info->dims[0] : 0;
  for (size_t i = 0; i < in->count; i++) {
    const array_at *at = array_of(in, i);
    bool fits = info->rank < 0 || info->rank == at->head.rank;
    for (int32_t k = 0; fits && k < info->rank; k++)
      fits = info->dims[k] < 0 || info->dims[k] == at->head.dims[k] || (k == 0 && at->head.dims[0] > 0 && at->head.dims[0] % info->dims[0] == 0);
    if (!fits)
      return cli_usage("%s: shape %s; input '%s' takes %s", at->label, shape_text(at->head.rank, at->head.dims).s, in->name, info_shape_text(info).s);
    tensor one = at->head;
    const int64_t none[1] = {0};
    if (!tensor_make(&one, at->head.dtype, 1, none) || !tensor_convert(&one, info->dtype)) {
      tensor_free(&one);
      return cli_usage("%s: elements of type %s; input '%s' takes %s", at->label, hone_dtype_name(at->head.dtype), in->name, hone_dtype_name(info->dtype));
    }
    tensor_free(&one);
  }
  return CLI_OK;
}

/* All inputs that are fed with arrays have as many rounds, or one for all. */
static int count_rounds(feed *f) {
  size_t most = f->pictures ? f->rounds : 1;
  const char *of = NULL;
  for (uint32_t i = 0; i < f->n; i++)
    if (f->in[i].kind == SOURCE_ARRAYS && array_rounds(&f->in[i]) > most && !f->pictures) most = array_rounds(&f->in[i]), of = f->in[i].name;
  for (uint32_t i = 0; i < f->n; i++) {
    size_t n = f->in[i].kind == SOURCE_ARRAYS ? array_rounds(&f->in[i]) : 1;
    if (n != 1 && n != most) return cli_usage("input '%s' has %zu rounds of arrays, %s%s%s %zu", f->in[i].name, n, of ? "'" : "", of ? of : "the images", of ? "'" : "", most);
  }
  f->rounds = most;
  return CLI_OK;
}

/* Arrays that are examples hold some. */
static int check_examples(const feed_input *in) {
  for (size_t i = 0; i < in->count; i++) {
    const tensor *head = &array_of(in, i)->head;
    for (int32_t k = 0; k < head->rank; k++)
      if (!head->dims[k]) return cli_usage("%s: shape %s: it holds no example", array_of(in, i)->label, shape_text(head->rank, head->dims).s);
  }
  return CLI_OK;
}

static int load_array(feed_input *in, size_t round) {
  size_t i = 0, rounds = array_rounds(in);
  for (round %= rounds; round >= parts_of(in, i); i++) round -= parts_of(in, i);
  if (parts_of(in, i) == 1) {
    tensor t = {0};
    int code = array_load(in->list, in->first + i * in->step, &t);
    if (code) return code;
    tensor_convert(&t, in->dtype);
    tensor_free(&in->t);
    in->t = t;
    return CLI_OK;
  }
  if (!in->whole.data || in->whole_at != i) {
    tensor_free(&in->whole);
    int code = array_load(in->list, in->first + i * in->step, &in->whole);
    if (code) return code;
    tensor_convert(&in->whole, in->dtype);
    in->whole_at = i;
  }
  int64_t dims[HONE_MAX_RANK];
  memcpy(dims, in->whole.dims, sizeof dims);
  dims[0] = in->at_once;
  tensor_free(&in->t);
  if (!tensor_make(&in->t, in->whole.dtype, in->whole.rank, dims)) return cli_fail("input '%s' is too large", in->name);
  memcpy(in->t.data, (char *)in->whole.data + round * in->t.bytes, in->t.bytes);
  return CLI_OK;
}

/* How many pictures a round holds. */
static int decide_batch(feed *f, const feed_options *o) {
  int64_t fixed = -1;
  for (uint32_t i = 0; i < f->n; i++) {
    feed_input *in = &f->in[i];
    if (in->kind != SOURCE_IMAGES) continue;
    if (in->plan.batch >= 0) fixed = in->plan.batch;
    if (!f->pictures || in->files.n > f->pictures->n) f->pictures = &in->files;
  }
  f->batch = o->batch ? (size_t)o->batch : 1;
  if (!f->pictures) return CLI_OK;
  for (uint32_t i = 0; i < f->n; i++)
    if (f->in[i].kind == SOURCE_IMAGES && f->in[i].files.n != f->pictures->n && f->in[i].files.n != 1)
      return cli_usage("input '%s' has %zu images, another input has %zu", f->in[i].name, f->in[i].files.n, f->pictures->n);
  if (!o->batch) f->batch = f->pictures->n < 16 ? f->pictures->n : 16;
  if (fixed >= 0) {
    if (!fixed) return cli_usage("an image input has a batch of 0");
    if (o->batch && o->batch != fixed)
      return cli_usage("--batch=%lld: the model's batch is fixed at %lld", (long long)o->batch, (long long)fixed);
    f->batch = (size_t)fixed;
    f->fill = true;
  }
  f->rounds = (f->pictures->n + f->batch - 1) / f->batch;
  return CLI_OK;
}

/* An archive for several inputs: each gets the array of its name. */
static bool is_archive_of_all(const hone_model *m, const char *text) {
  hone_tensor_info info;
  for (uint32_t i = 0; i < hone_model_input_count(m); i++) {
    hone_model_input_info(m, i, &info);
    size_t n = strlen(info.name);
    if (strncmp(text, info.name, n) == 0 && text[n] == '=') return false;
  }
  return ends_with(text, ".npz");
}

int feed_open(cli *c, const hone_model *m, const feed_options *o, const image_options *images, feed *out) {
  (void)c;
  feed f = {.n = hone_model_input_count(m), .seed = (uint64_t)o->seed, .rounds = 1};
  f.in = cli_alloc(f.n, sizeof *f.in);
  hone_tensor_info info;
  for (uint32_t i = 0; i < f.n; i++) {
    hone_model_input_info(m, i, &info);
    f.in[i].name = cli_copy(info.name);
  }
  int code = CLI_OK;
  if (o->stream && o->stream->n % f.n) code = cli_fail("the command writes %zu records, the model has %u inputs: one of each is needed in turn", o->stream->n, f.n);
  for (uint32_t i = 0; o->stream && !code && i < f.n; i++) {
    f.in[i].kind = SOURCE_ARRAYS;
    f.in[i].list = o->stream;
    f.in[i].first = i;
    f.in[i].step = f.n;
    f.in[i].count = o->stream->n / f.n;
  }
  const char *option = o->option ? o->option : "input";
  for (size_t k = 0; !code && k < o->inputs.n; k++) {
    uint32_t i;
    const char *source;
    if (f.n > 1 && is_archive_of_all(m, o->inputs.p[k])) continue;
    code = which_input(m, option, o->inputs.p[k], &i, &source);
    if (!code && f.in[i].given) code = cli_usage("--%s=%s: input '%s' has a source already", option, o->inputs.p[k], f.in[i].name);
    if (code) break;
    hone_model_input_info(m, i, &info);
    code = parse_source(&f.in[i], source, &info, images, true);
  }
  for (size_t k = 0; k < o->inputs.n && f.n > 1; k++) /* archives: for the inputs that have nothing else */
    for (uint32_t i = 0; !code && is_archive_of_all(m, o->inputs.p[k]) && i < f.n; i++) {
      if (f.in[i].given) continue;
      hone_model_input_info(m, i, &info);
      code = parse_source(&f.in[i], o->inputs.p[k], &info, images, false);
    }
  for (uint32_t i = 0; !code && o->option && !o->stream && i < f.n; i++)
    if (!f.in[i].given) code = cli_usage("input '%s' has no examples: give --%s=%s=SOURCE as well", f.in[i].name, option, f.in[i].name);
  if (!code) code = decide_batch(&f, o);
  for (uint32_t i = 0; !code && i < f.n; i++) {
    hone_model_input_info(m, i, &info);
    if (f.in[i].kind == SOURCE_ARRAYS) {
      code = check_arrays(&f.in[i], &info);
      if (!code && o->option) code = check_examples(&f.in[i]);
    } else if (f.in[i].kind != SOURCE_IMAGES) {
      code = fixed_shape(&f, m, &f.in[i], &info);
    }
  }
  if (!code) code = count_rounds(&f);
  if (code)
    feed_close(&f);
  else
    *out = f;
  return code;
}

void feed_close(feed *f) {
  for (uint32_t i = 0; f->in && i < f->n; i++) {
    free(f->in[i].name);
    paths_free(&f->in[i].files);
    tensor_free(&f->in[i].t);
    tensor_free(&f->in[i].whole);
    arrays_free(&f->in[i].own);
  }
  free(f->in);
  *f = (feed){0};
}

/* -------------------------------------------------------------------------------------------------- rounds */

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static double next_uniform(uint64_t *state) { return (double)(next_random(state) >> 11) * 0x1p-53; }

/* Nearly: the four quarters of a word, added up. A true one would take longer than many a model. */
static double next_normal(uint64_t *state) {
  uint64_t r = next_random(state);
  int32_t sum = (int32_t)(r & 0xffff) + (int32_t)(r >> 16 & 0xffff) + (int32_t)(r >> 32 & 0xffff) + (int32_t)(r >> 48);
  return (sum - 131070) * (1.7320508075688772 / 65536);
}

/* Floats: normal. Bytes: all of their values. Wider integers are mostly indices: 0 or 1 is safe. */
static double random_element(const feed_input *in, uint64_t *state) {
  bool whole = !dtype_float(in->t.dtype);
  double u = 0;
  if (in->ranged) {
    u = next_uniform(state);
    return whole ? floor(in->low + u * (floor(in->high) - ceil(in->low) + 1)) : in->low + u * (in->high - in->low);
  }
  if (!whole) return next_normal(state);
  uint64_t bits = next_random(state) >> 32;
  if (in->t.dtype == HONE_DTYPE_U8) return (double)(bits & 255);
  if (in->t.dtype == HONE_DTYPE_I8) return (double)(bits & 255) - 128;
  return (double)(bits & 1);
}

static int load_images(const feed *f, feed_input *in, size_t round) {
  size_t items = f->fill ? f->batch : feed_items(f, round), done = 0;
  tensor t = {0};
  int code = CLI_OK;
  for (; !code && done < items; done++) {
    size_t at = round % f->rounds * f->batch + done;
    if (at >= in->files.n) at = in->files.n - 1;
    image i;
    code = image_load(&in->plan, in->files.p[at], &i);
    if (!code && !t.data) { /* only now is the size known in every case */
      int64_t dims[HONE_MAX_RANK];
      int32_t rank = image_plan_dims(&in->plan, (int64_t)items, dims);
      if (!tensor_make(&t, in->plan.dtype, rank, dims)) code = cli_fail("input '%s': %zu images are too many at once", in->name, items);
    }
    if (!code) image_store(&in->plan, &i, &t, done);
    if (!code || t.data) image_free(&i);
  }
  if (code) {
    tensor_free(&t);
    return code;
  }
  tensor_free(&in->t);
  in->t = t;
  return CLI_OK;
}

int feed_load(feed *f, size_t round) {
  for (uint32_t i = 0; i < f->n; i++) {
    feed_input *in = &f->in[i];
    if (in->kind == SOURCE_IMAGES) {
      int code = load_images(f, in, round);
      if (code) return code;
    } else if (in->kind == SOURCE_ARRAYS) {
      int code = load_array(in, round);
      if (code) return code;
    } else if (in->kind == SOURCE_RANDOM) {
      uint64_t state = (f->seed + round) * 0x2545f4914f6cdd1du + i;
      bool normal = in->t.dtype == HONE_DTYPE_F32 && !in->ranged; /* what is most often asked for */
      for (size_t k = 0; k < in->t.count && normal; k++) ((float *)in->t.data)[k] = (float)next_normal(&state);
      for (size_t k = 0; k < in->t.count && !normal; k++) tensor_set(in->t.dtype, in->t.data, k, random_element(in, &state));
    } else if (in->kind == SOURCE_CONSTANT) {
      for (size_t k = 0; k < in->t.count; k++) tensor_set(in->t.dtype, in->t.data, k, in->low);
    }
  }
  return CLI_OK;
}

size_t feed_items(const feed *f, size_t round) {
  for (uint32_t i = 0; !f->pictures && i < f->n; i++) {
    const feed_input *in = &f->in[i];
    if (in->kind != SOURCE_ARRAYS || !array_of(in, 0)->head.rank) continue;
    size_t at = 0, left = round % array_rounds(in);
    for (; left >= parts_of(in, at); at++) left -= parts_of(in, at);
    return (size_t)(in->at_once ? in->at_once : array_of(in, at)->head.dims[0]);
  }
  if (!f->pictures) return f->batch;
  size_t from = round % f->rounds * f->batch, left = f->pictures->n - from;
  return left < f->batch ? left : f->batch;
}

size_t feed_rounds(const feed *f, size_t runs) {
  bool any = f->pictures;
  for (uint32_t i = 0; i < f->n; i++) any = any || f->in[i].kind == SOURCE_ARRAYS;
  return any ? f->rounds : runs;
}

const char *feed_label(const feed *f, size_t round) {
  if (f->pictures) return f->batch == 1 ? feed_item_path(f, round, 0) : NULL;
  for (uint32_t i = 0; i < f->n; i++) {
    if (f->in[i].kind != SOURCE_ARRAYS) continue;
    size_t at = 0, left = round % array_rounds(&f->in[i]);
    for (; left >= parts_of(&f->in[i], at); at++) left -= parts_of(&f->in[i], at);
    return array_of(&f->in[i], at)->label;
  }
  return NULL;
}

const char *feed_item_path(const feed *f, size_t round, size_t item) {
  if (!f->pictures) return NULL;
  return f->pictures->p[round % f->rounds * f->batch + item];
}

/* ----------------------------------------------------------------------------------------------- sessions */

int feed_set(cli *c, const feed *f, const uint32_t *map, hone_session *s) {
  hone_status st = HONE_OK;
  for (uint32_t i = 0; !st && i < f->n; i++) {
    const tensor *t = &f->in[i].t;
    uint32_t to = map ? map[i] : i;
    st = hone_session_set_input_shape(s, to, (uint32_t)t->rank, t->dims);
    if (!st) st = hone_session_set_input(s, to, t->data, t->bytes);
  }
  return st ? cli_fail_hone(c->cx, st) : CLI_OK;
}

int feed_map(const feed *f, const hone_model *other, uint32_t **map) {
  uint32_t n = hone_model_input_count(other), named = 0;
  if (n != f->n) return cli_fail("the models have %u and %u inputs", f->n, n);
  *map = cli_alloc(n, sizeof **map);
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < n; k++) {
      hone_tensor_info info;
      hone_model_input_info(other, k, &info);
      if (strcmp(info.name, f->in[i].name) != 0) continue;
      (*map)[i] = k;
      named++;
    }
  for (uint32_t i = 0; named < n && i < n; i++) (*map)[i] = i;
  return CLI_OK;
}
