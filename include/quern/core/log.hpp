#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace quern::inline v1 {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// Where quern reports what nobody is there to be told: a storage that does not answer, a handler that
/// ignores its stop. Called from quern's threads; must be thread-safe, and should be quick. What it throws is
/// dropped.
using Logger = std::function<void(LogLevel level, std::string_view message)>;

/// Calls `log` if there is one; never throws.
void log_to(const Logger& log, LogLevel level, std::string_view message) noexcept;

}  // namespace quern::inline v1
