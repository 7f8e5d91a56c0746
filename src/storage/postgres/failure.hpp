#pragma once

#include <string>
#include <utility>

#include "quern/core/error.hpp"

struct pg_result;

namespace quern::inline v1::postgres {

/// The server refused a statement: its transaction changed nothing.
class SqlError : public StorageError {
 public:
  SqlError(const std::string& message, bool transient, std::string state)
      : StorageError(message, transient), state_(std::move(state)) {}
  [[nodiscard]] const std::string& state() const noexcept { return state_; }
  /// Another transaction was in the way; the same statement may work at once.
  [[nodiscard]] bool repeatable() const noexcept { return state_ == "40001" || state_ == "40P01"; }

 private:
  std::string state_;
};

/// The connection broke, or none could be made.
class ConnectionLost : public StorageError {
 public:
  ConnectionLost(const std::string& message, bool sent) : StorageError(message, true), sent_(sent) {}
  /// The statement may have been carried out.
  [[nodiscard]] bool sent() const noexcept { return sent_; }

 private:
  bool sent_;
};

/// Throws what a result that is an error means. `server`: how the server is called in messages.
[[noreturn]] void throw_failure(const pg_result* result, const std::string& server);

/// libpq's messages end with newlines and may have several lines.
[[nodiscard]] std::string one_line(const char* message);

}  // namespace quern::inline v1::postgres
