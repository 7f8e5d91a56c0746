#include "support/fleet_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <utility>

namespace quern_test {
namespace {

using Attempt = FleetHistory::Attempt;
using Answer = FleetHistory::Answer;
using Run = FleetHistory::Run;
using Kept = FleetHistory::Kept;

class Checker {
 public:
  explicit Checker(FleetHistory history) : history_(std::move(history)) {
    std::ranges::sort(history_.attempts, {}, &Attempt::job);
    std::ranges::sort(history_.kept, {}, &Kept::job);
    std::ranges::sort(history_.runs, {}, [](const Run& run) { return std::tuple(run.job, run.epoch); });
  }

  FleetVerdict check() {
    for (const Attempt& attempt : history_.attempts) check_attempt(attempt);
    for (const Kept& kept : history_.kept) {
      if (find(history_.attempts, kept.job) == nullptr) verdict_.unexpected.push_back(kept.job);
    }
    for (std::size_t i = 1; i < history_.kept.size(); ++i) {
      if (history_.kept[i].job == history_.kept[i - 1].job)
        verdict_.duplicated.push_back(history_.kept[i].job);
    }
    for (std::size_t i = 0; i < history_.runs.size();) {
      std::size_t end = i;
      while (end < history_.runs.size() && history_.runs[end].job == history_.runs[i].job) ++end;
      check_runs(std::span(history_.runs).subspan(i, end - i));
      i = end;
    }
    check_completions();
    check_batches();
    check_keys();
    for (auto* const set :
         {&verdict_.lost, &verdict_.unexpected, &verdict_.duplicated, &verdict_.recovered}) {
      std::ranges::sort(*set);
      set->erase(std::ranges::unique(*set).begin(), set->end());
    }
    return std::move(verdict_);
  }

 private:
  template <class Rows>
  [[nodiscard]] static const typename Rows::value_type* find(const Rows& rows, std::uint64_t job) {
    const auto found = std::ranges::lower_bound(rows, job, {}, &Rows::value_type::job);
    return found != rows.end() && found->job == job ? &*found : nullptr;
  }
  [[nodiscard]] std::span<const Run> runs_of(std::uint64_t job) const {
    const auto [first, last] = std::ranges::equal_range(history_.runs, job, {}, &Run::job);
    return {first, last};
  }
  /// The run whose end is the job's; null when there is none that can be it.
  [[nodiscard]] const Run* accepted(const Kept& kept) const {
    for (const Run& run : runs_of(kept.job)) {
      if (run.token == kept.token && run.epoch == kept.epoch && run.ended_us != 0) return &run;
    }
    return nullptr;
  }
  template <class... Args>
  void broken(fmt::format_string<Args...> format, Args&&... args) {
    constexpr std::size_t most = 100;
    if (verdict_.broken.size() < most)
      verdict_.broken.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void check_attempt(const Attempt& attempt) {
    const Kept* const kept = find(history_.kept, attempt.job);
    switch (attempt.answer) {
      case Answer::acknowledged:
        if (kept == nullptr || !kept->completed) verdict_.lost.push_back(attempt.job);
        break;
      case Answer::refused:
        if (kept != nullptr) verdict_.unexpected.push_back(attempt.job);
        break;
      case Answer::found:
      case Answer::unknown:
        if (kept != nullptr) verdict_.recovered.push_back(attempt.job);
        // What is there has to be done.
        if (kept == nullptr ? attempt.answer == Answer::found : !kept->completed)
          verdict_.lost.push_back(attempt.job);
        break;
    }
  }

  /// Of one job, by epoch.
  void check_runs(std::span<const Run> runs) {
    const std::uint64_t job = runs.front().job;
    const Kept* const kept = find(history_.kept, job);
    if (kept == nullptr || find(history_.attempts, job) == nullptr) {
      verdict_.unexpected.push_back(job);
      return;
    }
    int without_a_reason = 0;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const Run& run = runs[i];
      if (run.refused) ++verdict_.refusals;
      if (i > 0 && runs[i - 1].epoch == run.epoch) verdict_.duplicated.push_back(job);
      // It was started once more after it had ended.
      if (run.epoch > kept->epoch) verdict_.duplicated.push_back(job);
      if (i > 0 && kept->snoozes == 0 && runs[i - 1].attempt >= run.attempt)
        broken("job {}: attempt {} at epoch {} comes after attempt {}", job, run.attempt, run.epoch,
               runs[i - 1].attempt);
      if (run.epoch >= kept->epoch) continue;
      const auto failure = std::ranges::find(kept->failures, run.epoch, &FleetHistory::Failure::epoch);
      if (failure == kept->failures.end()) {
        ++without_a_reason;
        continue;
      }
      if (failure->crash && run.ended_us != 0) ++verdict_.stale_ends;
      for (const Run& later : runs.subspan(i + 1)) {
        if (later.epoch > run.epoch && later.began_us < failure->at_us)
          broken("job {}: epoch {} ran {} us before epoch {} had ended", job, later.epoch,
                 failure->at_us - later.began_us, run.epoch);
      }
    }
    if (without_a_reason > kept->snoozes)
      broken("job {}: {} runs were followed by others and neither failed nor were handed back", job,
             without_a_reason - kept->snoozes);
  }

