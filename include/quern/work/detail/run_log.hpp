#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "quern/core/clock.hpp"
#include "quern/queue/job_log.hpp"

namespace quern::inline v1::detail {

/// What the runs of an engine log with.
struct LogSetup {
  Logger sink{};
  JobLogOptions keep{};
  ClockRef clock{};
};

/// On which occasion lines are written.
enum class LogFlush : std::uint8_t {
  run_goes_on,
  run_ends,
  job_ends,  ///< As far as the run can know.
};

/// The lines of one run that are not written yet, within what JobLogOptions allow. For one thread at a time.
///
/// A step can't be changed once it is saved. So lines are written in chunks that stay; where the room of the
/// first half is used up, the last lines wait here for the end.
class RunLog {
 public:
  explicit RunLog(const JobLogOptions& options) : options_(options) {}

  void add(JobLogLine line);
  [[nodiscard]] bool pending() const noexcept { return !lines_.empty() || chunk_; }

  /// How much the earlier runs of the job have kept; to be told before the first chunk is made.
  void earlier(const JobLog& log);
  [[nodiscard]] bool knows_earlier() const noexcept { return room_.has_value(); }

  /// What is to be written now, the same until `saved`; empty: nothing is.
  [[nodiscard]] std::optional<Step> next(Epoch epoch, LogFlush when);
  void saved();
  /// The run is lost, and with it what it has to say.
  void drop() noexcept;

 private:
  struct Size {
    std::size_t lines = 0;
    std::size_t bytes = 0;
  };
  [[nodiscard]] bool fits(const Size& more, const Size& room) const noexcept {
    return more.lines <= room.lines && more.bytes <= room.bytes;
  }
  void drop_first();

  const JobLogOptions options_;
  std::deque<JobLogLine> lines_;
  Size waiting_;               // of lines_
  std::uint64_t dropped_ = 0;  // before the first of them
  Size written_;
  std::optional<Size> room_;  // of this run
  Size last_room_;            // the same, where it ends the job, whatever it has written
  std::optional<Step> chunk_;
  std::size_t chunks_ = 0;
};

}  // namespace quern::inline v1::detail
