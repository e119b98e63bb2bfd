#include "format/keras/h5_file.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "format/keras/h5_calls.h"

enum { MAX_TEXTS = 1 << 20, MOST_PACKED = 1100 }; /* deflate makes at most 1032 bytes of one */
#define MAX_TEXT ((size_t)1 << 30)

struct hn_h5 {
  hone_context *cx;
  const char *path;
  const void *data; /* borrowed */
  size_t size;
  hid_t file, access; /* access: for links, none of which leads out */
};

/* libhdf5 prints its error stack unless told not to, by thread. */
typedef struct quiet {
  H5E_auto2_t fn;
  void *data;
} quiet;

static quiet hush(void) {
  quiet q = {NULL, NULL};
  H5Eget_auto2(H5E_DEFAULT, &q.fn, &q.data);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  return q;
}
static void unhush(quiet q) { H5Eset_auto2(H5E_DEFAULT, q.fn, q.data); }

static herr_t refuse_link(const char *file, const char *path, const char *child_file, const char *child, unsigned *flags,
                          hid_t fapl, void *user) {
  (void)file, (void)path, (void)child_file, (void)child, (void)flags, (void)fapl, (void)user;
  return -1;
}

/* HDF5 reads a file in memory through an image; these lend it the caller's bytes in place of a copy. */
static void *lend(size_t size, H5FD_file_image_op_t op, void *user) {
  const hn_h5 *f = user;
  (void)op;
  return size == f->size ? (void *)(uintptr_t)f->data : NULL;
}
static void *copy_lent(void *to, const void *from, size_t size, H5FD_file_image_op_t op, void *user) {
  (void)size, (void)op, (void)user;
  return to == from ? to : NULL;
}
static void *never_grow(void *p, size_t size, H5FD_file_image_op_t op, void *user) {
  (void)p, (void)size, (void)op, (void)user;
  return NULL;
}
static herr_t give_back(void *p, H5FD_file_image_op_t op, void *user) {
  (void)p, (void)op, (void)user;
  return 0;
}
static void *same_user(void *user) { return user; }
static herr_t keep_user(void *user) {
  (void)user;
  return 0;
}

static hid_t open_image(hn_h5 *f) {
  H5FD_file_image_callbacks_t calls = {lend, copy_lent, never_grow, give_back, same_user, keep_user, f};
  hid_t how = H5Pcreate(H5P_FILE_ACCESS), file = -1;
  if (how >= 0 && H5Pset_fapl_core(how, 1 << 16, false) >= 0 && H5Pset_file_image_callbacks(how, &calls) >= 0 &&
      H5Pset_file_image(how, (void *)(uintptr_t)f->data, f->size) >= 0)
    file = H5Fopen("image.h5", H5F_ACC_RDONLY, how);
  if (how >= 0) H5Pclose(how);
  return file;
}

hone_status hn_h5_open(hone_context *cx, const char *path, const void *data, size_t size, hn_h5 **out) {
  HN_TRY(hn_library_need(cx, &h5_library));
  hn_h5 *f = hn_calloc(1, sizeof *f);
  if (!f) return hn_nomem(cx);
  quiet q = hush();
  *f = (hn_h5){.cx = cx, .path = path, .data = data, .size = size};
  f->file = open_image(f);
  f->access = H5Pcreate(H5P_LINK_ACCESS);
  if (f->access >= 0) H5Pset_elink_cb(f->access, refuse_link, NULL);
  bool ok = f->file >= 0 && f->access >= 0;
  unhush(q);
  if (!ok) {
    hn_h5_close(&f);
    return hn_fail(cx, HONE_BAD_FORMAT, "%s: not a readable HDF5 file: it is truncated or damaged", path);
  }
  *out = f;
  return HONE_OK;
}

void hn_h5_close(hn_h5 **f) {
  if (!*f) return;
  quiet q = hush();
  if ((*f)->access >= 0) H5Pclose((*f)->access);
  if ((*f)->file >= 0) H5Fclose((*f)->file);
  unhush(q);
  hn_free(*f);
  *f = NULL;
}

/* ---- texts */

