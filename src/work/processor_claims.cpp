// How runs begin: claims for free slots, and the tasks that the executor gets.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "processor_shared.hpp"
#include "quern/work/detail/run_end.hpp"

namespace quern::inline v1::detail {

std::size_t ProcessorCore::all_slots() const noexcept {
  return placement_ != nullptr ? placement_->slots() : static_cast<std::size_t>(options_.max_concurrent_jobs);
}

std::size_t ProcessorCore::free_slots() const noexcept {
  return placement_ != nullptr ? placement_->free()
                               : static_cast<std::size_t>(options_.max_concurrent_jobs) - busy_;
}

namespace {
std::size_t room(int running, int concurrency, std::size_t limit) {
  if (concurrency == 0) return limit;
  return std::min(limit, static_cast<std::size_t>(std::max(0, concurrency - running)));
}
}  // namespace

std::size_t ProcessorCore::room_in(const QueueSlots& queue, std::size_t limit) const {
  const auto place = static_cast<std::size_t>(&queue - options_.queues.data());
  return room(running_of_queue_[place], queue.concurrency, limit);
}

ClaimRequest& ProcessorCore::claim_request(std::size_t limit) {
  ClaimRequest& request = request_;
  request.node = lease_.node();
  request.limit = limit;
  request.ageing = options_.ageing;
  const int default_attempts = queue_.config().default_max_retries + 1;
  std::size_t count = 0;
  for (std::size_t i = 0; i < kinds_.size(); ++i) {
    const KindSlots& kind = kinds_[i];
    const HandlerOptions& options = kind.entry->options;
    std::size_t most = room(kind.running, options.concurrency, limit);
    if (placement_ != nullptr) most = std::min(most, round_.kinds[i]);
    if (most == 0) continue;
    if (count == request.kinds.size()) request.kinds.emplace_back();
    ClaimLimit& asked = request.kinds[count++];
    if (asked.name != *kind.name) asked.name = *kind.name;
    asked.limit = most;
    asked.max_attempts = options.max_attempts > 0 ? options.max_attempts : default_attempts;
  }
  request.kinds.resize(count);
  return request;
}

const ClaimRequest* ProcessorCore::next_request() {
  std::size_t limit = std::min(free_slots(), batch);
  if (placement_ != nullptr) limit = std::min(limit, round_.limit);
  ClaimRequest& request = claim_request(limit);
  if (!options_.queues.empty()) {
    if (!request.queues) request.queues.emplace();
    request.queues->clear();
    for (const QueueSlots& queue : options_.queues)
      if (const std::size_t most = room_in(queue, request.limit); most > 0)
        request.queues->push_back({queue.name, most});
  }
  return request.kinds.empty() || (request.queues && request.queues->empty()) ? nullptr : &request;
}

void ProcessorCore::start_claimed(const ClaimRequest& request, std::vector<Claim> claims) {
  want_claim_ = claims.size() == request.limit;
  start(std::move(claims));
}

void ProcessorCore::claim_jobs() {
  if (!want_claim_ || free_slots() == 0) return;
  if (placement_ != nullptr && !placement_->uniform()) return claim_in_rounds();
  if (placement_ != nullptr && !placement_->next_round(true, round_)) {
    want_claim_ = false;  // until a run ends, or there are other workers
    return;
  }
  if (turns_) {
    const std::size_t limit = std::min(free_slots(), batch);
    want_claim_ = claim_in_turns(limit) == limit;
    return;
  }
  const ClaimRequest* const request = next_request();
  if (request == nullptr) {
    want_claim_ = false;  // until a run ends
    return;
  }
  start_claimed(*request, ask(StorageCall::claim, [&] { return storage_.claim(*request); }));
}

void ProcessorCore::claim_in_rounds() {
  bool more = false;
  for (bool first = true; placement_->next_round(first, round_); first = false) {
    const std::size_t limit = std::min(round_.limit, batch);
    std::size_t came = 0;
    if (turns_) {
      came = claim_in_turns(limit);
    } else if (const ClaimRequest* const request = next_request()) {
      auto claims = ask(StorageCall::claim, [&] { return storage_.claim(*request); });
      came = claims.size();
      start(std::move(claims));
    }
    more = more || came == limit;
  }
  want_claim_ = more;
}

std::size_t ProcessorCore::claim_in_turns(std::size_t limit) {
  std::size_t left = limit;
  turns_->begin();
  while (left > 0) {
    const auto turn = turns_->next(left);
    if (!turn) break;
    const QueueSlots& queue = options_.queues.at(turn->queue);
    ClaimRequest& request = claim_request(turn->share);
    const std::size_t most = room_in(queue, request.limit);
    std::vector<Claim> claims;
    if (most > 0 && !request.kinds.empty()) {
      request.queues.emplace({ClaimLimit{.name = queue.name, .limit = most}});
      claims = ask(StorageCall::claim, [&] { return storage_.claim(request); });
    }
    turns_->took(*turn, claims.size());
    left -= claims.size();
    // In a round the kinds' limits are for all of its turns.
    if (placement_ != nullptr)
      for (const Claim& claim : claims) --round_.kinds[place_of(claim.kind)];
    start(std::move(claims));
  }
  return limit - left;
}

std::size_t ProcessorCore::place_of(std::string_view kind) const {
  const auto found = std::ranges::lower_bound(kinds_, kind, {},
                                              [](const KindSlots& k) -> std::string_view { return *k.name; });
  assert(found != kinds_.end() && *found->name == kind);  // no other kind was asked for
  return static_cast<std::size_t>(found - kinds_.begin());
}

std::shared_ptr<ProcessorCore::Run> ProcessorCore::prepare_run(Claim&& claim, SteadyTime steady) {
  KindSlots* const kind = &kinds_[place_of(claim.kind)];
  const auto queue = std::ranges::find(options_.queues, claim.queue, &QueueSlots::name);
  if (free_slots_.empty()) {
    slots_.emplace_back();
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  const std::uint32_t place = free_slots_.back();
  free_slots_.pop_back();
  Slot& slot = slots_[place];
  if (slot.spare) {
    slot.run = std::move(slot.spare);
    slot.run->begin(std::move(claim));
    slot.run->entry = kind->entry;
  } else {
    slot.run =
        std::make_shared<Run>(std::move(claim), static_cast<RunPort&>(*this), shared_, *kind->entry, this);
  }
  slot.run->token = (TaskToken{++slot.generation} << 32U) | (place + 1);
  slot.run->timeout = timeout_of(slot.run->claim(), kind->entry->options, queue_.config().job_timeout);
  slot.running_of_kind = &kind->running;
  ++kind->running;
  slot.running_of_queue = nullptr;
  if (queue != options_.queues.end()) {
    slot.running_of_queue = &running_of_queue_[static_cast<std::size_t>(queue - options_.queues.begin())];
    ++*slot.running_of_queue;
  }
  ++busy_;
  if (shared_->flight) shared_->flight->claimed(slot.run->token, slot.run->claim().ref);
  slot.run->patient = kind->entry->options.isolation == Isolation::none;
  slot.run->claimed = steady;
  slot.run->tracer = queue_.tracer();
  slot.run->span_closed = false;
  slot.run->began.store(SteadyTime{0}, std::memory_order_relaxed);
  slot.run->ended.store(SteadyTime{0}, std::memory_order_relaxed);
  slot.run->cpu.store(Duration{0}, std::memory_order_relaxed);
  slot.run->peak_memory.store(0, std::memory_order_relaxed);
  set_alarm(slot, steady + slot.run->timeout);
  slot.run->worker = placement_ == nullptr
                         ? options_.name
                         : placement_->begin(slot.run->token, slot.run->claim(),
                                             static_cast<std::size_t>(kind - kinds_.data()), steady);
  return slot.run;
}

void ProcessorCore::start(std::vector<Claim> claims) {
  if (claims.empty()) return;
  observers_.tell([&](QueueObserver& observer) { observer.on_claimed(claims); });
  const SteadyTime steady = storage_.clock().steady();
  started_at_ = steady;
  busy_until_ = steady + std::chrono::seconds(1);
  for (Claim& claim : claims) tasks_.push_back(prepare_run(std::move(claim), steady));
  post(tasks_);
  tasks_.clear();
}

void ProcessorCore::post(std::span<const std::shared_ptr<ExecutorTask>> tasks) {
  try {
    if (executor_.post_all(tasks)) return;
  } catch (const std::exception& e) {
    return hand_back(e, tasks);
  }
  for (const auto& task : tasks) {
    try {
      executor_.post(task->token, [task] { task->run(task); });
    } catch (const std::exception& e) {
      hand_back(e, std::span(&task, 1));
    }
  }
}

void ProcessorCore::hand_back(const std::exception& error,
                              std::span<const std::shared_ptr<ExecutorTask>> tasks) {
  say(LogLevel::error,
      fmt::format("{} jobs could not be started and are handed back: {}", tasks.size(), error.what()));
  for (const auto& task : tasks) {
    Slot* const slot = slot_of(task->token);
    if (slot == nullptr) continue;
    Finish finish;
    finish.ref = slot->run->claim().ref;
    finish.outcome = Outcome::released;
    give_up(*slot, std::move(finish));
  }
  storage_retry_at_ = storage_.clock().steady() + std::chrono::seconds(1);  // no use to claim at once again
}

}  // namespace quern::inline v1::detail
