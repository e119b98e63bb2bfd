#include "base/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static hone_status open_library(hone_context *cx, hn_library *l) {
  void *lib = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
  if (!lib) return hn_fail(cx, HONE_IO, "this needs the library %s, which cannot be opened: install the package %s", l->file, l->package);
  for (uint32_t i = 0; i < l->n; i++) {
    void *symbol = dlsym(lib, l->imports[i].name);
    if (!symbol) return hn_fail(cx, HONE_IO, "%s has no %s: it is of another version than the one hone was built with", l->file, l->imports[i].name);
    memcpy(l->imports[i].to, &symbol, sizeof symbol);
  }
  return HONE_OK;
}

hone_status hn_library_need(hone_context *cx, hn_library *l) {
  if (__atomic_load_n(&l->ready, __ATOMIC_ACQUIRE)) return HONE_OK;
  pthread_mutex_lock(&opening);
  hone_status st = l->ready ? HONE_OK : open_library(cx, l);
  if (!st) __atomic_store_n(&l->ready, true, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&opening);
  return st;
}
