#include "testing/model.hpp"

#include <algorithm>
#include <tuple>

#include "quern/core/limits.hpp"

namespace quern::inline v1::testing::detail {
namespace {

bool protects(const Model::ModelJob& job) {
  const Unique& unique = job.given.unique;
  return !is_terminal(job.state) || (job.state == JobState::completed && unique.while_completed) ||
         (job.state == JobState::dead && unique.while_dead) ||
         (job.state == JobState::cancelled && unique.while_cancelled);
}

}  // namespace

RenewResult Model::renew(NodeId id) {
  if (!alive(id)) return RenewResult::lost;
  nodes_[id].until = clock_.steady() + nodes_[id].lease;
  return RenewResult::renewed;
}

bool Model::alive(NodeId id) const { return nodes_.contains(id) && nodes_.at(id).alive; }

Model::ModelJob* Model::key_owner(const std::string& key) {
  for (auto& [id, job] : jobs_) {
    if (!job.owns_key || job.given.unique.key != key) continue;
    const Duration period = job.given.unique.period;
    if (period == Duration::zero() || clock_.now() - job.created_at < period) return &job;
  }
  return nullptr;
}

void Model::end(ModelJob& job, JobState state, DeadReason reason) {
  job.state = state;
  job.dead_reason = reason;
  job.finished_at = clock_.now();
  job.node = {};
  job.open_parents.clear();
  if (!protects(job)) job.owns_key = false;
}

void Model::wait(ModelJob& job, TimePoint run_at) {
  job.run_at = run_at;
  job.node = {};
  job.state = run_at > clock_.now() ? JobState::scheduled : JobState::ready;
}

void Model::resolve_dependents() {
  for (bool changed = true; changed;) {
    changed = false;
    for (auto& [id, job] : jobs_) {
      if (job.state != JobState::blocked) continue;
      bool cancelled = false;
      const auto resolved = std::erase_if(job.open_parents, [&](JobId parent) {
        const JobState state = jobs_.at(parent).state;
        if (!is_terminal(state)) return false;
        if (state == JobState::completed || job.given.on_parent_failure == ParentPolicy::run) return true;
        cancelled = cancelled || job.given.on_parent_failure == ParentPolicy::cancel;
        return false;
      });
      if (cancelled) {
        end(job, JobState::cancelled);
      } else if (job.open_parents.empty()) {
        wait(job, job.run_at);
      }
      changed = changed || cancelled || resolved > 0;
    }
  }
}

std::vector<InsertResult> Model::insert(std::span<const NewJob> jobs) {
  std::vector<InsertResult> results;
  std::map<JobId, JobId> stand_ins;
  for (const NewJob& job : jobs) results.push_back(insert_one(job, stand_ins));
  return results;
}

InsertResult Model::insert_one(const NewJob& given, std::map<JobId, JobId>& stand_ins) {
  if (jobs_.contains(given.id)) return {.status = InsertStatus::repeated};
  InsertResult result;
  if (!given.unique.key.empty()) {
    if (ModelJob* const owner = key_owner(given.unique.key)) {
      result.holder = owner->given.id;
      const bool has_turn = owner->state == JobState::ready || owner->state == JobState::scheduled;
      if (given.unique.on_conflict == UniqueConflict::replace &&
          (has_turn || owner->state == JobState::blocked)) {
        result.status = InsertStatus::replaced;
        end(*owner, JobState::cancelled);
        resolve_dependents();
      } else {
        stand_ins[given.id] = owner->given.id;
        if (given.unique.on_conflict == UniqueConflict::reschedule && has_turn) {
          wait(*owner, given.run_at.resolve(clock_.now()));
          return {.status = InsertStatus::rescheduled, .holder = owner->given.id};
        }
        return {.status = InsertStatus::duplicate, .holder = owner->given.id};
      }
    }
    for (auto& [id, other] : jobs_) {
      if (other.given.unique.key == given.unique.key) other.owns_key = false;
    }
  }
  ModelJob job{.given = given, .owns_key = !given.unique.key.empty(), .created_at = clock_.now()};
  job.run_at = given.run_at.resolve(clock_.now());
  if (given.deadline) job.deadline = given.deadline->resolve(clock_.now());
  for (const JobId parent : given.parents) {
    job.open_parents.insert(stand_ins.contains(parent) ? stand_ins.at(parent) : parent);
  }
  jobs_[given.id] = job;
  resolve_dependents();
  return result;
}

std::vector<JobId> Model::claim(const ClaimRequest& request) {
  std::vector<ModelJob*> ready;
  for (auto& [id, job] : jobs_) {
    if (job.state == JobState::ready && !paused_.contains(job.given.queue)) ready.push_back(&job);
  }
  std::ranges::sort(ready, {}, [](const ModelJob* job) {
    return std::tuple(job->given.priority.level, job->run_at, job->given.id);
  });
  std::vector<JobId> claimed;
  if (!alive(request.node)) return claimed;
  std::map<std::string, std::size_t> by_kind;
  std::map<std::string, std::size_t> by_queue;
  for (ModelJob* const job : ready) {
    const auto kind = std::ranges::find(request.kinds, job->given.kind, &ClaimLimit::name);
    if (claimed.size() == request.limit || kind == request.kinds.end()) continue;
    if (by_kind[kind->name] == kind->limit || !may_start(*job)) continue;
    if (request.queues) {
      const auto queue = std::ranges::find(*request.queues, job->given.queue, &ClaimLimit::name);
      if (queue == request.queues->end() || by_queue[queue->name] == queue->limit) continue;
      ++by_queue[queue->name];
    }
    ++by_kind[kind->name];
    note_start(*job);
    ++job->attempt;
    ++job->epoch;
    job->state = JobState::running;
    job->node = request.node;
    job->allowed_attempts = job->given.max_attempts > 0 ? job->given.max_attempts : kind->max_attempts;
    claimed.push_back(job->given.id);
  }
  return claimed;
}

std::vector<FinishResult> Model::finish(std::span<const Finish> finishes) {
  std::vector<FinishResult> results;
  for (const Finish& finish : finishes) results.push_back(finish_one(finish));
  return results;
}

FinishResult Model::finish_one(const Finish& finish) {
  const auto it = jobs_.find(finish.ref.id);
  const bool held = it != jobs_.end() && it->second.state == JobState::running &&
                    it->second.epoch == finish.ref.epoch && it->second.node == finish.ref.node &&
                    alive(finish.ref.node);
  if (!held) return {.status = FinishStatus::lost};
  ModelJob& job = it->second;
  const TimePoint again = finish.again.resolve(clock_.now());
  if (finish.outcome == Outcome::failed || finish.outcome == Outcome::discarded) ++job.errors;
  if (finish.outcome == Outcome::completed) {
    end(job, JobState::completed);
    resolve_dependents();
    insert(finish.jobs);
    return {.status = FinishStatus::recorded, .state = job.state};
  }
  if (job.cancel_requested || finish.outcome == Outcome::cancelled) {
    end(job, JobState::cancelled);
  } else if (finish.outcome == Outcome::discarded) {
    end(job, JobState::dead, finish.dead_reason);
  } else if (finish.outcome == Outcome::failed) {
    job.attempt >= job.allowed_attempts ? end(job, JobState::dead, DeadReason::out_of_attempts)
                                        : wait(job, again);
  } else {
    --job.attempt;
    if (++job.snoozes > max_snoozes) {
      end(job, JobState::dead, DeadReason::snoozed_too_often);
    } else if (finish.outcome == Outcome::snoozed) {
      wait(job, again);
    } else {
      job.state = JobState::ready;
      job.node = {};
    }
  }
  resolve_dependents();
  return {.status = FinishStatus::recorded, .state = job.state};
}

PromoteResult Model::promote() {
  PromoteResult result;
  for (auto& [id, job] : jobs_) {
    if (job.state == JobState::scheduled && job.run_at <= clock_.now()) {
      job.state = JobState::ready;
      ++result.promoted;
    }
  }
  for (bool again = true; again;) {  // an expiry may cancel others, which then don't expire
    again = false;
    ModelJob* first = nullptr;
    for (auto& [id, job] : jobs_) {
      const bool waits = !is_terminal(job.state) && job.state != JobState::running;
      if (!waits || !job.deadline || *job.deadline > clock_.now()) continue;
      if (first == nullptr || *job.deadline < *first->deadline) first = &job;
    }
    if (first != nullptr) {
      end(*first, JobState::dead, DeadReason::expired);
      resolve_dependents();
      ++result.expired;
      again = true;
    }
  }
  for (const auto& [id, job] : jobs_) {
    if (is_terminal(job.state) || job.state == JobState::running) continue;
    if (job.state == JobState::scheduled) result.next = std::min(result.next, job.run_at);
    if (job.deadline) result.next = std::min(result.next, *job.deadline);
  }
  result.next = std::min(result.next, next_start());
  return result;
}

CancelResult Model::cancel(JobId id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return CancelResult::unknown;
  if (is_terminal(it->second.state)) return CancelResult::ended;
  if (it->second.state == JobState::running) {
    it->second.cancel_requested = true;
    return CancelResult::requested;
  }
  end(it->second, JobState::cancelled);
  resolve_dependents();
  return CancelResult::cancelled;
}

RetryResult Model::retry(JobId id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return RetryResult::unknown;
  ModelJob& job = it->second;
  if (!is_terminal(job.state)) return RetryResult::not_ended;
  if (const auto& key = job.given.unique.key; !key.empty()) {
    const ModelJob* const owner = key_owner(key);
    if (owner != nullptr && owner != &job) return RetryResult::key_taken;
    for (auto& [other_id, other] : jobs_) {
      if (other.given.unique.key == key) other.owns_key = false;
    }
    job.owns_key = true;
  }
  job.state = JobState::ready;
  job.dead_reason = DeadReason::none;
  ++job.run;
  job.attempt = job.snoozes = job.crashes = 0;
  job.cancel_requested = false;
  job.run_at = clock_.now();
  job.deadline.reset();
  job.finished_at.reset();
  return RetryResult::retried;
}

RescueResult Model::rescue(int crash_limit) {
  RescueResult result;
  for (auto& [id, node] : nodes_) {
    if (node.alive && clock_.steady() > node.until) {
      node.alive = false;
      ++result.nodes;
    }
  }
  for (auto& [id, job] : jobs_) {
    if (job.state != JobState::running || alive(job.node)) continue;
    ++job.crashes;
    ++job.errors;
    ++result.dead;
    if (job.cancel_requested) {
      end(job, JobState::cancelled);
    } else if (job.crashes >= crash_limit) {
      end(job, JobState::dead, DeadReason::quarantined);
    } else if (job.attempt >= job.allowed_attempts) {
      end(job, JobState::dead, DeadReason::out_of_attempts);
    } else {
      wait(job, clock_.now());
      --result.dead;
      ++result.rescued;
    }
  }
  resolve_dependents();
  return result;
}

PruneResult Model::prune(const PruneRequest& request) {
  std::vector<JobId> old;
  for (const auto& [id, job] : jobs_) {
    const bool awaited = std::ranges::any_of(
        jobs_, [&, parent = id](const auto& other) { return other.second.open_parents.contains(parent); });
    const bool wanted = request.kind.empty() ? std::ranges::count(request.except, job.given.kind) == 0
                                             : request.kind == job.given.kind;
    if (wanted && job.state == request.state && *job.finished_at <= clock_.now() - request.older_than &&
        !awaited) {
      old.push_back(id);
    }
  }
  PruneResult result{.pruned = std::min(old.size(), request.limit), .more = old.size() > request.limit};
  old.resize(result.pruned);
  for (const JobId id : old) jobs_.erase(id);
  return result;
}

void Model::pause(const std::string& queue, bool paused) {
  paused ? static_cast<void>(paused_.insert(queue)) : static_cast<void>(paused_.erase(queue));
}

std::vector<JobId> Model::cancel_requests(NodeId node) const {
  std::vector<JobId> ids;
  for (const auto& [id, job] : jobs_) {
    if (job.state == JobState::running && job.node == node && job.cancel_requested) ids.push_back(id);
  }
  return ids;
}

}  // namespace quern::inline v1::testing::detail
