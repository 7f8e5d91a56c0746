#pragma once

#include <string>

namespace quern::inline v1::notify {

/// A message to somebody. `id` names it for good: delivering the same id again is delivering the same
/// message.
struct Notification {
  std::string id{};  ///< 1 to 256 printable ASCII characters without blank and full stop, such as a job's id.
  std::string topic{};    ///< What kind of message it is, for programs: "digest.ready".
  std::string subject{};  ///< One line.
  std::string text{};     ///< Plain text.
  std::string html{};     ///< The same as HTML; may be empty.
  std::string url{};      ///< Where to read on; may be empty.
  std::string data{};     ///< Details for programs, as JSON text; may be empty.
};

/// Throws InvalidArgument when the id is not as promised above.
void check(const Notification& notification);

}  // namespace quern::inline v1::notify
