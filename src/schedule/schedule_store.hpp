#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/random.hpp"
#include "quern/queue/queue_core.hpp"
#include "quern/schedule/schedule.hpp"

namespace quern::inline v1::detail {

struct StoredSchedule {
  ScheduleSpec spec{};
  ScheduleState state{};
};
QUERN_FIELDS(StoredSchedule, spec, state)

/// What stands in the storage.
struct ScheduleRecord {
  std::string name{};
  Payload seen{};                         ///< The record as it is.
  std::optional<StoredSchedule> value{};  ///< None: it can't be read.
  std::string fault{};                    ///< Why not.
};

/// Schedules as records, and a record more that changes with each change of a spec, so that others notice. Thread-safe.
class ScheduleStore {
 public:
  explicit ScheduleStore(QueueCore& queue);

  [[nodiscard]] std::optional<ScheduleRecord> get(std::string_view name);
  [[nodiscard]] std::vector<ScheduleRecord> list(std::string_view after, std::size_t limit);
  /// Those of the names, which are sorted, that there are, by name. `span`: how many schedules are believed to stand from the first
  /// to the last of them; where most of these are asked for they are read page by page.
  [[nodiscard]] std::vector<ScheduleRecord> get_all(std::span<const std::string> names, std::size_t span);
  /// Differs from the last answer when a spec has been changed since, by anybody.
  [[nodiscard]] std::string revision();

  /// Reads, lets `edit` change what it finds, and writes, until nobody came between. `edit` is given what there is, and answers
  /// what there is to be: the same as none where it is to go. Returning false ends it with nothing changed. Throws StorageError.
  using Edit = std::function<bool(std::optional<StoredSchedule>& schedule)>;
  bool change(std::string_view name, const Edit& edit);

  /// A change of one schedule's record by a decision.
  [[nodiscard]] static RecordChange decided(const ScheduleRecord& before, const StoredSchedule& after);

 private:
  QueueCore& queue_;
  std::mutex mutex_;
  Random random_;
};

}  // namespace quern::inline v1::detail
