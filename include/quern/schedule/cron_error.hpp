#pragma once

#include <cstddef>
#include <string>

#include "quern/core/error.hpp"

namespace quern::inline v1 {

/// A cron expression can't be read, or names only dates that no year has. The message says where, what was found
/// there and what is allowed.
class CronError : public InvalidArgument {
 public:
  /// `position` and `length` in bytes from the beginning of the text; the length may be 0 (something is missing).
  CronError(std::size_t position, std::size_t length, const std::string& problem);

  /// Where the fault begins: 0 is the first byte; the length of the text where something is missing at its end.
  [[nodiscard]] std::size_t position() const noexcept { return position_; }
  /// How many bytes are at fault.
  [[nodiscard]] std::size_t length() const noexcept { return length_; }

 private:
  std::size_t position_;
  std::size_t length_;
};

}  // namespace quern::inline v1
