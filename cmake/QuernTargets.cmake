# quern_own_target(<target>): the warnings and sanitizers of quern's own code. They are set directly and PRIVATE,
# so that nothing of them reaches an installed package or a project that quern is a part of.
function(quern_own_target target)
  # Standard C++, so that what another compiler refuses is refused here as well.
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  if(MSVC)
    target_compile_options(${target} PRIVATE /W4 /permissive- /utf-8 $<$<BOOL:${QUERN_WERROR}>:/WX>)
    return()
  endif()
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
                                           $<$<BOOL:${QUERN_WERROR}>:-Werror>)
  if(QUERN_SANITIZE)
    string(REPLACE ";" "," sanitizers "${QUERN_SANITIZE}")
    # Undefined behavior ends the program, so that no test passes in spite of it.
    target_compile_options(${target} PRIVATE -fsanitize=${sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${sanitizers})
  endif()
endfunction()

# quern_library(<target> NAME <exported name> SOURCES ... HEADERS ...): one component, known as quern::<name>.
function(quern_library target)
  cmake_parse_arguments(arg "" "NAME" "SOURCES;HEADERS" ${ARGN})
  if(NOT arg_SOURCES)
    # Some build systems make no archive from nothing; a component may be headers only for now.
    set(arg_SOURCES "${CMAKE_CURRENT_BINARY_DIR}/${target}.cpp")
    file(CONFIGURE OUTPUT "${arg_SOURCES}" CONTENT "namespace quern {}\n")
  endif()
  string(REPLACE "_" "-" output ${target})

  add_library(${target})
  add_library(quern::${arg_NAME} ALIAS ${target})
  target_sources(${target} PRIVATE ${arg_SOURCES})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${arg_HEADERS})
  # Headers private to the sources are named from src/, the same way as public ones from include/.
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(
    ${target}
    PROPERTIES EXPORT_NAME ${arg_NAME}
               OUTPUT_NAME ${output}
               VERSION ${PROJECT_VERSION}
               # Before 1.0 a new minor version may change the ABI.
               SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
               VERIFY_INTERFACE_HEADER_SETS ${QUERN_VERIFY_HEADERS})
  quern_own_target(${target})
  if(QUERN_PCH_SOURCES)
    target_precompile_headers(
      ${target} PRIVATE <algorithm> <array> <atomic> <chrono> <condition_variable> <fmt/format.h> <functional> <map> <memory> <mutex>
      <nlohmann/json.hpp> <optional> <span> <string> <string_view> <thread> <unordered_map> <variant> <vector>)
  endif()
endfunction()

# The components that are built, as targets; what tests, examples and benchmarks link.
function(quern_built_components out)
  set(built)
  foreach(component IN ITEMS quern sqlite postgres handlers http testing)
    if(TARGET quern::${component})
      list(APPEND built quern::${component})
    endif()
  endforeach()
  set(${out} ${built} PARENT_SCOPE)
endfunction()
