# The installed package: libraries, headers, quern-config.cmake with one targets file per component, pkg-config files.
# The build tree gets the same config, so that it too can be named in CMAKE_PREFIX_PATH or quern_DIR.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/quern")

# pkg-config files find their prefix from where they stand, so that a package can be moved. An absolute libdir
# (some distributions) can't be moved, and is written as it is.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
  set(pc_prefix "\${pcfiledir}/${pc_up}")
endif()
# Appending an absolute path replaces what stands before it.
cmake_path(APPEND pc_libdir "\${prefix}" "${CMAKE_INSTALL_LIBDIR}")
cmake_path(APPEND pc_includedir "\${prefix}" "${CMAKE_INSTALL_INCLUDEDIR}")
# A program that links a static library has to link what that needs, too.
set(pc_private Requires)
if(BUILD_SHARED_LIBS)
  set(pc_private Requires.private)
endif()

function(quern_install_component name description requires requires_private)
  set(target quern_${name})
  set(package quern-${name})
  set(more_headers)
  if(name STREQUAL "quern")
    set(target quern)
    set(package quern)
    set(more_headers FILE_SET adapters DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  endif()

  install(
    TARGETS ${target}
    EXPORT ${package}-targets
    RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" ${more_headers})
  install(EXPORT ${package}-targets NAMESPACE quern:: DESTINATION "${package_dir}")
  export(EXPORT ${package}-targets NAMESPACE quern:: FILE "${PROJECT_BINARY_DIR}/${package}-targets.cmake")

  set(pc_name ${package})
  set(pc_description "${description}")
  set(pc_requires "${requires}")
  list(JOIN requires_private " " requires_private)
  if(requires_private AND pc_private STREQUAL "Requires")
    string(APPEND pc_requires " ${requires_private}")
    set(requires_private)
  endif()
  set(pc_requires_private "${requires_private}")
  configure_file("${PROJECT_SOURCE_DIR}/cmake/quern.pc.in" "${PROJECT_BINARY_DIR}/${package}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${package}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endfunction()

quern_install_component(quern "Durable background jobs as a library" "fmt nlohmann_json" "")
if(QUERN_HAS_SQLITE)
  quern_install_component(sqlite "quern's SQLite storage" "quern sqlite3" "")
endif()
if(QUERN_HAS_POSTGRES)
  quern_install_component(postgres "quern's PostgreSQL storage" "quern libpq" "")
endif()
if(QUERN_HAS_HANDLERS)
  quern_install_component(handlers "quern's ready-made handlers" "quern" "libcurl libcrypto")
endif()
if(QUERN_HAS_HTTP)
  quern_install_component(http "quern's HTTP API and dashboard" "quern" "libssl libcrypto")
endif()
quern_install_component(testing "What tests of a quern host need" "quern" "")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/quern-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/quern-config.cmake" INSTALL_DESTINATION "${package_dir}")
# Before 1.0 a new minor version may break its users.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/quern-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/quern-config.cmake" "${PROJECT_BINARY_DIR}/quern-config-version.cmake"
        DESTINATION "${package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
