/* zip_calls.h - what is called of libzip, which is opened with the first archive. For keras_reader.c alone: from here on the
   names of the functions are those of the pointers to them. */
#ifndef HN_ZIP_CALLS_H
#define HN_ZIP_CALLS_H
#include <zip.h>

#include "base/library.h"

#define ZIP_CALLS(X)                                                                                                     \
  X(zip_discard) X(zip_error_fini) X(zip_error_init) X(zip_fclose) X(zip_fopen) X(zip_fread) X(zip_name_locate)          \
  X(zip_open_from_source) X(zip_source_buffer_create) X(zip_source_free) X(zip_stat) X(zip_stat_init)

#define X(name) static __typeof__(name) *import_##name;
ZIP_CALLS(X)
#undef X
#define X(name) {#name, &import_##name},
static const hn_import zip_imports[] = {ZIP_CALLS(X)};
#undef X
static hn_library zip_library = {HN_ZIP_LIBRARY, "libzip4", zip_imports, sizeof zip_imports / sizeof *zip_imports, false};

#define zip_discard import_zip_discard
#define zip_error_fini import_zip_error_fini
#define zip_error_init import_zip_error_init
#define zip_fclose import_zip_fclose
#define zip_fopen import_zip_fopen
#define zip_fread import_zip_fread
#define zip_name_locate import_zip_name_locate
#define zip_open_from_source import_zip_open_from_source
#define zip_source_buffer_create import_zip_source_buffer_create
#define zip_source_free import_zip_source_free
#define zip_stat import_zip_stat
#define zip_stat_init import_zip_stat_init
#endif
