/* cli_file.c - whole files in, whole files out, lists of files. */
#define _GNU_SOURCE
#include "cli_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, size_t limit, unsigned char **data, size_t *size) {
  struct stat st;
  FILE *f = fopen(path, "rb");
  if (!f) return cli_fail_file(path);
  if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
    fclose(f);
    return cli_fail("%s: is a folder, not a file", path);
  }
  unsigned char *p = NULL;
  size_t n = 0, room = 0;
  for (;;) { /* in pieces: a pipe has no size */
    if (n == room) {
      room = room ? room * 2 : st.st_size > 0 && (size_t)st.st_size < limit ? (size_t)st.st_size + 1 : 65536;
      p = cli_grow(p, room + 1, 1);
    }
    size_t got = fread(p + n, 1, room - n, f);
    if (!got) break;
    n += got;
    if (n > limit) break;
  }
  int failed = ferror(f) ? errno : 0;
  fclose(f);
  if (!failed && n <= limit) {
    p[n] = 0;
    *data = p;
    *size = n;
    return CLI_OK;
  }
  free(p);
  if (failed) return cli_fail("%s: %s", path, strerror(failed));
  return cli_fail("%s: larger than the limit of %zu MiB", path, limit >> 20);
}

/* ------------------------------------------------------------------------------------------------ writing */

int out_open(out_file *o, const char *path) {
  struct stat st;
  *o = (out_file){.path = cli_copy(path)};
  if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
    o->f = fopen(path, "wb");
  } else {
    o->temporary = cli_format("%s.tmpXXXXXX", path);
    int fd = mkostemp(o->temporary, O_CLOEXEC);
    mode_t mask = umask(0);
    umask(mask);
    if (fd >= 0) {
      fchmod(fd, 0666 & ~mask);
      o->f = fdopen(fd, "wb");
    } else {
      free(o->temporary);
      o->temporary = NULL;
    }
  }
  if (o->f) return CLI_OK;
  int code = cli_fail_file(path);
  out_abandon(o);
  return code;
}

void out_abandon(out_file *o) {
  if (o->f) fclose(o->f);
  if (o->temporary) unlink(o->temporary);
  free(o->temporary);
  free(o->path);
  *o = (out_file){0};
}

int out_close(out_file *o) {
  bool failed = fflush(o->f) != 0 || ferror(o->f);
  int why = errno;
  if (fclose(o->f) != 0 && !failed) {
    failed = true;
    why = errno;
  }
  o->f = NULL;
  if (!failed && o->temporary && rename(o->temporary, o->path) != 0) {
    failed = true;
    why = errno;
  }
  int code = failed ? cli_fail("%s: cannot be written: %s", o->path, strerror(why)) : CLI_OK;
  if (!failed) {
    free(o->temporary); /* it has its name now */
    o->temporary = NULL;
  }
  out_abandon(o);
  return code;
}

int make_folder(const char *path) {
  struct stat st;
  if (mkdir(path, 0777) == 0) return CLI_OK;
  if (errno != EEXIST) return cli_fail_file(path);
  if (stat(path, &st) != 0) return cli_fail_file(path);
  return S_ISDIR(st.st_mode) ? CLI_OK : cli_fail("%s: is a file, not a folder", path);
}

/* -------------------------------------------------------------------------------------------------- lists */

const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static const char *const images[] = {".jpg", ".jpeg", ".png", ".bmp", NULL}, *const array_files[] = {".npy", ".npz", NULL};

static bool has_ending(const char *name, const char *const *endings) {
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && dot != name && endings[i]; i++)
    if (strcasecmp(dot, endings[i]) == 0) return true;
  return false;
}

static void add(paths *l, char *path) {
  l->p = cli_grow(l->p, l->n + 1, sizeof *l->p);
  l->p[l->n++] = path;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int add_folder(const char *folder, const char *const *endings, paths *out) {
  DIR *d = opendir(folder);
  if (!d) return cli_fail_file(folder);
  size_t length = strlen(folder);
  while (length > 1 && folder[length - 1] == '/') length--;
  for (struct dirent *e; (e = readdir(d));)
    if (has_ending(e->d_name, endings)) add(out, cli_format("%.*s/%s", (int)length, folder, e->d_name));
  closedir(d);
  return CLI_OK;
}

/* The images of a folder, or else its arrays. */
static int from_folder(const char *folder, paths *out) {
  int code = add_folder(folder, images, out);
  if (!code && !out->n) code = add_folder(folder, array_files, out);
  if (!code && !out->n) return cli_fail("%s: there is no image (.jpg, .jpeg, .png, .bmp) in this folder, and no array (.npy, .npz)", folder);
  return code;
}

static int from_glob(const char *pattern, paths *out) {
  glob_t g = {0};
  int r = glob(pattern, 0, NULL, &g);
  for (size_t i = 0; r == 0 && i < g.gl_pathc; i++) add(out, cli_copy(g.gl_pathv[i]));
  globfree(&g);
  return out->n ? CLI_OK : cli_fail("%s: no file has such a name", pattern);
}

int paths_find(const char *spec, paths *out) {
  struct stat st;
  *out = (paths){0};
  int code = CLI_OK;
  if (stat(spec, &st) == 0) {
    if (S_ISDIR(st.st_mode))
      code = from_folder(spec, out);
    else
      add(out, cli_copy(spec));
  } else if (strpbrk(spec, "*?[")) {
    code = from_glob(spec, out);
  } else {
    code = cli_fail_file(spec);
  }
  if (out->n) qsort(out->p, out->n, sizeof *out->p, compare);
  return code;
}

void paths_free(paths *l) {
  for (size_t i = 0; i < l->n; i++) free(l->p[i]);
  free(l->p);
  *l = (paths){0};
}
