#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace quern::inline v1::detail {

/// A field of a cron expression: what it is called and which values it has.
struct CronFieldKind {
  std::string_view name;
  unsigned number;  ///< What `H` draws by.
  int least;
  int most;
  int steps;                                ///< The largest step: how many different values there are.
  const std::string_view* words = nullptr;  ///< Names of values, in capitals.
  int word_count = 0;
  int first_word = 0;  ///< The value of the first name.
};

extern const std::array<CronFieldKind, 7> cron_field_kinds;

/// A field's text and where it begins in the whole expression.
struct CronFieldText {
  std::string_view text;
  std::size_t at = 0;
};

/// The text between quotation marks, at most 20 bytes of it, with what can't be printed as \xNN.
[[nodiscard]] std::string quoted(std::string_view text);

/// Reads one field from left to right; each part throws CronError where the text is something else.
class CronReader {
 public:
  CronReader(const CronFieldKind& kind, CronFieldText field) noexcept : kind_(kind), field_(field) {}

  [[nodiscard]] bool done() const noexcept { return pos_ == field_.text.size(); }
  [[nodiscard]] std::string_view rest() const noexcept { return field_.text.substr(pos_); }
  /// Skips a character if it is the next one, whatever its case; says whether it was. `c` is in capitals.
  bool take(char c) noexcept;
  /// The same, and throws if it was not.
  void expect(char c);
  [[nodiscard]] bool next_is(char c) const noexcept;
  [[nodiscard]] bool next_is_digit() const noexcept;
  [[nodiscard]] std::size_t position() const noexcept { return pos_; }

  /// A number within limits.
  int number(int least, int most, std::string_view what);
  /// A value of the field, as a number or a name.
  int value();

  /// Throws: found the characters from here to the next separator where `allowed` should be.
  [[noreturn]] void fail(std::string_view allowed) const;
  /// Throws: what was read since `begin` is wrong.
  [[noreturn]] void fail_since(std::size_t begin, const std::string& problem) const;

  /// "a number from 0 to 59", with the names where there are some.
  [[nodiscard]] std::string allowed_values() const;

 private:
  const CronFieldKind& kind_;
  CronFieldText field_;
  std::size_t pos_ = 0;
};

}  // namespace quern::inline v1::detail
