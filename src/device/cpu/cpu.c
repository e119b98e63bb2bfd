#include "device/cpu/cpu.h"

#include <oneapi/dnnl/dnnl.h>

#include "device/cpu/split/split.h"
#include "device/cpu/vec/float_runs.h"
#include "device/cpu/vec/half_runs.h"

hone_status hn_cpu_create(hone_context *cx, hn_isa isa, hn_cpu **out) {
  hn_cpu *c = hn_calloc(1, sizeof *c);
  if (!c) return hn_nomem(cx);
  c->isa = isa;
  c->bytes = hn_bytes_best(isa);
  c->half = isa == HN_ISA_AVX512 ? hn_half_runs_best() : NULL;
  c->split = hn_split_for(isa);
  c->vec = hn_vec_for(isa);
  c->winograd_error = HN_WINOGRAD_ERROR;
  c->thread_macs = 200000;
  if (dnnl_engine_create(&c->engine, dnnl_cpu, 0) != dnnl_success ||
      dnnl_stream_create(&c->stream, c->engine, dnnl_stream_in_order) != dnnl_success) {
    hn_cpu_destroy(c);
    return hn_fail(cx, HONE_DEVICE, "oneDNN cannot create a CPU engine");
  }
  *out = c;
  return HONE_OK;
}

void hn_cpu_destroy(hn_cpu *c) {
  if (!c) return;
  if (c->stream) dnnl_stream_destroy(c->stream);
  if (c->engine) dnnl_engine_destroy(c->engine);
  hn_free(c);
}
