#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "storage/node_capacity.hpp"
#include "storage/postgres/impl.hpp"

namespace quern::inline v1 {
namespace {

const postgres::Statement promote_due{
    "SELECT * FROM @.promote(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4)"};
const postgres::Statement prune_old{
    "SELECT * FROM @.prune(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4::integer::smallint, $5, $6, "
    "$7, $8)"};
const postgres::Statement add_node{
    "SELECT @.register_node(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7, $8, $9, $10)"};
const postgres::Statement renew_node{
    "SELECT @.renew(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6)"};
const postgres::Statement retire_node{"SELECT @.retire(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4)"};
const postgres::Statement rescue_runs{
    "SELECT * FROM @.rescue(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6, $7)"};
const postgres::Statement queue_settings{
    "SELECT @.set_queue(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5, $6)"};

std::int64_t bounded(std::uint64_t number) {
  return static_cast<std::int64_t>(
      std::min<std::uint64_t>(number, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())));
}

}  // namespace

PromoteResult PostgresStorage::Impl::promote(std::size_t limit) {
  Change change(*this);
  Params params = context(change.events());
  params.add(bounded(limit));
  PromoteResult result;
  TimePoint now{};
  change.run(promote_due, params, Again::safe, [&](const Result& rows, int row) {
    using Effects = postgres::Effects;
    result.promoted = rows.id(row, Effects::n);
    result.expired = rows.id(row, Effects::other);
    now = rows.time(row, Effects::at);
    result.next = rows.maybe_time(row, Effects::run_at).value_or(TimePoint::max());
  });
  result.more = result.next <= now;
  known_due_us_ = to_us(result.next);
  change.tell();
  return result;
}

PruneResult PostgresStorage::Impl::prune(const PruneRequest& request) {
  constexpr std::size_t most_at_once = 100'000;
  Change change(*this);
  Params params = context(change.events());
  params.add(static_cast<int>(request.state)).add(request.older_than.count());
  params.add(static_cast<std::int64_t>(std::min(request.limit, most_at_once)));
  params.add(request.kind.empty() ? std::nullopt : std::optional<std::string_view>(request.kind));
  const std::vector<std::string_view> except(request.except.begin(), request.except.end());
  params.add_texts(std::span<const std::string_view>(except));
  PruneResult result;
  change.run(prune_old, params, Again::never, [&](const Result& rows, int row) {
    result.pruned = rows.id(row, postgres::Effects::n);
    result.more = rows.small(row, postgres::Effects::state) != 0;
  });
  change.tell();
  return result;
}

NodeId PostgresStorage::Impl::register_node(const NodeInfo& info) {
  Params params = context(false);
  add_steady(params);
  params.add(info.lease.count())
      .add(info.process)
      .add(info.name)
      .add(info.host)
      .add(detail::pack_capacity(info));
  // Twice does no harm: the other node is never heard of again.
  const NodeId node{call(add_node, params, Again::safe).rows.id(0, 0)};
  const std::lock_guard lock(leases_mutex_);
  leases_[node] = info.lease;
  return node;
}

RenewResult PostgresStorage::Impl::renew(NodeId node) {
  Params params = context(false);
  params.add(node.value);
  add_steady(params);
  // On a connection that hangs, the lease must not pass before another one is tried.
  constexpr Duration least_patience = std::chrono::milliseconds(500);
  Duration patience = options_.call_timeout;
  {
    const std::lock_guard lock(leases_mutex_);
    if (const auto lease = leases_.find(node); lease != leases_.end())
      patience = std::min(patience, std::max(lease->second / 3, least_patience));
  }
  const SteadyTime until = SystemClock().steady() + patience;
  if (call(renew_node, params, Again::safe, until).rows.truth(0, 0)) return RenewResult::renewed;
  const std::lock_guard lock(leases_mutex_);
  leases_.erase(node);
  return RenewResult::lost;
}

void PostgresStorage::Impl::retire(NodeId node) {
  Params params = context(false);
  params.add(node.value);
  call(retire_node, params, Again::safe);
  {
    const std::lock_guard lock(leases_mutex_);
    leases_.erase(node);
  }
  end_keeping(node);
}

RescueResult PostgresStorage::Impl::rescue(std::size_t limit, int crashes) {
  Change change(*this);
  Params params = context(change.events());
  add_steady(params);
  params.add(bounded(limit)).add(crashes);
  RescueResult result;
  change.run(rescue_runs, params, Again::never, [&](const Result& rows, int row) {
    using Effects = postgres::Effects;
    result.rescued = rows.id(row, Effects::n);
    result.dead = rows.id(row, Effects::other);
    result.nodes = rows.id(row, Effects::attempt);
    result.more = rows.small(row, Effects::state) != 0;
  });
  change.tell();
  return result;
}

void PostgresStorage::Impl::set_queue(std::string_view queue, std::optional<bool> paused,
                                      std::optional<std::uint64_t> max_waiting) {
  Params params = context(false);
  params.add(queue).add(paused);
  params.add(max_waiting ? std::optional(bounded(*max_waiting)) : std::nullopt);
  call(queue_settings, params, Again::safe);
  if (paused && !*paused) {
    Change change(*this);
    change.effects().ready = true;
    change.tell();
  }
}

}  // namespace quern::inline v1
