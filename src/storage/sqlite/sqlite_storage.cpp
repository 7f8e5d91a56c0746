#include "quern/storage/sqlite_storage.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "quern/sqlite.hpp"
#include "storage/record_changes.hpp"
#include "storage/sqlite/images.hpp"
#include "storage/sqlite/impl.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/reading.hpp"
#include "storage/sqlite/rule_book.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1 {

using sqlite::Connection;
using sqlite::SqliteOp;
using sqlite::Work;

SqliteStorage::SqliteStorage(std::string path, SqliteOptions options)
    : impl_(std::make_unique<Impl>(std::move(path), std::move(options))) {}
SqliteStorage::~SqliteStorage() = default;

JobId SqliteStorage::reserve_ids(std::size_t count) {
  return impl_->write(SqliteOp::reserve_ids, 1,
                      [&](Work& work) { return sqlite::reserve_ids(work.db, count); });
}

std::vector<InsertResult> SqliteStorage::insert(std::span<const NewJob> jobs) {
  if (jobs.empty()) return {};
  return impl_->write(SqliteOp::insert, jobs.size(), [&](Work& work) { return sqlite::insert(work, jobs); });
}

namespace {
void check(const ClaimRequest& request) {
  if (request.ageing < Duration::zero())
    throw InvalidArgument("ageing", fmt::format("is {}, it must not be negative", to_text(request.ageing)));
  for (const ClaimLimit& kind : request.kinds) {
    if (kind.max_attempts < 1)
      throw InvalidArgument("kinds", fmt::format("\"{}\" has max_attempts {}, it must be at least 1",
                                                 kind.name, kind.max_attempts));
  }
}
}  // namespace

std::vector<Claim> SqliteStorage::claim(const ClaimRequest& request) {
  check(request);
  return impl_->write_if(
      SqliteOp::claim, request.limit,
      [&](Connection& db) {
        return sqlite::may_claim(db, impl_->lanes(), request, impl_->clock().steady(), impl_->told_start());
      },
      [](Connection&) { return std::vector<Claim>{}; },
      [&](Work& work) { return sqlite::claim(work, request, impl_->clock(), impl_->told_start()); });
}

std::vector<FinishResult> SqliteStorage::finish(std::span<const Finish> finishes) {
  if (finishes.empty()) return {};
  return impl_->write(SqliteOp::finish, finishes.size(),
                      [&](Work& work) { return sqlite::finish(work, finishes); });
}

Turnover SqliteStorage::finish_and_claim(std::span<const Finish> finishes, const ClaimRequest& request) {
  check(request);
  if (finishes.empty()) return {{}, claim(request)};
  return impl_->write(SqliteOp::finish_and_claim, finishes.size() + request.limit, [&](Work& work) {
    Turnover done{sqlite::finish(work, finishes), std::vector<Claim>{}};
    work.flush();  // what the finishes make ready is to be found
    if (sqlite::may_claim(work.db, impl_->lanes(), request, impl_->clock().steady(), impl_->told_start()))
      done.claimed = sqlite::claim(work, request, impl_->clock(), impl_->told_start());
    return done;
  });
}

PromoteResult SqliteStorage::promote(std::size_t limit) {
  return impl_->write_if(
      SqliteOp::promote, limit,
      [&](Connection& db) { return sqlite::anything_due(db, impl_->clock().now()); },
      [&](Connection& db) {
        return PromoteResult{
            .next = std::min(sqlite::next_due(db), sqlite::next_start(db, impl_->lanes(), impl_->clock()))};
      },
      [&](Work& work) { return sqlite::promote(work, limit, impl_->clock()); });
}

std::vector<CancelResult> SqliteStorage::cancel(std::span<const JobId> ids, std::string_view who) {
  if (ids.empty()) return {};
  return impl_->write(SqliteOp::cancel, ids.size(),
                      [&](Work& work) { return sqlite::cancel(work, ids, who); });
}

std::vector<RetryResult> SqliteStorage::retry(std::span<const JobId> ids, std::string_view who) {
  if (ids.empty()) return {};
  return impl_->write(SqliteOp::retry, ids.size(), [&](Work& work) { return sqlite::retry(work, ids, who); });
}

std::vector<ChangeResult> SqliteStorage::reschedule(std::span<const JobId> ids, When when,
                                                    std::string_view who) {
  if (ids.empty()) return {};
  return impl_->write(SqliteOp::reschedule, ids.size(),
                      [&](Work& work) { return sqlite::reschedule(work, ids, when, who); });
}