/* One text or a list of them, of fixed or variable length. */
static hone_status read_texts(hn_h5 *f, hid_t attr, hn_h5_text_fn fn, void *user) {
  hid_t type = H5Aget_type(attr), space = H5Aget_space(attr), memory = H5I_INVALID_HID;
  hssize_t n = H5Sget_simple_extent_npoints(space);
  size_t width = type >= 0 ? H5Tget_size(type) : 0;
  bool variable = H5Tis_variable_str(type) > 0;
  hone_status st = HONE_OK;
  char *bytes = NULL;
  if (type < 0 || space < 0 || H5Tget_class(type) != H5T_STRING || n < 0 || n > MAX_TEXTS || !width || width > MAX_TEXT / (size_t)(n + 1))
    st = hn_fail(f->cx, HONE_BAD_FORMAT, "%s: an attribute that should be text is not", f->path);
  if (!st && n && !(bytes = hn_calloc((size_t)n, width + 1))) st = hn_nomem(f->cx);
  if (!st && n) {
    memory = H5Tcopy(type);
    if (memory < 0 || H5Aread(attr, memory, bytes) < 0) {
      st = hn_fail(f->cx, HONE_BAD_FORMAT, "%s: a text attribute cannot be read: the file is damaged", f->path);
      variable = false; /* there is nothing to give back */
    }
  }
  for (hssize_t i = 0; i < n && !st; i++) {
    char *text, *copy = NULL;
    if (variable) {
      memcpy(&text, bytes + (size_t)i * width, sizeof text);
    } else {
      text = copy = hn_malloc(width + 1);
      if (copy) memcpy(copy, bytes + (size_t)i * width, width), copy[width] = 0;
      else st = hn_nomem(f->cx);
    }
    if (!st) st = fn(user, text ? text : "");
    hn_free(copy);
  }
  if (variable && bytes) H5Dvlen_reclaim(memory, space, H5P_DEFAULT, bytes);
  hn_free(bytes);
  if (memory >= 0) H5Tclose(memory);
  if (type >= 0) H5Tclose(type);
  if (space >= 0) H5Sclose(space);
  return st;
}

/* *found: the attribute is there. */
static hone_status texts_of(hn_h5 *f, const char *where, const char *attr, hn_h5_text_fn fn, void *user, bool *found) {
  hid_t object = H5Oopen(f->file, where, f->access), a = H5I_INVALID_HID;
  *found = false;
  if (object >= 0 && H5Aexists(object, attr) > 0) a = H5Aopen(object, attr, H5P_DEFAULT);
  hone_status st = HONE_OK;
  if (a >= 0) {
    *found = true;
    st = read_texts(f, a, fn, user);
    H5Aclose(a);
  }
  if (object >= 0) H5Oclose(object);
  return st;
}

static hone_status keep_text(void *user, const char *text) {
  char **kept = user;
  size_t n = strlen(text) + 1;
  if (*kept) return HONE_OK; /* the first counts */
  *kept = hn_malloc(n);
  if (!*kept) return HONE_NOMEM;
  memcpy(*kept, text, n);
  return HONE_OK;
}

hone_status hn_h5_text(hn_h5 *f, const char *where, const char *attr, char **text) {
  bool found;
  quiet q = hush();
  *text = NULL;
  hone_status st = texts_of(f, where, attr, keep_text, text, &found);
  unhush(q);
  if (st) hn_free(*text), *text = NULL;
  return st;
}

hone_status hn_h5_texts(hn_h5 *f, const char *where, const char *attr, hn_h5_text_fn fn, void *user) {
  bool found;
  quiet q = hush();
  hone_status st = texts_of(f, where, attr, fn, user, &found);
  for (int i = 0; !st && !found && i < MAX_TEXTS; i++) {
    char part[64];
    bool more;
    snprintf(part, sizeof part, "%.40s%d", attr, i);
    st = texts_of(f, where, part, fn, user, &more);
    if (!more) break;
  }
  unhush(q);
  return st;
}

bool hn_h5_has(hn_h5 *f, const char *path) {
  quiet q = hush();
  hid_t object = H5Oopen(f->file, path, f->access);
  if (object >= 0) H5Oclose(object);
  unhush(q);
  return object >= 0;
}

hone_status hn_h5_count(hn_h5 *f, const char *path, uint64_t *n) {
  quiet q = hush();
  hid_t group = H5Gopen2(f->file, path, H5P_DEFAULT);
  H5G_info_t info = {.nlinks = 0};
  bool ok = group >= 0 && H5Gget_info(group, &info) >= 0;
  if (group >= 0) H5Gclose(group);
  unhush(q);
  *n = ok ? info.nlinks : 0;
  return HONE_OK;
}

/* ---- arrays */

static const struct {
  H5T_class_t kind;
  size_t size;
  bool is_signed;
  hn_dtype dtype;
} types[] = {
    {H5T_FLOAT, 2, true, HONE_DTYPE_F16},   {H5T_FLOAT, 4, true, HONE_DTYPE_F32},    {H5T_FLOAT, 8, true, HONE_DTYPE_F64},
    {H5T_INTEGER, 1, true, HONE_DTYPE_I8},  {H5T_INTEGER, 2, true, HONE_DTYPE_I16},  {H5T_INTEGER, 4, true, HONE_DTYPE_I32},
    {H5T_INTEGER, 8, true, HONE_DTYPE_I64}, {H5T_INTEGER, 1, false, HONE_DTYPE_U8},  {H5T_INTEGER, 2, false, HONE_DTYPE_U16},
    {H5T_INTEGER, 4, false, HONE_DTYPE_U32}, {H5T_INTEGER, 8, false, HONE_DTYPE_U64}, {H5T_ENUM, 1, true, HONE_DTYPE_BOOL},
};

