/* fibers.h - the threads of one block, run in turn until all have returned. */
#ifndef HN_EMULATED_FIBERS_H
#define HN_EMULATED_FIBERS_H
#include <functional>

#include "cuda_runtime.h"

/* Runs every block of a launch on the calling thread. */
void hn_emulated_run_grid(const char *name, dim3 grid, dim3 block, size_t shared, const std::function<void()> &body);
#endif
