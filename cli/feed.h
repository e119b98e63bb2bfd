/* feed.h - what goes into a model: files, pictures, random numbers, round by round. */
#ifndef CLI_FEED_H
#define CLI_FEED_H
#include "arrays.h"
#include "preprocess.h"

/* Which part of a file is the model: for formats that leave a choice. */
typedef struct choice_options {
  const char *tag_set, *signature, *inputs, *outputs;
} choice_options;

typedef struct feed_options {
  choice_options choice;
  arg_list inputs, shapes, fixed;
  int64_t batch, seed;
  const arrays *stream; /* records for the inputs in turn, in place of sources */
  const char *option;   /* that gave the inputs, each of which it must name; NULL: --input, and what is not named is random */
} feed_options;
extern const arg_option feed_option_rows[], choice_option_rows[]; /* both of feed_options */
#define FEED_OPTIONS_DEFAULT {.seed = 1}

typedef enum source_kind { SOURCE_RANDOM, SOURCE_CONSTANT, SOURCE_ARRAYS, SOURCE_IMAGES } source_kind;

typedef struct feed_input {
  char *name;
  source_kind kind;
  bool given; /* a source was; else it is random */
  bool ranged;
  double low, high; /* of random numbers when ranged; low: the constant */
  paths files;
  image_plan plan;
  arrays own;         /* of files */
  const arrays *list; /* those or the stream; the input's are those from `first` on, every `step`-th, `count` of them */
  size_t first, step, count;
  int64_t at_once;    /* items of the first dimension that go in at once; 0: all */
  hone_dtype dtype;   /* as the model takes it */
  tensor whole;       /* an array that several rounds take parts of, and which */
  size_t whole_at;
  tensor t; /* of the round loaded last */
} feed_input;

/* A round is one run of the model: an array of each input, or as many of its items as the model takes at once. With pictures a round holds `batch` of them; a last one that is not full is
   filled up with its last picture if `fill` is set or the model's batch is fixed. */
typedef struct feed {
  feed_input *in;
  uint32_t n;
  uint64_t seed;
  const paths *pictures; /* of the input that has most; NULL: none */
  size_t batch, rounds;
  bool fill;
} feed;

/* Loads a model as --tag-set, --signature-def, --inputs and --outputs say, and applies --shape and --fix. A model beside the
   first may be of a format that leaves no choice. */
int model_open(cli *c, const char *path, const feed_options *o, hone_model **model);

/* Understands --input and decides on shapes; loads nothing. The model is asked only during the call. */
int feed_open(cli *c, const hone_model *m, const feed_options *o, const image_options *images, feed *f);
void feed_close(feed *f);
/* Makes the tensors of a round; rounds past the last begin anew, with other random numbers. */
int feed_load(feed *f, size_t round);
/* How many of the items of a round are not filling. */
size_t feed_items(const feed *f, size_t round);
/* How many rounds to compare models with: all there are of pictures and arrays, else `runs`. */
size_t feed_rounds(const feed *f, size_t runs);
/* What the arrays, or the only picture, of a round are called; NULL: it has no name. */
const char *feed_label(const feed *f, size_t round);
/* Path of a picture; NULL where the inputs are no pictures. */
const char *feed_item_path(const feed *f, size_t round, size_t item);

/* Lends the tensors to a session: the i-th input of the feed is the map[i]-th of the session (map NULL: the i-th). */
int feed_set(cli *c, const feed *f, const uint32_t *map, hone_session *s);
/* Which inputs of another model the feed's inputs are: by name, or by position where no name fits. To be freed. */
int feed_map(const feed *f, const hone_model *other, uint32_t **map);
#endif
