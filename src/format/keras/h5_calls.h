/* h5_calls.h - what is called of libhdf5, which is opened with the first HDF5 file. For h5_file.c alone: from here on the names
   of the functions are those of the pointers to them. */
#ifndef HN_H5_CALLS_H
#define HN_H5_CALLS_H
#include <hdf5.h>

#include "base/library.h"

#define H5_CALLS(X)                                                                                                    \
  X(H5open) X(H5check_version) X(H5Aclose) X(H5Aexists) X(H5Aget_space) X(H5Aget_type) X(H5Aopen) X(H5Aread)           \
  X(H5Dget_create_plist) X(H5Dget_space) X(H5Dget_storage_size) X(H5Dget_type) X(H5Dread) X(H5Dvlen_reclaim)           \
  X(H5Eget_auto2) X(H5Eset_auto2) X(H5Fclose) X(H5Fopen) X(H5Gclose) X(H5Gget_info) X(H5Gopen2) X(H5Iget_type)         \
  X(H5Oclose) X(H5Oopen) X(H5Pclose) X(H5Pcreate) X(H5Pget_external_count) X(H5Pget_layout) X(H5Pset_elink_cb)         \
  X(H5Pset_fapl_core) X(H5Pset_file_image) X(H5Pset_file_image_callbacks) X(H5Sclose) X(H5Sget_simple_extent_dims)     \
  X(H5Sget_simple_extent_ndims) X(H5Sget_simple_extent_npoints) X(H5Tclose) X(H5Tcopy) X(H5Tget_class) X(H5Tget_order) \
  X(H5Tget_sign) X(H5Tget_size) X(H5Tis_variable_str) X(H5Tset_order)
#define H5_VARIABLES(X) X(H5P_CLS_FILE_ACCESS_ID_g) X(H5P_CLS_LINK_ACCESS_ID_g) X(H5T_NATIVE_INT_g)

#define X(name) static __typeof__(name) *import_##name;
H5_CALLS(X)
H5_VARIABLES(X)
#undef X
#define X(name) {#name, &import_##name},
static const hn_import h5_imports[] = {H5_CALLS(X) H5_VARIABLES(X)};
#undef X
static hn_library h5_library = {HN_HDF5_LIBRARY, "libhdf5-103", h5_imports, sizeof h5_imports / sizeof *h5_imports, false};

#define H5open import_H5open
#define H5check_version import_H5check_version
#define H5Aclose import_H5Aclose
#define H5Aexists import_H5Aexists
#define H5Aget_space import_H5Aget_space
#define H5Aget_type import_H5Aget_type
#define H5Aopen import_H5Aopen
#define H5Aread import_H5Aread
#define H5Dget_create_plist import_H5Dget_create_plist
#define H5Dget_space import_H5Dget_space
#define H5Dget_storage_size import_H5Dget_storage_size
#define H5Dget_type import_H5Dget_type
#define H5Dread import_H5Dread
#define H5Dvlen_reclaim import_H5Dvlen_reclaim
#define H5Eget_auto2 import_H5Eget_auto2
#define H5Eset_auto2 import_H5Eset_auto2
#define H5Fclose import_H5Fclose
#define H5Fopen import_H5Fopen
#define H5Gclose import_H5Gclose
#define H5Gget_info import_H5Gget_info
#define H5Gopen2 import_H5Gopen2
#define H5Iget_type import_H5Iget_type
#define H5Oclose import_H5Oclose
#define H5Oopen import_H5Oopen
#define H5Pclose import_H5Pclose
#define H5Pcreate import_H5Pcreate
#define H5Pget_external_count import_H5Pget_external_count
#define H5Pget_layout import_H5Pget_layout
#define H5Pset_elink_cb import_H5Pset_elink_cb
#define H5Pset_fapl_core import_H5Pset_fapl_core
#define H5Pset_file_image import_H5Pset_file_image
#define H5Pset_file_image_callbacks import_H5Pset_file_image_callbacks
#define H5Sclose import_H5Sclose
#define H5Sget_simple_extent_dims import_H5Sget_simple_extent_dims
#define H5Sget_simple_extent_ndims import_H5Sget_simple_extent_ndims
#define H5Sget_simple_extent_npoints import_H5Sget_simple_extent_npoints
#define H5Tclose import_H5Tclose
#define H5Tcopy import_H5Tcopy
#define H5Tget_class import_H5Tget_class
#define H5Tget_order import_H5Tget_order
#define H5Tget_sign import_H5Tget_sign
#define H5Tget_size import_H5Tget_size
#define H5Tis_variable_str import_H5Tis_variable_str
#define H5Tset_order import_H5Tset_order
#undef H5P_FILE_ACCESS
#undef H5P_LINK_ACCESS
#undef H5T_NATIVE_INT
#define H5P_FILE_ACCESS (H5open(), *import_H5P_CLS_FILE_ACCESS_ID_g)
#define H5P_LINK_ACCESS (H5open(), *import_H5P_CLS_LINK_ACCESS_ID_g)
#define H5T_NATIVE_INT (H5open(), *import_H5T_NATIVE_INT_g)
#endif