std::vector<ChangeResult> SqliteStorage::set_priority(std::span<const JobId> ids, Priority priority,
                                                      std::string_view who) {
  if (ids.empty()) return {};
  return impl_->write(SqliteOp::set_priority, ids.size(),
                      [&](Work& work) { return sqlite::set_priority(work, ids, priority, who); });
}

std::vector<EraseResult> SqliteStorage::erase(std::span<const JobId> ids) {
  if (ids.empty()) return {};
  return impl_->write(SqliteOp::erase, ids.size(), [&](Work& work) { return sqlite::erase(work, ids); });
}

std::optional<JobId> SqliteStorage::key_holder(const std::string& key) {
  return impl_->read([&](Connection& db) { return sqlite::key_holder(db, key, impl_->clock().now()); });
}

std::vector<std::optional<Job>> SqliteStorage::find(std::span<const JobId> ids) {
  if (ids.empty()) return {};
  return impl_->read([&](Connection& db) { return sqlite::find(db, ids); });
}

JobPage SqliteStorage::list(const JobFilter& filter) {
  return impl_->read([&](Connection& db) { return sqlite::list(db, filter); });
}

std::vector<JobCount> SqliteStorage::count() {
  return impl_->read([](Connection& db) { return sqlite::count(db); });
}

std::vector<ReadyAge> SqliteStorage::oldest_ready() {
  return impl_->read([&](Connection& db) { return sqlite::oldest_ready(db, impl_->clock().now()); });
}

std::vector<CountFault> SqliteStorage::recount() {
  return impl_->read([](Connection& db) { return sqlite::recount(db); });
}

PruneResult SqliteStorage::prune(const PruneRequest& request) {
  if (!is_terminal(request.state))
    throw InvalidArgument("state",
                          fmt::format("is {}, only ended jobs are pruned", to_string(request.state)));
  if (request.older_than < Duration::zero())
    throw InvalidArgument("older_than",
                          fmt::format("is {}, it must not be negative", to_text(request.older_than)));
  return impl_->write(SqliteOp::prune, request.limit,
                      [&](Work& work) { return sqlite::prune(work, request); });
}

std::vector<RunCheck> SqliteStorage::progress(std::span<const ProgressUpdate> updates) {
  if (updates.empty()) return {};
  return impl_->write(SqliteOp::progress, updates.size(),
                      [&](Work& work) { return sqlite::progress(work, updates); });
}

RunCheck SqliteStorage::save_step(const RunRef& run, const Step& step) {
  return impl_->write(SqliteOp::save_step, 1, [&](Work& work) { return sqlite::save_step(work, run, step); });
}

std::vector<Step> SqliteStorage::steps(JobId id) {
  return impl_->read([&](Connection& db) { return sqlite::steps(db, id); });
}

std::vector<JobId> SqliteStorage::cancel_requests(NodeId node) {
  return impl_->read([&](Connection& db) { return sqlite::cancel_requests(db, node); });
}

NodeId SqliteStorage::register_node(const NodeInfo& info) {
  if (info.lease < std::chrono::milliseconds(1) || info.lease > std::chrono::hours(24))
    throw InvalidArgument("lease", fmt::format("is {}, allowed are 1ms to 1d", to_text(info.lease)));
  return impl_->write(SqliteOp::register_node, 1,
                      [&](Work& work) { return sqlite::register_node(work, info, impl_->clock()); });
}

RenewResult SqliteStorage::renew(NodeId node) {
  return impl_->write(SqliteOp::renew, 1,
                      [&](Work& work) { return sqlite::renew(work, node, impl_->clock()); });
}

void SqliteStorage::retire(NodeId node) { impl_->retire(node); }

RescueResult SqliteStorage::rescue(std::size_t limit, int crashes) {
  if (crashes < 1) throw InvalidArgument("crashes", fmt::format("is {}, it must be at least 1", crashes));
  return impl_->write_if(
      SqliteOp::rescue, limit, [&](Connection& db) { return sqlite::anything_lost(db, impl_->clock()); },
      [](Connection&) { return RescueResult{}; },
      [&](Work& work) { return sqlite::rescue(work, limit, crashes, impl_->clock()); });
}

std::vector<NodeStatus> SqliteStorage::nodes() {
  return impl_->read([&](Connection& db) { return sqlite::nodes(db, impl_->clock()); });
}

void SqliteStorage::pause(std::string_view queue) {
  impl_->write(SqliteOp::pause, 1, [&](Work& work) { return work.db.run(sqlite::sql::pause_queue, queue); });
}

