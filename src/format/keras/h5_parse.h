/* h5_parse.h - the structures of an HDF5 file, read with every step checked against the end of the file. What is not read: dense
   storage of links and attributes (fractal heaps), shared messages, indexes of chunks but B-trees of version 1. */
#ifndef HN_H5_PARSE_H
#define HN_H5_PARSE_H
#include "format/keras/h5_file.h"

enum { H5_MAX_WORK = 1 << 27 }; /* steps of one file: loops in hostile ones end */
#define H5_NOWHERE UINT64_MAX                         /* an address that means none */

struct hn_h5 {
  hone_context *cx;
  const char *path;
  const unsigned char *data; /* borrowed */
  size_t size;
  uint64_t base, root;           /* where addresses count from; the header of the root group */
  unsigned offsets, lengths;     /* bytes of an address, and of a length */
  uint32_t work;
};

/* A run of bytes that is read in order; past its end numbers are 0 and `bad` stays set. */
typedef struct h5_cursor {
  const unsigned char *p;
  size_t n, at;
  bool bad;
} h5_cursor;

uint64_t h5_take(h5_cursor *c, unsigned bytes); /* little end first, at most 8 */
const unsigned char *h5_bytes(h5_cursor *c, uint64_t n); /* NULL past the end */
uint64_t h5_address(const hn_h5 *f, h5_cursor *c);       /* H5_NOWHERE: all bits set */
/* The bytes at an address; `bad` where they are not all in the file. */
h5_cursor h5_at(const hn_h5 *f, uint64_t address, uint64_t n);
h5_cursor h5_rest(const hn_h5 *f, uint64_t address); /* to the end of the file */
bool h5_works(hn_h5 *f);                             /* one step more; false: there were too many */
hone_status h5_damaged(const hn_h5 *f, const char *what);

enum { H5_SPACE = 1, H5_LINKS = 2, H5_TYPE = 3, H5_LINK = 6, H5_EXTERNAL = 7, H5_LAYOUT = 8, H5_FILTERS = 11, H5_ATTRIBUTE = 12,
       H5_CONTINUED = 16, H5_TABLE = 17, H5_ATTRIBUTES = 21 };

/* Each message of an object's header; `shared`: its content is elsewhere. fn gives false when it has what it wants. */
typedef bool (*h5_message_fn)(void *user, unsigned type, bool shared, h5_cursor body);
hone_status h5_messages(hn_h5 *f, uint64_t header, h5_message_fn fn, void *user);
/* The header of an object by its path from the root; H5_NOWHERE: there is none. */
hone_status h5_find(hn_h5 *f, const char *path, uint64_t *header);

typedef enum h5_class { H5_INTEGER = 0, H5_REAL = 1, H5_TEXT = 3, H5_ENUM = 8, H5_VARIABLE = 9 } h5_class;
typedef struct h5_type {
  unsigned kind;
  size_t size;
  bool is_signed, big_end, text; /* text: of variable length */
  bool ieee;                     /* a float of the usual layout */
} h5_type;
bool h5_read_type(h5_cursor body, h5_type *t);
/* Dimensions; *rank 0: a scalar. false: damaged, or more than HN_MAX_RANK. */
bool h5_read_space(h5_cursor body, const hn_h5 *f, int32_t *rank, int64_t *dims, uint64_t *count);
#endif
