// What a user can rely on, kind by kind, and what happens while the database does not answer.
#include <mutex>
#include <thread>

#include "quern/storage/write_behind.hpp"
#include "storage/write_behind_fixture.hpp"

using namespace std::chrono_literals;
using quern::InvalidArgument;
using quern::JobDurability;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::NodeId;
using quern::Payload;
using quern::StorageError;
using quern::WriteBehindOptions;
using quern_test::WriteBehind;
using quern_test::WriteBehindProcess;

namespace {

/// A file, a clock, and processes that come and go.
struct Stage {
  quern_test::TempFolder folder;
  quern::ManualClock clock;
  std::string path = (folder / "jobs.db").string();
  WriteBehindOptions options{.kinds = {{"behind", JobDurability::written_behind},
                                       {"committed", JobDurability::committed},
                                       {"memory", JobDurability::memory_only}}};
  std::optional<WriteBehindProcess> process;

  Stage() { start(); }
  void start() { process.emplace(path, clock, options); }
  void crash() {
    process->crash();
    process.reset();
  }
  void crash_and_start() {
    crash();
    start();
  }
  [[nodiscard]] WriteBehind& storage() { return *process->storage; }

  NewJob job(std::string kind) { return {.id = storage().reserve_ids(1), .kind = std::move(kind)}; }
  JobId add(const NewJob& job) {
    REQUIRE(storage().insert({&job, 1}).at(0).status == quern::InsertStatus::added);
    return job.id;
  }
  JobId add(std::string kind) { return add(job(std::move(kind))); }
  std::optional<JobState> state(JobId id) {
    const auto found = storage().find({&id, 1}).at(0);
    return found ? std::optional(found->state) : std::nullopt;
  }
  NodeId node() { return storage().register_node({.name = "n", .host = "h", .lease = 1h}); }
  std::vector<quern::Claim> claim(NodeId node, std::size_t limit = 100) {
    return storage().claim({.node = node,
                            .limit = limit,
                            .kinds = {{"behind", limit, 3}, {"committed", limit, 3}, {"memory", limit, 3}}});
  }
};

}  // namespace

TEST_CASE("a crash takes what was written behind since the last write, and nothing that was committed",
          "[storage][write-behind]") {
  Stage s;
  const JobId written = s.add("behind");
  s.storage().write();
  const JobId behind = s.add("behind");
  const JobId memory = s.add("memory");
  const JobId lost = s.add("memory");
  s.crash_and_start();
  CHECK(s.state(written) == JobState::ready);
  CHECK(s.state(behind) == std::nullopt);
  CHECK(s.state(memory) == std::nullopt);
  CHECK(s.state(lost) == std::nullopt);

  const JobId committed = s.add("committed");
  s.crash_and_start();
  CHECK(s.state(committed) == JobState::ready);
}

TEST_CASE("a committed call writes all that was changed before it, so that what belongs together is together",
          "[storage][write-behind]") {
  Stage s;
  const JobId parent = s.add("behind");
  NewJob child = s.job("committed");
  child.parents = {parent};
  s.add(child);
  s.crash_and_start();
  CHECK(s.state(parent) == JobState::ready);
  CHECK(s.state(child.id) == JobState::blocked);
}

