// What handlers have logged, written while their runs go on.
#include <fmt/format.h>

#include <algorithm>

#include "processor_shared.hpp"

namespace quern::inline v1::detail {
namespace {

/// Each is a transaction, and the engine has other things to do; the others follow with the next tick.
constexpr std::size_t most_at_once = 16;

}  // namespace

void ProcessorCore::flush_logs(SteadyTime steady) {
  if (steady < logs_at_) return;
  std::size_t written = 0;
  for (; logs_turn_ < slots_.size(); ++logs_turn_) {
    Slot& slot = slots_[logs_turn_];
    if (!slot.run || !slot.run->has_log()) continue;
    if (written == most_at_once) return;
    ++written;
    try {
      if (slot.run->flush_log(*this, LogFlush::run_goes_on, false) == RunCheck::lost)
        ask_to_stop(slot, StopReason::lost, steady);
    } catch (const std::exception&) {
      // Ends of runs must not wait for lines. It is tried again, and the end of the run says what was not kept.
      ++logs_turn_;
      break;
    }
  }
  if (logs_turn_ >= slots_.size()) logs_turn_ = 0;
  logs_at_ = steady + options_.job_log.interval;
}

void ProcessorCore::flush_last_log(Run& run, const Finish& finish) {
  const bool dies = finish.outcome == Outcome::failed && run.claim().attempt >= run.claim().max_attempts;
  const bool ends = finish.outcome == Outcome::cancelled || dies;
  const auto lost = [&](std::string_view why) {
    run.tell(LogLevel::warning, fmt::format("the lines of job {} ({}) could not be kept: {}",
                                            to_string(run.claim().ref.id), run.claim().kind, why));
  };
  // A stop must not wait for each of many runs until the storage has given up.
  if (storage_failures_ > 0 || logs_failed_at_ == tick_at_) return lost("the storage does not answer");
  try {
    static_cast<void>(run.flush_log(*this, ends ? LogFlush::job_ends : LogFlush::run_ends, false));
  } catch (const std::exception& e) {  // the run is given up all the same
    logs_failed_at_ = tick_at_;
    lost(e.what());
  }
}

}  // namespace quern::inline v1::detail
