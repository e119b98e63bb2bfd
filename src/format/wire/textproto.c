#include "format/wire/textproto.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"

enum { MAX_NESTING = 200, MAX_NUMBER = 400 };
typedef HN_VEC(uint8_t) bytes;

typedef struct parser {
  hone_context *cx;
  const char *where, *start, *p, *end;
  int depth;
} parser;

static hone_status bad(const parser *s, const char *what) {
  size_t line = 1;
  for (const char *p = s->start; p < s->p && p < s->end; p++) line += *p == '\n';
  return hn_fail(s->cx, HONE_BAD_FORMAT, "%s: line %zu: %s", s->where, line, what);
}

/* ---- tokens */

static void skip_blanks(parser *s) {
  while (s->p < s->end) {
    if (*s->p == '#')
      while (s->p < s->end && *s->p != '\n') s->p++;
    else if (isspace((unsigned char)*s->p)) s->p++;
    else return;
  }
}

static bool at(parser *s, char c) {
  skip_blanks(s);
  return s->p < s->end && *s->p == c;
}

static bool take(parser *s, char c) {
  if (!at(s, c)) return false;
  s->p++;
  return true;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '+' || c == '-'; }

/* A name or number. */
static size_t word(parser *s, const char **out) {
  skip_blanks(s);
  *out = s->p;
  while (s->p < s->end && is_word(*s->p)) s->p++;
  return (size_t)(s->p - *out);
}

bool hn_textproto_first(const char *text, size_t n, char *name, size_t room) {
  parser s = {.start = text, .p = text, .end = text + n};
  const char *w;
  if (n > 2 && (unsigned char)text[0] == 0xef && (unsigned char)text[1] == 0xbb && (unsigned char)text[2] == 0xbf) s.p += 3;
  size_t size = word(&s, &w);
  if (!size || size >= room || !(isalpha((unsigned char)*w) || *w == '_')) return false;
  if (!at(&s, ':') && !at(&s, '{') && !at(&s, '<')) return false;
  memcpy(name, w, size);
  name[size] = 0;
  return true;
}

/* ---- the wire */

static hone_status put_varint(const parser *s, bytes *to, uint64_t v) {
  do {
    uint8_t b = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
    if (!hn_push(to, b)) return hn_nomem(s->cx);
    v >>= 7;
  } while (v);
  return HONE_OK;
}

static hone_status put(const parser *s, bytes *to, const void *p, size_t n) {
  if (!hn_reserve(to, to->n + n)) return hn_nomem(s->cx);
  if (n) memcpy(to->p + to->n, p, n);
  to->n += n;
  return HONE_OK;
}

static hone_status put_key(const parser *s, bytes *to, const ProtobufCFieldDescriptor *f, unsigned wire) {
  return put_varint(s, to, (uint64_t)f->id << 3 | wire);
}

/* ---- values */

static int hex(char c) { return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10; }

static hone_status escape(parser *s, bytes *to) {
  static const char letters[] = "abfnrtv\\'\"?", means[] = "\a\b\f\n\r\t\v\\'\"?";
  if (s->p >= s->end) return bad(s, "the text ends within a string");
  char c = *s->p++;
  const char *known = c ? strchr(letters, c) : NULL;
  unsigned v = 0;
  if (known) v = (unsigned char)means[known - letters];
  else if (c >= '0' && c <= '7') {
    v = (unsigned)(c - '0');
    for (int i = 0; i < 2 && s->p < s->end && *s->p >= '0' && *s->p <= '7'; i++) v = v * 8 + (unsigned)(*s->p++ - '0');
  } else if ((c == 'x' || c == 'X') && s->p < s->end && isxdigit((unsigned char)*s->p)) {
    for (int i = 0; i < 2 && s->p < s->end && isxdigit((unsigned char)*s->p); i++) v = v * 16 + (unsigned)hex(*s->p++);
  } else {
    return bad(s, "there is no such escape in a string");
  }
  return put(s, to, &(uint8_t){(uint8_t)v}, 1);
}

