/* arrays.h - arrays that models are fed with, one after the other: .npy files, members of .npz archives, what a command writes. */
#ifndef CLI_ARRAYS_H
#define CLI_ARRAYS_H
#include "cli_file.h"
#include "cli_tensor.h"

typedef struct array_at {
  char *label;   /* for messages: the file, with the member behind a colon */
  char *member;  /* of an archive; NULL: a .npy file, or the stream */
  size_t offset, size; /* in the stream */
  tensor head;   /* without data */
} array_at;

typedef struct arrays {
  array_at *p;
  size_t n;
  FILE *stream; /* what a command wrote; NULL: files */
} arrays;

/* Whether a path is one of arrays: .npy or .npz. */
bool arrays_path(const char *path);
/* Adds the arrays of files: of a .npz the member `name`, or its only one. Fails with a line. */
int arrays_add_files(arrays *a, const paths *files, const char *name, bool alone);
/* Runs a command by the shell and keeps the .npy records it writes to its standard output, one behind the other, `limit` of them at
   most (0: all). Fails if it fails, writes nothing, or something else. */
int arrays_of_command(const char *text, size_t limit, arrays *a);
int array_load(const arrays *a, size_t i, tensor *t);
void arrays_free(arrays *a);
#endif
