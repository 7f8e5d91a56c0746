#pragma once

#include <map>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/storage/requests.hpp"
#include "storage/sqlite/work.hpp"

// The operations of job_store.hpp, each inside a transaction that somebody else begins, commits and tells of.
// They change nothing by themselves where they throw: the transaction is then rolled back.

namespace quern::inline v1::sqlite {

// insert.cpp
JobId reserve_ids(Connection& db, std::size_t count);
std::vector<InsertResult> insert(Work& work, std::span<const NewJob> jobs);
InsertIfResult insert_if(Work& work, std::span<const NewJob> jobs, std::span<const RecordChange> changes);
/// Throws InvalidArgument for an id out of range or twice, or an unknown parent. `coming`: ids that earlier
/// batches of the same call bring; those of this one are added.
void check_batch(Work& work, std::span<const NewJob> jobs, std::set<JobId>& coming);
/// For jobs of this call that were not added, the holder of their key: it is the parent in their stead.
using StandIns = std::map<JobId, JobId>;
/// Inserts what `check_batch` let through.
std::vector<InsertResult> insert_checked(Work& work, std::span<const NewJob> jobs, StandIns& stand_ins);

// room.cpp
/// Whether the queues that have a limit have room for all of these.
bool has_room(Work& work, std::span<const NewJob> jobs);

// claim.cpp
/// True when there may be something to claim; false is certain. Reads only. `told_start`: when a rate lets the next job
/// start, on the steady clock, as the observers were told last.
bool may_claim(Connection& db, LaneBook& lanes, const ClaimRequest& request, SteadyTime steady,
               SteadyTime told_start);
std::vector<Claim> claim(Work& work, const ClaimRequest& request, const ClockRef& clock,
                         SteadyTime& told_start);

// finish.cpp
std::vector<FinishResult> finish(Work& work, std::span<const Finish> finishes);

// upkeep.cpp
/// True when `promote` has something to do. Reads only.
bool anything_due(Connection& db, TimePoint now);
/// When something is due next.
TimePoint next_due(Connection& db);
/// When a rate lets a ready job start that waits for it now.
TimePoint next_start(Connection& db, LaneBook& lanes, const ClockRef& clock);
PromoteResult promote(Work& work, std::size_t limit, const ClockRef& clock);

// prune.cpp
PruneResult prune(Work& work, const PruneRequest& request);

// commands.cpp
std::vector<CancelResult> cancel(Work& work, std::span<const JobId> ids, std::string_view who);
std::vector<RetryResult> retry(Work& work, std::span<const JobId> ids, std::string_view who);

// changes.cpp
std::vector<ChangeResult> reschedule(Work& work, std::span<const JobId> ids, When when, std::string_view who);
std::vector<ChangeResult> set_priority(Work& work, std::span<const JobId> ids, Priority priority,
                                       std::string_view who);
std::vector<EraseResult> erase(Work& work, std::span<const JobId> ids);

// runs.cpp
std::vector<RunCheck> progress(Work& work, std::span<const ProgressUpdate> updates);
RunCheck save_step(Work& work, const RunRef& run, const Step& step);
/// The place of a run in the claims; null when it was lost.
struct HeldRun {
  ClaimRow* row = nullptr;
  ClaimRow::Spot spot{};
  explicit operator bool() const noexcept { return row != nullptr; }
};
HeldRun held_by(Work& work, const RunRef& run);
/// Tells the observers that a run came too late.
void tell_lost(Work& work, const RunRef& run);

// nodes.cpp
NodeId register_node(Work& work, const NodeInfo& info, const ClockRef& clock);
RenewResult renew(Work& work, NodeId node, const ClockRef& clock);
void retire(Work& work, NodeId node);
/// True when `rescue` has something to do. Reads only.
bool anything_lost(Connection& db, const ClockRef& clock);
RescueResult rescue(Work& work, std::size_t limit, int crashes, const ClockRef& clock);

}  // namespace quern::inline v1::sqlite
