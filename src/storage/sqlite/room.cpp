// The limits of queues, at the door.
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

bool needs_room(Work& work, const NewJob& job) {
  if (work.db.exists(sql::has_job, job.id)) return false;
  if (job.unique.key.empty()) return true;
  const auto id = work.db.value(sql::key_holder, job.unique.key, work.now);
  if (!id) return true;
  // It is not added, or takes the place of one that waits; which may stand in another queue.
  if (job.unique.on_conflict != UniqueConflict::replace) return false;
  const auto holder = work.locate(JobId{static_cast<std::uint64_t>(*id)});
  if (!holder) return true;
  const bool waits = !is_terminal(holder->state) && holder->state != JobState::running;
  return waits && work.lanes.name(work.db, holder->lane).queue != job.queue;
}

}  // namespace

bool has_room(Work& work, std::span<const NewJob> jobs) {
  std::map<std::string, std::uint64_t> limits;
  {
    Query row = work.db.query(sql::limited_queues);
    while (row.step()) limits.emplace(row.string(0), static_cast<std::uint64_t>(row.number(1)));
  }
  if (limits.empty()) return true;
  work.flush_counts();  // inserts that share the transaction count, too

  std::map<std::string_view, std::uint64_t> coming;
  std::set<std::string_view> keys;
  for (const NewJob& job : jobs) {
    const std::string& key = job.unique.key;
    const bool first_with_key = key.empty() || keys.insert(key).second;
    if (!limits.contains(job.queue)) continue;
    if (first_with_key && needs_room(work, job)) ++coming[job.queue];
  }
  return std::ranges::all_of(coming, [&](const auto& some) {
    const std::uint64_t most = limits.find(std::string(some.first))->second;
    const auto there =
        static_cast<std::uint64_t>(work.db.value(sql::waiting_in_queue, some.first).value_or(0));
    return there < most && some.second <= most - there;
  });
}

}  // namespace quern::inline v1::sqlite
