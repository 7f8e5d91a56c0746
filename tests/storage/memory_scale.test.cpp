// What the parts of MemoryStorage must get right beyond a handful of jobs: lines with gaps and latecomers,
// heaps with entries that no longer hold, ids far apart, payloads of all lengths.
#include <algorithm>
#include <map>
#include <random>
#include <tuple>

#include "quern/core/clock.hpp"
#include "quern/storage/memory_storage.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::JobId;
using quern::JobState;

namespace {

struct Store {
  quern::ManualClock clock;
  quern::MemoryStorage storage{clock};
  quern::NodeId node = storage.register_node({.name = "test"});
  std::mt19937 random{17};  // NOLINT(cert-msc51-cpp): the same each time, on purpose

  int below(int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); }
  quern::NewJob job(JobId id, std::string kind = "work") {
    quern::NewJob made;
    made.id = id;
    made.kind = std::move(kind);
    return made;
  }
  std::vector<quern::Claim> claim(std::size_t limit) {
    return storage.claim({.node = node, .limit = limit, .kinds = {{"work", limit, 3}, {"other", limit, 3}}});
  }
};

}  // namespace

TEST_CASE("thousands of ready jobs keep their order through latecomers, cancels and changed priorities",
          "[storage][memory]") {
  Store s;
  using Turn = std::tuple<int, quern::TimePoint, std::uint64_t>;
  std::map<JobId, Turn> expected;
  const JobId first = s.storage.reserve_ids(5000);
  std::vector<quern::NewJob> jobs;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    auto job = s.job(JobId{first.value + i}, s.below(2) == 0 ? "work" : "other");
    job.priority = quern::Priority{s.below(10)};
    const quern::TimePoint run_at = s.clock.now() - std::chrono::seconds(s.below(3) == 0 ? s.below(1000) : 0);
    job.run_at = quern::When::at(run_at);
    expected[job.id] = {job.priority.level, run_at, job.id.value};
    jobs.push_back(std::move(job));
  }
  std::shuffle(jobs.begin(), jobs.end(), s.random);
  for (std::size_t i = 0; i < jobs.size(); i += 50) s.storage.insert(std::span(jobs).subspan(i, 50));
  for (std::uint64_t i = 0; i < 5000; ++i) {
    const JobId id{first.value + i};
    if (s.below(3) == 0) {
      s.storage.cancel(std::span(&id, 1), "test");
      expected.erase(id);
    } else if (s.below(4) == 0) {
      const quern::Priority priority{s.below(10)};
      s.storage.set_priority(std::span(&id, 1), priority, "test");
      std::get<0>(expected[id]) = priority.level;
    }
  }
  std::vector<Turn> turns;
  for (const auto& [id, turn] : expected) turns.push_back(turn);
  std::ranges::sort(turns);

  std::vector<Turn> claimed;
  while (true) {
    const auto claims = s.claim(97);
    if (claims.empty()) break;
    for (const auto& claim : claims)
      claimed.emplace_back(claim.priority.level, claim.run_at, claim.ref.id.value);
  }
  CHECK(claimed == turns);
  CHECK(s.storage.recount().empty());
}

TEST_CASE("a job that is put off a thousand times waits once, for its last time", "[storage][memory]") {
  Store s;
  const JobId id = s.storage.reserve_ids(1);
  auto job = s.job(id);
  job.run_at = quern::When::after(1h);
  s.storage.insert({&job, 1});
  for (int i = 0; i < 5000; ++i)
    s.storage.reschedule(std::span(&id, 1), quern::When::after(i % 2 == 0 ? 2h : 1h), "test");
  const auto due = s.clock.now() + 1h;
  CHECK(s.storage.promote(10).next == due);
  s.clock.advance(1h);
  const auto promoted = s.storage.promote(10);
  CHECK(promoted.promoted == 1);
  CHECK(promoted.next == quern::TimePoint::max());
  CHECK(s.claim(10).size() == 1);
}

TEST_CASE("a job that failed after it had started in time still expires by its deadline",
          "[storage][memory]") {
  Store s;
  const JobId id = s.storage.reserve_ids(1);
  auto job = s.job(id);
  job.deadline = quern::When::after(1h);
  s.storage.insert({&job, 1});
  const auto claims = s.claim(1);
  REQUIRE(claims.size() == 1);
  CHECK(s.storage.promote(10).next == quern::TimePoint::max());  // what runs does not expire
  const quern::Finish failed{
      .ref = claims[0].ref, .outcome = quern::Outcome::failed, .again = quern::When::after(3h)};
  s.storage.finish(std::span(&failed, 1));
  CHECK(s.storage.promote(10).next == s.clock.now() + 1h);
  s.clock.advance(1h);
  CHECK(s.storage.promote(10).expired == 1);
  CHECK(s.storage.find(std::span(&id, 1)).front()->dead_reason == quern::DeadReason::expired);
}

TEST_CASE("payloads of all lengths stay what they were while others come and go", "[storage][memory]") {
  Store s;
  std::map<JobId, std::string> kept;
  const auto text = [&] {
    return '"' +
           std::string(static_cast<std::size_t>(s.below(10) == 0 ? s.below(40'000) : s.below(300)),
                       static_cast<char>('a' + s.below(26))) +
           '"';
  };
  for (int round = 0; round < 3000; ++round) {
    auto job = s.job(s.storage.reserve_ids(1));
    job.payload = quern::Payload::json(text());
    if (s.below(3) == 0) job.run_at = quern::When::after(1h);
    kept[job.id] = job.payload.text();
    s.storage.insert({&job, 1});
    if (s.below(2) == 0) {
      const JobId id = std::next(kept.begin(), s.below(static_cast<int>(kept.size())))->first;
      if (s.below(2) == 0) {
        s.storage.cancel(std::span(&id, 1), "test");  // its payload moves
      } else if (s.storage.erase(std::span(&id, 1)).front() == quern::EraseResult::erased) {
        kept.erase(id);
      }
    }
  }
  for (const auto& [id, payload] : kept) {
    const auto found = s.storage.find(std::span(&id, 1)).front();
    REQUIRE(found);
    REQUIRE(found->payload.text() == payload);
  }
}

TEST_CASE("ids far apart are listed in their order, in pages both ways", "[storage][memory]") {
  Store s;
  std::vector<JobId> ids;
  for (int i = 0; i < 300; ++i) {
    const JobId id = s.storage.reserve_ids(static_cast<std::size_t>(1 + s.below(20'000)));
    auto job = s.job(id, s.below(2) == 0 ? "work" : "other");
    s.storage.insert({&job, 1});
    ids.push_back(id);
  }
  for (std::size_t i = 0; i < ids.size(); i += 3) s.storage.cancel(std::span(&ids[i], 1), "test");
  for (std::size_t i = 1; i < ids.size(); i += 3) s.storage.erase(std::span(&ids[i], 1));
  for (const bool oldest_first : {true, false}) {
    for (const JobState state : {JobState::cancelled, JobState::ready}) {
      std::vector<JobId> wanted;
      for (std::size_t i = state == JobState::cancelled ? 0 : 2; i < ids.size(); i += 3)
        wanted.push_back(ids[i]);
      if (!oldest_first) std::ranges::reverse(wanted);
      std::vector<JobId> listed;
      quern::JobFilter filter{.states = {state}, .oldest_first = oldest_first, .limit = 7};
      do {
        const auto page = s.storage.list(filter);
        for (const auto& job : page.jobs) listed.push_back(job.id);
        filter.after = page.next;
      } while (filter.after);
      CHECK(listed == wanted);
    }
  }
}
