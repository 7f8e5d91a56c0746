// What may be claimed, and which worker runs it.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

#include "pool_worker.hpp"

namespace quern::inline v1::detail {
namespace {

/// How many more jobs of this cost fit into the budget.
std::size_t fits(const Resources& budget, const Resources& used, const Resources& cost) {
  std::size_t most = std::numeric_limits<std::size_t>::max();
  for (const auto& [name, needed] : cost) {
    const auto limit = budget.find(name);
    if (limit == budget.end()) continue;
    const auto taken = used.find(name);
    const std::int64_t left = limit->second - (taken == used.end() ? 0 : taken->second);
    most = std::min(most, left <= 0 ? 0 : static_cast<std::size_t>(left / needed));
  }
  return most;
}

void take(Resources& used, const Resources& cost) {
  for (const auto& [name, needed] : cost) used[name] += needed;
}

void give_back(Resources& used, const Resources& cost) {
  for (const auto& [name, needed] : cost) {
    const auto taken = used.find(name);
    if (taken != used.end() && (taken->second -= needed) <= 0) used.erase(taken);
  }
}

}  // namespace

std::size_t PoolCore::room_for(const Worker& worker, const Kind& kind) const {
  const std::size_t free = worker.free();
  if (free == 0 || kind.cost.empty()) return free;
  return std::min(free, fits(worker.options.budget, worker.used, kind.cost));
}

void PoolCore::plan_rounds() {
  rounds_.clear();
  std::vector<bool> some(kinds_.size(), false);
  for (const auto& worker : workers_) {
    if (!worker->takes_jobs()) continue;
    bool free_of_cost = false;
    for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
      if (!worker->supports[kind]) continue;
      some[kind] = true;
      free_of_cost = free_of_cost || kinds_[kind].cost.empty();
    }
    const bool known =
        std::ranges::any_of(rounds_, [&](const PlannedRound& r) { return r.supports == worker->supports; });
    if (free_of_cost && !known) rounds_.push_back({worker->supports, std::nullopt});
  }
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind)
    if (some[kind] && !kinds_[kind].cost.empty()) rounds_.push_back({{}, kind});
  planned_ = true;
}

bool PoolCore::uniform() {
  const std::lock_guard lock(mutex_);
  if (!planned_) plan_rounds();
  return rounds_.size() <= 1;
}

bool PoolCore::fill(const PlannedRound& planned, Round& round) const {
  round.limit = 0;
  round.kinds.assign(kinds_.size(), 0);
  if (planned.costed) {
    const Kind& kind = kinds_[*planned.costed];
    for (const auto& worker : workers_)
      if (worker->supports[*planned.costed]) round.limit += room_for(*worker, kind);
    round.limit = std::min(round.limit, fits(setup_.budget, used_, kind.cost));
    round.kinds[*planned.costed] = round.limit;
  } else {
    for (const auto& worker : workers_)
      if (worker->supports == planned.supports) round.limit += worker->free();
    for (std::size_t kind = 0; kind < kinds_.size(); ++kind)
      if (planned.supports[kind] && kinds_[kind].cost.empty()) round.kinds[kind] = round.limit;
  }
  return round.limit > 0;
}

bool PoolCore::next_round(bool first, Round& round) {
  const std::lock_guard lock(mutex_);
  if (!planned_) {  // also in the middle of a cycle: then that begins anew
    plan_rounds();
    next_round_ = 0;
  }
  if (first) {
    next_round_ = 0;
    ++first_round_;
  }
  while (next_round_ < rounds_.size())
    if (fill(rounds_[(first_round_ + next_round_++) % rounds_.size()], round)) return true;
  return false;
}

std::size_t PoolCore::ask_balancer(const PlacementRequest& request) {
  std::string problem;
  try {
    const std::size_t chosen = balancer_(request, loads_);
    if (chosen < candidates_.size()) return chosen;
    problem = fmt::format("it chose number {} of {}", chosen, candidates_.size());
  } catch (const std::exception& e) {
    problem = e.what();
  } catch (...) {
    problem = "it threw something that is no std::exception";
  }
  if (!std::exchange(balancer_failed_, true))
    log_to(setup_.log,
           {.level = LogLevel::error,
            .message = fmt::format(
                "the pool's balancer failed, and the first worker gets the job (said once): {}", problem),
            .job = request.id,
            .kind = request.kind});
  return 0;
}

