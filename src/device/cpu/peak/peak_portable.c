/* peak_portable.c - the roof of what the compiler makes for any processor of the architecture. */
#define PEAK hn_peak_portable
#define BYTES 16
#include "device/cpu/peak/peak_body.h"