  void check_completions() {
    for (const Kept& kept : history_.kept) {
      for (const auto& failure : kept.failures) verdict_.crashed_leases += failure.crash ? 1 : 0;
      if (!kept.completed) continue;
      const auto failed = std::ranges::find(kept.failures, kept.epoch, &FleetHistory::Failure::epoch);
      if (failed != kept.failures.end()) verdict_.duplicated.push_back(kept.job);
      if (accepted(kept) == nullptr) {
        verdict_.duplicated.push_back(kept.job);
        broken("job {}: its end is not that of its last run, epoch {}", kept.job, kept.epoch);
      }
    }
  }

  void check_batches() {
    std::map<std::uint64_t, std::pair<std::size_t, std::size_t>> batches;  // its size, and how many are kept
    for (const Attempt& attempt : history_.attempts) {
      if (attempt.batch == 0) continue;
      auto& [size, kept] = batches[attempt.batch];
      ++size;
      kept += find(history_.kept, attempt.job) != nullptr ? 1 : 0;
    }
    for (const auto& [batch, counts] : batches) {
      if (counts.second != 0 && counts.second != counts.first)
        broken("batch {}: {} of {} jobs were added", batch, counts.second, counts.first);
    }
  }

  /// A key is held from before the run whose end counts until after it, so no two of these may overlap.
  void check_keys() {
    std::vector<std::pair<const Kept*, const Run*>> held;
    for (const Kept& kept : history_.kept) {
      if (kept.key.empty() || !kept.completed) continue;
      if (const Run* const run = accepted(kept)) held.emplace_back(&kept, run);
    }
    std::ranges::sort(held, {}, [](const auto& one) {
      return std::tuple(std::string_view(one.first->key), one.second->began_us);
    });
    for (std::size_t i = 1; i < held.size(); ++i) {
      const auto& [before, first] = held[i - 1];
      const auto& [after, second] = held[i];
      if (before->key == after->key && second->began_us < first->ended_us)
        broken("key {}: jobs {} and {} held it together", before->key, before->job, after->job);
    }
  }

  FleetHistory history_;
  FleetVerdict verdict_;
};

std::string first_of(const std::vector<std::uint64_t>& jobs) {
  constexpr std::size_t most = 10;
  const auto shown = std::span(jobs).first(std::min(most, jobs.size()));
  return fmt::format(" ({}{})", fmt::join(shown, " "), jobs.size() > most ? " ..." : "");
}

}  // namespace

FleetVerdict check_fleet(FleetHistory history) { return Checker(std::move(history)).check(); }

std::string to_text(const FleetVerdict& verdict) {
  std::string text;
  const auto add = [&](const char* name, const std::vector<std::uint64_t>& jobs, bool show) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, jobs.size());
    if (show && !jobs.empty()) text += first_of(jobs);
  };
  add("lost", verdict.lost, true);
  add("unexpected", verdict.unexpected, true);
  add("duplicated", verdict.duplicated, true);
  add("recovered", verdict.recovered, false);
  text += fmt::format("\nleases taken away {}, stale ends {}, runs told that they were lost {}",
                      verdict.crashed_leases, verdict.stale_ends, verdict.refusals);
  for (const std::string& one : verdict.broken) text += "\nbroken: " + one;
  return text;
}

}  // namespace quern_test