TEST_CASE("each call that changes a committed job is durable when it returns", "[storage][write-behind]") {
  Stage s;
  const JobId id = s.add("committed");
  const NodeId node = s.node();
  const auto claim = s.claim(node).at(0);
  const auto durable = [&](const auto& expect) {
    quern::SqliteStorage reader(s.path);
    expect(reader.find({&id, 1}).at(0).value(), reader);
  };
  durable([](const quern::Job& job, auto&) {
    CHECK(job.state == JobState::running);
    CHECK(job.attempt == 1);
  });
  s.storage().save_step(claim.ref, {.name = "fetch", .value = Payload::json("[1]")});
  durable([&](const quern::Job&, auto& reader) { CHECK(reader.steps(id).at(0).name == "fetch"); });
  const quern::ProgressUpdate update{.ref = claim.ref, .progress = {40, "forty"}};
  s.storage().progress({&update, 1});
  durable([](const quern::Job& job, auto&) { CHECK(job.progress.percent == 40); });
  const quern::Finish finish{.ref = claim.ref,
                             .outcome = quern::Outcome::failed,
                             .message = "no",
                             .again = quern::When::after(1min)};
  s.storage().finish({&finish, 1});
  durable([](const quern::Job& job, auto&) {
    CHECK(job.state == JobState::scheduled);
    CHECK(job.errors.size() == 1);
  });
  s.storage().reschedule({&id, 1}, quern::When::after(1h), "me");
  durable([&](const quern::Job& job, auto&) { CHECK(job.run_at == s.clock.now() + 1h); });
  s.storage().set_priority({&id, 1}, quern::Priority::high, "me");
  durable([](const quern::Job& job, auto&) { CHECK(job.priority == quern::Priority::high); });
  s.storage().cancel({&id, 1}, "me");
  durable([](const quern::Job& job, auto&) { CHECK(job.state == JobState::cancelled); });
  s.storage().retry({&id, 1}, "me");
  durable([](const quern::Job& job, auto&) { CHECK(job.run == 2); });
  s.storage().pause("default");
  durable([](const quern::Job&, auto& reader) { CHECK(reader.queues().at(0).paused); });
  s.storage().erase({&id, 1});
  quern::SqliteStorage reader(s.path);
  CHECK_FALSE(reader.find({&id, 1}).at(0));
}

TEST_CASE("a run that a crash interrupted is rescued, with its steps, as from a node that died",
          "[storage][write-behind]") {
  Stage s;
  const JobId id = s.add("behind");
  JobId last{};
  for (int crash = 1; crash <= 3; ++crash) {
    CAPTURE(crash);
    const NodeId node = s.node();
    const auto claims = s.claim(node);
    REQUIRE(claims.size() == 1);
    CHECK(claims[0].attempt == crash);
    s.storage().save_step(claims[0].ref, {.name = "s" + std::to_string(crash), .value = Payload::json("1")});
    s.storage().write();
    s.crash_and_start();
    CHECK(s.state(id) == JobState::running);
    const auto nodes = s.storage().nodes();
    REQUIRE(nodes.size() == 1);
    CHECK(nodes[0].state == quern::NodeState::dead);
    CHECK(nodes[0].running == 1);
    CHECK(s.storage().renew(node) == quern::RenewResult::lost);
    const quern::Finish finish{.ref = claims[0].ref};
    CHECK(s.storage().finish({&finish, 1}).at(0).status == quern::FinishStatus::lost);
    s.storage().rescue(10, 3);
    CHECK(s.storage().steps(id).size() == static_cast<std::size_t>(crash));
    CHECK(s.node() != node);
    CHECK(s.storage().reserve_ids(1) > last);
    last = s.storage().reserve_ids(1);
  }
  const auto job = s.storage().find({&id, 1}).at(0).value();
  CHECK(job.state == JobState::dead);
  CHECK(job.dead_reason == quern::DeadReason::quarantined);
  CHECK(job.errors.size() == 3);
}

TEST_CASE("a job that waits has its time and its deadline after a crash", "[storage][write-behind]") {
  Stage s;
  NewJob scheduled = s.job("behind");
  scheduled.run_at = quern::When::after(10s);
  s.add(scheduled);
  NewJob expiring = s.job("behind");
  expiring.run_at = quern::When::after(1h);
  expiring.deadline = quern::When::after(20s);
  s.add(expiring);
  s.storage().write();
  s.crash_and_start();
  CHECK(s.storage().promote(10).next == s.clock.now() + 10s);
  s.clock.advance(30s);
  const auto result = s.storage().promote(10);
  CHECK(result.promoted == 1);
  CHECK(result.expired == 1);
  CHECK(s.state(scheduled.id) == JobState::ready);
  CHECK(s.state(expiring.id) == JobState::dead);
}

TEST_CASE("a key that changes hands while it is written was held by who held it at the moment of the write",
          "[storage][write-behind]") {
  Stage s;
  NewJob dead = s.job("behind");
  dead.unique.key = "key";
  s.add(dead);
  s.storage().cancel({&dead.id, 1}, "me");
  CHECK(s.storage().key_holder("key") == std::nullopt);
  s.process->backup.before_chunk = [&] { s.storage().retry({&dead.id, 1}, "me"); };
  s.storage().write();
  s.crash_and_start();
  CHECK(s.state(dead.id) == JobState::cancelled);
  CHECK(s.storage().key_holder("key") == std::nullopt);
}

