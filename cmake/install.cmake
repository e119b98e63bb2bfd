# What `cmake --install` puts where: program, libraries, header, pkg-config file, CMake package, man page.
include(CMakePackageConfigHelpers)
install(TARGETS hone hone_shared hone_static RUNTIME LIBRARY ARCHIVE)
if(TARGET hone_cuda)
  install(TARGETS hone_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(FILES include/hone.h TYPE INCLUDE)
install(FILES docs/hone.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
configure_file(cmake/hone.pc.in hone.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/hone.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(cmake/hone-config.cmake.in hone-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hone PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(hone-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/hone-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/hone-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hone)
