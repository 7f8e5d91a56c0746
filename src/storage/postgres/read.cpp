#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "storage/node_capacity.hpp"
#include "storage/postgres/impl.hpp"
#include "storage/postgres/job_json.hpp"

namespace quern::inline v1 {
namespace {

const postgres::Statement full_jobs{"SELECT * FROM @.full_jobs($1)"};
const postgres::Statement page_of_jobs{
    "SELECT * FROM @.full_jobs(ARRAY(SELECT i FROM @.list_ids($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) i))"};
const postgres::Statement all_counts{
    "SELECT l.queue, l.kind, c.state, c.n FROM @.counts() c JOIN @.lane l ON l.id = c.lane"};
const postgres::Statement count_faults{"SELECT * FROM @.recount()"};
const postgres::Statement steps_of{"SELECT name, value FROM @.step WHERE job = $1 ORDER BY number"};
const postgres::Statement requests_of{"SELECT * FROM @.cancel_requests($1)"};
const postgres::Statement all_nodes{"SELECT * FROM @.nodes($1, $2)"};
const postgres::Statement all_queues{"SELECT * FROM @.queues()"};
const postgres::Statement holder_of{
    "SELECT id FROM @.key WHERE key = @.key_of($1) AND until > coalesce($2::bigint, @.clock())"};
const postgres::Statement put{
    "SELECT @.set_record(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6)"};
const postgres::Statement get{"SELECT value FROM @.record WHERE collection = $1 AND key = $2"};
const postgres::Statement list_of_records{
    "SELECT key, value FROM @.record WHERE collection = $1 AND key > $2 ORDER BY key LIMIT $3"};

/// The columns of full_jobs.
enum Column : int {
  id,
  lane,
  priority,
  state,
  max_attempts,
  run_at,
  created_at,
  deadline,
  timeout,
  policy,
  run,
  attempt,
  epoch,
  crashes,
  snoozes,
  started_at,
  finished_at,
  node,
  reason,
  message,
  payload,
  tenant,
  tags,
  unique_key,
  parents,
  created_by,
  digest,
  trace,
  result,
  percent,
  progress,
  asked,
  errors
};

std::vector<AttemptError> errors_of(std::string_view text) {
  std::vector<AttemptError> list;
  if (text.empty()) return list;
  for (const auto& error : nlohmann::json::parse(text)) {
    list.push_back({.attempt = error.at(0).get<int>(),
                    .epoch = error.at(1).get<Epoch>(),
                    .at = from_us(error.at(2).get<std::int64_t>()),
                    .fault = static_cast<AttemptFault>(error.at(3).get<int>()),
                    .message = error.at(4).get<std::string>()});
  }
  return list;
}

std::optional<std::string_view> text_of(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string_view>(text);
}

}  // namespace

Job PostgresStorage::Impl::job_of(const Result& rows, int row) {
  Job job;
  job.id = JobId{rows.id(row, id)};
  auto names = lane_names(rows.small(row, lane));
  job.queue = std::move(names.queue);
  job.kind = std::move(names.kind);
  job.payload = Payload::json(rows.string(row, payload));
  job.priority = Priority{rows.small(row, priority)};
  if (!rows.null(row, state)) job.state = static_cast<JobState>(rows.small(row, state));
  job.tenant = rows.string(row, tenant);
  job.tags = postgres::split_tags(rows.text(row, tags));
  job.unique_key = rows.string(row, unique_key);
  job.parents = postgres::split_ids(rows.text(row, parents));
  job.on_parent_failure = static_cast<ParentPolicy>(rows.small(row, policy));
  job.created_by = rows.string(row, created_by);
  job.digest = rows.string(row, digest);
  job.trace = rows.string(row, trace);
  job.run = rows.small(row, run);
  job.attempt = rows.small(row, attempt);
  job.max_attempts = rows.small(row, max_attempts);
  job.epoch = static_cast<Epoch>(rows.number(row, epoch));
  job.crashes = rows.small(row, crashes);
  job.snoozes = rows.small(row, snoozes);
  job.cancel_requested = rows.truth(row, asked);
  job.created_at = rows.time(row, created_at);
  job.run_at = rows.time(row, run_at);
  job.deadline = rows.maybe_time(row, Column::deadline);
  job.started_at = rows.maybe_time(row, started_at);
  job.finished_at = rows.maybe_time(row, finished_at);
  job.timeout = Duration(rows.number(row, timeout));
  if (job.state == JobState::running) job.node = rows.id(row, node);
  if (!rows.null(row, percent)) job.progress = {rows.small(row, percent), rows.string(row, Column::progress)};
  if (!rows.null(row, result)) job.result = Payload::json(rows.string(row, result));
  job.dead_reason = static_cast<DeadReason>(rows.small(row, reason));
  job.end_message = rows.string(row, message);
  job.errors = errors_of(rows.text(row, errors));
  return job;
}

std::vector<std::optional<Job>> PostgresStorage::Impl::find(std::span<const JobId> ids) {
  std::vector<std::int64_t> numbers;
  numbers.reserve(ids.size());
  for (const JobId one : ids) numbers.push_back(static_cast<std::int64_t>(one.value));
  const Result rows = read(full_jobs, Params().add_longs(std::span<const std::int64_t>(numbers)));
  std::unordered_map<std::uint64_t, int> places;
  for (int row = 0; row < rows.rows(); ++row) places.emplace(rows.id(row, id), row);
  std::vector<std::optional<Job>> found;
  found.reserve(ids.size());
  for (const JobId one : ids) {
    const auto place = places.find(one.value);
    found.push_back(place == places.end() ? std::nullopt : std::optional(job_of(rows, place->second)));
  }
  return found;
}

JobPage PostgresStorage::Impl::list(const JobFilter& filter) {
  constexpr std::size_t most = 10'000;
  if (filter.limit < 1 || filter.limit > most)
    throw InvalidArgument("limit", fmt::format("is {}, allowed are 1 to {}", filter.limit, most));
  if (filter.oldest_first && filter.after.value >= max_job_id) return {};
  Params params;
  std::vector<int> states;
  for (const JobState wanted : filter.states) states.push_back(static_cast<int>(wanted));
  std::ranges::sort(states);
  states.erase(std::ranges::unique(states).begin(), states.end());
  if (states.empty())
    params.null();
  else
    params.add_shorts(states);
  params.add(text_of(filter.queue))
      .add(text_of(filter.kind))
      .add(text_of(filter.tenant))
      .add(text_of(filter.tag));
  const auto add_time = [&](const std::optional<TimePoint>& time) {
    params.add(time ? std::optional(to_us(*time)) : std::nullopt);
  };
  add_time(filter.created_from);
  add_time(filter.created_before);
  params.add(std::min(filter.after.value, max_job_id)).add(filter.oldest_first);
  params.add(static_cast<std::int64_t>(filter.limit + 1));
  const Result rows = read(page_of_jobs, params);

  JobPage page;
  const int count = std::min(rows.rows(), static_cast<int>(filter.limit));
  // By id, so where the order is downwards the last ones come first.
  for (int i = 0; i < count; ++i)
    page.jobs.push_back(job_of(rows, filter.oldest_first ? i : rows.rows() - 1 - i));
  if (rows.rows() > count) page.next = page.jobs.back().id;
  return page;
}

std::vector<JobCount> PostgresStorage::Impl::count() {
  const Result rows = read(all_counts, {});
  std::vector<JobCount> counts;
  for (int row = 0; row < rows.rows(); ++row)
    counts.push_back({rows.string(row, 0), rows.string(row, 1), static_cast<JobState>(rows.small(row, 2)),
                      rows.id(row, 3)});
  std::ranges::sort(counts);
  return counts;
}

std::vector<CountFault> PostgresStorage::Impl::recount() {
  const Result rows = read(count_faults, {});
  std::vector<CountFault> faults;
  for (int row = 0; row < rows.rows(); ++row)
    faults.push_back({rows.string(row, 0), rows.string(row, 1), static_cast<JobState>(rows.small(row, 2)),
                      rows.id(row, 3), rows.id(row, 4)});
  std::ranges::sort(faults);
  return faults;
}

std::vector<Step> PostgresStorage::Impl::steps(JobId job) {
  const Result rows = read(steps_of, Params().add(job.value));
  std::vector<Step> saved;
  for (int row = 0; row < rows.rows(); ++row)
    saved.push_back({rows.string(row, 0), Payload::json(rows.string(row, 1))});
  return saved;
}

std::vector<JobId> PostgresStorage::Impl::cancel_requests(NodeId of) {
  const Result rows = read(requests_of, Params().add(of.value));
  std::vector<JobId> ids;
  for (int row = 0; row < rows.rows(); ++row) ids.push_back(JobId{rows.id(row, 0)});
  return ids;
}

std::vector<NodeStatus> PostgresStorage::Impl::nodes() {
  Params params;
  add_steady(params);
  const Result rows = read(all_nodes, params);
  std::vector<NodeStatus> list;
  for (int row = 0; row < rows.rows(); ++row) {
    NodeStatus& status = list.emplace_back();
    status.id = NodeId{rows.id(row, 0)};
    status.state = static_cast<NodeState>(rows.small(row, 1));
    status.info.lease = Duration(rows.number(row, 2));
    status.lease_left = Duration(rows.number(row, 3));
    status.started_at = rows.time(row, 4);
    status.info.process = rows.number(row, 5);
    status.info.name = rows.string(row, 6);
    status.info.host = rows.string(row, 7);
    detail::unpack_capacity(rows.string(row, 8), status.info);
    status.running = rows.id(row, 9);
  }
  return list;
}

std::vector<QueueStatus> PostgresStorage::Impl::queues() {
  const Result rows = read(all_queues, {});
  std::vector<QueueStatus> list;
  for (int row = 0; row < rows.rows(); ++row)
    list.push_back({rows.string(row, 0), rows.truth(row, 1), rows.id(row, 2)});
  return list;
}

std::optional<JobId> PostgresStorage::Impl::key_holder(const std::string& key) {
  Params params;
  params.add(key);
  params.add(options_.clock ? std::optional(to_us(options_.clock->now())) : std::nullopt);
  const Result rows = read(holder_of, params);
  return rows.rows() == 0 ? std::nullopt : std::optional(JobId{rows.id(0, 0)});
}

void PostgresStorage::Impl::put_record(const Record& record) {
  Params params = context(false);
  params.add(record.collection).add(record.key).add(record.value.text());
  call(put, params, Again::safe);
}

std::optional<Payload> PostgresStorage::Impl::get_record(std::string_view collection, std::string_view key) {
  const Result rows = read(get, Params().add(collection).add(key));
  return rows.rows() == 0 ? std::nullopt : std::optional(Payload::json(rows.string(0, 0)));
}

std::vector<Record> PostgresStorage::Impl::list_records(std::string_view collection, std::string_view after,
                                                        std::size_t limit) {
  Params params;
  params.add(collection).add(after).add(static_cast<std::int64_t>(std::min<std::size_t>(limit, max_job_id)));
  const Result rows = read(list_of_records, params);
  std::vector<Record> records;
  for (int row = 0; row < rows.rows(); ++row)
    records.push_back({std::string(collection), rows.string(row, 0), Payload::json(rows.string(row, 1))});
  return records;
}

bool PostgresStorage::Impl::erase_record(std::string_view collection, std::string_view key) {
  Params params = context(false);
  params.add(collection).add(key).null();
  return call(put, params, Again::never).rows.truth(0, 0);
}

}  // namespace quern::inline v1
