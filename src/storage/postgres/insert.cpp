#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "storage/postgres/impl.hpp"
#include "storage/postgres/job_json.hpp"
#include "storage/postgres/new_jobs.hpp"
#include "storage/record_changes.hpp"

namespace quern::inline v1 {

using postgres::ConnectionLost;

namespace {

const postgres::Statement reserve{"SELECT @.reserve_ids($1, $2)"};
const postgres::Statement partitions{"SELECT @.make_partitions($1, $2)"};
const postgres::Statement plain{
    "SELECT * FROM @.insert_plain(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8, $9, "
    "$10, $11, $12, "
    "$13, $14, $15, $16, $17, $18)"};
const postgres::Statement any_jobs{
    "SELECT * FROM @.insert_any(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4::text::jsonb)"};

const postgres::Statement if_as_seen{
    "SELECT * FROM @.insert_if(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4::text::jsonb, "
    "$5::text::jsonb)"};

bool is_plain(const NewJob& job) { return job.unique.key.empty() && job.parents.empty(); }

}  // namespace

/// Tries again while the server can't be reached, for as long as the host wants to wait.
template <class Insert>
auto PostgresStorage::Impl::with_patience(const Insert& insert) {
  const SystemClock clock;
  const SteadyTime until = clock.steady() + options_.insert_patience;
  while (true) {
    try {
      return insert();
    } catch (const ConnectionLost& e) {
      if (options_.insert_patience == Duration::zero()) throw;
      if (clock.steady() >= until)
        throw ConnectionLost(fmt::format("{}; tried for {}", e.what(), to_text(options_.insert_patience)),
                             e.sent());
      pool_.wait_for_turn(until);
    }
  }
}

void PostgresStorage::Impl::make_partitions(const std::vector<JobId>& ids) {
  std::unordered_set<std::uint64_t> made;
  constexpr std::uint64_t least_size = 1000;
  for (const JobId id : ids) {
    if (made.insert(id.value / least_size).second)
      call(partitions, Params().add(id.value).add(id.value), Again::patient);
  }
}

JobId PostgresStorage::Impl::reserve_ids(std::size_t count) {
  if (count < 1 || count > std::size_t{1} << 32U)
    throw InvalidArgument("count", fmt::format("is {}, allowed are 1 to 2^32", count));
  return with_patience([&] {
    return JobId{call(reserve, Params().add(origin_).add(static_cast<std::int64_t>(count)), Again::patient)
                     .rows.id(0, 0)};
  });
}

std::vector<InsertResult> PostgresStorage::Impl::insert(std::span<const NewJob> jobs) {
  postgres::check_ids(jobs);
  return with_patience([&] { return insert_once(jobs); });
}

std::vector<InsertResult> PostgresStorage::Impl::insert_once(std::span<const NewJob> jobs) {
  constexpr std::size_t large = 200;
  if (!std::ranges::all_of(jobs, is_plain)) return insert_any(jobs);
  InsertCall call{.jobs = jobs};
  if (jobs.size() >= large) {
    insert_together({&call});
  } else {
    join_insert(call);
  }
  if (call.error) std::rethrow_exception(call.error);
  return std::move(call.results);
}

/// Small inserts of several threads share a statement: two of the callers lead at any time, each with all that
/// have come meanwhile.
void PostgresStorage::Impl::join_insert(InsertCall& call) {
  constexpr std::size_t most_jobs = 1000;
  constexpr int most_leaders = 2;
  std::unique_lock lock(inserts_mutex_);
  inserts_.push_back(&call);
  while (!call.done) {
    if (call.taken || insert_leaders_ == most_leaders) {
      inserts_done_.wait(lock);
      continue;
    }
    std::vector<InsertCall*> together;
    std::deque<InsertCall*> left;
    std::unordered_set<std::uint64_t> ids;
    std::size_t size = 0;
    for (InsertCall* const other : inserts_) {
      // The same insert, sent twice at once, must not be one statement: one of them is a repetition.
      const bool fits =
          size + other->jobs.size() <= most_jobs &&
          std::ranges::none_of(other->jobs, [&](const NewJob& job) { return ids.contains(job.id.value); });
      if (!fits) {
        left.push_back(other);
        continue;
      }
      for (const NewJob& job : other->jobs) ids.insert(job.id.value);
      size += other->jobs.size();
      other->taken = true;
      together.push_back(other);
    }
    inserts_ = std::move(left);
    ++insert_leaders_;
    lock.unlock();
    insert_together(together);
    lock.lock();
    --insert_leaders_;
    for (InsertCall* const other : together) other->done = true;
    inserts_done_.notify_all();
  }
}

/// Never throws: what went wrong is in the calls.
void PostgresStorage::Impl::insert_together(const std::vector<InsertCall*>& calls) {
  try {
    insert_plain(calls);
  } catch (const StorageError& e) {
    // One of them may be what the server does not like; the others are not to suffer from it.
    if (calls.size() > 1 && !e.transient()) {
      for (InsertCall* const call : calls) insert_together({call});
      return;
    }
    for (InsertCall* const call : calls) call->error = std::current_exception();
  } catch (...) {
    for (InsertCall* const call : calls) call->error = std::current_exception();
  }
}

void PostgresStorage::Impl::insert_plain(const std::vector<InsertCall*>& calls) {
  postgres::NewJobs columns;
  for (const InsertCall* const call : calls) {
    for (const NewJob& job : call->jobs) columns.add(job, lane_number(job.queue, job.kind));
  }
  Change change(*this);
  Params params = context(change.events());
  columns.put(params);

  bool limited = false;
  bool some_there = false;
  std::unordered_map<std::uint64_t, JobEvent> added;
  const auto take = [&](const Result& rows, int row) {
    using Effects = postgres::Effects;
    const int tag = rows.small(row, Effects::tag);
    if (tag == 9) limited = true;
    if (tag == 7) some_there = rows.number(row, Effects::n) > 0;
    if (tag != 8) return;
    JobEvent& event = added[rows.id(row, Effects::id)];
    event.type = JobEventType::created;
    event.id = JobId{rows.id(row, Effects::id)};
    event.at = rows.time(row, Effects::at);
    event.run_at = rows.time(row, Effects::run_at);
  };
  const auto ids = [&] {
    std::vector<JobId> all;
    for (const InsertCall* const call : calls) {
      for (const NewJob& job : call->jobs) all.push_back(job.id);
    }
    return all;
  };
  const bool repeated =
      with_partitions(ids, [&] { return change.run(plain, params, Again::patient, take).repeated; });
  if (limited) {
    change.tell();
    for (InsertCall* const call : calls) call->results = insert_any(call->jobs);
    return;
  }
  for (InsertCall* const call : calls) {
    call->results.resize(call->jobs.size());
    for (std::size_t i = 0; i < call->jobs.size(); ++i) {
      const NewJob& job = call->jobs[i];
      const auto event = added.find(job.id.value);
      // What is there after an answer was lost, that call has put there.
      if (some_there && event == added.end() && !repeated) call->results[i].status = InsertStatus::repeated;
      if (event == added.end() || !change.events()) continue;
      event->second.kind = job.kind;
      event->second.queue = job.queue;
      change.effects().events.push_back(std::move(event->second));
    }
  }
  change.tell();
}

std::vector<InsertResult> PostgresStorage::Impl::insert_any(std::span<const NewJob> jobs) {
  return insert_json(any_jobs, jobs, {}).jobs;
}

InsertIfResult PostgresStorage::Impl::insert_if(std::span<const NewJob> jobs,
                                                std::span<const RecordChange> changes) {
  detail::check(changes);
  postgres::check_ids(jobs);
  auto json = nlohmann::json::array();
  for (const RecordChange& change : changes) {
    auto& one = json.emplace_back(nlohmann::json{{"c", change.collection}, {"k", change.key}});
    if (change.seen) one["s"] = change.seen->text();
    if (change.value) one["v"] = change.value->text();
  }
  return with_patience([&] { return insert_json(if_as_seen, jobs, postgres::dump(json)); });
}

/// `changes`: a parameter more, where there is one.
InsertIfResult PostgresStorage::Impl::insert_json(const postgres::Statement& statement,
                                                  std::span<const NewJob> jobs, const std::string& changes) {
  auto json = nlohmann::json::array();
  for (const NewJob& job : jobs) json.push_back(postgres::job_json(job, lane_number(job.queue, job.kind)));
  const std::string text = postgres::dump(json);
  const auto ids = [&] { return postgres::ids_of(jobs); };
  return with_partitions(ids, [&] {
    Change change(*this);
    Params params = context(change.events());
    params.add_text(text);
    if (!changes.empty()) params.add_text(changes);
    InsertIfResult answer{.done = true, .jobs = std::vector<InsertResult>(jobs.size())};
    std::vector<InsertResult>& results = answer.jobs;
    const bool repeated = change
                              .run(statement, params, Again::patient,
                                   [&](const Result& rows, int row) {
                                     using Effects = postgres::Effects;
                                     if (rows.small(row, Effects::tag) == 9) {
                                       answer = {};
                                       return;
                                     }
                                     InsertResult& result = results.at(rows.id(row, Effects::n));
                                     result.status =
                                         static_cast<InsertStatus>(rows.small(row, Effects::state));
                                     result.holder = JobId{rows.id(row, Effects::other)};
                                   })
                              .repeated;
    if (repeated) {
      for (InsertResult& result : results) {
        if (result.status == InsertStatus::repeated) result.status = InsertStatus::added;
      }
    }
    change.tell();
    return answer;
  });
}

}  // namespace quern::inline v1
