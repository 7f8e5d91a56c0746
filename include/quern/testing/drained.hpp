#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

#include "quern/core/error.hpp"

namespace quern::inline v1::testing {

/// How far a drain goes.
struct DrainOptions {
  /// Only this queue's jobs run. Empty: those of all queues.
  std::string queue{};
  /// More runs than this are taken for a job that goes on for ever, and DrainLimit is thrown.
  std::size_t max_runs = 10'000;
};

/// What happened while jobs ran. Printable, so that a failed assertion says why.
struct Drained {
  std::size_t runs = 0;       ///< Attempts that were started.
  std::size_t completed = 0;  ///< Jobs.
  std::size_t failed = 0;     ///< Attempts; each of them is tried again, or its job is dead.
  std::size_t snoozed = 0;    ///< Attempts.
  std::size_t cancelled = 0;  ///< Jobs, also those that go with a parent.
  std::size_t dead = 0;       ///< Jobs, also those that expired before they started.
  /// One line for each attempt that failed and each job that died or was cancelled:
  /// "mail.send 17, attempt 2, failed: no route to host".
  std::vector<std::string> problems{};
  /// What the engine itself complained of, such as a storage that fails.
  std::vector<std::string> log{};
};

/// "3 runs: 2 completed, 1 failed" and the problems, one a line.
[[nodiscard]] std::string to_string(const Drained& drained);
std::ostream& operator<<(std::ostream& out, const Drained& drained);

/// Draining does not come to an end. The message names the kind that ran most.
class DrainLimit : public Error {
 public:
  using Error::Error;
};

}  // namespace quern::inline v1::testing