/* Neighbouring strings are one. */
static hone_status string(parser *s, bytes *to) {
  if (!at(s, '"') && !at(s, '\'')) return bad(s, "a string is missing");
  while (at(s, '"') || at(s, '\'')) {
    char quote = *s->p++;
    while (s->p < s->end && *s->p != quote && *s->p != '\n') {
      if (*s->p++ == '\\') HN_TRY(escape(s, to));
      else HN_TRY(put(s, to, s->p - 1, 1));
    }
    if (s->p >= s->end || *s->p != quote) return bad(s, "a string does not end");
    s->p++;
  }
  return HONE_OK;
}

static hone_status number_word(parser *s, char text[MAX_NUMBER]) {
  const char *w;
  size_t n = word(s, &w);
  if (!n || n >= MAX_NUMBER) return bad(s, "a value is missing");
  memcpy(text, w, n);
  text[n] = 0;
  return HONE_OK;
}

static hone_status integer(parser *s, const ProtobufCFieldDescriptor *f, uint64_t *v) {
  char text[MAX_NUMBER], *end;
  HN_TRY(number_word(s, text));
  if (f->type == PROTOBUF_C_TYPE_BOOL && (strcmp(text, "true") == 0 || strcmp(text, "t") == 0 || strcmp(text, "True") == 0)) return *v = 1, HONE_OK;
  if (f->type == PROTOBUF_C_TYPE_BOOL && (strcmp(text, "false") == 0 || strcmp(text, "f") == 0 || strcmp(text, "False") == 0)) return *v = 0, HONE_OK;
  const ProtobufCEnumValue *e = f->type == PROTOBUF_C_TYPE_ENUM ? protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, text) : NULL;
  if (e) return *v = (uint64_t)(int64_t)e->value, HONE_OK;
  if (f->type == PROTOBUF_C_TYPE_ENUM && !isdigit((unsigned char)*text) && *text != '-') return *v = 0, HONE_OK; /* of a newer schema */
  errno = 0;
  *v = *text == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
  return end != text && !*end && !errno ? HONE_OK : bad(s, "a number is expected");
}

static hone_status real(parser *s, double *v) {
  char text[MAX_NUMBER], *end;
  HN_TRY(number_word(s, text));
  *v = strtod(text, &end);
  if (end != text && (*end == 'f' || *end == 'F')) end++;
  return end != text && !*end ? HONE_OK : bad(s, "a number is expected");
}

static hone_status message(parser *s, const ProtobufCMessageDescriptor *d, char end, bytes *to);

static bool is_zigzag(const ProtobufCFieldDescriptor *f) { return f->type == PROTOBUF_C_TYPE_SINT32 || f->type == PROTOBUF_C_TYPE_SINT64; }

static hone_status length_delimited(parser *s, const ProtobufCFieldDescriptor *f, bytes *to) {
  bytes inner = {0};
  hone_status st;
  if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
    char close = take(s, '{') ? '}' : take(s, '<') ? '>' : 0;
    st = close ? message(s, f->descriptor, close, &inner) : bad(s, "a message in braces is expected");
  } else {
    st = string(s, &inner);
  }
  if (!st) st = put_key(s, to, f, 2);
  if (!st) st = put_varint(s, to, inner.n);
  if (!st) st = put(s, to, inner.p, inner.n);
  hn_vec_free(&inner);
  return st;
}

static hone_status value(parser *s, const ProtobufCFieldDescriptor *f, bytes *to) {
  uint64_t v = 0;
  double r = 0;
  switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES: return length_delimited(s, f, to);
    case PROTOBUF_C_TYPE_FLOAT:
      HN_TRY(real(s, &r));
      HN_TRY(put_key(s, to, f, 5));
      return put(s, to, &(float){(float)r}, 4);
    case PROTOBUF_C_TYPE_DOUBLE:
      HN_TRY(real(s, &r));
      HN_TRY(put_key(s, to, f, 1));
      return put(s, to, &r, 8);
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
      HN_TRY(integer(s, f, &v));
      HN_TRY(put_key(s, to, f, 5));
      return put(s, to, &(uint32_t){(uint32_t)v}, 4);
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
      HN_TRY(integer(s, f, &v));
      HN_TRY(put_key(s, to, f, 1));
      return put(s, to, &v, 8);
    default:
      HN_TRY(integer(s, f, &v));
      if (is_zigzag(f)) v = v << 1 ^ (uint64_t)((int64_t)v >> 63);
      HN_TRY(put_key(s, to, f, 0));
      return put_varint(s, to, v);
  }
}

