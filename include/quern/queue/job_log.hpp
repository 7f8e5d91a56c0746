#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/log.hpp"
#include "quern/core/time.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1 {

/// How much of what its handler logs is kept with a job.
///
/// A run may keep half of what earlier runs of the job have left of `lines` and `bytes`: the first half of
/// that is written as the run goes, then its last lines at its end, and what is between is dropped and counted.
/// The run that ends the job may always keep a quarter of the whole, so that its last lines are there.
struct JobLogOptions {
  /// Of a job, over all its attempts. 0: nothing is kept. Up to 10000.
  std::size_t lines = 1000;
  /// Of a job: its messages and fields, and 32 for each line and field. Up to 256 KiB.
  std::size_t bytes = std::size_t{64} * 1024;
  /// Of one line; longer ones are cut and end with "…". 64 to 16384.
  std::size_t line_bytes = 2048;
  /// How often lines of a job that runs are written, while the first half of its room lasts. 1 ms or more.
  Duration interval = std::chrono::seconds(2);
  /// What is kept at all.
  LogLevel least = LogLevel::debug;
};

/// A field of a kept line, its value as text.
struct LoggedField {
  std::string key{};
  std::string value{};
  friend bool operator==(const LoggedField&, const LoggedField&) = default;
};

/// A line that a handler has logged.
struct JobLogLine {
  TimePoint time{};  ///< On the storage's clock, as the host of the handler has it.
  LogLevel level = LogLevel::info;
  int run = 1;
  int attempt = 1;
  std::string message{};
  std::vector<LoggedField> fields{};
  /// So many lines of the same attempt were dropped before it.
  std::uint64_t dropped = 0;
};

/// What is kept of a job's lines, oldest first.
struct JobLog {
  std::vector<JobLogLine> lines{};
  /// How many lines were dropped, by attempts of which any line is kept.
  std::uint64_t dropped = 0;
};

namespace detail {

/// Names that begin so are quern's own; a handler's step has none of them.
inline constexpr std::string_view reserved_steps = "quern.";
/// True for a step that holds lines.
[[nodiscard]] bool is_log_step(const Step& step) noexcept;
/// The step that holds these lines of one attempt: the `number`th of that claim. At least one line.
[[nodiscard]] Step log_step(Epoch epoch, std::size_t number, std::span<const JobLogLine> lines);
/// The lines in a job's steps; other steps are passed over. Throws InvalidArgument for one that quern has not
/// written.
[[nodiscard]] JobLog read_log(std::span<const Step> steps);
/// As JobLogOptions count.
[[nodiscard]] std::size_t log_bytes(const JobLogLine& line) noexcept;
/// Throws InvalidArgument (field "job_log. ...").
void check(const JobLogOptions& options);

}  // namespace detail
}  // namespace quern::inline v1
