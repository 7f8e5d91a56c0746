# Which file belongs to which component; the only place that looks for sources and headers.
# Sets QUERN_<COMPONENT>_SOURCES and QUERN_<COMPONENT>_HEADERS, as absolute paths.

file(GLOB_RECURSE quern_sources CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/src/*.cpp")
file(GLOB_RECURSE quern_headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}"
     "${PROJECT_SOURCE_DIR}/include/quern/*.hpp")

set(quern_rest_sources ${quern_sources})
set(quern_rest_headers ${quern_headers})

# Moves what matches from the rest to the component.
macro(quern_component_files component source_pattern header_pattern)
  foreach(kind IN ITEMS sources headers)
    set(matching ${quern_rest_${kind}})
    if(kind STREQUAL "sources")
      set(pattern "${source_pattern}")
    else()
      set(pattern "${header_pattern}")
    endif()
    list(FILTER matching INCLUDE REGEX "${pattern}")
    list(FILTER quern_rest_${kind} EXCLUDE REGEX "${pattern}")
    list(TRANSFORM matching PREPEND "${PROJECT_SOURCE_DIR}/")
    string(TOUPPER "QUERN_${component}_${kind}" variable)
    set(${variable} ${matching})
  endforeach()
endmacro()

quern_component_files(testing "^src/testing/" "^include/quern/testing[/.]")
quern_component_files(handlers "^src/handlers/" "^include/quern/(handlers[/.]|digest[^/]*\\.hpp$)")
quern_component_files(http "^src/http/" "^include/quern/http[/.]")
quern_component_files(sqlite "^src/storage/(.*/)?sqlite" "^include/quern/(storage/)?sqlite")
quern_component_files(postgres "^src/storage/postgres/" "^include/quern/(storage/)?postgres")
# No component: headers of the core that include a library of which quern knows nothing else.
quern_component_files(adapter "^$" "^include/quern/spdlog\\.hpp$")
quern_component_files(core "." ".")
