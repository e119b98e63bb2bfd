/* textproto.h - protobuf's text format (.pbtxt) as bytes of its wire format, by a message's descriptor. */
#ifndef HN_TEXTPROTO_H
#define HN_TEXTPROTO_H
#include <protobuf-c/protobuf-c.h>

#include "base/status.h"

/* The name of the first field of a text, after blanks and comments, into `name`; false: it begins with none. */
bool hn_textproto_first(const char *text, size_t n, char *name, size_t room);
/* *out (hn_free) is what protobuf_c_message_unpack() reads. Fields that the descriptor does not know are skipped. `where` names
   the text in errors, which say the line. BAD_FORMAT, NOMEM. */
hone_status hn_textproto_encode(hone_context *cx, const char *where, const ProtobufCMessageDescriptor *d, const char *text, size_t n,
                                uint8_t **out, size_t *size);
#endif
