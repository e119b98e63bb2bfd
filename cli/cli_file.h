/* cli_file.h - whole files in, whole files out, lists of files. */
#ifndef CLI_FILE_H
#define CLI_FILE_H
#include "cli.h"

/* The bytes of a file, at most `limit` of them, with a 0 behind. Fails with a line on stderr. */
int file_read(const char *path, size_t limit, unsigned char **data, size_t *size);

/* A file being written: under a temporary name beside the final one, or the file itself if it is no regular
   file, such as a device or a pipe. */
typedef struct out_file {
  FILE *f;
  char *path, *temporary; /* temporary NULL: written in place */
} out_file;
int out_open(out_file *o, const char *path);
int out_close(out_file *o); /* gives it its name; on failure removes it and says so */
void out_abandon(out_file *o);

/* Makes a folder unless it is there. */
int make_folder(const char *path);

typedef struct paths {
  char **p;
  size_t n;
} paths;
/* What a command line names: one file, the images of a folder, or else its arrays, or a glob; sorted. Fails if there is none. */
int paths_find(const char *spec, paths *out);
void paths_free(paths *p);
const char *base_name(const char *path);
#endif