void SqliteStorage::resume(std::string_view queue) {
  impl_->write(SqliteOp::pause, 1, [&](Work& work) {
    work.has_work = true;
    return work.db.run(sqlite::sql::resume_queue, queue);
  });
}

void SqliteStorage::limit_queue(std::string_view queue, std::uint64_t max_waiting) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  impl_->write(SqliteOp::pause, 1, [&](Work& work) {
    return work.db.run(sqlite::sql::limit_queue, queue, std::min(max_waiting, most));
  });
}

std::vector<QueueStatus> SqliteStorage::queues() {
  return impl_->read([](Connection& db) { return sqlite::queues(db); });
}

void SqliteStorage::set_limit(const LimitRule& rule) {
  quern::check(rule);
  impl_->write(SqliteOp::keeper, 1, [&](Work& work) {
    impl_->check_may_set_rules(work.db);
    work.has_work = true;
    sqlite::set_limit(work.db, rule, impl_->clock().steady());
    return true;
  });
}

bool SqliteStorage::erase_limit(std::string_view name) {
  return impl_->write(SqliteOp::keeper, 1, [&](Work& work) {
    impl_->check_may_set_rules(work.db);
    return work.has_work = work.db.run(sqlite::sql::delete_limit, name) != 0;
  });
}

std::vector<LimitStatus> SqliteStorage::limits() {
  return impl_->read([&](Connection& db) {
    sqlite::LaneBook lanes;  // the storage's own is for who writes
    return sqlite::RuleBook(db, lanes, impl_->clock().steady()).status();
  });
}

void SqliteStorage::put_record(const Record& record) {
  impl_->write(SqliteOp::record, 1, [&](Work& work) {
    return work.db.run(sqlite::sql::put_record, record.collection, record.key,
                       sqlite::Blob{record.value.text()});
  });
}

std::optional<Payload> SqliteStorage::get_record(std::string_view collection, std::string_view key) {
  return impl_->read([&](Connection& db) { return sqlite::get_record(db, collection, key); });
}

std::vector<Record> SqliteStorage::list_records(std::string_view collection, std::string_view after,
                                                std::size_t limit) {
  return impl_->read([&](Connection& db) { return sqlite::list_records(db, collection, after, limit); });
}

bool SqliteStorage::erase_record(std::string_view collection, std::string_view key) {
  return impl_->write(SqliteOp::record, 1, [&](Work& work) {
    return work.db.run(sqlite::sql::erase_record, collection, key) != 0;
  });
}

InsertIfResult SqliteStorage::insert_if(std::span<const NewJob> jobs, std::span<const RecordChange> changes) {
  detail::check(changes);
  return impl_->write(SqliteOp::insert_if, jobs.size() + changes.size(),
                      [&](Work& work) { return sqlite::insert_if(work, jobs, changes); });
}

NodeId SqliteStorage::become_keeper(const NodeInfo& info) { return impl_->become_keeper(info); }

void SqliteStorage::write_images(NodeId keeper, ImageSource& source) { impl_->write_images(keeper, source); }

std::vector<JobImage> SqliteStorage::read_images(JobId after, std::size_t limit) {
  return impl_->read([&](Connection& db) { return sqlite::read_images(db, after, limit); });
}

std::vector<Record> SqliteStorage::read_records(const RecordKey& after, std::size_t limit) {
  return impl_->read([&](Connection& db) { return sqlite::read_records(db, after, limit); });
}

void SqliteStorage::observe(StorageObserver& observer) { impl_->observe(observer); }
void SqliteStorage::unobserve(StorageObserver& observer) { impl_->unobserve(observer); }
std::uint64_t SqliteStorage::foreign_changes() { return impl_->foreign_changes(); }
bool SqliteStorage::watches_foreign_changes() const { return impl_->watches_foreign_changes(); }
ClockRef SqliteStorage::clock() const { return impl_->clock(); }
std::string SqliteStorage::describe() const { return "sqlite:" + impl_->path(); }

std::vector<InsertResult> SqliteStorage::insert_within(sqlite3* host, std::span<NewJob> jobs) {
  return impl_->insert_within(host, jobs);
}

std::unique_ptr<StoragePort> detail::open_sqlite(std::string_view path, ClockRef clock) {
  return std::make_unique<StorageAdapter<SqliteStorage>>(std::string(path), SqliteOptions{.clock = clock});
}

}  // namespace quern::inline v1
