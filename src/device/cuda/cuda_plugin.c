/* cuda_plugin.c - finds the CUDA device, a shared object of its own, when a driver is there. Without either, the device
   is listed with the reason. */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "device/cuda/cuda_plugin.h"

static void *open_library(char *reason, size_t size) {
  char path[PATH_MAX + 32];
  Dl_info self;
  void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!driver) {
    snprintf(reason, size, "no NVIDIA driver: libcuda.so.1 is not found");
    return NULL;
  }
  dlclose(driver);
  void *lib = NULL;
  if (dladdr((void *)(uintptr_t)&hone_version, &self) && self.dli_fname && strlen(self.dli_fname) < PATH_MAX) {
    strcpy(path, self.dli_fname); /* beside the library or program we are in */
    char *slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, HN_CUDA_LIBRARY);
    lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  }
  if (!lib) lib = dlopen(HN_CUDA_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!lib) snprintf(reason, size, "%s: %s", HN_CUDA_LIBRARY, dlerror());
  return lib;
}

/* The functions of the shared object, which stays loaded. */
static const hn_device_kind *find_kind(char *reason, size_t size) {
  void *lib = open_library(reason, size);
  hn_cuda_entry *entry = lib ? (hn_cuda_entry *)(uintptr_t)dlsym(lib, HN_CUDA_ENTRY) : NULL;
  if (!lib) return NULL;
  const hn_device_kind *kind = entry ? entry(HN_CUDA_ABI, sizeof(hn_device_kind)) : NULL;
  if (!kind) {
    snprintf(reason, size, "%s was built for another version of hone", HN_CUDA_LIBRARY);
    dlclose(lib);
  }
  return kind;
}

static bool cuda_describe(uint32_t index, hone_device_info *d) {
  const hn_device_kind *k = find_kind(d->reason, sizeof d->reason);
  if (k) return k->describe(index, d);
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

const hn_device_kind hn_cuda_kind = {.name = "cuda", .doc = "an NVIDIA GPU", .settings = "workspace=,tf32=,precision=",
                                     .describe = cuda_describe, .open = cuda_open};
