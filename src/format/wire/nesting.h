/* nesting.h - how deep the messages of a protobuf nest, seen before it is unpacked by recursion. */
#ifndef HN_NESTING_H
#define HN_NESTING_H
#include <protobuf-c/protobuf-c.h>

/* The depth of messages, 0 for one without any; more than `most` once that is passed; -1: not a protobuf, or cut short. */
int hn_wire_nesting(const ProtobufCMessageDescriptor *d, const void *data, size_t size, int most);
#endif
