// Whatever is done, and while it is written: a crash leaves one moment of everything.
#include <map>
#include <set>

#include "storage/random_life.hpp"
#include "storage/write_behind_fixture.hpp"

namespace {

using quern_test::RandomLife;
using quern_test::WriteBehindProcess;

/// All that a user can see of a storage.
template <class Storage>
std::vector<std::string> state_of(Storage& storage) {
  std::vector<std::string> state = quern_test::texts_of(storage);
  for (const auto& count : storage.count())
    state.push_back(count.queue + "/" + count.kind + " " + std::string(to_string(count.state)) + " " +
                    std::to_string(count.count));
  // That a queue was named once is no state.
  for (const auto& queue : storage.queues())
    if (queue.paused || queue.max_waiting > 0)
      state.push_back(queue.name + (queue.paused ? " paused " : " limited ") +
                      std::to_string(queue.max_waiting));
  for (const std::string collection : {"c0", "c1"})
    for (const auto& record : storage.list_records(collection, "", 1000))
      state.push_back(collection + " " + record.key + " " + record.value.text());
  for (int key = 0; key < 10; ++key) {
    const auto holder = storage.key_holder("k" + std::to_string(key));
    state.push_back("key " + std::to_string(key) + " " + (holder ? to_string(*holder) : "free"));
  }
  return state;
}

}  // namespace

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
      if (process > 0)
        REQUIRE(quern_test::differences(state_of(storage), expected) == std::vector<std::string>{});
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
    CHECK(quern_test::differences(state_of(*again.storage), expected) == std::vector<std::string>{});
  }
}
