#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "storage/postgres/calls.hpp"
#include "storage/postgres/job_json.hpp"

namespace quern::inline v1 {

using postgres::ConnectionLost;
using postgres::LineHints;
using postgres::SetAside;

namespace {

const postgres::Statement starts_of_lines{
    "SELECT * FROM @.line_starts($1::text::pg_snapshot, $2, $3, $4, $5, $6)"};
const postgres::Statement claim_jobs{
    "SELECT * FROM @.claim(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8, $9, $10, "
    "$11, $12, $13, "
    "$14, $15::text::pg_snapshot, $16, $17, $18, $19)"};
const postgres::Statement put_aside{
    "SELECT * FROM @.set_aside(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8)"};
const postgres::Statement undo{
    "SELECT * FROM @.undo_claim(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5)"};

constexpr std::size_t most_at_once = 100'000;

int bounded(std::size_t limit) { return static_cast<int>(std::min(limit, most_at_once)); }

/// The columns of type claimed.
enum Column : int {
  tag,
  id,
  lane,
  priority,
  run_at,
  run,
  attempt,
  epoch,
  max_attempts,
  created_at,
  timeout,
  payload,
  tenant,
  tags,
  created_by,
  digest,
  trace,
  parents,
  txt
};

void add_request(postgres::Params& params, const ClaimRequest& request) {
  const auto add_names = [&](const std::vector<ClaimLimit>& limits) {
    std::vector<std::string_view> names;
    std::vector<int> numbers;
    for (const ClaimLimit& limit : limits) {
      names.push_back(limit.name);
      numbers.push_back(bounded(limit.limit));
    }
    params.add_texts(std::span<const std::string_view>(names)).add_ints(numbers);
  };
  add_names(request.kinds);
  std::vector<int> attempts;
  for (const ClaimLimit& kind : request.kinds) attempts.push_back(std::max(1, kind.max_attempts));
  params.add_ints(attempts);
  if (request.queues) {
    add_names(*request.queues);
  } else {
    params.null().null();
  }
  params.add(request.ageing.count());
}

void add_hints(postgres::Params& params, const LineHints& hints) {
  if (hints.snapshot.empty()) {
    params.null().null().null().null().null();
    return;
  }
  std::vector<int> lanes;
  std::vector<int> priorities;
  std::vector<std::int64_t> run_ats;
  std::vector<std::int64_t> firsts;
  for (const LineHints::Line& line : hints.lines) {
    lanes.push_back(line.lane);
    priorities.push_back(line.priority);
    run_ats.push_back(line.run_at);
    firsts.push_back(line.first);
  }
  params.add_text(hints.snapshot).add_ints(lanes).add_shorts(priorities);
  params.add_longs(std::span<const std::int64_t>(run_ats)).add_longs(std::span<const std::int64_t>(firsts));
}

Claim claim_of(const postgres::Result& rows, int row) {
  Claim claim;
  claim.ref.id = JobId{rows.id(row, id)};
  claim.ref.epoch = static_cast<Epoch>(rows.number(row, epoch));
  claim.payload = Payload::json(rows.string(row, payload));
  claim.priority = Priority{rows.small(row, priority)};
  claim.run = rows.small(row, run);
  claim.attempt = rows.small(row, attempt);
  claim.max_attempts = rows.small(row, max_attempts);
  claim.run_at = rows.time(row, run_at);
  claim.created_at = rows.time(row, created_at);
  if (!rows.null(row, timeout)) claim.timeout = Duration(rows.number(row, timeout));
  claim.tenant = rows.string(row, tenant);
  claim.tags = postgres::split_tags(rows.text(row, tags));
  claim.created_by = rows.string(row, created_by);
  claim.digest = rows.string(row, digest);
  claim.trace = rows.string(row, trace);
  claim.parents = postgres::split_ids(rows.text(row, parents));
  return claim;
}

}  // namespace

void PostgresStorage::Impl::undo_lost_claims(NodeId node) {
  while (true) {
    std::int64_t token = 0;
    {
      const std::lock_guard lock(lost_mutex_);
      const auto lost = lost_claims_.find(node);
      if (lost == lost_claims_.end()) return;
      token = lost->second.back();
    }
    Change change(*this);
    Params params = context(change.events());
    params.add(node.value).add(token);
    change.run(undo, params, Again::safe, [](const Result&, int) {});
    change.tell();
    const std::lock_guard lock(lost_mutex_);
    auto& tokens = lost_claims_[node];
    std::erase(tokens, token);
    if (tokens.empty()) lost_claims_.erase(node);
  }
}

void PostgresStorage::Impl::set_aside(const std::vector<SetAside>& jobs) noexcept {
  if (jobs.empty()) return;
  try {
    std::vector<std::int64_t> ids;
    std::vector<bool> expired;
    std::vector<int> lanes;
    std::vector<int> priorities;
    std::vector<std::int64_t> run_ats;
    for (const SetAside& job : jobs) {
      ids.push_back(job.id);
      expired.push_back(job.expired);
      lanes.push_back(job.lane);
      priorities.push_back(job.priority);
      run_ats.push_back(job.run_at);
    }
    Change change(*this);
    Params params = context(change.events());
    params.add_longs(std::span<const std::int64_t>(ids))
        .add_bools(expired)
        .add_ints(lanes)
        .add_shorts(priorities);
    params.add_longs(std::span<const std::int64_t>(run_ats));
    change.run(put_aside, params, Again::safe, [](const Result&, int) {});
    change.tell();
  } catch (const std::exception&) {
    return;  // the claim that found them has its jobs, which must not be lost for this
  }
}

PostgresStorage::Impl::ClaimCall::ClaimCall(Impl& impl, const ClaimRequest& request)
    : impl_(impl),
      request_(request),
      token_((impl.origin_ << 36U) + impl.next_claim_++),
      hints_(impl.take_hints()),
      listener_(impl.listener()) {}

std::unique_ptr<LineHints> PostgresStorage::Impl::take_hints() {
  auto hints = hints_.take();
  const std::uint64_t losses = pool_.losses();
  // Sessions at a pooler outlive the server behind it.
  constexpr Duration longest_behind_a_pooler = std::chrono::seconds(30);
  const SteadyTime now_here = SystemClock().steady();
  if (hints->losses != losses || (options_.pooled && now_here - hints->since > longest_behind_a_pooler))
    *hints = {.jobs_per_row = hints->jobs_per_row, .losses = losses, .since = now_here};
  return hints;
}

std::vector<ReadyAge> PostgresStorage::Impl::oldest_ready() {
  auto hints = take_hints();
  const auto ask = [&] {
    Params params;
    add_hints(params, *hints);
    params.add(options_.clock ? std::optional(to_us(options_.clock->now())) : std::nullopt);
    return read(starts_of_lines, params);
  };
  Result rows = ask();
  // It may have been asked again on another connection, whose server knows nothing of the hints.
  if (pool_.losses() != hints->losses && !hints->snapshot.empty()) {
    *hints = {.losses = pool_.losses(), .since = SystemClock().steady()};
    rows = ask();
  }
  hints->lines.clear();
  const int last = rows.rows() - 1;
  hints->snapshot = rows.string(last, 4);
  const TimePoint now = rows.time(last, 2);
  std::map<int, TimePoint> since;  // by lane
  for (int row = 0; row < last; ++row) {
    hints->lines.push_back(
        {rows.small(row, 0), rows.small(row, 1), rows.number(row, 2), rows.number(row, 3)});
    const auto [first, is_new] = since.try_emplace(rows.small(row, 0), rows.time(row, 2));
    if (!is_new) first->second = std::min(first->second, rows.time(row, 2));
  }
  if (pool_.losses() == hints->losses) hints_.give_back(std::move(hints));
  std::vector<ReadyAge> ages;
  for (const auto& [lane_of_row, time] : since) {
    auto names = lane_names(lane_of_row);
    ages.push_back(
        {std::move(names.queue), std::move(names.kind), time, std::max(Duration::zero(), now - time)});
  }
  std::ranges::sort(ages);
  return ages;
}

const postgres::Statement& PostgresStorage::Impl::ClaimCall::statement() { return claim_jobs; }

PostgresStorage::Impl::Params PostgresStorage::Impl::ClaimCall::params(bool events) const {
  const int limit = bounded(request_.limit);
  const int rows_wanted = static_cast<int>(std::ceil(limit / std::max(1.0, hints_->jobs_per_row))) + 2;
  Params params = impl_.context(events);
  params.add(request_.node.value).add(token_).add(limit);
  add_request(params, request_);
  params.add(listener_ && listener_->listening()).add(std::min(rows_wanted, limit + 2));
  add_hints(params, *hints_);
  return params;
}

void PostgresStorage::Impl::ClaimCall::take(const Result& rows) {
  if (rows.rows() == 0) {  // the node is not alive
    impl_.hints_.give_back(std::move(hints_));
    return;
  }
  hints_->lines.clear();
  const int last = rows.rows() - 1;
  hints_->snapshot = rows.string(last, txt);
  const TimePoint now = rows.time(last, created_at);
  for (int row = 0; row < last; ++row) {
    const int kind_of_row = rows.small(row, tag);
    if (kind_of_row == 0) {
      Claim& claim = claims.emplace_back(claim_of(rows, row));
      const int lane_of_row = rows.small(row, lane);
      auto names = impl_.lane_names(lane_of_row);
      claim.kind = std::move(names.kind);
      claim.queue = std::move(names.queue);
      claim.ref.node = request_.node;
      claim.ref.claim = static_cast<std::uint64_t>(token_);
      claim.claimed_at = now;
    } else if (kind_of_row == 1) {
      hints_->lines.push_back(
          {rows.small(row, lane), rows.small(row, priority), rows.number(row, run_at), rows.number(row, id)});
    } else {
      aside.push_back({rows.number(row, id), kind_of_row == 5, rows.small(row, lane),
                       rows.small(row, priority), rows.number(row, run_at)});
    }
  }
  if (!rows.null(last, run_at)) next_start_ = rows.time(last, run_at);
  const int used = rows.small(last, attempt);
  if (used > 0) hints_->jobs_per_row = std::max(1.0, static_cast<double>(claims.size()) / used);
  if (rows.small(last, run) != 0) listener_->look_since(hints_->snapshot);
  impl_.hints_.give_back(std::move(hints_));
}

void PostgresStorage::Impl::ClaimCall::lost() {
  const std::lock_guard lock(impl_.lost_mutex_);
  impl_.lost_claims_[request_.node].push_back(token_);
}

void PostgresStorage::Impl::ClaimCall::tell(Change& change) const {
  change.effects().earliest = std::min(change.effects().earliest, next_start_);
  if (!change.events()) return;
  for (const Claim& claim : claims) {
    JobEvent& event = change.effects().events.emplace_back();
    event.type = JobEventType::started;
    event.id = claim.ref.id;
    event.kind = claim.kind;
    event.queue = claim.queue;
    event.attempt = claim.attempt;
    event.epoch = claim.ref.epoch;
    event.at = claim.claimed_at;
  }
}

std::vector<Claim> PostgresStorage::Impl::claim(const ClaimRequest& request) {
  if (request.limit == 0 || request.kinds.empty()) return {};
  undo_lost_claims(request.node);
  ClaimCall claim(*this, request);
  Change change(*this);
  bool answered = false;
  try {
    const Answer answer = call(claim_jobs, claim.params(change.events()), Again::never);
    answered = true;
    claim.take(answer.rows);
  } catch (const std::exception& e) {
    const auto* const cut = dynamic_cast<const ConnectionLost*>(&e);
    if (answered || (cut != nullptr && cut->sent())) claim.lost();
    throw;
  }
  claim.tell(change);
  change.tell();
  set_aside(claim.aside);
  return std::move(claim.claims);
}

}  // namespace quern::inline v1
