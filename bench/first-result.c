/* first-result.c - the peer's side of cold-start.py: ONNX Runtime through its C API, from process start to the first result.

     cc -O2 bench/first-result.c -ldl -o first-result
     first-result libonnxruntime.so.1 MODEL.onnx THREADS INPUT=1x3x224x224 ... -- OUTPUT

   The functions are called by their place in the table OrtApi, which is part of the stable binary interface; version 22 of it.
   Prints the time of loading and of the first run in milliseconds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct base {
  void **(*get_api)(uint32_t version);
  const char *(*version)(void);
} base;

enum { CREATE_ENV = 3, CREATE_SESSION = 7, RUN = 9, CREATE_OPTIONS = 10, OPTIMIZATION_LEVEL = 23, INTRA_THREADS = 24,
       INTER_THREADS = 25, CREATE_TENSOR = 49, TENSOR_DATA = 51, CPU_MEMORY = 69, ERROR_TEXT = 2 };
static void **api;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void must(void *status) {
  if (!status) return;
  fprintf(stderr, "%s\n", ((const char *(*)(void *))api[ERROR_TEXT])(status));
  exit(1);
}

#define CALL(place, types, ...) must(((void *(*) types)api[place])(__VA_ARGS__))

int main(int argc, char **argv) {
  double start = now();
  if (argc < 5) return 2;
  void *lib = dlopen(argv[1], RTLD_NOW), *env, *options, *session, *memory;
  if (!lib) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const base *b = ((const base *(*)(void))dlsym(lib, "OrtGetApiBase"))();
  api = b->get_api(22);
  CALL(CREATE_ENV, (int, const char *, void **), 3, "bench", &env);
  CALL(CREATE_OPTIONS, (void **), &options);
  CALL(OPTIMIZATION_LEVEL, (void *, int), options, 99);
  CALL(INTRA_THREADS, (void *, int), options, atoi(argv[3]));
  CALL(INTER_THREADS, (void *, int), options, 1);
  CALL(CREATE_SESSION, (void *, const char *, void *, void **), env, argv[2], options, &session);
  CALL(CPU_MEMORY, (int, int, void **), 1, 0, &memory);
  double loaded = now();
  const char *names[16], *outputs[1];
  void *inputs[16], *result[1] = {NULL};
  size_t n = 0;
  int i = 4;
  for (; i < argc - 1 && strcmp(argv[i], "--") != 0 && n < 16; i++, n++) {
    int64_t dims[8];
    size_t rank = 0, count = 1;
    char *at = strrchr(argv[i], '=');
    if (!at) return 2;
    *at++ = 0;
    for (char *p = at; *p && rank < 8; p += *p == 'x') count *= (size_t)(dims[rank++] = strtoll(p, &p, 10));
    float *data = malloc(sizeof *data * count);
    for (size_t k = 0; k < count; k++) data[k] = (float)(k % 251) / 251;
    names[n] = argv[i];
    CALL(CREATE_TENSOR, (void *, void *, size_t, const int64_t *, size_t, int, void **), memory, data, sizeof *data * count, dims,
         rank, 1, &inputs[n]);
  }
  outputs[0] = argv[argc - 1];
  double ready = now();
  CALL(RUN, (void *, void *, const char *const *, void *const *, size_t, const char *const *, size_t, void **), session, NULL,
       names, inputs, n, outputs, 1, result);
  float *data;
  CALL(TENSOR_DATA, (void *, void **), result[0], (void **)&data);
  printf("%g load %.2f first %.2f version %s\n", (double)data[0], loaded - start, now() - ready, b->version());
  return 0;
}
