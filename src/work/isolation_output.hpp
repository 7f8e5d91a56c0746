#pragma once

#include <string>
#include <string_view>

#include "isolation_io.hpp"
#include "quern/core/detail/redactor.hpp"
#include "quern/work/isolation.hpp"

namespace quern::inline v1::detail {

/// What a runner writes to standard error: passed on line by line, and its end kept for the error of a
/// process that dies. What the redactor knows is taken out of each line. For one thread.
class RunnerOutput {
 public:
  /// How much of it an error shows.
  static constexpr std::size_t kept_bytes = 2048;

  /// All must outlive it.
  RunnerOutput(const Claim& job, const IsolationOptions& options, const Redactor& redactor) noexcept
      : job_(job), options_(options), redactor_(redactor) {}

  /// `pipe` must be non-blocking.
  void read_from(Fd pipe) noexcept { pipe_ = std::move(pipe); }
  /// To be polled; -1 once it has ended.
  [[nodiscard]] int fd() const noexcept { return pipe_.get(); }
  /// Takes a piece of what is there; false: there was nothing.
  bool read();
  /// Takes what is left and waits for no more, since what the handler has started may keep the pipe open.
  void finish();
  /// Its last lines, whole ones where they are not long. Any bytes.
  [[nodiscard]] std::string last() const;

 private:
  void take(std::string_view piece);
  void pass_on(std::string_view line) const noexcept;

  static constexpr std::size_t longest_line = 4096;

  const Claim& job_;
  const IsolationOptions& options_;
  const Redactor& redactor_;
  Fd pipe_;
  std::string last_;        // a little more than is kept
  std::string line_;        // the one that has not ended
  bool line_long_ = false;  // and was passed on already, as far as it is
};

}  // namespace quern::inline v1::detail
