#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "quern/core/limits.hpp"
#include "storage/postgres/calls.hpp"
#include "storage/postgres/job_json.hpp"
#include "storage/postgres/new_jobs.hpp"

namespace quern::inline v1 {

using postgres::ConnectionLost;

namespace {

const postgres::Statement finish_runs{
    "SELECT * FROM @.finish(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8, $9, $10, "
    "$11, $12, $13, "
    "$14, $15::text::jsonb, $16::text::jsonb)"};
const postgres::Statement states_of_runs{"SELECT * FROM @.run_states($1, $2, $3, $4)"};
const postgres::Statement report{
    "SELECT * FROM @.progress(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8, $9)"};
const postgres::Statement keep_step{
    "SELECT @.save_step(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8, $9)"};

template <class Items, class Ref>
void add_refs(postgres::Params& params, const Items& items, const Ref& ref_of) {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> epochs;
  std::vector<std::int64_t> nodes;
  std::vector<std::int64_t> claims;
  for (const auto& item : items) {
    const RunRef& ref = ref_of(item);
    ids.push_back(static_cast<std::int64_t>(ref.id.value));
    epochs.push_back(ref.epoch);
    nodes.push_back(static_cast<std::int64_t>(ref.node.value));
    claims.push_back(static_cast<std::int64_t>(ref.claim));
  }
  for (const auto* const column : {&ids, &epochs, &nodes, &claims})
    params.add_longs(std::span<const std::int64_t>(*column));
}

const RunRef& ref_of_finish(const Finish& finish) { return finish.ref; }

}  // namespace

PostgresStorage::Impl::FinishCall::FinishCall(Impl& impl, std::span<const Finish> finishes)
    : answers(finishes.size()), impl_(impl), finishes_(finishes) {
  nlohmann::json jobs;
  nlohmann::json records;
  for (std::size_t i = 0; i < finishes.size(); ++i) {
    const Finish& finish = finishes[i];
    if (finish.outcome != Outcome::completed) continue;
    postgres::check_ids(finish.jobs);
    for (const NewJob& job : finish.jobs) {
      jobs[std::to_string(i)].push_back(postgres::job_json(job, impl.lane_number(job.queue, job.kind)));
      new_ids.push_back(job.id);
    }
    for (const Record& record : finish.records)
      records[std::to_string(i)].push_back(
          {{"c", record.collection}, {"k", record.key}, {"v", record.value.text()}});
  }
  if (!jobs.is_null()) jobs_ = postgres::dump(jobs);
  if (!records.is_null()) records_ = postgres::dump(records);
}

const postgres::Statement& PostgresStorage::Impl::FinishCall::statement() { return finish_runs; }

PostgresStorage::Impl::Params PostgresStorage::Impl::FinishCall::params(bool events) const {
  std::vector<int> outcomes;
  std::vector<int> faults;
  std::vector<int> reasons;
  std::vector<std::optional<std::string_view>> results;
  std::vector<std::string> messages;
  std::vector<std::optional<std::int64_t>> ats;
  std::vector<std::optional<std::int64_t>> afters;
  for (const Finish& finish : finishes_) {
    const bool completed = finish.outcome == Outcome::completed;
    outcomes.push_back(static_cast<int>(finish.outcome));
    faults.push_back(static_cast<int>(finish.fault));
    reasons.push_back(static_cast<int>(finish.dead_reason));
    results.push_back(completed && finish.result ? std::optional<std::string_view>(finish.result->text())
                                                 : std::nullopt);
    messages.push_back(completed ? std::string() : clean_message(finish.message));
    const bool again = finish.outcome == Outcome::failed || finish.outcome == Outcome::snoozed;
    const auto moment = again ? postgres::moment_of(finish.again) : postgres::Moment{};
    ats.push_back(moment.at);
    afters.push_back(moment.after);
  }
  Params params = impl_.context(events);
  add_refs(params, finishes_, ref_of_finish);
  params.add_shorts(outcomes).add_texts(std::span<const std::optional<std::string_view>>(results));
  const std::vector<std::string_view> texts(messages.begin(), messages.end());
  params.add_texts(std::span<const std::string_view>(texts)).add_shorts(faults).add_shorts(reasons);
  params.add_longs(std::span<const std::optional<std::int64_t>>(ats));
  params.add_longs(std::span<const std::optional<std::int64_t>>(afters));
  for (const std::string* const json : {&jobs_, &records_}) {
    if (json->empty())
      params.null();
    else
      params.add_text(*json);
  }
  return params;
}

void PostgresStorage::Impl::FinishCall::take(const Result& rows, int row) {
  using Effects = postgres::Effects;
  if (rows.small(row, Effects::tag) != Effects::result)
    return;  // all were completed, as it stands there already
  FinishResult& answer = answers.at(rows.id(row, Effects::n));
  const int state = rows.small(row, Effects::state);
  if (state == 0)
    answer.status = FinishStatus::lost;
  else
    answer.state = static_cast<JobState>(state);
}

std::vector<FinishResult> PostgresStorage::Impl::finish_once(std::span<const Finish> finishes) {
  FinishCall finish(*this, finishes);
  Change change(*this);
  const Params params = finish.params(change.events());
  with_partitions([&] { return finish.new_ids; },
                  [&] {
                    change.run(finish_runs, params, Again::never,
                               [&](const Result& rows, int row) { finish.take(rows, row); });
                  });
  change.tell();
  return std::move(finish.answers);
}

namespace {
std::pair<JobId, Epoch> key_of(const Finish& finish) { return {finish.ref.id, finish.ref.epoch}; }
}  // namespace

bool PostgresStorage::Impl::in_doubt(std::span<const Finish> finishes) {
  const std::lock_guard lock(lost_mutex_);
  return !lost_finishes_.empty() &&
         std::ranges::any_of(finishes, [&](const Finish& f) { return lost_finishes_.contains(key_of(f)); });
}

void PostgresStorage::Impl::doubt(std::span<const Finish> finishes) {
  constexpr std::size_t most = 100'000;
  const std::lock_guard lock(lost_mutex_);
  if (lost_finishes_.size() >= most) return;
  for (const Finish& finish : finishes) lost_finishes_.insert(key_of(finish));
}

std::vector<int> PostgresStorage::Impl::run_states(std::span<const Finish> finishes) {
  Params params;
  add_refs(params, finishes, ref_of_finish);
  const Result rows = read(states_of_runs, params);
  std::vector<int> states;
  for (int row = 0; row < rows.rows(); ++row) states.push_back(rows.small(row, 0));
  return states;
}

std::vector<FinishResult> PostgresStorage::Impl::finish(std::span<const Finish> finishes) {
  bool doubtful = in_doubt(finishes);
  const SteadyTime until = deadline();
  while (true) {
    try {
      if (!doubtful) return finish_once(finishes);
      // Whether an earlier attempt did it: those runs are looked up, and what is still held is sent.
      const std::vector<int> states = run_states(finishes);
      std::vector<FinishResult> answers(finishes.size());
      std::vector<Finish> left;
      std::vector<std::size_t> places;
      for (std::size_t i = 0; i < finishes.size(); ++i) {
        if (states[i] > 0 && in_doubt(finishes.subspan(i, 1))) {
          answers[i].state = static_cast<JobState>(states[i]);
        } else {
          left.push_back(finishes[i]);
          places.push_back(i);
        }
      }
      if (!left.empty()) {
        const auto rest = finish_once(left);
        for (std::size_t i = 0; i < rest.size(); ++i) answers[places[i]] = rest[i];
      }
      const std::lock_guard lock(lost_mutex_);
      for (const Finish& finish : finishes) lost_finishes_.erase(key_of(finish));
      return answers;
    } catch (const ConnectionLost& e) {
      if (e.sent()) {
        doubt(finishes);
        doubtful = true;
      }
      if (!doubtful || SystemClock().steady() >= until) throw;
      pool_.wait_for_turn(until);
    }
  }
}

std::vector<RunCheck> PostgresStorage::Impl::progress(std::span<const ProgressUpdate> updates) {
  std::vector<int> percents;
  std::vector<std::string> messages;
  for (const ProgressUpdate& update : updates) {
    percents.push_back(std::clamp(update.progress.percent, 0, 100));
    messages.push_back(clean_message(update.progress.message));
  }
  const std::vector<std::string_view> texts(messages.begin(), messages.end());
  Change change(*this);
  Params params = context(change.events());
  add_refs(params, updates, [](const ProgressUpdate& update) -> const RunRef& { return update.ref; });
  params.add_ints(percents).add_texts(std::span<const std::string_view>(texts));
  std::vector<RunCheck> checks(updates.size());
  change.run(report, params, Again::safe, [&](const Result& rows, int row) {
    checks.at(rows.id(row, postgres::Effects::n)) =
        static_cast<RunCheck>(rows.small(row, postgres::Effects::state));
  });
  change.tell();
  return checks;
}

RunCheck PostgresStorage::Impl::save_step(const RunRef& run, const Step& step) {
  Params params = context(false);
  params.add(run.id.value).add(std::int64_t{run.epoch}).add(run.node.value).add(run.claim);
  params.add(step.name).add(step.value.text());
  return call(keep_step, params, Again::safe).rows.truth(0, 0) ? RunCheck::held : RunCheck::lost;
}

}  // namespace quern::inline v1
