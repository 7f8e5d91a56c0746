// How ended jobs are found that are to go from a SQLite file.
#include <vector>

#include "sqlite_consistency.hpp"
#include "sqlite_fixture.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::JobId;
using quern::JobState;
using quern::SqliteStorage;
using quern_test::TempFolder;

TEST_CASE("a small prune does not read all that ended, however thin it stands", "[storage][sqlite]") {
  constexpr std::size_t count = 400;
  constexpr std::uint64_t apart = 256;
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  quern::ManualClock clock;
  SqliteStorage storage(path, {.durability = quern::Durability::normal, .clock = clock});
  const JobId first = storage.reserve_ids(count * apart);
  std::vector<quern::NewJob> jobs(count);
  std::vector<JobId> ids;
  for (std::size_t i = 0; i < count; ++i) {
    ids.push_back({first.value + i * apart});
    jobs[i].id = ids.back();
    jobs[i].kind = "work";
  }
  storage.insert(jobs);
  // The job with the smallest id ends last: it goes only if all were looked at.
  for (std::size_t i = count; i-- > 0;) {
    storage.cancel({&ids[i], 1}, "test");
    clock.advance(2min);
  }
  const auto one = storage.prune({.state = JobState::cancelled, .limit = 1});
  CHECK(one.pruned == 1);
  CHECK(one.more);
  CHECK(storage.find({ids.data(), 1}).at(0).has_value());

  std::size_t pruned = one.pruned;
  for (bool more = true; more;) {
    const auto result = storage.prune({.state = JobState::cancelled, .limit = 50});
    REQUIRE(result.pruned <= 50);
    REQUIRE((result.pruned > 0 || !result.more));
    pruned += result.pruned;
    more = result.more;
  }
  CHECK(pruned == count);
  CHECK(storage.count().empty());
  CHECK(quern_test::SqliteConsistency(path).faults() == std::vector<std::string>{});
}