TEST_CASE("a run that was asked to stop ends cancelled after a crash", "[storage][write-behind]") {
  Stage s;
  const JobId id = s.add("behind");
  const auto claim = s.claim(s.node()).at(0);
  s.storage().cancel({&id, 1}, "erin");
  s.storage().write();
  s.crash_and_start();
  s.storage().rescue(10, 3);
  const auto job = s.storage().find({&id, 1}).at(0).value();
  CHECK(job.state == JobState::cancelled);
  CHECK(job.end_message == "cancelled by erin");
  (void)claim;
}

TEST_CASE("a job in memory only is no parent of one that outlives it", "[storage][write-behind]") {
  Stage s;
  const JobId parent = s.add("memory");
  NewJob child = s.job("behind");
  child.parents = {parent};
  CHECK_THROWS_AS(s.storage().insert({&child, 1}), InvalidArgument);
  CHECK_THROWS_WITH(s.storage().insert({&child, 1}),
                    Catch::Matchers::Contains("parents") && Catch::Matchers::Contains("memory only"));
  child.kind = "memory";
  s.add(child);
  // In the same batch, and as the follow-up of a completion.
  NewJob first = s.job("memory");
  NewJob second = s.job("committed");
  second.parents = {first.id};
  CHECK_THROWS_AS(s.storage().insert(std::vector{first, second}), InvalidArgument);
  CHECK(s.state(first.id) == std::nullopt);
  const auto claim = s.claim(s.node()).at(0);
  NewJob follow_up = s.job("behind");
  follow_up.parents = {claim.ref.id};
  const quern::Finish finish{.ref = claim.ref, .jobs = {follow_up}};
  CHECK_THROWS_AS(s.storage().finish({&finish, 1}), InvalidArgument);
  CHECK(s.state(claim.ref.id) == JobState::running);
}

TEST_CASE("a kind that is kept in memory only from now on does not come back", "[storage][write-behind]") {
  Stage s;
  const JobId done = s.add("behind");
  const JobId waits = s.add("behind");
  s.storage().write();
  s.crash();
  s.options.kinds["behind"] = JobDurability::memory_only;
  s.start();
  CHECK(s.state(done) == JobState::ready);  // it was kept before
  const auto claim = s.claim(s.node(), 1).at(0);
  REQUIRE(claim.ref.id == done);
  const quern::Finish finish{.ref = claim.ref};
  s.storage().finish({&finish, 1});
  s.storage().write();
  s.crash_and_start();
  CHECK(s.state(done) == std::nullopt);
  CHECK(s.state(waits) == JobState::ready);
}

TEST_CASE("a job whose parent was not kept is settled by its policy", "[storage][write-behind]") {
  Stage s;
  s.options.kinds["passing"] = JobDurability::written_behind;
  s.crash_and_start();
  const JobId parent = s.add("passing");
  std::map<quern::ParentPolicy, JobId> children;
  for (const auto policy :
       {quern::ParentPolicy::cancel, quern::ParentPolicy::run, quern::ParentPolicy::stay_blocked}) {
    NewJob child = s.job("behind");
    child.parents = {parent};
    child.on_parent_failure = policy;
    children[policy] = s.add(child);
  }
  NewJob grandchild = s.job("behind");
  grandchild.parents = {children[quern::ParentPolicy::cancel]};
  s.add(grandchild);
  s.storage().write();
  s.crash();
  s.options.kinds["passing"] = JobDurability::memory_only;
  s.start();
  CHECK(s.state(children[quern::ParentPolicy::run]) == JobState::blocked);
  s.storage().set_priority({&parent, 1}, quern::Priority::low, "me");  // so that it is kept no longer
  s.storage().write();
  s.crash_and_start();
  CHECK(s.state(parent) == std::nullopt);
  CHECK(s.state(children[quern::ParentPolicy::run]) == JobState::ready);
  CHECK(s.state(children[quern::ParentPolicy::cancel]) == JobState::cancelled);
  CHECK(s.state(children[quern::ParentPolicy::stay_blocked]) == JobState::cancelled);
  CHECK(s.state(grandchild.id) == JobState::cancelled);
  CHECK(s.storage().recount().empty());
}

