#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "quern/core/job_id.hpp"
#include "quern/core/time.hpp"

namespace quern::inline v1 {

class Secret;

enum class LogLevel : std::uint8_t { debug = 0, info = 1, warning = 2, error = 3 };

/// "debug", "info", "warning", "error".
[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;

/// A name with a value that goes along with a message: `{"recipient", address}`, `{"bytes", 42}`. Borrows both
/// for the call that it is made for. A Secret becomes "***".
class LogField {
 public:
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  LogField(std::string_view key, std::string_view value) noexcept : key_(key), value_(value) {}
  LogField(std::string_view key, const char* value) noexcept : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, const std::string& value) noexcept
      : key_(key), value_(std::string_view(value)) {}
  LogField(std::string_view key, const Secret& value) noexcept;
  LogField(std::string_view key, std::same_as<bool> auto value) noexcept : key_(key), value_(value) {}
  LogField(std::string_view key, std::signed_integral auto value) noexcept
      : key_(key), value_(static_cast<std::int64_t>(value)) {}
  LogField(std::string_view key, std::unsigned_integral auto value) noexcept
    requires(!std::same_as<decltype(value), bool>)
      : key_(key), value_(static_cast<std::uint64_t>(value)) {}
  LogField(std::string_view key, std::floating_point auto value) noexcept
      : key_(key), value_(static_cast<double>(value)) {}

  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  [[nodiscard]] const Value& value() const noexcept { return value_; }
  /// The value as text: "42", "true", a string as it is.
  [[nodiscard]] std::string text() const;

 private:
  std::string_view key_;
  Value value_;
};

/// Something to be known, with what it is about. Borrows its texts for the call that it is made for: a sink
/// that keeps it copies it, or the line that `to_json` or `to_text` makes of it.
struct LogRecord {
  LogLevel level = LogLevel::info;
  std::string_view message{};
  // What is not known or does not apply is empty or 0.
  JobId job{};
  std::string_view kind{};
  std::string_view queue{};
  int run = 0;
  int attempt = 0;
  std::string_view worker{};  ///< A pool's worker; else the processor's name where it was given one.
  std::uint64_t node = 0;     ///< NodeId::value
  std::string_view trace{};   ///< As a job keeps it, see TraceContext; shown as trace_id and span_id.
  std::span<const LogField> fields{};
  /// True for what a handler said through its context, false for what quern itself has to say.
  bool handler = false;
};

/// Where messages go; by default nowhere, and nothing is printed. Made of anything that takes a record:
///
///     options.log = [](const quern::LogRecord& record) { std::cerr << to_json(record) << '\n'; };
///     options.log = {sink, quern::LogLevel::warning};  // nothing below
///
/// Threads  it is called from quern's threads and from handlers', several at once: the callable must allow that,
///          and should be quick. It must not call back into what logs.
/// Errors   what the callable throws is dropped.
/// Cost     where nobody listens, or not to this level, a comparison.
class Logger {
 public:
  Logger() = default;
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, Logger> &&
             std::is_invocable_v<std::decay_t<F>&, const LogRecord&>)
  Logger(F&& sink, LogLevel least = LogLevel::debug) : sink_(std::forward<F>(sink)), least_(least) {}

  /// False: it goes nowhere.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(sink_); }
  [[nodiscard]] bool wants(LogLevel level) const noexcept { return level >= least_ && sink_ != nullptr; }
  /// The lowest level that it takes.
  [[nodiscard]] LogLevel least() const noexcept { return least_; }

  void operator()(const LogRecord& record) const noexcept;

 private:
  std::function<void(const LogRecord&)> sink_;
  LogLevel least_ = LogLevel::debug;
};

/// Tells `log` if it wants that; never throws.
inline void log_to(const Logger& log, const LogRecord& record) noexcept { log(record); }
inline void log_to(const Logger& log, LogLevel level, std::string_view message) noexcept {
  log({.level = level, .message = message});
}

/// One line of JSON without its end: level, message, then what is known of job, kind, queue, run, attempt,
/// worker, node, and the fields in "fields"; with a `time` that comes first, as RFC 3339. The job's id is a
/// string. Whatever the texts contain: control characters and line separators are escaped, malformed UTF-8 is
/// U+FFFD, a number that JSON can't hold is null.
[[nodiscard]] std::string to_json(const LogRecord& record, std::optional<TimePoint> time = std::nullopt);

/// One line of text without its end, level and time: `sent job=12 kind=mail attempt=2 to="a b"`. Control
/// characters are escaped (\n, \x1b), malformed UTF-8 is U+FFFD; values stand in quotes where they need it.
[[nodiscard]] std::string to_text(const LogRecord& record);

}  // namespace quern::inline v1
