// What a user can rely on, kind by kind.
#include <map>
#include <optional>
#include <vector>

#include "storage/write_behind_stage.hpp"

using namespace std::chrono_literals;
using quern::InvalidArgument;
using quern::JobDurability;
using quern::JobId;
using quern::JobState;
using quern::NewJob;
using quern::Payload;
using quern_test::WriteBehindStage;

TEST_CASE("a job in memory only is no parent of one that outlives it", "[storage][write-behind]") {
  WriteBehindStage s;
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
  WriteBehindStage s;
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
  WriteBehindStage s;
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
  WriteBehindStage s;
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
