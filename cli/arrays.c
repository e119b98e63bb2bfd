#define _GNU_SOURCE
#include "arrays.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zip.h>

#include "npy.h"
#include "progress.h"

enum { HEAD_BYTES = 65536 };

static bool ends_in(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

bool arrays_path(const char *path) { return ends_in(path, ".npy") || ends_in(path, ".npz"); }

static void add(arrays *a, array_at at) {
  a->p = cli_grow(a->p, a->n + 1, sizeof *a->p);
  a->p[a->n++] = at;
}

/* ---------------------------------------------------------------------------------------- archives */

static int open_archive(const char *path, zip_t **z) {
  int e = 0;
  *z = zip_open(path, ZIP_RDONLY, &e);
  if (*z) return CLI_OK;
  zip_error_t error;
  zip_error_init_with_code(&error, e);
  int code = cli_fail("%s: not a .npz archive: %s", path, zip_error_strerror(&error));
  zip_error_fini(&error);
  return code;
}

/* The member that holds an array, with or without .npy behind its name; or, `alone`, the only one there is. */
static int find_member(const char *path, zip_t *z, const char *name, bool alone, char **member) {
  zip_int64_t n = zip_get_num_entries(z, 0), at = -1;
  char *with = cli_format("%s.npy", name ? name : "");
  if (name && (at = zip_name_locate(z, with, 0)) < 0) at = zip_name_locate(z, name, 0);
  if (at < 0 && n == 1 && alone) at = 0;
  free(with);
  const char *first = n > 0 ? zip_get_name(z, 0, 0) : NULL;
  if (at < 0 && name) return cli_fail("%s: no array '%s' in it; it has %lld, the first '%s'", path, name, (long long)n, first ? first : "");
  if (at < 0) return cli_fail("%s: %lld arrays, and no name to choose by", path, (long long)n);
  *member = cli_copy(zip_get_name(z, (zip_uint64_t)at, 0));
  return CLI_OK;
}

/* A member's bytes, or as many as `limit`; *size is what it has. */
static int read_member(const char *path, zip_t *z, const char *member, size_t limit, unsigned char **data, size_t *size) {
  zip_stat_t st;
  zip_file_t *f = NULL;
  if (zip_stat(z, member, 0, &st) == 0 && st.valid & ZIP_STAT_SIZE && st.size < (zip_uint64_t)8 << 30) f = zip_fopen(z, member, 0);
  if (!f) return cli_fail("%s: '%s' cannot be read: %s", path, member, zip_strerror(z));
  size_t n = st.size < limit ? (size_t)st.size : limit, got = 0;
  *data = cli_alloc(n + 1, 1);
  *size = (size_t)st.size;
  while (got < n) {
    zip_int64_t r = zip_fread(f, *data + got, n - got);
    if (r <= 0) break;
    got += (size_t)r;
  }
  zip_fclose(f);
  if (got == n) return CLI_OK;
  free(*data);
  return cli_fail("%s: '%s' is truncated or damaged", path, member);
}

static int add_member(arrays *a, const char *path, const char *name, bool alone) {
  zip_t *z;
  array_at at = {0};
  unsigned char *data;
  size_t size, start;
  int code = open_archive(path, &z);
  if (code) return code;
  code = find_member(path, z, name, alone, &at.member);
  if (!code) code = read_member(path, z, at.member, HEAD_BYTES, &data, &size);
  if (!code) {
    at.label = cli_format("%s:%s", path, at.member);
    code = npy_head(at.label, data, size < HEAD_BYTES ? size : HEAD_BYTES, size, &at.head, &start);
    free(data);
  }
  zip_discard(z);
  if (!code) add(a, at);
  else free(at.member), free(at.label);
  return code;
}

/* ------------------------------------------------------------------------------------------- files */

static int add_file(arrays *a, const char *path) {
  array_at at = {.label = cli_copy(path)};
  unsigned char *data = cli_alloc(HEAD_BYTES, 1);
  size_t start, n = 0;
  long size = -1;
  FILE *f = fopen(path, "rb");
  if (f) {
    n = fread(data, 1, HEAD_BYTES, f);
    size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    fclose(f);
  }
  int code = size < 0 ? cli_fail_file(path) : npy_head(path, data, n, (size_t)size, &at.head, &start);
  free(data);
  if (!code) add(a, at);
  else free(at.label);
  return code;
}

int arrays_add_files(arrays *a, const paths *files, const char *name, bool alone) {
  int code = CLI_OK;
  for (size_t i = 0; i < files->n && !code; i++) {
    const char *path = files->p[i];
    if (ends_in(path, ".npz")) code = add_member(a, path, name, alone);
    else if (ends_in(path, ".npy")) code = add_file(a, path);
    else code = cli_fail("%s: arrays and other files together; give .npy and .npz, or images", path);
  }
  return code;
}

/* ----------------------------------------------------------------------------------------- commands */

/* One record of the command's: from the pipe into the stream. *end: there was none left. */
static int copy_record(FILE *pipe, arrays *a, bool *end) {
  array_at at = {.label = cli_format("record %zu of the command", a->n + 1), .offset = (size_t)ftello(a->stream)};
  unsigned char *data = cli_alloc(HEAD_BYTES, 1);
  size_t n = fread(data, 1, 10, pipe), start = 0;
  int code = CLI_OK;
  *end = n == 0;
  if (!*end) {
    size_t length = n == 10 ? npy_head_bytes(data) : 0;
    if (length > HEAD_BYTES) length = HEAD_BYTES;
    if (length > n) n += fread(data + n, 1, length - n, pipe);
    code = npy_head(at.label, data, n, SIZE_MAX, &at.head, &start);
  }
  if (!code && !*end) {
    at.size = start + at.head.bytes;
    size_t left = at.head.bytes, got;
    bool ok = fwrite(data, 1, start, a->stream) == start;
    while (ok && left && (got = fread(data, 1, left < HEAD_BYTES ? left : HEAD_BYTES, pipe)) > 0) {
      ok = fwrite(data, 1, got, a->stream) == got;
      left -= got;
    }
    if (!ok) code = cli_fail("what the command writes cannot be kept in a temporary file: %s", strerror(errno));
    else if (left) code = cli_fail("%s is truncated: %zu bytes of %s are missing", at.label, left, shape_text(at.head.rank, at.head.dims).s);
  }
  free(data);
  if (!code && !*end) add(a, at);
  else free(at.label);
  return code;
}

extern char **environ;

/* The shell that runs a command, and the pipe that it writes to; NULL: errno says why. */
static FILE *start_command(const char *text, pid_t *shell) {
  int ends[2], e;
  char *const words[] = {"sh", "-c", (char *)(uintptr_t)text, NULL};
  posix_spawn_file_actions_t actions;
  if (pipe2(ends, O_CLOEXEC)) return NULL;
  e = posix_spawn_file_actions_init(&actions);
  if (!e) {
    e = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (!e) e = posix_spawn(shell, "/bin/sh", &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
  }
  close(ends[1]);
  FILE *f = e ? NULL : fdopen(ends[0], "r");
  if (!f) close(ends[0]);
  if (e) errno = e;
  return f;
}

/* Closes the pipe and waits. One that is `stopped` has a second to notice that nobody reads, then it is ended. */
static int end_command(FILE *pipe, pid_t shell, bool stopped) {
  int status = -1;
  fclose(pipe);
  for (int tenths = 0; stopped && tenths < 30; tenths++) {
    if (waitpid(shell, &status, WNOHANG) != 0) return status;
    if (tenths == 10 || tenths == 20) kill(shell, tenths == 10 ? SIGTERM : SIGKILL);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
  }
  while (waitpid(shell, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

static int status_of(const char *text, int status, bool stopped) {
  if (status == -1) return cli_fail("'%s': %s", text, strerror(errno));
  if (stopped) return CLI_OK; /* we have enough, and closed the pipe on it */
  if (WIFSIGNALED(status)) return cli_fail("'%s' was ended by signal %d", text, WTERMSIG(status));
  return WEXITSTATUS(status) ? cli_fail("'%s' ended with status %d", text, WEXITSTATUS(status)) : CLI_OK;
}

int arrays_of_command(const char *text, size_t limit, arrays *a) {
  arrays r = {.stream = tmpfile()};
  progress p;
  bool end = false;
  if (!r.stream) return cli_fail("no temporary file for what '%s' writes: %s", text, strerror(errno));
  pid_t shell;
  FILE *pipe = start_command(text, &shell);
  int code = pipe ? CLI_OK : cli_fail("'%s': %s", text, strerror(errno));
  progress_begin(&p, "reading what the command writes");
  while (!code && !end && (!limit || r.n < limit)) {
    code = copy_record(pipe, &r, &end);
    progress_step(&p, r.n, limit ? limit : r.n + 1);
  }
  progress_end(&p);
  int status = pipe ? end_command(pipe, shell, !end) : 0, told = status_of(text, status, !end);
  if (!code || (r.n == 0 && told)) code = told;
  if (!code && !r.n) code = cli_fail("'%s' writes no .npy record", text);
  if (code) arrays_free(&r);
  else *a = r;
  return code;
}

/* ------------------------------------------------------------------------------------------ loading */

int array_load(const arrays *a, size_t i, tensor *t) {
  const array_at *at = &a->p[i];
  unsigned char *data = NULL;
  size_t size = at->size;
  int code = CLI_OK;
  if (a->stream) {
    data = cli_alloc(size + 1, 1);
    if (fseeko(a->stream, (off_t)at->offset, SEEK_SET) != 0 || fread(data, 1, size, a->stream) != size)
      code = cli_fail("%s cannot be read again: %s", at->label, strerror(errno));
  } else if (at->member) {
    char *path = cli_format("%.*s", (int)(strlen(at->label) - strlen(at->member) - 1), at->label);
    zip_t *z;
    code = open_archive(path, &z);
    if (!code) {
      code = read_member(path, z, at->member, SIZE_MAX, &data, &size);
      zip_discard(z);
    }
    free(path);
  } else {
    return npy_read(at->label, t);
  }
  if (code) {
    if (a->stream) free(data);
    return code;
  }
  return npy_take(at->label, data, size, t);
}

void arrays_free(arrays *a) {
  for (size_t i = 0; i < a->n; i++) {
    free(a->p[i].label);
    free(a->p[i].member);
  }
  free(a->p);
  if (a->stream) fclose(a->stream);
  *a = (arrays){0};
}
