/* case.h - one ONNX test case: a folder with model.onnx and test_data_set_N/{input,output}_N.pb. */
#ifndef CASE_H
#define CASE_H
#include <stdbool.h>

typedef enum verdict { CASE_PASS, CASE_FAIL, CASE_OUT_OF_SCOPE, CASE_NO_DATA } verdict;

typedef struct outcome {
  verdict reference, optimized; /* without any optimization on the reference kernels; with all of it on the fastest,
                                  and then written as ONNX and read again */
  char why[400];                /* of the first that is not a pass */
} outcome;

void run_case(const char *dir, outcome *out);
#endif
