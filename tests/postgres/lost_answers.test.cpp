// An answer that was lost: what the server did is found out, and never done twice.
#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "support/catch.hpp"
#include "support/loopback_proxy.hpp"

using namespace std::chrono_literals;
using quern::FinishStatus;
using quern::JobState;
using quern::NewJob;
using quern::PostgresStorage;
using quern_test::PostgresServer;

namespace {

/// A storage behind a proxy that can lose answers. Every kind of call has been made once, so that the next
/// answer is that of the call itself and not of its preparation.
struct Cut {
  Cut()
      : thread(PostgresServer::shared()->port()),
        storage(proxy.address(), {.schema = PostgresServer::new_schema()}) {
    node = storage.register_node({.name = "node", .host = "here"});
    for (const auto outcome : {quern::Outcome::failed, quern::Outcome::completed}) {
      const auto claim = start(add());
      const quern::Finish finish{.ref = claim.ref, .outcome = outcome, .again = quern::When::after(24h)};
      storage.finish({&finish, 1});
    }
  }
  [[nodiscard]] NewJob new_job() { return {.id = storage.reserve_ids(1), .kind = "work"}; }
  quern::JobId add() {
    const auto job = new_job();
    storage.insert({&job, 1});
    return job.id;
  }
  std::vector<quern::Claim> claim() {
    return storage.claim({.node = node, .limit = 10, .kinds = {{"work", 10, 3}}});
  }
  quern::Claim start(quern::JobId id) {
    const auto claims = claim();
    REQUIRE(claims.size() == 1);
    CHECK(claims[0].ref.id == id);
    return claims[0];
  }
  [[nodiscard]] quern::Job get(quern::JobId id) { return storage.find({&id, 1}).at(0).value(); }

  quern_test::ProxyThread thread;
  quern_test::LoopbackProxy& proxy = thread.proxy;
  PostgresStorage storage;
  quern::NodeId node;
};

}  // namespace

TEST_CASE("I01 I11 an insert whose answer was lost is sent again and makes one job", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  Cut cut;
  auto plain = cut.new_job();
  auto keyed = cut.new_job();
  keyed.unique.key = "key";
  for (const NewJob& job : {plain, keyed}) {
    cut.proxy.drop_answers(1);
    CHECK(cut.storage.insert({&job, 1}).at(0).status == quern::InsertStatus::added);
    CHECK(cut.get(job.id).state == JobState::ready);
  }
  CHECK(cut.proxy.dropped() == 2);
  CHECK(cut.claim().size() == 2);
  CHECK(cut.storage.recount().empty());
}

TEST_CASE("I03 I08 a claim whose answer was lost is undone before its node claims again", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  Cut cut;
  const auto id = cut.add();
  const auto asked = cut.add();
  cut.proxy.drop_answers(1);
  try {
    cut.claim();
    FAIL("did not throw");
  } catch (const quern::StorageError& e) {
    CHECK(e.transient());
  }
  CHECK(cut.get(id).state == JobState::running);
  CHECK(cut.storage.cancel({&asked, 1}, "somebody").at(0) == quern::CancelResult::requested);
  const auto claim = cut.start(id);
  CHECK(claim.attempt == 1);
  CHECK(cut.get(id).crashes == 0);
  CHECK(cut.get(asked).state == JobState::cancelled);
  CHECK(cut.get(asked).end_message == "cancelled by somebody");
  CHECK(cut.storage.recount().empty());
}

TEST_CASE("I04 I07 a finish whose answer was lost is looked up by its run and recorded once", "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  Cut cut;
  for (const auto outcome : {quern::Outcome::completed, quern::Outcome::failed, quern::Outcome::snoozed,
                             quern::Outcome::released, quern::Outcome::discarded}) {
    const auto id = cut.add();
    const auto claim = cut.start(id);
    const quern::Finish finish{.ref = claim.ref, .outcome = outcome, .again = quern::When::after(1h)};
    cut.proxy.drop_answers(1);
    const auto result = cut.storage.finish({&finish, 1}).at(0);
    CHECK(result.status == FinishStatus::recorded);
    const auto job = cut.get(id);
    CHECK(result.state == job.state);
    CHECK(job.errors.size() ==
          (outcome == quern::Outcome::failed || outcome == quern::Outcome::discarded ? 1 : 0));
    CHECK(cut.storage.finish({&finish, 1}).at(0).status == FinishStatus::lost);
    if (!quern::is_terminal(job.state))
      CHECK(cut.storage.cancel({&id, 1}, "").at(0) == quern::CancelResult::cancelled);
  }
  CHECK(cut.proxy.dropped() == 5);
  CHECK(cut.storage.recount().empty());
}

TEST_CASE("I03 I04 of ends and a claim whose answer was lost the ends stand and the claim is undone",
          "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  Cut cut;
  const auto request = [&] {
    return quern::ClaimRequest{.node = cut.node, .limit = 1, .kinds = {{"work", 1, 3}}};
  };
  auto run = cut.start(cut.add());
  for (int i = 0; i < 2; ++i) {  // the first time prepares what is sent
    const auto next = cut.add();
    const auto ended = run.ref.id;
    const quern::Finish finish{.ref = run.ref, .result = quern::Payload::json("1")};
    if (i == 1) cut.proxy.drop_answers(1);
    auto done = cut.storage.finish_and_claim({&finish, 1}, request());
    CHECK(done.finished.at(0).status == FinishStatus::recorded);
    CHECK(done.finished.at(0).state == JobState::completed);
    CHECK(cut.get(ended).state == JobState::completed);
    CHECK(cut.get(ended).result == quern::Payload::json("1"));
    CHECK(done.claimed.has_value() == (i == 0));
    CHECK(cut.get(next).state == JobState::running);
    run = i == 0 ? done.claimed->at(0) : cut.start(next);
    CHECK(run.ref.id == next);
    CHECK(run.attempt == 1);
  }
  CHECK(cut.proxy.dropped() == 1);
  CHECK(cut.get(run.ref.id).crashes == 0);
  CHECK(cut.storage.recount().empty());
}

TEST_CASE("I03 I04 ends and a claim that never reached the server change nothing and are repeated",
          "[postgres]") {
  if (PostgresServer::shared() == nullptr) return;
  Cut cut;
  const auto run = cut.start(cut.add());
  const auto next = cut.add();
  const quern::Finish finish{.ref = run.ref};
  const quern::ClaimRequest request{.node = cut.node, .limit = 1, .kinds = {{"work", 1, 3}}};
  cut.proxy.set(quern_test::LoopbackProxy::Traffic::cut);
  CHECK_THROWS_AS(cut.storage.finish_and_claim({&finish, 1}, request), quern::StorageError);
  cut.proxy.set(quern_test::LoopbackProxy::Traffic::pass);
  // It knocks again after a short while.
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (std::chrono::steady_clock::now() < until) {
    try {
      cut.storage.find({&next, 1});
      break;
    } catch (const quern::StorageError&) {
      continue;
    }
  }
  CHECK(cut.get(run.ref.id).state == JobState::running);
  CHECK(cut.get(next).state == JobState::ready);
  const auto done = cut.storage.finish_and_claim({&finish, 1}, request);
  CHECK(done.finished.at(0).status == FinishStatus::recorded);
  cut.start(next);
  CHECK(cut.storage.recount().empty());
}
