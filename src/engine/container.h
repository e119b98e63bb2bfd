/* container.h - the numbers that writing and reading an engine agree on; engine.h says what is where. */
#ifndef HN_CONTAINER_H
#define HN_CONTAINER_H

enum {
  HN_ENGINE_VERSION = 4, /* 2: kernels chosen; 3: digests of weights, layouts, a plan with packed weights; 4: forks */
  HN_ENGINE_OLDEST = 1,
  HN_ENGINE_HEADER = 64,
  HN_ENGINE_ALIGN = 64,
  HN_ENGINE_PAGE = 4096
};
#define HN_ENGINE_MAGIC "HONE\r\n\x1a\n"
enum { HN_ENGINE_MAGIC_SIZE = 8 };
/* Metadata that reading an engine adds and writing one leaves out. */
#define HN_META_CONTAINER "container"
#define HN_META_PACKED_FOR "packed_for"
#define HN_META_PACKS "packed_weights"
#endif
