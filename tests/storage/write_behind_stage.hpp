#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "quern/storage/write_behind.hpp"
#include "storage/write_behind_fixture.hpp"

namespace quern_test {

using namespace std::chrono_literals;

/// A file, a clock, and processes that come and go.
struct WriteBehindStage {
  quern_test::TempFolder folder;
  quern::ManualClock clock;
  std::string path = (folder / "jobs.db").string();
  quern::WriteBehindOptions options{.kinds = {{"behind", quern::JobDurability::written_behind},
                                              {"committed", quern::JobDurability::committed},
                                              {"memory", quern::JobDurability::memory_only}}};
  std::optional<WriteBehindProcess> process;

  WriteBehindStage() { start(); }
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

  quern::NewJob job(std::string kind) { return {.id = storage().reserve_ids(1), .kind = std::move(kind)}; }
  quern::JobId add(const quern::NewJob& job) {
    REQUIRE(storage().insert({&job, 1}).at(0).status == quern::InsertStatus::added);
    return job.id;
  }
  quern::JobId add(std::string kind) { return add(job(std::move(kind))); }
  std::optional<quern::JobState> state(quern::JobId id) {
    const auto found = storage().find({&id, 1}).at(0);
    return found ? std::optional(found->state) : std::nullopt;
  }
  quern::NodeId node() { return storage().register_node({.name = "n", .host = "h", .lease = 1h}); }
  std::vector<quern::Claim> claim(quern::NodeId node, std::size_t limit = 100) {
    return storage().claim({.node = node,
                            .limit = limit,
                            .kinds = {{"behind", limit, 3}, {"committed", limit, 3}, {"memory", limit, 3}}});
  }
};

}  // namespace quern_test