TEST_CASE("records are as durable as kinds that are not named", "[storage][write-behind]") {
  Stage s;
  const quern::Record record{.collection = "c", .key = "k", .value = Payload::json("1")};
  s.storage().put_record(record);
  s.crash_and_start();
  CHECK_FALSE(s.storage().get_record("c", "k"));
  s.crash();

  s.options.durability = JobDurability::committed;
  s.start();
  s.storage().put_record(record);
  s.crash_and_start();
  CHECK(s.storage().get_record("c", "k") == record.value);
  CHECK(s.storage().erase_record("c", "k"));
  s.crash_and_start();
  CHECK_FALSE(s.storage().get_record("c", "k"));
  s.crash();

  s.options.durability = JobDurability::memory_only;
  s.start();
  s.storage().put_record(record);
  s.storage().write();
  s.crash_and_start();
  CHECK_FALSE(s.storage().get_record("c", "k"));
}

TEST_CASE("it writes when its interval has passed or enough jobs have changed, and not without need",
          "[storage][write-behind]") {
  Stage s;
  s.crash();
  s.options.persistence_interval = 10s;
  s.options.max_unwritten = 5;
  s.start();
  WriteBehind& storage = s.storage();
  const auto writes = [&] { return s.process->backup.writes.load(); };
  s.add("behind");
  CHECK(storage.tick(s.clock.now()).at == s.clock.now() + 10s);
  CHECK(writes() == 0);
  CHECK(storage.status().unwritten == 1);
  CHECK_FALSE(storage.status().written_at);
  s.clock.advance(10s);
  CHECK(storage.tick(s.clock.now()).at == s.clock.now() + 10s);
  CHECK(writes() == 1);
  CHECK(storage.status().unwritten == 0);
  CHECK(storage.status().written_at == s.clock.now());
  s.clock.advance(10s);
  storage.tick(s.clock.now());
  CHECK(writes() == 1);  // there was nothing to write
  CHECK(storage.status().written_at == s.clock.now());
  for (int i = 0; i < 4; ++i) s.add("behind");
  storage.tick(s.clock.now());
  CHECK(writes() == 1);
  s.add("behind");
  storage.tick(s.clock.now());
  CHECK(writes() == 2);
  for (int i = 0; i < 10; ++i) s.add("memory");
  storage.tick(s.clock.now());
  CHECK(writes() == 2);
}

TEST_CASE("while the database fails, work goes on in memory, and what is committed is refused",
          "[storage][write-behind]") {
  Stage s;
  const NodeId node = s.node();
  const JobId waiting = s.add("committed");
  NewJob refused = s.job("committed");  // its id is known before
  s.process->backup.fails = true;

  const JobId behind = s.add("behind");
  CHECK_THROWS_AS(s.storage().insert({&refused, 1}), StorageError);
  // Whether it was recorded is not known; who sends it again learns it. That is no acknowledgement either.
  CHECK_THROWS_AS(s.storage().insert({&refused, 1}), StorageError);

  // A claim that could not be recorded gives its jobs back, as they were.
  CHECK_THROWS_AS(s.claim(node), StorageError);
  CHECK(s.state(waiting) == JobState::ready);
  CHECK(s.storage().find({&waiting, 1}).at(0)->attempt == 0);
  CHECK(s.storage().find({&waiting, 1}).at(0)->snoozes == 0);
  CHECK(s.state(behind) == JobState::ready);
  // Kinds that are not committed run.
  CHECK_THROWS_AS(s.storage().pause("default"), StorageError);
  const auto claims = s.storage().claim({.node = node, .limit = 9, .kinds = {{"behind", 9, 3}}});
  CHECK(claims.empty());  // the pause of the queue holds in memory, though its caller does not know
  CHECK_THROWS_AS(s.storage().resume("default"), StorageError);
  const auto claim = s.storage().claim({.node = node, .limit = 9, .kinds = {{"behind", 9, 3}}}).at(0);
  const quern::Finish finish{.ref = claim.ref};
  CHECK(s.storage().finish({&finish, 1}).at(0).status == quern::FinishStatus::recorded);

  s.process->backup.fails = false;
  CHECK(s.storage().insert({&refused, 1}).at(0).status == quern::InsertStatus::repeated);
  s.crash_and_start();
  CHECK(s.state(refused.id) == JobState::ready);
  CHECK(s.state(behind) == JobState::completed);
  CHECK(s.state(waiting) == JobState::ready);
}

