#pragma once

// quern's messages in a program that logs with spdlog. Included by nothing else; needs spdlog 1.5 or later.
#if !__has_include(<spdlog/logger.h>)
#error "quern/spdlog.hpp needs spdlog (Debian: libspdlog-dev; vcpkg and Conan: spdlog)"
#endif

#include <spdlog/logger.h>

#include <memory>
#include <string>
#include <utility>

#include "quern/core/log.hpp"

namespace quern::inline v1 {

/// spdlog's level for one of quern's.
[[nodiscard]] inline spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      break;
  }
  return spdlog::level::err;
}

/// A Logger that hands messages to `logger`, as `to_text` writes them: "sent job=12 kind=mail attempt=2". What is
/// below the logger's own level costs no text; `least` is the level below which it is not even asked.
///
///     options.log = quern::spdlog_logger(spdlog::default_logger());
///
/// Keeps the logger, which must be thread-safe (one with `_mt` sinks is). Throws nothing; null: logs nothing.
[[nodiscard]] inline Logger spdlog_logger(std::shared_ptr<spdlog::logger> logger,
                                          LogLevel least = LogLevel::debug) {
  if (!logger) return {};
  return {[logger = std::move(logger)](const LogRecord& record) {
            const auto level = to_spdlog(record.level);
            if (!logger->should_log(level)) return;
            const std::string text = to_text(record);
            logger->log(level, spdlog::string_view_t(text.data(), text.size()));
          },
          least};
}

}  // namespace quern::inline v1
