// What the engine tells who watches its queue.
#include <algorithm>

#include "processor_shared.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1::detail {

void ProcessorCore::say(LogLevel level, std::string_view message) const noexcept {
  log_to(options_.log,
         {.level = level, .message = message, .worker = options_.name, .node = lease_.node().value});
}

RunReport ProcessorCore::report_of(const Run& run) const {
  const Claim& claim = run.claim();
  RunReport report;
  report.ref = claim.ref;
  report.attempt = claim.attempt;
  report.kind = claim.kind;
  report.queue = claim.queue;
  // From the two clocks, each on its own: the storage's until the claim, the steady one after it.
  const SteadyTime never{0};
  const SteadyTime began = run.began.load(std::memory_order_relaxed);
  const SteadyTime noted_end = run.ended.load(std::memory_order_relaxed);
  const SteadyTime ended = noted_end != never ? noted_end : clock_.steady();
  report.waited = std::max(Duration::zero(), claim.claimed_at - std::max(claim.run_at, claim.created_at));
  report.began = began != never;
  if (report.began) {
    report.waited += began - run.claimed;
    report.ran = ended - began;
  }
  report.cpu = run.cpu.load(std::memory_order_relaxed);
  report.peak_memory = run.peak_memory.load(std::memory_order_relaxed);
  report.age = std::max(Duration::zero(), claim.claimed_at - claim.created_at) + (ended - run.claimed);
  return report;
}

void ProcessorCore::push_finish(Finish finish, const Run& run) {
  if (observers_.any()) {
    RunReport& report = run_reports_.emplace_back(report_of(run));
    report.outcome = finish.outcome;
    report.fault = finish.fault;
    if (finish.outcome == Outcome::failed || finish.outcome == Outcome::discarded)
      report.message = clean_message(finish.message);
  }
  finishes_.push_back(std::move(finish));
}

void ProcessorCore::drop_finishes(std::span<const FinishResult> results) {
  const auto count = static_cast<std::ptrdiff_t>(results.size());
  if (!run_reports_.empty() && run_reports_.size() == finishes_.size()) {
    for (std::size_t i = 0; i < results.size(); ++i) {
      run_reports_[i].status = results[i].status;
      run_reports_[i].state = results[i].state;
    }
    const std::span<const RunReport> ended(run_reports_.data(), results.size());
    observers_.tell([&](QueueObserver& observer) { observer.on_ended(ended); });
    run_reports_.erase(run_reports_.begin(), run_reports_.begin() + count);
  } else {
    run_reports_.clear();
  }
  finishes_.erase(finishes_.begin(), finishes_.begin() + count);
}

void ProcessorCore::tell_lost_runs() {
  if (run_reports_.size() != finishes_.size()) run_reports_.clear();
  if (observers_.any()) {
    for (const Slot& slot : slots_)
      if (slot.run) run_reports_.push_back(report_of(*slot.run));
    for (RunReport& report : run_reports_) report.status = FinishStatus::lost;
    observers_.tell([&](QueueObserver& observer) {
      observer.on_ended(run_reports_);
      observer.on_node_lost();
    });
  }
  run_reports_.clear();
}

}  // namespace quern::inline v1::detail
