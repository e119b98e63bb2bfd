/* classify.c - loads a model, optimizes it and runs it once: classify MODEL FILE, where FILE holds the raw floats of
   one input (dimensions that are open count as 1). Prints the number of the best class.

   cc classify.c -o classify $(pkg-config --cflags --libs hone) */
#include <hone.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(hone_context *cx) {
  fprintf(stderr, "classify: %s\n", hone_context_error(cx));
  return 1;
}

static float *read_floats(const char *path, size_t n) {
  FILE *f = fopen(path, "rb");
  float *v = malloc(n * sizeof *v);
  if (!f || !v || fread(v, sizeof *v, n, f) != n) {
    fprintf(stderr, "classify: %s does not hold %zu floats\n", path, n);
    exit(1);
  }
  fclose(f);
  return v;
}

int main(int argc, char **argv) {
  hone_context *cx = NULL;
  hone_model *model = NULL;
  hone_session *session = NULL;
  hone_tensor_info in;
  const void *out;
  size_t n = 1, bytes;
  if (argc != 3) return fprintf(stderr, "usage: classify MODEL FILE\n"), 2;
  if (hone_context_create(&cx)) return 1;
  if (hone_model_load(cx, argv[1], &model) || hone_model_optimize(model, NULL) || hone_model_input_info(model, 0, &in))
    return fail(cx);
  for (int32_t i = 0; i < in.rank; i++) {
    if (in.dims[i] < 0) in.dims[i] = 1;
    n *= (size_t)in.dims[i];
  }
  float *pixels = read_floats(argv[2], n);
  if (hone_session_create(model, NULL, &session) || hone_session_set_input_shape(session, 0, (uint32_t)in.rank, in.dims) ||
      hone_session_set_input(session, 0, pixels, n * sizeof *pixels) || hone_session_run(session) ||
      hone_session_output(session, 0, NULL, &out, &bytes))
    return fail(cx);
  const float *score = out;
  size_t best = 0;
  for (size_t i = 1; i < bytes / sizeof *score; i++)
    if (score[i] > score[best]) best = i;
  printf("class %zu, score %g\n", best, (double)score[best]);
  free(pixels);
  hone_session_destroy(&session);
  hone_model_destroy(&model);
  hone_context_destroy(&cx);
  return 0;
}
