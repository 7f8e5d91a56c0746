#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace quern::inline v1::detail {

/// The operations of a SqliteStorage that write, each in one transaction.
enum class SqliteOp : std::uint8_t {
  reserve_ids,
  insert,
  claim,
  finish,
  finish_and_claim,
  promote,
  cancel,
  retry,
  prune,
  progress,
  save_step,
  register_node,
  renew,
  retire,
  rescue,
  pause,
  reschedule,
  set_priority,
  erase,
  record,
  insert_if,
  keeper,
  images,
  migrate,
};

/// The three boundaries of each: after BEGIN; when all is written, before COMMIT; after COMMIT, before
/// anybody knows. Where calls of several threads share a transaction, each of them passes its own three.
enum class SqliteMoment : std::uint8_t { begin, written, committed };

/// Every crash point of a SqliteStorage, operation by operation, moment by moment.
inline constexpr std::array<const char*, 72> sqlite_crash_points{
    "sqlite.reserve_ids.begin",
    "sqlite.reserve_ids.written",
    "sqlite.reserve_ids.committed",
    "sqlite.insert.begin",
    "sqlite.insert.written",
    "sqlite.insert.committed",
    "sqlite.claim.begin",
    "sqlite.claim.written",
    "sqlite.claim.committed",
    "sqlite.finish.begin",
    "sqlite.finish.written",
    "sqlite.finish.committed",
    "sqlite.finish_and_claim.begin",
    "sqlite.finish_and_claim.written",
    "sqlite.finish_and_claim.committed",
    "sqlite.promote.begin",
    "sqlite.promote.written",
    "sqlite.promote.committed",
    "sqlite.cancel.begin",
    "sqlite.cancel.written",
    "sqlite.cancel.committed",
    "sqlite.retry.begin",
    "sqlite.retry.written",
    "sqlite.retry.committed",
    "sqlite.prune.begin",
    "sqlite.prune.written",
    "sqlite.prune.committed",
    "sqlite.progress.begin",
    "sqlite.progress.written",
    "sqlite.progress.committed",
    "sqlite.save_step.begin",
    "sqlite.save_step.written",
    "sqlite.save_step.committed",
    "sqlite.register_node.begin",
    "sqlite.register_node.written",
    "sqlite.register_node.committed",
    "sqlite.renew.begin",
    "sqlite.renew.written",
    "sqlite.renew.committed",
    "sqlite.retire.begin",
    "sqlite.retire.written",
    "sqlite.retire.committed",
    "sqlite.rescue.begin",
    "sqlite.rescue.written",
    "sqlite.rescue.committed",
    "sqlite.pause.begin",
    "sqlite.pause.written",
    "sqlite.pause.committed",
    "sqlite.reschedule.begin",
    "sqlite.reschedule.written",
    "sqlite.reschedule.committed",
    "sqlite.set_priority.begin",
    "sqlite.set_priority.written",
    "sqlite.set_priority.committed",
    "sqlite.erase.begin",
    "sqlite.erase.written",
    "sqlite.erase.committed",
    "sqlite.record.begin",
    "sqlite.record.written",
    "sqlite.record.committed",
    "sqlite.insert_if.begin",
    "sqlite.insert_if.written",
    "sqlite.insert_if.committed",
    "sqlite.keeper.begin",
    "sqlite.keeper.written",
    "sqlite.keeper.committed",
    "sqlite.images.begin",
    "sqlite.images.written",
    "sqlite.images.committed",
    "sqlite.migrate.begin",
    "sqlite.migrate.written",
    "sqlite.migrate.committed",
};

/// One more, which only a call passes that finds a group of others at work: it stands in the queue for the
/// next.
inline constexpr const char* sqlite_waiting_point = "sqlite.waiting";

/// The name of one of them.
[[nodiscard]] constexpr const char* sqlite_crash_point(SqliteOp op, SqliteMoment moment) noexcept {
  return sqlite_crash_points[static_cast<std::size_t>(op) * 3 + static_cast<std::size_t>(moment)];
}
static_assert(static_cast<std::size_t>(SqliteOp::migrate) * 3 + 3 == sqlite_crash_points.size());

}  // namespace quern::inline v1::detail