TEST_CASE("a failing write is tried again ever more seldom, and said so", "[storage][write-behind]") {
  Stage s;
  s.crash();
  std::vector<std::string> log;
  s.options.log = [&](quern::LogLevel, std::string_view message) { log.emplace_back(message); };
  s.start();
  s.add("behind");
  s.process->backup.fails = true;
  s.clock.advance(10s);
  std::vector<quern::Duration> waits;
  for (int i = 0; i < 12; ++i) {
    const auto next = s.storage().tick(s.clock.now()).at;
    waits.push_back(next - s.clock.now());
    s.clock.advance(next - s.clock.now());
  }
  CHECK(waits.front() >= 50ms);
  CHECK(waits.front() <= 100ms);
  CHECK(waits.back() >= 5s);
  CHECK(waits.back() <= 10s);
  CHECK(s.storage().status().failures == 12);
  CHECK_THAT(s.storage().status().error, Catch::Matchers::Contains("the disk is on fire"));
  CHECK(log.size() == 4);  // of the failures 1, 2, 4, 8
  CHECK_THAT(log.at(0), Catch::Matchers::Contains("the disk is on fire"));
  s.process->backup.fails = false;
  s.storage().tick(s.clock.now());
  CHECK(s.storage().status().failures == 0);
  CHECK(s.storage().status().error.empty());
  CHECK(s.storage().status().unwritten == 0);
}

