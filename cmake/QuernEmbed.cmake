# Files that are compiled into a library, by CMake alone.
#
# quern_embed(<target> OUTPUT <file.cpp> FILES <files...> [HEADER <h> TYPE <t> FUNCTION <f>]) adds a source to the target that is made anew at
# build time whenever one of the files changes. Run as a script (cmake -P), this file makes that source: it defines the function, which
# the header declares in quern::http::detail, as a span of the type: {name, etag, body}. Without these: dashboard_files().

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(quern_embed_script "${CMAKE_CURRENT_LIST_FILE}")

  function(quern_embed target)
    cmake_parse_arguments(arg "" "OUTPUT;HEADER;TYPE;FUNCTION" "FILES" ${ARGN})
    if(NOT arg_HEADER)
      set(arg_HEADER http/dashboard_files.hpp)
      set(arg_TYPE DashboardFile)
      set(arg_FUNCTION dashboard_files)
    endif()
    # The list goes by a file, since a command line has its limits, and one that changes makes the source anew.
    list(JOIN arg_FILES "\n" names)
    file(CONFIGURE OUTPUT "${arg_OUTPUT}.files" CONTENT "${names}\n" @ONLY)
    add_custom_command(
      OUTPUT "${arg_OUTPUT}"
      COMMAND "${CMAKE_COMMAND}" "-Dlist=${arg_OUTPUT}.files" "-Doutput=${arg_OUTPUT}" "-Dheader=${arg_HEADER}"
              "-Dtype=${arg_TYPE}" "-Dfunction=${arg_FUNCTION}" -P "${quern_embed_script}"
      DEPENDS ${arg_FILES} "${arg_OUTPUT}.files" "${quern_embed_script}"
      COMMENT "Embedding files: ${arg_FUNCTION}"
      VERBATIM)
    target_sources(${target} PRIVATE "${arg_OUTPUT}")
  endfunction()
  return()
endif()

set(arrays "")
set(entries "")
set(number 0)
file(STRINGS "${list}" files)
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME)
  file(SHA256 "${file}" hash)
  string(SUBSTRING "${hash}" 0 32 tag)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND arrays "constexpr char file_${number}[] = {${bytes}};\n")
  string(APPEND entries "      {\"${name}\", \"\\\"${tag}\\\"\", {file_${number}, sizeof file_${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE "${output}" "// Made by QuernEmbed.cmake.\n#include \"${header}\"\n\n#include <array>\n\n"
     "namespace quern::inline v1::http::detail {\nnamespace {\n\n${arrays}\n}  // namespace\n\n"
     "std::span<const ${type}> ${function}() noexcept {\n  static constexpr std::array<${type}, ${number}> files{{\n${entries}  }};\n  return files;\n}\n\n"
     "}  // namespace quern::inline v1::http::detail\n")
