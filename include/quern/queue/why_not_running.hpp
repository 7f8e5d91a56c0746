#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/storage/any_storage.hpp"

namespace quern::inline v1 {

/// What keeps a job from running.
enum class NotRunningReason : std::uint8_t {
  running,           ///< Nothing: it runs, on `node` since `since`.
  ended,             ///< It has ended. `holder`: who keeps it from being retried, if anybody does.
  scheduled,         ///< Its time has not come: `until`.
  backing_off,       ///< An attempt failed; the next one begins at `until`.
  snoozed,           ///< Its handler put it off until `until`.
  parents,           ///< `parents` have not ended as it needs.
  queue_paused,      ///< Nothing of its queue starts.
  no_node,           ///< No live node runs its kind from its queue.
  slots_busy,        ///< Each live node that could run it runs `slots` jobs in all, and can run no more.
  queue_slots_busy,  ///< The same for the jobs of its queue.
  kind_slots_busy,   ///< The same for the jobs of its kind.
  limit_running,     ///< The rule `limit` lets no more jobs run at once.
  limit_rate,        ///< The rule `limit` lets the next job start at `until`.
  next,              ///< Nothing holds it back: a node will claim it when its turn has come.
};
/// "running", "ended", "scheduled", ...
[[nodiscard]] std::string_view to_string(NotRunningReason reason) noexcept;

struct WhyNotRunning {
  NotRunningReason reason = NotRunningReason::next;
  std::string text{};                ///< The same for people, in one sentence.
  TimePoint until{};                 ///< scheduled, backing_off, snoozed, limit_rate
  std::vector<JobId> parents{};      ///< parents: those it still waits for.
  JobId holder{};                    ///< ended: the job that now holds its unique key. Zero: none.
  NodeId node{};                     ///< running
  std::optional<TimePoint> since{};  ///< running, ended
  std::size_t slots =
      0;                ///< slots_busy, queue_slots_busy, kind_slots_busy: how many; limit_running: its most.
  std::string limit{};  ///< limit_running, limit_rate: the rule's name.
};

/// Why the job does not run now; empty when there is no such job: it was never added (an enqueue that met a
/// held unique key or a full queue says so), or was pruned.
///
/// Looked up in several reads, so what changes meanwhile may give the answer of a moment ago. Thread-safe.
/// Cost: a few lookups by key, the nodes, the counters.
[[nodiscard]] std::optional<WhyNotRunning> why_not_running(StoragePort& storage, JobId id);

}  // namespace quern::inline v1
