# What the commands in this directory share; sourced, never run. Needs bash with set -euo pipefail.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
  echo "quern: $*" >&2
  exit 1
}

# quietly <log> <what it does> <command...>: one line of status when all is well, the end of the log when not.
quietly() {
  local log=$1 what=$2 start=$SECONDS
  shift 2
  mkdir -p "$(dirname "$log")"
  printf 'quern: %s ... ' "$what" >&2
  if "$@" >"$log" 2>&1 </dev/null; then
    echo "done in $((SECONDS - start)) s" >&2
  else
    echo "failed; the end of ${log#"$root/"}:" >&2
    tail -n 40 "$log" >&2
    return 1
  fi
}

# Tools that are missing, by the name of the Debian package that has them. A tool counts wherever it comes from.
missing_tools() {
  command -v c++ >/dev/null || echo g++
  command -v cmake >/dev/null || echo cmake
  command -v ninja >/dev/null || echo ninja-build
  command -v git >/dev/null || echo git
}

# Debian packages, of those named, that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

# need <Debian packages...>: the build tools and these packages are there when it returns. Installs what is missing
# where there is apt-get; elsewhere it stops with code 2, but only when a build tool is missing: whether libraries
# are there is for CMake to find out, and its message names them.
need() {
  local missing
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    missing=$(missing_tools | xargs)
    [[ -z $missing ]] && return
    echo "quern: please install (names as in Debian): $missing $*" >&2
    exit 2
  fi

  missing=$({ missing_tools && missing_packages "$@"; } | xargs)
  [[ -z $missing ]] && return
  local as_root=()
  if [[ $(id -u) != 0 ]]; then
    if ! command -v sudo >/dev/null; then
      echo "quern: missing packages; as root, run: apt-get install $missing" >&2
      exit 2
    fi
    as_root=(sudo)
    # Ask for a password here, where it can be seen; installing itself is quiet.
    sudo -v || exit 2
  fi
  echo "quern: installing $missing" >&2
  local packages
  read -ra packages <<<"$missing"
  quietly "$root/build/apt.log" "updating the package lists" "${as_root[@]}" apt-get update ||
    echo "quern: going on with the package lists that are there" >&2
  quietly "$root/build/apt.log" "installing packages" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${packages[@]}"
}

# What every component needs, for the commands to hand to need; tzdata is what schedules read.
# shellcheck disable=SC2034
library_packages=(libfmt-dev nlohmann-json3-dev libsqlite3-dev libpq-dev libcurl4-openssl-dev libssl-dev libboost-dev tzdata)

# In CI a warning is an error; a user's newer compiler may warn of more than we know.
# shellcheck disable=SC2034
werror=OFF
# shellcheck disable=SC2034
if [[ ${CI:-} == true ]]; then werror=ON; fi

# configure <build directory> [cmake options]: with every component, so that nothing is left out in silence.
configure() {
  local build=$1
  shift
  # A build directory that was moved or copied along with the clone is of no use.
  if [[ -f $build/CMakeCache.txt ]] && ! grep -qxF "CMAKE_CACHEFILE_DIR:INTERNAL=$build" "$build/CMakeCache.txt"; then
    rm -rf "$build"
  fi
  quietly "$build/configure.log" "configuring" \
    cmake -S "$root" -B "$build" -G Ninja -DQUERN_SQLITE=ON -DQUERN_POSTGRES=ON -DQUERN_HANDLERS=ON -DQUERN_HTTP=ON "$@"
}

# configure_tests <build directory>: Debug, since asserts take part in the tests; -O1, since that makes them faster than it makes
# the build slower; -g1, since all that a debugger can know takes a third of the time. Shared, since there are many
# programs to link. What tools/run builds is compiled without precompiled headers, so a missing include is found there.
configure_tests() {
  configure "$1" -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1" -DBUILD_SHARED_LIBS=ON \
    -DQUERN_PCH_SOURCES=ON -DQUERN_WERROR="$werror" -DCMAKE_INSTALL_PREFIX="$1/prefix"
}
