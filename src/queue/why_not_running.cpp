#include "quern/queue/why_not_running.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

namespace quern::inline v1 {
namespace {

using enum NotRunningReason;

WhyNotRunning answer(NotRunningReason reason, std::string text) {
  WhyNotRunning why;
  why.reason = reason;
  why.text = std::move(text);
  return why;
}

WhyNotRunning of_ended(StoragePort& storage, const Job& job) {
  WhyNotRunning why = answer(ended, fmt::format("it is {}", to_string(job.state)));
  if (job.finished_at) {
    why.since = *job.finished_at;
    why.text += fmt::format(" since {}", to_rfc3339(*job.finished_at));
  }
  if (job.state == JobState::dead) why.text += fmt::format(" ({})", to_string(job.dead_reason));
  if (!job.end_message.empty()) why.text += fmt::format(": {}", job.end_message);
  if (job.unique_key.empty()) return why;
  const auto holder = storage.key_holder(job.unique_key);
  if (!holder || *holder == job.id) return why;
  why.holder = *holder;
  why.text += fmt::format("; it can't be retried while job {} holds its unique key", to_string(*holder));
  return why;
}

WhyNotRunning of_blocked(StoragePort& storage, const Job& job) {
  std::vector<JobId> open;
  std::vector<std::string> words;
  for (const auto& parent : storage.find(job.parents)) {
    if (!parent || parent->state == JobState::completed) continue;
    const bool resolved = is_terminal(parent->state) && job.on_parent_failure != ParentPolicy::stay_blocked;
    if (resolved) continue;
    open.push_back(parent->id);
    words.push_back(fmt::format("{} ({})", to_string(parent->id), to_string(parent->state)));
  }
  WhyNotRunning why = answer(
      parents, fmt::format("it waits for {} {}", words.size() == 1 ? "job" : "jobs", fmt::join(words, ", ")));
  why.parents = std::move(open);
  return why;
}

WhyNotRunning of_scheduled(const Job& job) {
  const std::string time = to_rfc3339(job.run_at);
  WhyNotRunning why = answer(scheduled, fmt::format("it waits until {}", time));
  // The last run failed when the last error is its own.
  if (!job.errors.empty() && job.errors.back().epoch == job.epoch) {
    const AttemptError& error = job.errors.back();
    why = answer(backing_off, fmt::format("it waits until {} after attempt {} failed: {}", time,
                                          error.attempt, error.message));
  } else if (job.snoozes > 0) {
    why = answer(snoozed, fmt::format("its handler put it off until {}", time));
  }
  why.until = job.run_at;
  return why;
}

WhyNotRunning of_running(StoragePort& storage, const Job& job) {
  std::string name;
  for (const NodeStatus& node : storage.nodes())
    if (node.id.value == job.node && !node.info.name.empty()) name = fmt::format(" ({})", node.info.name);
  WhyNotRunning why = answer(running, fmt::format("it runs on node {}{}", job.node, name));
  why.node = NodeId{job.node};
  why.since = job.started_at;
  if (job.started_at) why.text += fmt::format(" since {}", to_rfc3339(*job.started_at));
  return why;
}

std::size_t slots_for(const std::vector<SlotCount>& counts, std::string_view name) {
  const auto found = std::ranges::find(counts, name, &SlotCount::name);
  return found == counts.end() ? 0 : found->slots;
}

/// The live nodes that could run the job.
std::vector<NodeStatus> candidates(StoragePort& storage, const Job& job) {
  std::vector<NodeStatus> nodes = storage.nodes();
  std::erase_if(nodes, [&](const NodeStatus& node) {
    const bool alive = node.state == NodeState::alive && node.lease_left > Duration::zero();
    return !alive || slots_for(node.info.kinds, job.kind) == 0 ||
           (node.info.queues && slots_for(*node.info.queues, job.queue) == 0);
  });
  return nodes;
}

std::size_t running_where(const std::vector<JobCount>& counts,
                          const std::function<bool(const JobCount&)>& is) {
  std::size_t sum = 0;
  for (const JobCount& count : counts)
    if (count.state == JobState::running && is(count)) sum += count.count;
  return sum;
}

WhyNotRunning busy(NotRunningReason reason, std::size_t slots, const std::string& of_what) {
  WhyNotRunning why = answer(reason, slots == 1 ? fmt::format("the only slot {} is busy", of_what)
                                                : fmt::format("all {} slots {} are busy", slots, of_what));
  why.slots = slots;
  return why;
}

std::string jobs_of(const LimitRule& rule) {
  if (rule.queue.empty() && rule.kind.empty()) return "jobs of the storage";
  if (rule.kind.empty()) return fmt::format("jobs of queue \"{}\"", rule.queue);
  if (rule.queue.empty()) return fmt::format("jobs of kind \"{}\"", rule.kind);
  return fmt::format("jobs of kind \"{}\" of queue \"{}\"", rule.kind, rule.queue);
}

/// The rule that holds it back longest: one that waits for runs to end, or the rate that opens last.
std::optional<WhyNotRunning> of_limits(StoragePort& storage, const Job& job) {
  std::optional<WhyNotRunning> why;
  Duration longest{0};
  for (const LimitStatus& limit : storage.limits()) {
    const LimitRule& rule = limit.rule;
    if (!rule.is_for(job.queue, job.kind)) continue;
    if (limit.free == 0U) {
      why = answer(limit_running, fmt::format("rule \"{}\" lets {} {} run at once, and {} run", rule.name,
                                              rule.max_running, jobs_of(rule), limit.running));
      why->limit = rule.name;
      why->slots = rule.max_running;
      return why;
    }
    if (limit.starts != 0U || limit.wait <= longest) continue;
    longest = limit.wait;
    const TimePoint until = When::after(limit.wait).resolve(storage.clock().now());
    why = answer(limit_rate,
                 fmt::format("rule \"{}\" lets {} {} start in {}, the next one at {}", rule.name,
                             rule.rate.count, jobs_of(rule), to_text(rule.rate.per), to_rfc3339(until)));
    why->limit = rule.name;
    why->until = until;
  }
  return why;
}

WhyNotRunning of_ready(StoragePort& storage, const Job& job) {
  for (const QueueStatus& queue : storage.queues())
    if (queue.name == job.queue && queue.paused)
      return answer(queue_paused, fmt::format("queue \"{}\" is paused", job.queue));

  const std::vector<NodeStatus> nodes = candidates(storage, job);
  if (nodes.empty())
    return answer(
        no_node, fmt::format("no live node runs jobs of kind \"{}\" from queue \"{}\"", job.kind, job.queue));

  std::size_t all_slots = 0;
  std::size_t kind_slots = 0;
  std::size_t queue_slots = 0;
  for (const NodeStatus& node : nodes) {
    all_slots += node.info.slots;
    kind_slots += slots_for(node.info.kinds, job.kind);
    queue_slots += node.info.queues ? slots_for(*node.info.queues, job.queue) : node.info.slots;
  }
  if (auto why = of_limits(storage, job)) return *std::move(why);
  if (std::ranges::all_of(nodes, [](const NodeStatus& node) { return node.running >= node.info.slots; }))
    return busy(slots_busy, all_slots, "of the nodes that run its kind");
  const std::vector<JobCount> counts = storage.count();
  if (running_where(counts, [&](const JobCount& c) { return c.queue == job.queue; }) >= queue_slots)
    return busy(queue_slots_busy, queue_slots, fmt::format("of queue \"{}\"", job.queue));
  if (running_where(counts, [&](const JobCount& c) { return c.kind == job.kind; }) >= kind_slots)
    return busy(kind_slots_busy, kind_slots, fmt::format("of kind \"{}\"", job.kind));
  return answer(next, "nothing holds it back; a node will claim it when its turn has come");
}

}  // namespace

std::string_view to_string(NotRunningReason reason) noexcept {
  switch (reason) {
    case running:
      return "running";
    case ended:
      return "ended";
    case scheduled:
      return "scheduled";
    case backing_off:
      return "backing_off";
    case snoozed:
      return "snoozed";
    case parents:
      return "parents";
    case queue_paused:
      return "queue_paused";
    case no_node:
      return "no_node";
    case slots_busy:
      return "slots_busy";
    case queue_slots_busy:
      return "queue_slots_busy";
    case kind_slots_busy:
      return "kind_slots_busy";
    case limit_running:
      return "limit_running";
    case limit_rate:
      return "limit_rate";
    case next:
      return "next";
  }
  return "unknown";
}

std::optional<WhyNotRunning> why_not_running(StoragePort& storage, JobId id) {
  const auto job = std::move(storage.find(std::span(&id, 1)).front());
  if (!job) return std::nullopt;
  switch (job->state) {
    case JobState::blocked:
      return of_blocked(storage, *job);
    case JobState::scheduled:
      return of_scheduled(*job);
    case JobState::ready:
      return of_ready(storage, *job);
    case JobState::running:
      return of_running(storage, *job);
    case JobState::completed:
    case JobState::dead:
    case JobState::cancelled:
      break;
  }
  return of_ended(storage, *job);
}

}  // namespace quern::inline v1
