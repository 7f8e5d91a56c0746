#include "quern/testing/random_life.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "quern/core/error.hpp"

namespace quern::inline v1::testing {
namespace {

constexpr std::uint64_t queue_count = 3;
constexpr std::uint64_t key_count = 10;
constexpr std::uint64_t collection_count = 2;
constexpr std::array ends{JobState::completed, JobState::dead, JobState::cancelled};

}  // namespace

std::string RandomLife::some(const char* prefix, std::uint64_t count) {
  return prefix + std::to_string(random_.below(count));
}

JobId RandomLife::one() { return added_.empty() ? JobId{1} : added_[random_.below(added_.size())]; }

When RandomLife::soon() { return When::after(std::chrono::seconds(random_.below(30))); }

void RandomLife::begin(StoragePort& store) {
  constexpr std::size_t enough = 100'000;
  store_ = &store;
  claims_.clear();
  node_ = store.register_node({.name = "n", .host = "h", .lease = std::chrono::hours(1)});
  next_id_ = store.reserve_ids(enough).value;
}

void RandomLife::step() {
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
  if (dice < 92) return lose_node();
  clock_.advance(std::chrono::seconds(random_.below(20)));
  store_->promote(3 + random_.below(5));
}

void RandomLife::insert() {
  std::vector<NewJob> jobs(1 + random_.below(6));
  for (NewJob& job : jobs) {
    job.id = JobId{next_id_++};
    job.kind = kinds[random_.below(kinds.size())];
    job.queue = some("q", queue_count);
    job.payload = Payload::json(fmt::format("[{}]", job.id.value));
    job.priority = Priority{static_cast<int>(random_.below(4))};
    if (chance(30)) job.run_at = soon();
    if (chance(15)) job.deadline = soon();
    if (chance(20)) job.unique = unique();
    if (chance(20)) job.tenant = some("t", 4);
    if (chance(20)) job.tags = {some("x", 3), some("y", 3)};
    if (chance(10)) job.max_attempts = 1 + static_cast<int>(random_.below(3));
    if (chance(10)) job.timeout = std::chrono::seconds(1 + random_.below(5));
    if (chance(10)) job.created_by = some("u", 3);
    if (chance(10)) job.digest = some("d", 3);
    if (chance(10))
      job.trace = fmt::format("00-{:032x}-{:016x}-01", 1 + random_.below(9), 1 + random_.below(9));
    if (chance(30) && !added_.empty()) add_parents(job);
  }
  try {
    store_->insert(jobs);
    for (const NewJob& job : jobs) added_.push_back(job.id);
  } catch (const InvalidArgument&) {
    // a parent that is no more
  }
}

Unique RandomLife::unique() {
  Unique unique{.key = some("k", key_count)};
  if (chance(30)) unique.period = std::chrono::hours(1000 + random_.below(60));  // which does not pass here
  unique.while_completed = chance(20);
  unique.while_dead = chance(20);
  unique.while_cancelled = chance(20);
  unique.on_conflict = static_cast<UniqueConflict>(random_.below(3));
  return unique;
}

void RandomLife::add_parents(NewJob& job) {
  const std::uint64_t count = 1 + random_.below(2);
  for (std::uint64_t i = 0; i < count; ++i) job.parents.push_back(one());
  job.on_parent_failure = static_cast<ParentPolicy>(random_.below(3));
}

void RandomLife::claim() {
  ClaimRequest request{.node = node_, .limit = 1 + random_.below(6)};
  for (const std::string& kind : kinds) request.kinds.push_back({kind, request.limit, 3});
  for (const Claim& claim : store_->claim(request)) claims_.push_back(claim.ref);
}

void RandomLife::finish() {
  std::vector<Finish> finishes;
  for (std::uint64_t count = 1 + random_.below(4); count > 0 && !claims_.empty(); --count) {
    const std::size_t at = random_.below(claims_.size());
    Finish& finish = finishes.emplace_back();
    finish.ref = claims_[at];
    claims_.erase(claims_.begin() + static_cast<std::ptrdiff_t>(at));
    finish.outcome = chance(50) ? Outcome::completed : static_cast<Outcome>(random_.below(6));
    finish.message = some("because ", 9);
    finish.again = soon();
    if (finish.outcome != Outcome::completed) continue;
    if (chance(30)) finish.result = Payload::json(fmt::format(R"({{"n":{}}})", random_.below(99)));
    if (chance(20))
      finish.jobs.push_back({.id = JobId{next_id_++}, .kind = kinds[0], .parents = {finish.ref.id}});
    if (chance(20)) finish.records.push_back(record());
  }
  store_->finish(finishes);
  for (const Finish& finish : finishes)
    for (const NewJob& job : finish.jobs) added_.push_back(job.id);
}

void RandomLife::report() {
  if (claims_.empty()) return;
  const RunRef ref = claims_[random_.below(claims_.size())];
  if (chance(50)) {
    store_->save_step(ref, {.name = some("s", 4), .value = Payload::json("7")});
  } else {
    const ProgressUpdate update{.ref = ref,
                                .progress = {static_cast<int>(random_.below(100)), some("at ", 9)}};
    store_->progress({&update, 1});
  }
}

void RandomLife::command() {
  const std::vector ids{one(), one()};
  if (chance(50))
    store_->cancel(ids, "somebody");
  else
    store_->retry(ids, "somebody");
}

void RandomLife::change() {
  const std::vector ids{one(), one()};
  if (chance(50))
    store_->reschedule(ids, soon(), "somebody");
  else
    store_->set_priority(ids, Priority{static_cast<int>(random_.below(4))}, "somebody");
}

void RandomLife::erase() { store_->erase(std::vector{one()}); }

void RandomLife::queues() {
  const std::string queue = some("q", queue_count);
  if (chance(30)) return store_->limit_queue(queue, 20 + random_.below(100));
  if (chance(40)) return store_->pause(queue);
  store_->resume(queue);
}

Record RandomLife::record() {
  return {
      .collection = some("c", collection_count), .key = some("k", 5), .value = Payload::json(some("", 100))};
}

void RandomLife::records() {
  const Record one = record();
  if (chance(30)) return change_record(one);
  if (chance(70))
    store_->put_record(one);
  else
    store_->erase_record(one.collection, one.key);
}

void RandomLife::change_record(const Record& wanted) {
  RecordChange change{.collection = wanted.collection, .key = wanted.key};
  // Mostly as it is.
  if (chance(80)) change.seen = store_->get_record(wanted.collection, wanted.key);
  if (chance(80)) change.value = wanted.value;
  std::vector<NewJob> jobs(random_.below(3));
  for (NewJob& job : jobs) {
    job.id = JobId{next_id_++};
    job.kind = kinds[random_.below(kinds.size())];
    job.queue = some("q", queue_count);
    job.payload = Payload::json(fmt::format("[{}]", job.id.value));
  }
  const auto answer = store_->insert_if(jobs, {&change, 1});
  if (!answer.done) return;
  for (const NewJob& job : jobs) added_.push_back(job.id);
}

void RandomLife::prune() {
  store_->prune({.state = ends[random_.below(ends.size())],
                 .older_than = std::chrono::seconds(random_.below(60)),
                 .limit = 1 + random_.below(10)});
}

void RandomLife::lose_node() {
  if (chance(50)) store_->retire(node_);
  store_->rescue(2 + random_.below(5), 3);
  node_ = store_->register_node({.name = "n", .host = "h", .lease = std::chrono::hours(1)});
}

std::string to_text(const JobImage& image) {
  const Job& job = image.job;
  std::string text = fmt::format("{} {} {} {} {}", to_string(job.id), job.kind, job.queue,
                                 to_string(job.state), job.payload.text());
  const auto add = [&](std::string_view name, auto value) {
    if (value != 0) text += fmt::format(" {}={}", name, value);
  };
  const auto add_text = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += fmt::format(" {}='{}'", name, value);
  };
  const auto add_time = [&](std::string_view name, const std::optional<TimePoint>& time) {
    if (time) text += fmt::format(" {}={}", name, to_us(*time));
  };
  const bool running = job.state == JobState::running;
  add("priority", job.priority.level);
  add("run", job.run);
  add("attempt", job.attempt);
  add("max_attempts", job.max_attempts);
  add("epoch", job.epoch);
  add("crashes", job.crashes);
  add("snoozes", job.snoozes);
  add("timeout", job.timeout.count());
  add("policy", static_cast<int>(job.on_parent_failure));
  add("percent", job.progress.percent);
  add("dead_reason", static_cast<int>(job.dead_reason));
  add("has_node", job.node != 0 ? 1 : 0);
  add("cancel_requested", running && job.cancel_requested ? 1 : 0);
  add("claimed_attempts", running ? image.claimed_attempts : 0);
  add("holds_key", image.holds_key ? 1 : 0);
  add("key_period", image.unique.period.count());
  add("key_states", (image.unique.while_completed ? 1 : 0) + (image.unique.while_dead ? 2 : 0) +
                        (image.unique.while_cancelled ? 4 : 0));
  add_time("created", job.created_at);
  add_time("run_at", job.run_at);
  add_time("deadline", job.deadline);
  add_time("started", job.started_at);
  add_time("finished", job.finished_at);
  add_text("tenant", job.tenant);
  add_text("key", job.unique_key);
  add_text("created_by", job.created_by);
  add_text("digest", job.digest);
  add_text("trace", job.trace);
  add_text("progress", job.progress.message);
  add_text("end", job.end_message);
  if (running && job.cancel_requested) add_text("cancel", image.cancel_reason);
  for (const std::string& tag : job.tags) add_text("tag", tag);
  for (const JobId parent : job.parents) add_text("parent", to_string(parent));
  for (const JobId parent : image.waits_for) add_text("waits_for", to_string(parent));
  if (job.result) add_text("result", job.result->text());
  for (const AttemptError& error : job.errors)
    text += fmt::format(" error({} {} {} {} '{}')", error.attempt, error.epoch, to_us(error.at),
                        static_cast<int>(error.fault), error.message);
  for (const Step& step : image.steps) text += fmt::format(" step({} {})", step.name, step.value.text());
  return text;
}

