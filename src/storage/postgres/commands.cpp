#include <fmt/format.h>

#include "quern/core/limits.hpp"
#include "storage/postgres/impl.hpp"
#include "storage/postgres/job_json.hpp"

namespace quern::inline v1 {
namespace {

const postgres::Statement cancel_jobs{
    "SELECT * FROM @.cancel(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5)"};
const postgres::Statement retry_jobs{
    "SELECT * FROM @.retry(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5)"};
const postgres::Statement change_jobs{
    "SELECT * FROM @.change_waiting(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, "
    "$7::integer::smallint, $8)"};
const postgres::Statement erase_jobs{
    "SELECT * FROM @.erase(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4)"};

std::string by(std::string_view what, std::string_view who) {
  return who.empty() ? std::string(what) : fmt::format("{} by {}", what, clean_message(who));
}

}  // namespace

/// Each id is answered by a result whose state is the number of the outcome.
template <class Outcome>
std::vector<Outcome> PostgresStorage::Impl::ask(const Statement& statement, std::span<const JobId> ids,
                                                const std::function<void(Params&)>& add) {
  std::vector<std::int64_t> numbers;
  numbers.reserve(ids.size());
  for (const JobId id : ids) numbers.push_back(static_cast<std::int64_t>(id.value));
  Change change(*this);
  Params params = context(change.events());
  params.add_longs(std::span<const std::int64_t>(numbers));
  add(params);
  std::vector<Outcome> outcomes(ids.size());
  change.run(statement, params, Again::never, [&](const Result& rows, int row) {
    outcomes.at(rows.id(row, postgres::Effects::n)) =
        static_cast<Outcome>(rows.small(row, postgres::Effects::state));
  });
  change.tell();
  return outcomes;
}

std::vector<CancelResult> PostgresStorage::Impl::cancel(std::span<const JobId> ids, std::string_view who) {
  return ask<CancelResult>(cancel_jobs, ids, [&](Params& params) { params.add(by("cancelled", who)); });
}

std::vector<RetryResult> PostgresStorage::Impl::retry(std::span<const JobId> ids, std::string_view who) {
  return ask<RetryResult>(retry_jobs, ids, [&](Params& params) { params.add(by("retried", who)); });
}

std::vector<ChangeResult> PostgresStorage::Impl::reschedule(std::span<const JobId> ids, When when,
                                                            std::string_view who) {
  const auto moment = postgres::moment_of(when);
  return ask<ChangeResult>(change_jobs, ids, [&](Params& params) {
    params.add(moment.at).add(moment.after).null().add(by("rescheduled", who));
  });
}

std::vector<ChangeResult> PostgresStorage::Impl::set_priority(std::span<const JobId> ids, Priority priority,
                                                              std::string_view who) {
  return ask<ChangeResult>(change_jobs, ids, [&](Params& params) {
    params.null().null().add(priority.level).add(by("priority changed", who));
  });
}

std::vector<EraseResult> PostgresStorage::Impl::erase(std::span<const JobId> ids) {
  return ask<EraseResult>(erase_jobs, ids, [](Params&) {});
}

}  // namespace quern::inline v1
