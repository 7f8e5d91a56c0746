#include "quern/storage/postgres_storage.hpp"

#include <fmt/format.h>

#include "quern/postgres.hpp"
#include "storage/postgres/impl.hpp"
#include "storage/postgres/schema.hpp"

namespace quern::inline v1 {

PostgresStorage::PostgresStorage(std::string address, PostgresOptions options)
    : impl_(std::make_unique<Impl>(std::move(address), std::move(options))) {}
PostgresStorage::~PostgresStorage() = default;

std::string PostgresStorage::migration_sql(std::string_view schema, int from) {
  return postgres::migration_script(std::string(schema), from);
}
int PostgresStorage::schema_version() noexcept { return postgres::schema_version; }

JobId PostgresStorage::reserve_ids(std::size_t count) { return impl_->reserve_ids(count); }

std::vector<InsertResult> PostgresStorage::insert(std::span<const NewJob> jobs) {
  if (jobs.empty()) return {};
  return impl_->insert(jobs);
}

std::vector<InsertResult> PostgresStorage::insert_within(PGconn* host, std::span<NewJob> jobs) {
  return impl_->insert_within(host, jobs);
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

std::vector<Claim> PostgresStorage::claim(const ClaimRequest& request) {
  check(request);
  return impl_->claim(request);
}

Turnover PostgresStorage::finish_and_claim(std::span<const Finish> finishes, const ClaimRequest& request) {
  check(request);
  if (finishes.empty()) return {{}, impl_->claim(request)};
  return impl_->finish_and_claim(finishes, request);
}

std::vector<FinishResult> PostgresStorage::finish(std::span<const Finish> finishes) {
  if (finishes.empty()) return {};
  return impl_->finish(finishes);
}

PromoteResult PostgresStorage::promote(std::size_t limit) { return impl_->promote(limit); }

std::vector<CancelResult> PostgresStorage::cancel(std::span<const JobId> ids, std::string_view who) {
  if (ids.empty()) return {};
  return impl_->cancel(ids, who);
}
std::vector<RetryResult> PostgresStorage::retry(std::span<const JobId> ids, std::string_view who) {
  if (ids.empty()) return {};
  return impl_->retry(ids, who);
}
std::vector<ChangeResult> PostgresStorage::reschedule(std::span<const JobId> ids, When when,
                                                      std::string_view who) {
  if (ids.empty()) return {};
  return impl_->reschedule(ids, when, who);
}
std::vector<ChangeResult> PostgresStorage::set_priority(std::span<const JobId> ids, Priority priority,
                                                        std::string_view who) {
  if (ids.empty()) return {};
  return impl_->set_priority(ids, priority, who);
}
std::vector<EraseResult> PostgresStorage::erase(std::span<const JobId> ids) {
  if (ids.empty()) return {};
  return impl_->erase(ids);
}

std::optional<JobId> PostgresStorage::key_holder(const std::string& key) { return impl_->key_holder(key); }

std::vector<std::optional<Job>> PostgresStorage::find(std::span<const JobId> ids) {
  if (ids.empty()) return {};
  return impl_->find(ids);
}
JobPage PostgresStorage::list(const JobFilter& filter) { return impl_->list(filter); }
std::vector<JobCount> PostgresStorage::count() { return impl_->count(); }
std::vector<ReadyAge> PostgresStorage::oldest_ready() { return impl_->oldest_ready(); }
std::vector<CountFault> PostgresStorage::recount() { return impl_->recount(); }

PruneResult PostgresStorage::prune(const PruneRequest& request) {
  if (!is_terminal(request.state))
    throw InvalidArgument("state",
                          fmt::format("is {}, only ended jobs are pruned", to_string(request.state)));
  if (request.older_than < Duration::zero())
    throw InvalidArgument("older_than",
                          fmt::format("is {}, it must not be negative", to_text(request.older_than)));
  return impl_->prune(request);
}

std::vector<RunCheck> PostgresStorage::progress(std::span<const ProgressUpdate> updates) {
  if (updates.empty()) return {};
  return impl_->progress(updates);
}
RunCheck PostgresStorage::save_step(const RunRef& run, const Step& step) {
  return impl_->save_step(run, step);
}
std::vector<Step> PostgresStorage::steps(JobId id) { return impl_->steps(id); }
std::vector<JobId> PostgresStorage::cancel_requests(NodeId node) { return impl_->cancel_requests(node); }

NodeId PostgresStorage::register_node(const NodeInfo& info) {
  if (info.lease < std::chrono::milliseconds(1) || info.lease > std::chrono::hours(24))
    throw InvalidArgument("lease", fmt::format("is {}, allowed are 1ms to 1d", to_text(info.lease)));
  return impl_->register_node(info);
}
RenewResult PostgresStorage::renew(NodeId node) { return impl_->renew(node); }
void PostgresStorage::retire(NodeId node) { impl_->retire(node); }

RescueResult PostgresStorage::rescue(std::size_t limit, int crashes) {
  if (crashes < 1) throw InvalidArgument("crashes", fmt::format("is {}, it must be at least 1", crashes));
  return impl_->rescue(limit, crashes);
}
std::vector<NodeStatus> PostgresStorage::nodes() { return impl_->nodes(); }

void PostgresStorage::pause(std::string_view queue) { impl_->set_queue(queue, true, std::nullopt); }
void PostgresStorage::resume(std::string_view queue) { impl_->set_queue(queue, false, std::nullopt); }
void PostgresStorage::limit_queue(std::string_view queue, std::uint64_t max_waiting) {
  impl_->set_queue(queue, std::nullopt, max_waiting);
}
std::vector<QueueStatus> PostgresStorage::queues() { return impl_->queues(); }

void PostgresStorage::set_limit(const LimitRule& rule) {
  quern::check(rule);
  impl_->set_limit(rule);
}
bool PostgresStorage::erase_limit(std::string_view name) { return impl_->erase_limit(name); }
std::vector<LimitStatus> PostgresStorage::limits() { return impl_->limits(); }

void PostgresStorage::put_record(const Record& record) { impl_->put_record(record); }
std::optional<Payload> PostgresStorage::get_record(std::string_view collection, std::string_view key) {
  return impl_->get_record(collection, key);
}
std::vector<Record> PostgresStorage::list_records(std::string_view collection, std::string_view after,
                                                  std::size_t limit) {
  return impl_->list_records(collection, after, limit);
}
bool PostgresStorage::erase_record(std::string_view collection, std::string_view key) {
  return impl_->erase_record(collection, key);
}
InsertIfResult PostgresStorage::insert_if(std::span<const NewJob> jobs,
                                          std::span<const RecordChange> changes) {
  return impl_->insert_if(jobs, changes);
}

NodeId PostgresStorage::become_keeper(const NodeInfo& info) { return impl_->become_keeper(info); }
void PostgresStorage::write_images(NodeId keeper, ImageSource& source) {
  impl_->write_images(keeper, source);
}
std::vector<JobImage> PostgresStorage::read_images(JobId after, std::size_t limit) {
  return impl_->read_images(after, limit);
}
std::vector<Record> PostgresStorage::read_records(const RecordKey& after, std::size_t limit) {
  return impl_->read_records(after, limit);
}

void PostgresStorage::observe(StorageObserver& observer) { impl_->observe(observer); }
void PostgresStorage::unobserve(StorageObserver& observer) { impl_->unobserve(observer); }
std::uint64_t PostgresStorage::foreign_changes() { return impl_->foreign_changes(); }
bool PostgresStorage::watches_foreign_changes() const { return impl_->watches_foreign_changes(); }
ClockRef PostgresStorage::clock() const { return impl_->clock(); }
std::string PostgresStorage::describe() const { return impl_->describe(); }

std::unique_ptr<StoragePort> detail::open_postgres(std::string_view rest, ClockRef clock) {
  PostgresOptions options;
  // The machine's own is what stands for none.
  if (clock.boot_id() != SystemClock().boot_id()) options.clock = clock;
  return std::make_unique<StorageAdapter<PostgresStorage>>("postgresql:" + std::string(rest),
                                                           std::move(options));
}

}  // namespace quern::inline v1
