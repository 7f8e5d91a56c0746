#include <fmt/format.h>

#include <queue>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {
namespace {

/// What is still free of each limit of a request.
class Room {
 public:
  explicit Room(const ClaimRequest& request) : total_(request.limit), every_queue_(!request.queues) {
    for (const ClaimLimit& kind : request.kinds) kinds_.emplace(kind.name, kind.limit);
    if (request.queues) {
      for (const ClaimLimit& queue : *request.queues) queues_.emplace(queue.name, queue.limit);
    }
  }

  [[nodiscard]] bool any() const { return total_ > 0; }
  [[nodiscard]] bool for_kind(const std::string& kind) const { return left(kinds_, kind) > 0; }
  [[nodiscard]] bool for_queue(const std::string& queue) const {
    return every_queue_ || left(queues_, queue) > 0;
  }
  void take(const std::string& kind, const std::string& queue) {
    --total_;
    --kinds_.at(kind);
    if (!every_queue_) --queues_.at(queue);
  }

 private:
  using Limits = std::map<std::string, std::size_t>;
  static std::size_t left(const Limits& limits, const std::string& name) {
    const auto it = limits.find(name);
    return it == limits.end() ? 0 : it->second;
  }

  std::size_t total_;
  bool every_queue_;
  Limits kinds_;
  Limits queues_;
};

/// A lane being read, its next job at the front.
struct Reader {
  const std::string* kind = nullptr;
  const std::string* queue = nullptr;
  Indexes::Lane::const_iterator at;
  Indexes::Lane::const_iterator end;
};
struct LaterFirst {  // std::priority_queue puts the greatest on top
  const ClaimRequest* request = nullptr;
  [[nodiscard]] ReadyKey turn(const Reader& reader) const {
    if (request->ageing == Duration::zero()) return *reader.at;
    return {Priority{0}, request->turn(reader.at->priority, reader.at->run_at), reader.at->id};
  }
  bool operator()(const Reader& a, const Reader& b) const { return turn(b) < turn(a); }
};
using Readers = std::priority_queue<Reader, std::vector<Reader>, LaterFirst>;

void check_request(const ClaimRequest& request) {
  if (request.ageing < Duration::zero())
    throw InvalidArgument("ageing", fmt::format("is {}, it must not be negative", to_text(request.ageing)));
  for (const ClaimLimit& kind : request.kinds) {
    if (kind.max_attempts >= 1) continue;
    throw InvalidArgument("kinds", fmt::format("\"{}\" has max_attempts {}, it must be at least 1", kind.name,
                                               kind.max_attempts));
  }
}

Claim claim_of(const Row& row, TimePoint now) {
  const Job& job = row.job;
  return {.ref = {.id = job.id, .epoch = job.epoch, .node = NodeId{job.node}},
          .kind = job.kind,
          .queue = job.queue,
          .payload = job.payload,
          .priority = job.priority,
          .tenant = job.tenant,
          .tags = job.tags,
          .created_by = job.created_by,
          .digest = job.digest,
          .parents = job.parents,
          .run = job.run,
          .attempt = job.attempt,
          .max_attempts = row.claimed_max_attempts,
          .timeout = job.timeout,
          .run_at = job.run_at,
          .created_at = job.created_at,
          .claimed_at = now};
}

}  // namespace

std::vector<Claim> Jobs::claim(Call& call, const ClaimRequest& request) {
  check_request(request);
  if (!nodes_.alive(request.node)) return {};
  Room room(request);
  std::map<std::string, int> max_attempts;
  Readers readers(LaterFirst{&request});
  for (const ClaimLimit& kind : request.kinds) {
    const bool again = !max_attempts.emplace(kind.name, kind.max_attempts).second;
    const auto lanes = indexes_.lanes().find(kind.name);
    if (again || kind.limit == 0 || lanes == indexes_.lanes().end()) continue;
    for (const auto& [queue, lane] : lanes->second) {
      if (!room.for_queue(queue) || queues_.at(queue).paused) continue;
      // With ageing a lane is in order within each priority only.
      for (auto at = lane.begin(); at != lane.end();) {
        const auto end =
            request.ageing == Duration::zero()
                ? lane.end()
                : lane.lower_bound({Priority{at->priority.level + 1}, TimePoint::min(), JobId{}});
        readers.push({&lanes->first, &queue, at, end});
        at = end;
      }
    }
  }

  // The lanes are merged first and changed after: what an expiry sets free is for the next claim.
  std::vector<Row*> chosen;
  std::vector<Row*> expired;
  while (room.any() && !readers.empty()) {
    Reader reader = readers.top();
    readers.pop();
    if (!room.for_kind(*reader.kind) || !room.for_queue(*reader.queue)) continue;
    Row& row = rows_.at(reader.at->id);
    if (row.job.deadline && *row.job.deadline <= call.now) {
      expired.push_back(&row);
    } else {
      chosen.push_back(&row);
      room.take(*reader.kind, *reader.queue);
    }
    if (++reader.at != reader.end) readers.push(reader);
  }

  std::vector<Claim> claims;
  claims.reserve(chosen.size());
  for (Row* const row : chosen) {
    change(*row, [&](Row& r) {
      r.job.state = JobState::running;
      r.job.node = request.node.value;
      r.job.started_at = call.now;
      ++r.job.attempt;
      ++r.job.epoch;
      r.claimed_max_attempts = r.job.max_attempts > 0 ? r.job.max_attempts : max_attempts.at(r.job.kind);
    });
    event(call, JobEventType::started, *row);
    claims.push_back(claim_of(*row, call.now));
  }
  for (Row* const row : expired) expire(call, *row);
  settle(call);
  return claims;
}

}  // namespace quern::inline v1::memory
