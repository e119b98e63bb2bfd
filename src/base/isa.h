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
  HN_BYTES_TILES, /* products of tiles beside them: AMX beside AVX-512 VNNI, where this system lets programs use it */
  HN_BYTES_COUNT
} hn_bytes;
hn_bytes hn_bytes_best(hn_isa isa); /* what this processor has for vectors of that set */
const char *hn_bytes_name(hn_isa isa, hn_bytes b);

/* What some processors have beside the set of vectors. */
typedef enum hn_extra {
  HN_EXTRA_VNNI, /* sums of products of bytes, with the best vectors: AVX-512 VNNI or AVX-VNNI */
  HN_EXTRA_BF16, /* AVX-512 BF16 */
  HN_EXTRA_FP16, /* AVX-512 FP16 */
  HN_EXTRA_AMX_BF16,
  HN_EXTRA_AMX_INT8,
  HN_EXTRA_COUNT
} hn_extra;
bool hn_isa_has(hn_extra e); /* AMX: and this system lets programs use it */
const char *hn_extra_name(hn_extra e);
/* AMX's registers are for processes that ask for them, once; false: refused. oneDNN asks too, before it plans with them. */
bool hn_amx_permit(void);

hn_isa hn_isa_best(void); /* the best this processor runs; each set includes those before it */
const char *hn_isa_name(hn_isa isa);
enum { HN_CPU_NAME = 49 };
void hn_cpu_name(char name[HN_CPU_NAME]); /* as the processor calls itself, or its architecture */
#endif