/* Of a field that is not known: a scalar, a list or a message. */
static hone_status skip(parser *s) {
  char close = take(s, '{') ? '}' : take(s, '<') ? '>' : take(s, '[') ? ']' : 0;
  const char *w;
  bytes ignored = {0};
  if (!close && (at(s, '"') || at(s, '\''))) {
    hone_status st = string(s, &ignored);
    hn_vec_free(&ignored);
    return st;
  }
  if (!close) return word(s, &w) ? HONE_OK : bad(s, "a value is missing");
  if (++s->depth > MAX_NESTING) return bad(s, "messages are nested too deep");
  while (!take(s, close)) {
    if (s->p >= s->end) return bad(s, "a message does not end");
    if (at(s, '{') || at(s, '<') || at(s, '[') || at(s, '"') || at(s, '\'') || is_word(*s->p)) HN_TRY(skip(s));
    else s->p++;
  }
  s->depth--;
  return HONE_OK;
}

static hone_status field(parser *s, const ProtobufCMessageDescriptor *d, bytes *to) {
  char name[128];
  const char *w;
  size_t n = word(s, &w);
  if (!n && take(s, '[')) { /* an extension, or a message of any type */
    while (s->p < s->end && *s->p != ']') s->p++;
    if (!take(s, ']')) return bad(s, "a name in brackets does not end");
  } else if (!n || n >= sizeof name) {
    return bad(s, "the name of a field is expected");
  }
  memcpy(name, w, n < sizeof name ? n : 0);
  name[n < sizeof name ? n : 0] = 0;
  const ProtobufCFieldDescriptor *f = n ? protobuf_c_message_descriptor_get_field_by_name(d, name) : NULL;
  bool colon = take(s, ':');
  if (!colon && !at(s, '{') && !at(s, '<')) return bad(s, "':' is expected after the name of a field");
  if (!f) return skip(s);
  if (!take(s, '[')) return value(s, f, to);
  for (bool first = true; !take(s, ']'); first = false) {
    if (!first && !take(s, ',')) return bad(s, "',' or ']' is expected in a list");
    HN_TRY(value(s, f, to));
  }
  return HONE_OK;
}

/* end 0: of the text. */
static hone_status message(parser *s, const ProtobufCMessageDescriptor *d, char end, bytes *to) {
  if (++s->depth > MAX_NESTING) return bad(s, "messages are nested too deep");
  for (;;) {
    skip_blanks(s);
    if (s->p >= s->end) return end ? bad(s, "a message does not end") : HONE_OK;
    if (end && take(s, end)) break;
    HN_TRY(field(s, d, to));
    if (!take(s, ',')) take(s, ';');
  }
  s->depth--;
  return HONE_OK;
}

hone_status hn_textproto_encode(hone_context *cx, const char *where, const ProtobufCMessageDescriptor *d, const char *text, size_t n,
                                uint8_t **out, size_t *size) {
  parser s = {.cx = cx, .where = where, .start = text, .p = text, .end = text + n};
  bytes to = {0};
  if (n > 2 && (unsigned char)text[0] == 0xef && (unsigned char)text[1] == 0xbb && (unsigned char)text[2] == 0xbf) s.p += 3;
  hone_status st = message(&s, d, 0, &to);
  if (!st && !hn_reserve(&to, 1)) st = hn_nomem(cx);
  if (st) {
    hn_vec_free(&to);
    return st;
  }
  *out = to.p;
  *size = to.n;
  return HONE_OK;
}
