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
/* How bytes are multiplied with the vectors of an instruction set: each way includes those before it. */
typedef enum hn_bytes {
  HN_BYTES_PLAIN, /* by what the set itself has: products of 16 bits, or sums of two bytes' that saturate */
  HN_BYTES_VNNI,  /* sums of four products at once: AVX-VNNI beside AVX2, AVX-512 VNNI beside AVX-512 */
  HN_BYTES_COUNT
} hn_bytes;
hn_bytes hn_bytes_best(hn_isa isa); /* what this processor has for vectors of that set */
const char *hn_bytes_name(hn_isa isa, hn_bytes b);

hn_isa hn_isa_best(void); /* the best this processor runs; each set includes those before it */
const char *hn_isa_name(hn_isa isa);
enum { HN_CPU_NAME = 49 };
void hn_cpu_name(char name[HN_CPU_NAME]); /* as the processor calls itself, or its architecture */
#endif
