#pragma once

#include <string>
#include <utility>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/random.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern_test {

/// Does random things to a storage, of every sort that changes something.
class RandomLife {
 public:
  RandomLife(quern::ManualClock& clock, std::uint64_t seed) : clock_(clock), random_(seed) {}

  /// Another process goes on with the jobs: the runs of the one before are lost.
  void begin(quern::StoragePort& store) {
    store_ = &store;
    claims_.clear();
    node_ = store.register_node({.name = "n", .host = "h", .lease = std::chrono::hours(1)});
    next_id_ = store.reserve_ids(100'000).value;
  }

  /// Kinds that jobs are given.
  std::vector<std::string> kinds{"a", "b", "c"};
  bool with_queues = true;          ///< Pauses and limits, too: calls that are durable when they return.
  std::vector<quern::JobId> added;  ///< By all processes, and perhaps gone again.

  void step() {
    const auto dice = random_.below(100);
    if (dice < 25) return insert();
    if (dice < 40) return claim();
    if (dice < 62) return finish();
    if (dice < 66) return report();
    if (dice < 70) return command();
    if (dice < 76) return change();
    if (dice < 79) return erase();
    if (dice < 82) return with_queues ? queues() : claim();
    if (dice < 86) return records();
    if (dice < 90) return prune();
    if (dice < 92) return crash();
    clock_.advance(std::chrono::seconds(random_.below(20)));
    store_->promote(3 + random_.below(5));
  }

  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

 private:
  bool chance(std::uint64_t percent) { return random_.below(100) < percent; }
  std::string some(const char* prefix, std::uint64_t count) {
    return prefix + std::to_string(random_.below(count));
  }
  quern::JobId one() { return added.empty() ? quern::JobId{1} : added[random_.below(added.size())]; }
  quern::When soon() { return quern::When::after(std::chrono::seconds(random_.below(30))); }

  void insert() {
    std::vector<quern::NewJob> jobs(1 + random_.below(6));
    for (quern::NewJob& job : jobs) {
      job.id = quern::JobId{next_id_++};
      job.kind = kinds[random_.below(kinds.size())];
      job.queue = some("q", 3);
      job.payload = quern::Payload::json("[" + std::to_string(job.id.value) + "]");
      job.priority = quern::Priority{static_cast<int>(random_.below(4))};
      if (chance(30)) job.run_at = soon();
      if (chance(15)) job.deadline = soon();
      if (chance(20)) job.unique = unique();
      if (chance(20)) job.tenant = some("t", 4);
      if (chance(20)) job.tags = {some("x", 3), some("y", 3)};
      if (chance(10)) job.max_attempts = 1 + static_cast<int>(random_.below(3));
      if (chance(10)) job.timeout = std::chrono::seconds(1 + random_.below(5));
      if (chance(10)) job.created_by = some("u", 3);
      if (chance(10)) job.digest = some("d", 3);
      if (chance(30) && !added.empty()) add_parents(job);
    }
    try {
      store_->insert(jobs);
      for (const quern::NewJob& job : jobs) added.push_back(job.id);
    } catch (const quern::InvalidArgument&) {
      // a parent that is no more
    }
  }
  quern::Unique unique() {
    quern::Unique unique{.key = some("k", 10)};
    if (chance(30)) unique.period = std::chrono::hours(1000 + random_.below(60));  // which does not pass here
    unique.while_completed = chance(20);
    unique.while_dead = chance(20);
    unique.while_cancelled = chance(20);
    unique.on_conflict = static_cast<quern::UniqueConflict>(random_.below(3));
    return unique;
  }
  void add_parents(quern::NewJob& job) {
    for (std::uint64_t i = 0; i < 1 + random_.below(2); ++i) job.parents.push_back(one());
    job.on_parent_failure = static_cast<quern::ParentPolicy>(random_.below(3));
  }

  void claim() {
    quern::ClaimRequest request{.node = node_, .limit = 1 + random_.below(6)};
    for (const std::string& kind : kinds) request.kinds.push_back({kind, request.limit, 3});
    for (quern::Claim& claim : store_->claim(request)) claims_.push_back(claim.ref);
  }

  void finish() {
    std::vector<quern::Finish> finishes;
    for (std::uint64_t i = 0; i < 1 + random_.below(4) && !claims_.empty(); ++i) {
      const std::size_t at = random_.below(claims_.size());
      quern::Finish& finish = finishes.emplace_back();
      finish.ref = claims_[at];
      claims_.erase(claims_.begin() + static_cast<std::ptrdiff_t>(at));
      finish.outcome = chance(50) ? quern::Outcome::completed : static_cast<quern::Outcome>(random_.below(6));
      finish.message = some("because ", 9);
      finish.again = soon();
      if (finish.outcome != quern::Outcome::completed) continue;
      if (chance(30))
        finish.result = quern::Payload::json("{\"n\":" + std::to_string(random_.below(99)) + "}");
      if (chance(20))
        finish.jobs.push_back({.id = quern::JobId{next_id_++}, .kind = kinds[0], .parents = {finish.ref.id}});
      if (chance(20)) finish.records.push_back(record());
    }
    store_->finish(finishes);
    for (const quern::Finish& finish : finishes)
      for (const quern::NewJob& job : finish.jobs) added.push_back(job.id);
  }

  void report() {
    if (claims_.empty()) return;
    const quern::RunRef ref = claims_[random_.below(claims_.size())];
    if (chance(50)) {
      store_->save_step(ref, {.name = some("s", 4), .value = quern::Payload::json("7")});
    } else {
      const quern::ProgressUpdate update{.ref = ref,
                                         .progress = {static_cast<int>(random_.below(100)), some("at ", 9)}};
      store_->progress({&update, 1});
    }
  }
  void command() {
    const std::vector ids{one(), one()};
    if (chance(50))
      store_->cancel(ids, "somebody");
    else
      store_->retry(ids, "somebody");
  }
  void change() {
    const std::vector ids{one(), one()};
    if (chance(50))
      store_->reschedule(ids, soon(), "somebody");
    else
      store_->set_priority(ids, quern::Priority{static_cast<int>(random_.below(4))}, "somebody");
  }
  void erase() { store_->erase(std::vector{one()}); }
  void queues() {
    const std::string queue = some("q", 3);
    if (chance(30)) return store_->limit_queue(queue, 20 + random_.below(100));
    if (chance(40)) return store_->pause(queue);
    store_->resume(queue);
  }
  quern::Record record() {
    return {.collection = some("c", 2), .key = some("k", 5), .value = quern::Payload::json(some("", 100))};
  }
  void records() {
    const quern::Record one = record();
    if (chance(70))
      store_->put_record(one);
    else
      store_->erase_record(one.collection, one.key);
  }
  void prune() {
    constexpr quern::JobState ends[] = {quern::JobState::completed, quern::JobState::dead,
                                        quern::JobState::cancelled};
    store_->prune({.state = ends[random_.below(3)],
                   .older_than = std::chrono::seconds(random_.below(60)),
                   .limit = 1 + random_.below(10)});
  }
  /// The node dies within its process.
  void crash() {
    if (chance(50)) store_->retire(node_);
    store_->rescue(2 + random_.below(5), 3);
    node_ = store_->register_node({.name = "n", .host = "h", .lease = std::chrono::hours(1)});
  }

  quern::ManualClock& clock_;
  quern::Random random_;
  quern::StoragePort* store_ = nullptr;
  quern::NodeId node_{};
  std::uint64_t next_id_ = 0;
  std::vector<quern::RunRef> claims_;
};

}  // namespace quern_test
