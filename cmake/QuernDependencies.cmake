# All look-ups of other people's packages, in one place; quern-config.cmake.in repeats those that reach the user.
# Sets QUERN_HAS_SQLITE, QUERN_HAS_POSTGRES, QUERN_HAS_HANDLERS and QUERN_HAS_HTTP.

find_package(Threads REQUIRED)

# quern_require(<package> FOUND <variable> DEBIAN <name> VCPKG <name> BREW <name>): the one message for what is missing.
function(quern_require what)
  cmake_parse_arguments(arg "" "FOUND;DEBIAN;VCPKG;BREW" "" ${ARGN})
  if(NOT ${arg_FOUND})
    message(FATAL_ERROR "quern needs ${what}, which was not found. Install it with one of:\n"
                        "  apt-get install ${arg_DEBIAN}\n  vcpkg install ${arg_VCPKG}\n  brew install ${arg_BREW}\n"
                        "or add its location to CMAKE_PREFIX_PATH.")
  endif()
endfunction()

find_package(fmt 9 QUIET CONFIG)
# fmt accepts only the same major version when asked for one, so any later one is found by a second look.
if(NOT fmt_FOUND)
  find_package(fmt QUIET CONFIG)
endif()
quern_require(fmt FOUND fmt_FOUND DEBIAN libfmt-dev VCPKG fmt BREW fmt)
find_package(nlohmann_json 3.10 QUIET CONFIG)
quern_require("nlohmann/json" FOUND nlohmann_json_FOUND DEBIAN nlohmann-json3-dev VCPKG nlohmann-json
              BREW nlohmann-json)

# quern_optional(<option> <target> WHAT <text> FOUND <variables> ...): switches a component on or off, and says so.
macro(quern_optional option component)
  cmake_parse_arguments(opt "" "WHAT;DEBIAN;VCPKG;BREW" "FOUND" ${ARGN})
  set(QUERN_HAS_${component} ON)
  foreach(found IN LISTS opt_FOUND)
    if(NOT ${found})
      set(QUERN_HAS_${component} OFF)
    endif()
  endforeach()
  if(NOT QUERN_HAS_${component})
    if("${${option}}" STREQUAL "AUTO")
      message(STATUS "quern: ${option} is off: ${opt_WHAT} not found (Debian: ${opt_DEBIAN})")
    else()
      quern_require("${opt_WHAT} for ${option}=${${option}}" FOUND QUERN_HAS_${component} DEBIAN "${opt_DEBIAN}"
                    VCPKG "${opt_VCPKG}" BREW "${opt_BREW}")
    endif()
  endif()
endmacro()

set(QUERN_HAS_SQLITE OFF)
if(QUERN_SQLITE)
  # 3.35 brought RETURNING.
  find_package(SQLite3 3.35 QUIET)
  quern_optional(QUERN_SQLITE SQLITE WHAT "SQLite >= 3.35" FOUND SQLite3_FOUND DEBIAN libsqlite3-dev VCPKG sqlite3
                 BREW sqlite)
endif()

set(QUERN_HAS_POSTGRES OFF)
if(QUERN_POSTGRES)
  # The client library alone, which is enough for this module. 13 is the oldest server that is spoken to, too.
  find_package(PostgreSQL 13 QUIET)
  quern_optional(QUERN_POSTGRES POSTGRES WHAT "libpq >= 13" FOUND PostgreSQL_FOUND DEBIAN libpq-dev VCPKG libpq
                 BREW libpq)
endif()

set(QUERN_HAS_HANDLERS OFF)
if(QUERN_HANDLERS)
  # 7.85 brought CURLOPT_PROTOCOLS_STR.
  find_package(CURL 7.85 QUIET)
  find_package(OpenSSL 3 QUIET COMPONENTS Crypto)
  quern_optional(
    QUERN_HANDLERS HANDLERS WHAT "libcurl >= 7.85 and OpenSSL >= 3" FOUND CURL_FOUND OPENSSL_FOUND
    DEBIAN "libcurl4-openssl-dev libssl-dev" VCPKG "curl openssl" BREW "curl openssl")
endif()

set(QUERN_HAS_HTTP OFF)
if(QUERN_HTTP)
  # Headers alone: Beast and Asio, which no header of quern's includes.
  find_package(Boost 1.74 QUIET)
  find_package(OpenSSL 3 QUIET COMPONENTS SSL Crypto)
  quern_optional(
    QUERN_HTTP HTTP WHAT "Boost >= 1.74 (headers) and OpenSSL >= 3" FOUND Boost_FOUND OPENSSL_FOUND
    DEBIAN "libboost-dev libssl-dev" VCPKG "boost-beast openssl" BREW "boost openssl")
endif()