TEST_CASE("stopping writes everything and gives the file back", "[storage][write-behind]") {
  Stage s;
  const JobId id = s.add("behind");
  s.storage().stop();
  s.storage().stop();
  quern::SqliteStorage plain(s.path, {.clock = s.clock});
  CHECK(plain.find({&id, 1}).at(0)->state == JobState::ready);
  const NewJob job{.id = plain.reserve_ids(1), .kind = "plain"};
  plain.insert({&job, 1});
  // What comes too late is said so.
  s.add("behind");
  CHECK_THROWS_WITH(s.storage().write(), Catch::Matchers::Contains("stopped"));
  NewJob late{.id = JobId{999'999}, .kind = "committed"};
  CHECK_THROWS_AS(s.storage().insert({&late, 1}), StorageError);
}

TEST_CASE("stopping while the database fails says so and is over", "[storage][write-behind]") {
  Stage s;
  s.add("behind");
  s.process->backup.fails = true;
  CHECK_THROWS_AS(s.storage().stop(), StorageError);
}

TEST_CASE("while one process keeps the jobs in memory no other one changes them", "[storage][write-behind]") {
  Stage s;
  const JobId id = s.add("committed");
  quern::SqliteStorage other(s.path, {.clock = s.clock});
  CHECK(other.find({&id, 1}).at(0).has_value());  // reading is free
  CHECK_THROWS_WITH(other.reserve_ids(1),
                    Catch::Matchers::Contains("another process keeps its jobs in memory"));
  CHECK_THROWS_AS(other.cancel({&id, 1}, "x"), StorageError);
  CHECK_THROWS_AS(other.register_node({.name = "n", .host = "h", .lease = 1min}), StorageError);
  const auto second = [&] { const quern::WriteBehindStorage storage(other); };
  CHECK_THROWS_WITH(second(), Catch::Matchers::Contains("another process keeps its jobs in memory"));
  try {
    second();
  } catch (const StorageError& e) {
    CHECK(e.transient());
  }
  // Nor does anybody behind its back through the keeper's own object, or in a host's transaction.
  CHECK_THROWS_WITH(s.process->file.cancel({&id, 1}, "x"), Catch::Matchers::Contains("kept in memory"));
  const quern_test::RawDb host(s.path);
  host.run("BEGIN IMMEDIATE");
  std::vector<NewJob> jobs{{.kind = "behind"}};
  CHECK_THROWS_AS(other.insert_within(host.handle(), jobs), StorageError);
  host.run("ROLLBACK");

  // Once it has gone, in whatever way, the next one may.
  s.crash();
  CHECK(other.cancel({&id, 1}, "x").at(0) == quern::CancelResult::cancelled);
  const quern::WriteBehindStorage storage(other);
}

TEST_CASE("nobody keeps jobs in memory that other nodes work on", "[storage][write-behind]") {
  Stage s;
  s.storage().stop();
  s.process.reset();
  quern::SqliteStorage plain(s.path, {.clock = s.clock});
  const NodeId node = plain.register_node({.name = "worker-7", .host = "h", .process = 42, .lease = 1min});
  CHECK_THROWS_WITH(s.start(), Catch::Matchers::Contains("worker-7"));
  plain.retire(node);
  s.start();
}

TEST_CASE("jobs move from a plain file into memory and back, and go on", "[storage][write-behind]") {
  Stage s;
  s.storage().stop();
  s.process.reset();
  JobId ready{};
  JobId child{};
  quern::Claim running;
  {
    quern::SqliteStorage plain(s.path, {.clock = s.clock});
    const NodeId node = plain.register_node({.name = "n", .host = "h", .lease = 1s});
    std::vector<NewJob> jobs(3);
    for (NewJob& job : jobs) job = {.id = plain.reserve_ids(1), .kind = "behind"};
    jobs[1].parents = {jobs[0].id};
    jobs[1].unique.key = "key";
    plain.insert(jobs);
    running = plain.claim({.node = node, .limit = 1, .kinds = {{"behind", 1, 3}}}).at(0);
    child = jobs[1].id;
    ready = jobs[2].id;
  }
  s.clock.advance(2s);
  s.start();
  CHECK(s.state(child) == JobState::blocked);
  CHECK(s.state(ready) == JobState::ready);
  CHECK(s.state(running.ref.id) == JobState::running);
  CHECK(s.storage().key_holder("key") == child);
  s.storage().rescue(10, 3);
  const auto claims = s.claim(s.node());
  REQUIRE(claims.size() == 2);
  for (const auto& claim : claims) {
    const quern::Finish finish{.ref = claim.ref};
    s.storage().finish({&finish, 1});
  }
  CHECK(s.state(child) == JobState::ready);
  s.storage().stop();
  s.process.reset();
  quern::SqliteStorage plain(s.path, {.clock = s.clock});
  const NodeId node = plain.register_node({.name = "n", .host = "h", .lease = 1min});
  CHECK(plain.claim({.node = node, .limit = 9, .kinds = {{"behind", 9, 3}}}).at(0).ref.id == child);
}

TEST_CASE("options out of range are refused by name", "[storage][write-behind]") {
  Stage s;
  s.storage().stop();
  s.process.reset();
  s.options.persistence_interval = 0s;
  CHECK_THROWS_WITH(s.start(), Catch::Matchers::Contains("persistence_interval"));
  s.options.persistence_interval = 1s;
  s.options.max_unwritten = 0;
  CHECK_THROWS_WITH(s.start(), Catch::Matchers::Contains("max_unwritten"));
}

TEST_CASE("a keeper that was replaced learns it and does no more harm", "[storage][write-behind]") {
  Stage s;
  const NodeId node = s.node();
  s.add("behind");
  // As if somebody had taken the file over in spite of the lock.
  quern_test::RawDb(s.path).run("UPDATE quern_meta SET value = 99 WHERE name = 'keeper'");
  CHECK_THROWS_AS(s.storage().write(), quern::KeeperLost);
  CHECK_THROWS_AS(s.claim(node), quern::KeeperLost);
  CHECK_THROWS_AS(s.add("behind"), quern::KeeperLost);
  CHECK(s.storage().renew(node) == quern::RenewResult::lost);
  s.clock.advance(1h);
  CHECK(s.storage().tick(s.clock.now()).at == quern::NextTick{}.at);  // never again
}
