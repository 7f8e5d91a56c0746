# An overlay port that builds the checkout it lies in: vcpkg install quern --overlay-ports=<checkout>/cmake/vcpkg-port
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

vcpkg_check_features(OUT_FEATURE_OPTIONS FEATURE_OPTIONS FEATURES handlers QUERN_HANDLERS http QUERN_HTTP postgres QUERN_POSTGRES)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS ${FEATURE_OPTIONS}
          -DQUERN_SQLITE=ON
          -DQUERN_INSTALL=ON
          -DQUERN_BUILD_TESTS=OFF
          -DQUERN_BUILD_EXAMPLES=OFF
          -DQUERN_BUILD_BENCHMARKS=OFF
          -DQUERN_CCACHE=OFF)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/quern)
vcpkg_fixup_pkgconfig()
vcpkg_copy_pdbs()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share"
     "${CURRENT_PACKAGES_DIR}/share/doc")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