std::vector<std::string> to_text(StoragePort& store) {
  std::vector<std::string> lines;
  JobFilter filter{.oldest_first = true, .limit = 1000};
  do {
    const JobPage page = store.list(filter);
    for (const Job& job : page.jobs) {
      JobImage
          image;  // named, and filled afterwards: g++ 12 takes a temporary's members for uninitialized at -O3
      image.job = job;
      image.steps = store.steps(job.id);
      lines.push_back(to_text(image));
    }
    filter.after = page.next;
  } while (filter.after);
  for (const JobCount& count : store.count())
    lines.push_back(fmt::format("{}/{} {} {}", count.queue, count.kind, to_string(count.state), count.count));
  for (const QueueStatus& queue : store.queues()) {
    if (queue.paused || queue.max_waiting > 0)  // that it was named once is no state
      lines.push_back(fmt::format("queue {} {} {}", queue.name, queue.paused, queue.max_waiting));
  }
  for (const LimitStatus& limit : store.limits()) {
    const LimitRule& rule = limit.rule;
    lines.push_back(fmt::format("rule {} {} {} {} {} {} {} {}", rule.name, rule.queue, rule.kind,
                                rule.max_running, rule.rate.count, rule.rate.per.count(),
                                static_cast<int>(rule.rate.algorithm), rule.rate.burst));
  }
  for (std::uint64_t i = 0; i < collection_count; ++i)
    for (const Record& record : store.list_records(fmt::format("c{}", i), "", 1000))
      lines.push_back(fmt::format("record {} {} {}", record.collection, record.key, record.value.text()));
  for (std::uint64_t i = 0; i < key_count; ++i)
    if (const auto holder = store.key_holder(fmt::format("k{}", i)))
      lines.push_back(fmt::format("key k{} {}", i, to_string(*holder)));
  return lines;
}

std::vector<std::string> differences(const std::vector<std::string>& found,
                                     const std::vector<std::string>& expected) {
  const std::set<std::string> a(found.begin(), found.end());
  const std::set<std::string> b(expected.begin(), expected.end());
  std::vector<std::string> lines;
  for (const std::string& line : a)
    if (!b.contains(line)) lines.push_back("found: " + line);
  for (const std::string& line : b)
    if (!a.contains(line)) lines.push_back("expected: " + line);
  return lines;
}

}  // namespace quern::inline v1::testing
