# Every library hone needs, in one place. The Debian packages are listed in tools/packages.txt.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
find_program(PROTOC_C protoc-c REQUIRED)
find_path(DNNL_INCLUDE oneapi/dnnl/dnnl.h REQUIRED)

add_library(hone_dependencies INTERFACE)
target_include_directories(hone_dependencies SYSTEM INTERFACE ${DNNL_INCLUDE})
target_link_libraries(hone_dependencies INTERFACE OpenMP::OpenMP_C PkgConfig::PROTOBUF_C PkgConfig::JANSSON m ${CMAKE_DL_LIBS})

# Opened by name when a file needs them, see src/base/library.h: the name by which programs find a library.
function(hone_opened_library define library)
  find_library(${define} ${library} PATHS ${ARGN} NO_CACHE REQUIRED)
  execute_process(COMMAND ${CMAKE_READELF} -d ${${define}} OUTPUT_VARIABLE dynamic COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "SONAME[^[]*\\[([^]]+)\\]" found "${dynamic}")
  target_compile_definitions(hone_dependencies INTERFACE ${define}="${CMAKE_MATCH_1}")
endfunction()
hone_opened_library(HN_DNNL_LIBRARY dnnl)
hone_opened_library(HN_ZLIB_LIBRARY z ${ZLIB_LIBRARY_DIRS})
hone_opened_library(HN_ZIP_LIBRARY zip ${LIBZIP_LIBRARY_DIRS})
target_include_directories(hone_dependencies SYSTEM INTERFACE ${ZLIB_INCLUDE_DIRS} ${LIBZIP_INCLUDE_DIRS})

# The command-line program alone reads images and writes JSON.
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_path(STB_INCLUDE stb/stb_image_resize.h REQUIRED)
add_library(hone_cli_dependencies INTERFACE)
target_include_directories(hone_cli_dependencies SYSTEM INTERFACE ${STB_INCLUDE})
target_link_libraries(hone_cli_dependencies INTERFACE JPEG::JPEG PNG::PNG PkgConfig::JANSSON PkgConfig::LIBZIP)

# hone_protobuf_c(OUT file.proto): C sources of a schema, generated at build time.
function(hone_protobuf_c out)
  set(sources)
  foreach(proto ${ARGN})
    get_filename_component(name ${proto} NAME_WE)
    get_filename_component(dir ${proto} DIRECTORY)
    set(to ${CMAKE_CURRENT_BINARY_DIR}/proto)
    file(MAKE_DIRECTORY ${to})
    add_custom_command(OUTPUT ${to}/${name}.pb-c.c ${to}/${name}.pb-c.h
      COMMAND ${PROTOC_C} --c_out=${to} --proto_path=${dir} ${proto} DEPENDS ${proto} VERBATIM)
    set_source_files_properties(${to}/${name}.pb-c.c PROPERTIES COMPILE_OPTIONS "-w")
    list(APPEND sources ${to}/${name}.pb-c.c ${to}/${name}.pb-c.h)
  endforeach()
  set(${out} ${sources} PARENT_SCOPE)
endfunction()
