#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

struct hn_mapping {
  const void *data;
  size_t size;
  atomic_int refs;
};

hone_status hn_map_file(hone_context *cx, const char *path, hn_mapping **out) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return hn_fail(cx, HONE_IO, "%s: cannot open: %s", path, strerror(errno));
  struct stat st;
  if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
    close(fd);
    return hn_fail(cx, HONE_IO, "%s: not a regular file", path);
  }
  hn_mapping *m = hn_calloc(1, sizeof *m);
  if (!m) {
    close(fd);
    return hn_nomem(cx);
  }
  m->size = (size_t)st.st_size;
  if (m->size) {
    void *p = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      int e = errno;
      close(fd);
      hn_free(m);
      return hn_fail(cx, HONE_IO, "%s: cannot map: %s", path, strerror(e));
    }
    m->data = p;
#ifdef MADV_HUGEPAGE
    madvise(p, m->size, MADV_HUGEPAGE); /* a hint: weights are read with fewer misses of the TLB */
#endif
  } else {
    m->data = "";
  }
  close(fd);
  atomic_init(&m->refs, 1);
  *out = m;
  return HONE_OK;
}

bool hn_is_directory(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool hn_is_file(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

const void *hn_mapping_data(const hn_mapping *m) { return m->data; }
size_t hn_mapping_size(const hn_mapping *m) { return m->size; }

hn_mapping *hn_mapping_ref(hn_mapping *m) {
  atomic_fetch_add(&m->refs, 1);
  return m;
}

void hn_mapping_unref(hn_mapping *m) {
  if (!m || atomic_fetch_sub(&m->refs, 1) != 1) return;
  if (m->size) munmap((void *)(uintptr_t)m->data, m->size);
  hn_free(m);
}

void hn_prefetch(const void *data, size_t bytes) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)data / page * page;
  size_t n = (uintptr_t)data + bytes - from;
#ifdef MADV_POPULATE_READ
  if (madvise((void *)from, n, MADV_POPULATE_READ) == 0) return; /* kernels before 5.14 do not know it */
#endif
  madvise((void *)from, n, MADV_WILLNEED);
}

/* What is written at once, at multiples of it in the file: as large as a huge page, so that the system may keep the file in
   such and map it so. */
enum { AT_ONCE = 2 << 20 };

struct hn_writer {
  hone_context *cx;
  FILE *f;
  char *buffer;
  uint64_t position;
  char *path, *temporary;
  bool direct; /* to a device or a pipe, which no file may replace */
};

static void writer_free(hn_writer **w) {
  if ((*w)->f) fclose((*w)->f);
  hn_free((*w)->buffer);
  hn_free((*w)->path);
  hn_free((*w)->temporary);
  hn_free(*w);
  *w = NULL;
}

hone_status hn_writer_open(hone_context *cx, const char *path, hn_writer **out) {
  hn_writer *w = hn_calloc(1, sizeof *w);
  if (!w) return hn_nomem(cx);
  size_t n = strlen(path);
  w->cx = cx;
  w->path = hn_malloc(n + 1);
  w->temporary = hn_malloc(n + 16);
  w->buffer = hn_malloc(AT_ONCE);
  if (!w->path || !w->temporary || !w->buffer) {
    writer_free(&w);
    return hn_nomem(cx);
  }
  memcpy(w->path, path, n + 1);
  snprintf(w->temporary, n + 16, "%s.tmpXXXXXX", path);
  struct stat is;
  w->direct = stat(path, &is) == 0 && !S_ISREG(is.st_mode) && !S_ISDIR(is.st_mode);
  int fd = w->direct ? open(path, O_WRONLY | O_CLOEXEC) : mkstemp(w->temporary);
  if (fd < 0 || !(w->f = fdopen(fd, "wb"))) {
    int e = errno;
    if (fd >= 0) {
      close(fd);
      if (!w->direct) unlink(w->temporary);
    }
    writer_free(&w);
    return hn_fail(cx, HONE_IO, "%s: cannot write: %s", path, strerror(e));
  }
  mode_t mask = umask(0);
  umask(mask);
  setvbuf(w->f, w->buffer, _IOFBF, AT_ONCE);
  if (!w->direct) fchmod(fd, 0666 & ~mask); /* mkstemp makes it private; give it the permissions a new file has */
  *out = w;
  return HONE_OK;
}

hone_status hn_writer_put(hn_writer *w, const void *data, size_t n) {
  if (n && fwrite(data, 1, n, w->f) != n)
    return hn_fail(w->cx, HONE_IO, "%s: cannot write: %s", w->path, strerror(errno));
  w->position += n;
  return HONE_OK;
}

uint64_t hn_writer_position(const hn_writer *w) { return w->position; }

hone_status hn_writer_commit(hn_writer **w) {
  hn_writer *x = *w;
  bool ok = fflush(x->f) == 0 && (fsync(fileno(x->f)) == 0 || errno == EINVAL || errno == EROFS);
  int e = errno;
  ok = (fclose(x->f) == 0) && ok;
  x->f = NULL;
  if (ok && !x->direct && rename(x->temporary, x->path) != 0) {
    e = errno;
    ok = false;
  }
  hone_status st = HONE_OK;
  if (!ok) {
    if (!x->direct) unlink(x->temporary);
    st = hn_fail(x->cx, HONE_IO, "%s: cannot write: %s", x->path, strerror(e));
  }
  writer_free(w);
  return st;
}

void hn_writer_abort(hn_writer **w) {
  if (!*w) return;
  if (!(*w)->direct) unlink((*w)->temporary);
  writer_free(w);
}

bool hn_path_within(const char *dir, const char *path) {
  char *real_dir = realpath(dir, NULL), *real_path = realpath(path, NULL);
  size_t n = real_dir ? strlen(real_dir) : 0;
  bool ok = !real_path || (real_dir && strncmp(real_dir, real_path, n) == 0 && (real_path[n] == '/' || n == 1));
  free(real_dir);
  free(real_path);
  return ok;
}
