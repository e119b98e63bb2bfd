#include "device/cpu/cpu.h"

#include "device/cpu/onednn/dnnl_util.h"
#include "device/cpu/quant/half_tile.h"
#include "device/cpu/split/split.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/half_runs.h"

hone_status hn_cpu_create(hone_context *cx, hn_isa isa, hn_cpu **out) {
  hn_cpu *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(cx);
  c->isa = isa;
  c->bytes = hn_bytes_best(isa);
  c->half = isa == HN_ISA_AVX512 ? hn_half_runs_best(HONE_DTYPE_F16) : NULL;
  c->brain = isa == HN_ISA_AVX512 ? hn_half_runs_best(HONE_DTYPE_BF16) : NULL;
  c->bf16 = hn_bf16_tile_for(isa);
  c->split = hn_split_for(isa);
  c->vec = hn_vec_for(isa);
  c->winograd_error = HN_WINOGRAD_ERROR;
  c->thread_macs = 200000;
  *out = c;
  return HONE_OK;
}

void hn_cpu_destroy(hn_cpu *c) {
  if (!c) return;
  hn_dnnl_close(c);
  hn_free(c);
}
