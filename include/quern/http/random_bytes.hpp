#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace quern::inline v1::http {

/// Gives so many bytes that nobody can guess. A test hands in one that it can.
using RandomBytes = std::function<std::string(std::size_t count)>;

/// From OpenSSL's generator, which the operating system seeds. Thread-safe. Throws Error where it has no entropy.
[[nodiscard]] std::string system_random_bytes(std::size_t count);

}  // namespace quern::inline v1::http
