#include "quern/core/log.hpp"

namespace quern::inline v1 {

void log_to(const Logger& log, LogLevel level, std::string_view message) noexcept {
  if (!log) return;
  try {
    log(level, message);
  } catch (...) {  // a sink that fails has nowhere to report that
    return;
  }
}

}  // namespace quern::inline v1
