#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "quern/core/job.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1 {

/// What happened to a job. The names in JSON and logs are "job.created" and so on.
enum class JobEventType : std::uint8_t {
  created,  ///< It was added (ready, scheduled or blocked).
  blocked,  ///< ... and waits for its parents. Follows `created`.
  started,  ///< A node claimed it.
  progress_updated,
  completed,
  failed,            ///< An attempt failed. `retrying`, `dead` or `cancelled` follows.
  retrying,          ///< It will run again, at `run_at`: after a failure, or because somebody asked.
  snoozed,           ///< Its handler put it off until `run_at`.
  released,          ///< It was handed back at a shutdown.
  rescued,           ///< Its node died, and it is ready again.
  lease_lost,        ///< A run tried to write after it had lost the job; nothing was changed.
  cancel_requested,  ///< Somebody cancelled it while it runs.
  cancelled,
  dead,
  rescheduled,       ///< It waits for `run_at` now, because somebody asked.
  priority_changed,  ///< While it waits, because somebody asked.
  erased,            ///< It is gone, because somebody asked. The last event of a job.
};
/// "job.created", "job.started", ...
[[nodiscard]] std::string_view to_string(JobEventType type) noexcept;

/// One thing that happened to one job.
struct JobEvent {
  JobEventType type = JobEventType::created;
  JobId id{};
  std::string kind{};
  std::string queue{};
  int attempt = 0;
  Epoch epoch = 0;
  TimePoint at{};                             ///< On the storage's clock.
  TimePoint run_at{};                         ///< retrying, snoozed, rescheduled, and created where it waits
  Progress progress{};                        ///< progress_updated
  DeadReason dead_reason = DeadReason::none;  ///< dead
  std::string message{};                      ///< failed, dead, cancelled, snoozed: why
};

/// Told by a storage object of what its own calls changed, in the order in which they took effect, from
/// inside the call. It must return at once, must not call the storage, and must not throw. Of what others
/// change it hears at most that there was something.
class StorageObserver {
 public:
  StorageObserver() = default;
  StorageObserver(const StorageObserver&) = delete;
  StorageObserver& operator=(const StorageObserver&) = delete;
  virtual ~StorageObserver() = default;

  /// Jobs became ready, or wait for an earlier time than before. At most once per call, not per job.
  virtual void on_work() noexcept {}
  /// The same where jobs became ready, and none waits for an earlier time than before. A storage may call
  /// `on_work` instead.
  virtual void on_ready() noexcept { on_work(); }
  /// Running jobs were asked to stop.
  virtual void on_cancel(std::span<const JobId> /*running*/) noexcept {}
  /// When false, the storage does not build events at all.
  [[nodiscard]] virtual bool wants_events() const noexcept { return false; }
  virtual void on_events(std::span<const JobEvent> /*events*/) noexcept {}
  /// True: a storage that can watch for changes of others does so, and calls `on_foreign_change`.
  [[nodiscard]] virtual bool wants_foreign_changes() const noexcept { return false; }
  /// `foreign_changes()` has moved: there may be work, and cancel requests. From any thread. Relied upon only
  /// while the storage's `watches_foreign_changes()` is true, and even then a change may, rarely, be missed.
  virtual void on_foreign_change() noexcept {}
};

}  // namespace quern::inline v1
