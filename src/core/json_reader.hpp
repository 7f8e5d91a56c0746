#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/field_place.hpp"

namespace quern::inline v1::detail {

/// Takes JSON text apart, strictly as check_json does, from front to back. Each call says what it expects,
/// and throws InvalidArgument (field "payload", with the place and the byte) where something else stands.
/// White space before a token is skipped.
class JsonReader {
 public:
  /// Throws when the text is not UTF-8. It must outlive the reader.
  explicit JsonReader(std::string_view text);

  /// Throws unless nothing but white space is left.
  void end();

  [[nodiscard]] bool boolean(const FieldPlace& place);
  /// A number without point and exponent, as a sign and its amount.
  struct Integer {
    bool negative = false;
    std::uint64_t amount = 0;
  };
  [[nodiscard]] Integer integer(const FieldPlace& place);
  /// What is too small for a double becomes 0; what is too large is refused.
  [[nodiscard]] double number(const FieldPlace& place);
  void string(std::string& value, const FieldPlace& place);
  /// True, and null is behind, where it stands next.
  [[nodiscard]] bool null();

  void begin_list(const FieldPlace& place) { begin('[', "is not an array", place); }
  void begin_object(const FieldPlace& place) { begin('{', "is not an object", place); }
  /// Whether an element follows; else the closing bracket is behind. `first`: there was none before.
  [[nodiscard]] bool more_in_list(bool first) { return more(']', first); }
  [[nodiscard]] bool more_in_object(bool first) { return more('}', first); }

  /// True, and it is behind, where exactly `quoted` ("\"name\":") stands next.
  [[nodiscard]] bool name_is(std::string_view quoted) noexcept;
  /// A name and its colon. It is valid until the next call.
  [[nodiscard]] std::string_view name();

  /// Any value.
  void skip();

  /// Where the reader stands.
  [[nodiscard]] std::size_t position() const noexcept { return static_cast<std::size_t>(at_ - begin_); }
  /// Throws InvalidArgument that names the place, and the byte where the last value or name began.
  [[noreturn]] void refuse(const FieldPlace& place, std::string_view problem) const;

 private:
  struct Number {
    std::string_view text{};
    bool integer = true;
  };

  [[noreturn]] void not_json() const;
  [[noreturn]] void unexpected(const FieldPlace& place, std::string_view problem) const;
  void space() noexcept;
  [[nodiscard]] bool next_is(char c) const noexcept { return at_ != end_ && *at_ == c; }
  [[nodiscard]] bool digits() noexcept;
  bool literal(std::string_view word);
  [[nodiscard]] Number number_text(const FieldPlace& place, std::string_view problem);
  void begin(char bracket, std::string_view problem, const FieldPlace& place);
  [[nodiscard]] bool more(char close, bool first);
  [[nodiscard]] std::string_view string_text();
  void escape();
  [[nodiscard]] unsigned four_digits();

  const char* begin_;
  const char* at_;
  const char* end_;
  const char* value_begin_;
  std::string scratch_;
  int depth_ = 0;
};

}  // namespace quern::inline v1::detail
