// What a crash leaves of jobs in memory: all that was written or committed, together.
#include <optional>

#include "storage/write_behind_stage.hpp"

using namespace std::chrono_literals;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::NodeId;
using quern::Payload;
using quern_test::WriteBehindStage;

TEST_CASE("a crash takes what was written behind since the last write, and nothing that was committed",
          "[storage][write-behind]") {
  WriteBehindStage s;
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
  WriteBehindStage s;
  const JobId parent = s.add("behind");
  NewJob child = s.job("committed");
  child.parents = {parent};
  s.add(child);
  s.crash_and_start();
  CHECK(s.state(parent) == JobState::ready);
  CHECK(s.state(child.id) == JobState::blocked);
}

TEST_CASE("each call that changes a committed job is durable when it returns", "[storage][write-behind]") {
  WriteBehindStage s;
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
  WriteBehindStage s;
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
  WriteBehindStage s;
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
  WriteBehindStage s;
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
  WriteBehindStage s;
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