PoolCore::Worker* PoolCore::choose(const Claim& claim, std::size_t kind) {
  loads_.clear();
  candidates_.clear();
  for (const auto& worker : workers_) {
    if (!worker->supports[kind] || room_for(*worker, kinds_[kind]) == 0) continue;
    candidates_.push_back(worker.get());
    loads_.push_back({worker->options.id, worker->number, worker->running,
                      static_cast<std::size_t>(worker->options.max_jobs), worker->options.weight,
                      &worker->options.budget, &worker->used});
  }
  if (candidates_.empty()) {
    // Its worker was changed while it was claimed; so it begins as if before that.
    const auto last = std::ranges::find_if(workers_, [&](const auto& w) { return w->supports[kind]; });
    return last == workers_.end() ? nullptr : last->get();
  }
  return candidates_[candidates_.size() == 1 ? 0
                                             : ask_balancer({claim.ref.id, claim.kind, &kinds_[kind].cost})];
}

std::string_view PoolCore::begin(TaskToken token, const Claim& claim, std::size_t kind, SteadyTime steady) {
  const std::size_t place = (token & 0xFFFF'FFFFU) - 1;
  const std::lock_guard lock(mutex_);
  if (place >= runs_.size()) runs_.resize(place + 1);
  Worker* const worker = choose(claim, kind);
  runs_[place] = {token, worker, kind, claim.ref.id, steady, false};
  take(used_, kinds_[kind].cost);
  if (worker == nullptr) return {};
  const std::size_t free = worker->free();
  ++worker->running;
  ++worker->started;
  worker->seen = steady;
  take(worker->used, kinds_[kind].cost);
  free_.fetch_sub(free - worker->free());
  if (worker->state == WorkerState::draining || worker->state == WorkerState::leaving) {
    worker->stop_at = std::min(worker->stop_at, steady + worker->options.graceful_shutdown_timeout);
    next_stop_.store(std::min(next_stop_.load(), worker->stop_at));
  }
  return worker->options.id;
}

void PoolCore::end(TaskToken token, End how, SteadyTime steady) {
  const std::lock_guard lock(mutex_);
  Run& run = runs_[(token & 0xFFFF'FFFFU) - 1];
  run.token = 0;
  const Resources& cost = kinds_[run.kind].cost;
  give_back(used_, cost);
  Worker* const worker = std::exchange(run.worker, nullptr);
  if (worker == nullptr) return;
  const std::size_t free = worker->free();
  --worker->running;
  give_back(worker->used, cost);
  free_.fetch_add(worker->free() - free);
  worker->busy += std::max(Duration::zero(), steady - run.since);
  switch (how) {
    case End::completed:
      ++worker->completed;
      worker->failures_in_row = 0;
      break;
    case End::failed:
    case End::ignored_stop:
      ++worker->failed;
      ++worker->failures_in_row;
      break;
    case End::other:
      break;
  }
  if (how != End::ignored_stop) worker->seen = steady;
  if (worker->state == WorkerState::leaving) {
    if (worker->running == 0) erase_gone();
    return;
  }
  if (how == End::ignored_stop)
    replace(*worker, fmt::format("job {} ({}) ignored its stop", to_string(run.id), kinds_[run.kind].name));
  else if (setup_.unhealthy_failures > 0 && worker->failures_in_row >= setup_.unhealthy_failures)
    replace(*worker, fmt::format("{} attempts failed in a row", worker->failures_in_row));
}

void PoolCore::take_stops(SteadyTime steady, std::vector<TaskToken>& tokens) {
  const std::lock_guard lock(mutex_);
  for (Run& run : runs_) {
    if (run.token == 0 || run.worker == nullptr || run.stopping || run.worker->stop_at > steady) continue;
    run.stopping = true;
    tokens.push_back(run.token);
  }
  for (const auto& worker : workers_)
    if (worker->stop_at <= steady) worker->stop_at = SteadyTime::max();
  changed();
}

}  // namespace quern::inline v1::detail
