#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "quern/core/error.hpp"
#include "storage/memory/jobs.hpp"

namespace quern::inline v1::memory {
namespace {

void check_request(const ClaimRequest& request) {
  if (request.ageing < Duration::zero())
    throw InvalidArgument("ageing", fmt::format("is {}, it must not be negative", to_text(request.ageing)));
  for (const ClaimLimit& kind : request.kinds) {
    if (kind.max_attempts >= 1) continue;
    throw InvalidArgument("kinds", fmt::format("\"{}\" has max_attempts {}, it must be at least 1", kind.name,
                                               kind.max_attempts));
  }
}

}  // namespace

void Jobs::look(Reader& reader, const ClaimRequest& request) const {
  const auto key_of = [&](Slot slot) { return Line::Key{rows_[slot].run_at, rows_[slot].id}; };
  reader.turn = key_of(reader.line->front(key_of));
  reader.turn_level = reader.level;
  if (request.ageing == Duration::zero()) return;
  reader.turn_level = 0;
  reader.turn.time = request.turn(Priority{reader.level}, reader.turn.time);
}

std::size_t Jobs::find_readers(const ClaimRequest& request) {
  readers_.clear();
  ruled_.clear();
  const std::uint64_t number = ++claims_;
  if (request.queues)
    for (const ClaimLimit& queue : *request.queues)
      if (Queue* const known = names_.find_queue(queue.name); known != nullptr && known->room.claim != number)
        known->room = {.claim = number, .left = queue.limit};
  std::size_t most = 0;
  for (const ClaimLimit& kind : request.kinds) {
    Kind* const known = names_.find_kind(kind.name);
    if (known == nullptr || kind.limit == 0 || known->room.claim == number) continue;
    known->room = {.claim = number, .left = kind.limit, .max_attempts = kind.max_attempts};
    for (Lane* const lane : known->ready) {
      Queue& queue = *lane->queue;
      if (queue.paused || (request.queues && queue.room.claim != number)) continue;
      if (!lane->rules.empty() && !may_start(*lane)) continue;
      most += lane->count(JobState::ready);
      for (std::size_t level = 0; level < lane->ready.size(); ++level) {
        Line* const line = lane->ready[level].get();
        if (line == nullptr || line->empty()) continue;
        Reader& reader = readers_.emplace_back();
        reader.line = line;
        reader.lane = lane;
        reader.kind = &known->room;
        reader.queue = request.queues ? &queue.room : nullptr;
        reader.level = static_cast<int>(level);
        look(reader, request);
      }
    }
  }
  return most;
}

std::vector<Claim> Jobs::claim(Call& call, const ClaimRequest& request) {
  check_request(request);
  if (!nodes_.alive(request.node)) return {};
  const std::size_t most = find_readers(request);
  std::vector<Reader>& readers = readers_;
  std::make_heap(readers.begin(), readers.end(), Reader::LaterFirst{});
  const auto key_of = [&](Slot slot) { return Line::Key{rows_[slot].run_at, rows_[slot].id}; };

  std::vector<Claim> claims;
  std::vector<JobId> expired;  // what an expiry sets free is for the next claim
  while (claims.size() < request.limit && !readers.empty()) {
    std::pop_heap(readers.begin(), readers.end(), Reader::LaterFirst{});
    Reader& reader = readers.back();
    if (reader.kind->left == 0 || (reader.queue != nullptr && reader.queue->left == 0) ||
        (!reader.lane->rules.empty() && !may_start(*reader.lane))) {
      readers.pop_back();
      continue;
    }
    constexpr std::size_t ahead = 16;  // by then the row has come
    reader.line->prefetch(rows_, ahead);
    const Slot slot = reader.line->front(key_of);
    Row& row = rows_[slot];
    if (const More* const rest = has_more(row); rest != nullptr && rest->deadline <= call.now) {
      reader.line->remove(row, key_of(slot));
      expired.push_back(row.job_id());
    } else {
      if (claims.empty()) claims.reserve(std::min({request.limit, most, std::size_t{64}}));
      --reader.kind->left;
      if (reader.queue != nullptr) --reader.queue->left;
      for (Rule* const rule : reader.lane->rules) rule->note_start();
      give(call, request, slot, reader.kind->max_attempts, claims);
    }
    if (reader.line->empty()) {
      readers.pop_back();
    } else {
      look(reader, request);
      std::push_heap(readers.begin(), readers.end(), Reader::LaterFirst{});
    }
  }
  if (!ruled_.empty()) note_starts(call);
  for (const JobId id : expired) expire(call, row_at(id));
  settle(call);
  return claims;
}

void Jobs::give(Call& call, const ClaimRequest& request, Slot slot, int max_attempts,
                std::vector<Claim>& claims) {
  Row& row = rows_[slot];
  change(slot, row, [&](Row& r) {
    r.set_state(JobState::running);
    r.end_or_node = static_cast<std::int64_t>(request.node.value);
    r.started_at = call.now;
    r.attempt = (r.attempt + 1) & most_attempts;
    ++r.epoch;
    if (r.max_attempts == 0 || r.max_is_claimed != 0) {
      r.max_attempts = static_cast<unsigned>(max_attempts) & most_attempts;
      r.max_is_claimed = 1;
    }
  });
  event(call, JobEventType::started, row);
  const Profile& shared = profile(row);
  Claim& claim = claims.emplace_back();
  claim.ref = {.id = row.job_id(), .epoch = row.epoch, .node = request.node};
  claim.kind = shared.lane->kind->name;
  claim.queue = shared.lane->queue->name;
  claim.payload = payload_of(row);
  claim.priority = row.priority();
  claim.attempt = static_cast<int>(row.attempt);
  claim.max_attempts = static_cast<int>(row.max_attempts);
  claim.timeout = shared.timeout;
  claim.run_at = row.run_at;
  claim.created_at = row.created_at;
  claim.claimed_at = call.now;
  const More* const rest = has_more(row);
  if (rest == nullptr) return;
  claim.tenant = rest->tenant;
  claim.tags = rest->tags;
  claim.created_by = rest->created_by;
  claim.digest = rest->digest;
  claim.trace = rest->trace;
  claim.parents = rest->parents;
  claim.run = rest->run;
  if (rest->timeout != Duration::zero()) claim.timeout = rest->timeout;
}

}  // namespace quern::inline v1::memory
