# Everything a user can set. The defaults suit a developer when quern is the top-level project, and stay out of
# the way when it is part of another build.

option(QUERN_BUILD_TESTS "Build the tests (needs Catch2, 2.13 or 3)" ${PROJECT_IS_TOP_LEVEL})
option(QUERN_BUILD_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(QUERN_BUILD_BENCHMARKS "Build the benchmarks" OFF)
option(QUERN_BUILD_FUZZERS "Build the libFuzzer targets (needs clang)" OFF)
option(QUERN_INSTALL "Install the libraries, headers and package files" ${PROJECT_IS_TOP_LEVEL})

# AUTO: built when its dependencies are found. ON: configuring fails when they are not. OFF: never looked for.
set(QUERN_SQLITE AUTO CACHE STRING "Build quern::sqlite: ON, OFF or AUTO")
set(QUERN_POSTGRES AUTO CACHE STRING "Build quern::postgres: ON, OFF or AUTO")
set(QUERN_HANDLERS AUTO CACHE STRING "Build quern::handlers: ON, OFF or AUTO")
set(QUERN_HTTP AUTO CACHE STRING "Build quern::http: ON, OFF or AUTO")
foreach(option IN ITEMS QUERN_SQLITE QUERN_POSTGRES QUERN_HANDLERS QUERN_HTTP)
  set_property(CACHE ${option} PROPERTY STRINGS AUTO ON OFF)
endforeach()

option(QUERN_WERROR "Treat warnings in quern's own code as errors" OFF)
option(QUERN_PCH "Precompile heavy headers of the tests" ${PROJECT_IS_TOP_LEVEL})
# Where each file is compiled without it elsewhere, so that a missing include is found: for sanitizers, who compile all once more.
option(QUERN_PCH_SOURCES "Precompile heavy headers of the library" OFF)
option(QUERN_CCACHE "Compile through ccache where it is installed" ${PROJECT_IS_TOP_LEVEL})
option(QUERN_VERIFY_HEADERS "Add the target all_verify_interface_header_sets: each public header compiles alone" OFF)
set(QUERN_SANITIZE "" CACHE STRING "Sanitizers for quern's own code: 'thread' or 'address,undefined'")

# A plain variable, not a cache entry: it reaches the targets below this directory and nobody else's. A launcher
# that the user has chosen stays.
if(QUERN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(QUERN_CCACHE_PROGRAM ccache)
  mark_as_advanced(QUERN_CCACHE_PROGRAM)
  if(QUERN_CCACHE_PROGRAM)
    # Without this sloppiness ccache declines every file that uses a precompiled header.
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
                                    "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime"
                                    "${QUERN_CCACHE_PROGRAM}")
  endif()
endif()
