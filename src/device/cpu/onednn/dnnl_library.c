/* dnnl_library.c - opens oneDNN, and makes a session's engine of it, when the session first plans a kernel of its. */
#include "device/cpu/onednn/dnnl_calls.h"
#include "device/cpu/onednn/dnnl_util.h"

#define X(name) __typeof__(hn_import_##name) hn_import_##name;
DNNL_CALLS(X)
#undef X
#define X(name) {#name, &hn_import_##name},
static const hn_import imports[] = {DNNL_CALLS(X)};
#undef X
static hn_library library = {HN_DNNL_LIBRARY, "libdnnl2", imports, sizeof imports / sizeof *imports, false};

/* While oneDNN 2.6.3 generates an AMX convolution with a window larger than 1x1 it reads four bytes behind a list of its own, which it
   then does not use; of nothing else outside of its memory was found in 1500 convolutions. Behind a block of the C library there is
   always more, behind one of AddressSanitizer's there may be the end of the mapping: without AMX there. */
#if defined(__has_feature)
#define WITH_SANITIZER __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER 1
#else
#define WITH_SANITIZER 0
#endif

hone_status hn_dnnl_open(const hn_task *t) {
  hn_cpu *c = t->device;
  if (c->engine) return HONE_OK;
  if (c->without_dnnl) return HONE_UNSUPPORTED;
  bool missing = hn_library_need(NULL, &library) != HONE_OK;
  if (!missing && WITH_SANITIZER) dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core_bf16); /* only the first time: it is refused later */
  if (missing) hn_log(t->cx, HONE_LOG_WARNING, "%s cannot be opened: layers run on other kernels", library.file);
  else if (dnnl_engine_create(&c->engine, dnnl_cpu, 0) == dnnl_success && dnnl_stream_create(&c->stream, c->engine, dnnl_stream_in_order) == dnnl_success)
    return HONE_OK;
  hn_dnnl_close(c);
  c->without_dnnl = true;
  return HONE_UNSUPPORTED;
}

void hn_dnnl_close(hn_cpu *c) {
  if (c->stream) dnnl_stream_destroy(c->stream);
  if (c->engine) dnnl_engine_destroy(c->engine);
  c->stream = NULL;
  c->engine = NULL;
}
