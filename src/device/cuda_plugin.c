/* cuda_plugin.c - finds the CUDA device, a shared object of its own, when a driver is there. Without either, the device
   is listed with the reason. */
#define _GNU_SOURCE /* dladdr */
#include "device/cuda_plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The functions in the shared object, which stays loaded; NULL with the reason. */
static const hn_device_kind *load(const char *path, char *reason, size_t size) {
  void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    snprintf(reason, size, "hone's plug-in for CUDA cannot be loaded (%s)", dlerror());
    return NULL;
  }
  hn_cuda_entry *entry = (hn_cuda_entry *)(uintptr_t)dlsym(lib, HN_CUDA_ENTRY);
  const hn_device_kind *kind = entry ? entry(hn_kernels_id) : NULL;
  if (kind) return kind;
  snprintf(reason, size, "%s was made by another build of hone", path);
  dlclose(lib);
  return NULL;
}

/* Where the loader looks for libraries, or beside the library or program that we are in. */
static const hn_device_kind *find_kind(char *reason, size_t size) {
  char path[PATH_MAX + 32];
  Dl_info self;
  void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!driver) {
    snprintf(reason, size, "no NVIDIA driver (%s)", dlerror());
    return NULL;
  }
  dlclose(driver);
  const hn_device_kind *kind = load(HN_CUDA_LIBRARY, reason, size);
  if (kind || !dladdr((void *)(uintptr_t)&hone_version, &self) || !self.dli_fname || strlen(self.dli_fname) >= PATH_MAX) return kind;
  strcpy(path, self.dli_fname);
  char *slash = strrchr(path, '/');
  strcpy(slash ? slash + 1 : path, HN_CUDA_LIBRARY);
  return access(path, F_OK) ? NULL : load(path, reason, size); /* nothing there: what was found first, or not, is the reason */
}

static bool cuda_describe(uint32_t index, hone_device_info *d) {
  const hn_device_kind *k = find_kind(d->reason, sizeof d->reason);
  if (k) {
    d->reason[0] = 0;
    return k->describe(index, d);
  }
  if (index) return false;
  snprintf(d->name, sizeof d->name, "cuda");
  snprintf(d->description, sizeof d->description, "NVIDIA GPUs");
  d->available = false;
  return true;
}

static hone_status cuda_open(hone_context *cx, uint32_t index, const hn_setting *s, uint32_t n, hn_device **out) {
  char reason[256];
  const hn_device_kind *k = find_kind(reason, sizeof reason);
  return k ? k->open(cx, index, s, n, out) : hn_fail(cx, HONE_DEVICE, "device 'cuda' is not available: %s", reason);
}

const hn_device_kind hn_cuda_kind = {.name = "cuda", .doc = "an NVIDIA GPU", .settings = HN_CUDA_SETTINGS,
                                     .describe = cuda_describe, .open = cuda_open};

bool hn_cuda_row(uint32_t i, hn_op *op, const char **kernel) {
  static const struct {
    hn_op op;
    const char *kernel;
  } rows[] = {
#define CUDA_KERNEL(o, name, priority) {HN_##o, #name},
#define CUDA_VARIANTS(o, name, priority, variants) {HN_##o, #name},
#define CUDA_COUNTS(o, name, priority) {HN_##o, #name},
#include "device/cuda/kernels.def"
  };
  if (i >= sizeof rows / sizeof *rows) return false;
  *op = rows[i].op;
  *kernel = rows[i].kernel;
  return true;
}