static hn_dtype dtype_of(hid_t type) {
  H5T_class_t kind = H5Tget_class(type);
  size_t size = H5Tget_size(type);
  bool is_signed = kind != H5T_INTEGER || H5Tget_sign(type) != H5T_SGN_NONE;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].kind == kind && types[i].size == size && types[i].is_signed == is_signed) return types[i].dtype;
  return HONE_DTYPE_UNDEFINED;
}

/* The same type in this machine's order of bytes. */
static hid_t native(hid_t type) {
  hid_t copy = H5Tcopy(type);
  H5T_class_t kind = H5Tget_class(type);
  if (copy >= 0 && (kind == H5T_FLOAT || kind == H5T_INTEGER)) H5Tset_order(copy, H5Tget_order(H5T_NATIVE_INT));
  return copy;
}

static hone_status bad_dataset(const hn_h5 *f, const char *path, const char *what) {
  return hn_fail(f->cx, HONE_BAD_FORMAT, "%s: dataset '%s' %s", f->path, path, what);
}

static hone_status check_storage(const hn_h5 *f, const char *path, hid_t set, size_t bytes) {
  hid_t made = H5Dget_create_plist(set);
  H5D_layout_t layout = made >= 0 ? H5Pget_layout(made) : H5D_LAYOUT_ERROR;
  bool outside = made >= 0 && (layout == H5D_VIRTUAL || (layout == H5D_CONTIGUOUS && H5Pget_external_count(made) > 0));
  if (made >= 0) H5Pclose(made);
  if (made < 0 || layout == H5D_LAYOUT_ERROR) return bad_dataset(f, path, "is damaged");
  if (outside) return bad_dataset(f, path, "keeps its content in another file; only the file itself is read");
  if (layout == H5D_CONTIGUOUS && bytes && H5Dget_storage_size(set) < bytes) return bad_dataset(f, path, "has no content");
  if (bytes / MOST_PACKED > f->size) return bad_dataset(f, path, "says it is larger than the file can hold");
  return HONE_OK;
}

static hone_status read_dataset(hn_h5 *f, const char *path, hid_t set, hn_tensor **out) {
  hid_t type = H5Dget_type(set), space = H5Dget_space(set), memory = H5I_INVALID_HID;
  int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
  hsize_t size[H5S_MAX_RANK];
  int64_t dims[HN_MAX_RANK];
  hn_dtype dtype = type >= 0 ? dtype_of(type) : HONE_DTYPE_UNDEFINED;
  hone_status st = HONE_OK;
  hn_tensor *t = NULL;
  if (rank < 0 || type < 0) st = bad_dataset(f, path, "is damaged");
  else if (rank > HN_MAX_RANK) st = bad_dataset(f, path, "has more than 8 dimensions");
  else if (!dtype) st = bad_dataset(f, path, "is not of numbers");
  if (!st && rank && H5Sget_simple_extent_dims(space, size, NULL) < 0) st = bad_dataset(f, path, "is damaged");
  uint64_t count = 1;
  size_t bytes = 0;
  for (int i = 0; i < rank && !st; i++) {
    dims[i] = (int64_t)size[i];
    if (size[i] > INT64_MAX || __builtin_mul_overflow(count, (uint64_t)size[i], &count)) st = bad_dataset(f, path, "is impossibly large");
  }
  if (!st && !hn_dtype_bytes(dtype, count, &bytes)) st = bad_dataset(f, path, "is impossibly large");
  if (!st) st = check_storage(f, path, set, bytes);
  if (!st) st = hn_tensor_create(f->cx, dtype, rank, dims, &t);
  if (!st && bytes) {
    memory = native(type);
    if (memory < 0 || H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, t->data) < 0) st = bad_dataset(f, path, "cannot be read: the file is truncated or damaged");
  }
  if (memory >= 0) H5Tclose(memory);
  if (type >= 0) H5Tclose(type);
  if (space >= 0) H5Sclose(space);
  if (st) hn_tensor_unref(t);
  else *out = t;
  return st;
}

hone_status hn_h5_tensor(hn_h5 *f, const char *path, hn_tensor **out) {
  quiet q = hush();
  hid_t set = H5Oopen(f->file, path, f->access);
  bool right = set >= 0 && H5Iget_type(set) == H5I_DATASET;
  hone_status st = right ? read_dataset(f, path, set, out) : bad_dataset(f, path, "is not there");
  if (set >= 0) H5Oclose(set);
  unhush(q);
  return st;
}
