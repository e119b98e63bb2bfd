/* isa.h - the instruction sets that kernels are compiled for, and what this processor has. */
#ifndef HN_ISA_H
#define HN_ISA_H
#include <stdbool.h>

typedef enum hn_isa {
  HN_ISA_PORTABLE, /* what the compiler makes for any processor of the architecture */
  HN_ISA_AVX2,     /* AVX2, FMA, F16C */
  HN_ISA_AVX512,   /* AVX-512 F, BW, VL, DQ */
  HN_ISA_COUNT
} hn_isa;

/* Is there AVX-512, with which oneDNN computes on BF16 (by instructions of its own where the processor has them)? */
bool hn_isa_has_bf16(void);
hn_isa hn_isa_best(void); /* the best this processor runs; each set includes those before it */
const char *hn_isa_name(hn_isa isa);
enum { HN_CPU_NAME = 49 };
void hn_cpu_name(char name[HN_CPU_NAME]); /* as the processor calls itself, or its architecture */
#endif
