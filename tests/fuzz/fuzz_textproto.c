/* fuzz_textproto.c - any bytes as protobuf's text of a SavedModel, a MetaGraph and a GraphDef: what is encoded must be wire format
   and no more than a small multiple of the text. Seeds: fuzz_saved's, and `.pbtxt` files. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "format/wire/textproto.h"
#include "hone.h"
#include "tensorflow.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const ProtobufCMessageDescriptor *roots[] = {&tensorflow__saved_model__descriptor, &tensorflow__meta_graph_def__descriptor,
                                               &tensorflow__graph_def__descriptor};
  hone_context *cx;
  if (hone_context_create(&cx)) return 0;
  for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
    uint8_t *wire;
    size_t n;
    if (hn_textproto_encode(cx, "text", roots[i], (const char *)data, size, &wire, &n)) continue;
    if (n > 40 * size + 100) abort();
    ProtobufCMessage *m = protobuf_c_message_unpack(roots[i], NULL, n, wire);
    if (!m) abort();
    protobuf_c_message_free_unpacked(m, NULL);
    hn_free(wire);
  }
  hone_context_destroy(&cx);
  return 0;
}
