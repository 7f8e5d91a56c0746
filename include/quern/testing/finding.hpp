#pragma once

#include <iosfwd>
#include <string>
#include <utility>

namespace quern::inline v1::testing {

/// What a test asked for, and the reasons: true or false, with a text that says what there was instead.
///
/// Made for any test framework. Catch2 and doctest print it by themselves in `CHECK(finding)`; in GoogleTest
/// write `EXPECT_TRUE(finding) << finding`. The text may contain payloads, unlike quern's exceptions.
class Finding {
 public:
  Finding(bool found, std::string message) : found_(found), message_(std::move(message)) {}

  [[nodiscard]] explicit operator bool() const noexcept { return found_; }
  /// What was found, or what stood there instead. Several lines, the last one without an end.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  bool found_;
  std::string message_;
};

/// Writes the message.
std::ostream& operator<<(std::ostream& out, const Finding& finding);

}  // namespace quern::inline v1::testing
