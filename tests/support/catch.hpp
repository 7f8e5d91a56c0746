#pragma once

// The tests' one way to Catch2: Debian 12 has version 2, vcpkg and Conan have 3. Stay in what both know;
// matchers of version 3 alone are not in it. Assertions are not thread-safe in either: check on the test's
// own thread.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
namespace Catch::Matchers {
/// Version 3's name for what version 2 calls Contains, which in version 3 is about ranges.
// NOLINTNEXTLINE(readability-identifier-naming): the name is Catch2's
inline auto ContainsSubstring(const std::string& text, CaseSensitive::Choice letters = CaseSensitive::Yes) {
  return Contains(text, letters);
}
}  // namespace Catch::Matchers
#endif
