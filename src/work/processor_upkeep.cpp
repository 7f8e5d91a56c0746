// What the engine asks its storage for beside claims and ends.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "processor_shared.hpp"
#include "quern/work/detail/prune_plan.hpp"

namespace quern::inline v1::detail {
namespace {

/// A poll that only asks whether anything has changed costs a tenth of one that looks for jobs.
constexpr int believed_polls = 10;

}  // namespace

void ProcessorCore::look_for_changes(SteadyTime steady) {
  if (steady >= watch_at_) {
    watch_at_ = steady + options_.watch_interval;
    if (const std::uint64_t seen = storage_.foreign_changes(); seen != foreign_seen_) {
      foreign_seen_ = seen;
      want_claim_ = want_promote_ = cancels_suspected_ = true;
    }
  }
  if (steady >= poll_at_) {
    poll_at_ = steady + options_.poll_interval;
    // A storage that watches by itself and says that nothing has changed is believed, most times.
    if (storage_.watches_foreign_changes() && ++quiet_polls_ < believed_polls) return;
    quiet_polls_ = 0;
    want_claim_ = want_promote_ = cancels_suspected_ = true;
  }
}

void ProcessorCore::look_for_cancels(SteadyTime steady) {
  if (!std::exchange(cancels_suspected_, false) || busy_ == 0) return;
  const std::vector<JobId> asked = storage_.cancel_requests(lease_.node());
  const std::unordered_set<JobId> ids(asked.begin(), asked.end());
  if (ids.empty()) return;
  for (Slot& slot : slots_)
    if (slot.run && ids.contains(slot.run->claim().ref.id)) ask_to_stop(slot, StopReason::cancel, steady);
}

void ProcessorCore::promote(TimePoint now) {
  const bool due = now >= next_due_;
  if (!want_promote_ && !due) return;
  const PromoteResult result = ask(StorageCall::promote, [&] { return storage_.promote(batch); });
  next_due_ = result.next;
  want_promote_ = result.more;
  // What was due may have been a rate that lets the next job start, or somebody else has promoted it.
  if (result.promoted > 0 || due) want_claim_ = true;
}

void ProcessorCore::maintain(SteadyTime steady) {
  more_upkeep_ = false;
  if (steady >= rescue_at_) {
    const RescueResult result =
        ask(StorageCall::rescue, [&] { return storage_.rescue(batch, options_.crash_limit); });
    if (result.nodes > 0 || result.rescued > 0 || result.dead > 0)
      observers_.tell([&](QueueObserver& observer) { observer.on_rescued(result); });
    if (!result.more) rescue_at_ = steady + options_.lease / 2;
    if (result.rescued > 0) want_claim_ = true;
    more_upkeep_ = result.more;
  }
  if (steady < prune_at_) return;
  const std::vector<PruneRequest> plan = prune_plan(queue_.config().retention, batch);
  const PruneResult result = ask(StorageCall::prune, [&] { return storage_.prune(plan.at(prune_turn_)); });
  if (!result.more) prune_turn_ = (prune_turn_ + 1) % plan.size();
  if (!result.more && prune_turn_ == 0)
    prune_at_ = steady + queue_.config().cleanup_interval;
  else
    more_upkeep_ = true;
}

void ProcessorCore::settle_flight() {
  const bool noted = std::ranges::any_of(left_behind_, &FlightRecord::Left::crashed);
  const auto suspect = [&](const FlightRecord::Left& left) { return noted ? left.crashed : left.running; };
  // Suspects are left to be rescued, which counts the crash. The others are handed back in the name of the
  // node that ran them: where somebody has rescued them before, the storage calls them lost.
  std::vector<Finish> back;
  std::string suspects;
  for (const FlightRecord::Left& left : left_behind_) {
    if (suspect(left)) {
      const auto job = storage_.find(std::span(&left.ref.id, 1)).front();
      suspects += fmt::format("{}{} ({})", suspects.empty() ? "" : ", ", to_string(left.ref.id),
                              job ? job->kind : "not there any more");
      continue;
    }
    Finish finish;
    finish.ref = left.ref;
    finish.outcome = Outcome::released;
    back.push_back(std::move(finish));
  }
  for (std::size_t at = 0; at < back.size(); at += batch)
    storage_.finish(std::span(back).subspan(at, std::min(batch, back.size() - at)));
  left_behind_.clear();
  want_claim_ = true;
  say(LogLevel::error,
      fmt::format("process {} died with jobs under way; {}{}; {} others are handed back",
                  shared_->flight->left_by(), suspects.empty() ? "none was running" : "running was ",
                  suspects, back.size()));
}

}  // namespace quern::inline v1::detail
