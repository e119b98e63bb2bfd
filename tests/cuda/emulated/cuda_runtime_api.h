/* cuda_runtime_api.h - the host's part of it. */
#include "cuda_runtime.h"
