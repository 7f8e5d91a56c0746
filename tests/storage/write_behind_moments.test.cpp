// Whatever is done, and while it is written: a crash leaves one moment of everything.
#include "quern/testing/random_life.hpp"
#include "storage/write_behind_fixture.hpp"

using quern::testing::differences;
using quern::testing::RandomLife;
using quern_test::state_of;
using quern_test::WriteBehindProcess;

namespace {
const std::vector<std::string> none;
}

TEST_CASE("after a crash everything is as it was at the last write, whatever was done while that was written",
          "[storage][write-behind]") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    const quern_test::TempFolder folder;
    const auto path = (folder / "jobs.db").string();
    quern::ManualClock clock;
    RandomLife life(clock, seed);
    std::vector<std::string> expected;
    quern::JobId largest{};
    for (int process = 0; process < 12; ++process) {
      CAPTURE(process);
      WriteBehindProcess running(path, clock);
      quern::WriteBehindStorage<quern::MemoryStorage, quern_test::FailingBackup>& storage = *running.storage;
      if (process > 0) REQUIRE(differences(state_of(storage), expected) == none);
      const quern::JobId next = storage.reserve_ids(1);
      REQUIRE(next > largest);
      quern::StorageAdapter<quern_test::WriteBehind&> port(storage);
      life.begin(port);
      for (std::uint64_t write = life.below(4); write > 0; --write) {
        for (int i = 0; i < 60; ++i) life.step();
        expected = state_of(storage);
        life.with_queues = false;  // they would wait for the write under way, which waits for them here
        running.backup.before_chunk = [&] {
          for (int i = 0; i < 20; ++i) life.step();
        };
        storage.write();
        running.backup.before_chunk = nullptr;
        life.with_queues = true;
        for (const auto& fault : quern_test::SqliteConsistency(path).faults()) {
          CAPTURE(fault);
          REQUIRE(false);
        }
      }
      if (expected.empty()) expected = state_of(storage);
      life.with_queues = false;  // what is to be lost
      for (int i = 0; i < 30; ++i) life.step();
      life.with_queues = true;
      largest = storage.reserve_ids(1);
      running.crash();
    }
  }
}

TEST_CASE("what a failed write had captured is written by the next one", "[storage][write-behind]") {
  for (std::uint64_t seed = 100; seed < 110; ++seed) {
    CAPTURE(seed);
    const quern_test::TempFolder folder;
    const auto path = (folder / "jobs.db").string();
    quern::ManualClock clock;
    RandomLife life(clock, seed);
    std::vector<std::string> expected;
    {
      WriteBehindProcess running(path, clock);
      quern::StorageAdapter<quern_test::WriteBehind&> port(*running.storage);
      life.begin(port);
      for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 40; ++i) life.step();
        // It fails at some chunk, and others change jobs before and after.
        int chunks_left = static_cast<int>(life.below(3));
        life.with_queues = false;
        running.backup.before_chunk = [&] {
          for (int i = 0; i < 10; ++i) life.step();
          if (chunks_left-- == 0) throw quern::StorageError("no more", true);
        };
        try {
          running.storage->write();
        } catch (const quern::StorageError&) {
          CHECK(running.storage->status().failures > 0);
        }
        running.backup.before_chunk = nullptr;
        life.with_queues = true;
      }
      expected = state_of(*running.storage);
      running.storage->write();
      CHECK(running.storage->status().failures == 0);
      CHECK(running.storage->status().unwritten == 0);
      running.crash();
    }
    WriteBehindProcess again(path, clock);
    CHECK(differences(state_of(*again.storage), expected) == none);
  }
}
