#include "quern/storage/memory_storage.hpp"

#include <atomic>
#include <thread>

#include "quern/core/error.hpp"
#include "quern/storage/any_storage.hpp"
#include "storage/conformance_runner.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;

namespace {

class MemoryFixture final : public quern::testing::StorageFixture {
 public:
  quern::StoragePort& store() override { return storage_; }

 private:
  quern::StorageAdapter<quern::MemoryStorage> storage_{quern::ClockRef(clock())};
};

class AnyFixture final : public quern::testing::StorageFixture {
 public:
  quern::StoragePort& store() override { return storage_.port(); }

 private:
  quern::AnyStorage storage_ = quern::open_storage("memory:", clock());
};

/// Counts what it is told of work.
class WorkCounter final : public quern::StorageObserver {
 public:
  void on_work() noexcept override { ++work; }
  void on_ready() noexcept override { ++ready; }
  std::atomic<int> work{0};
  std::atomic<int> ready{0};
};

}  // namespace

TEST_CASE("MemoryStorage keeps every promise of a storage", "[storage][conformance]") {
  quern_test::run_storage_conformance([] { return std::make_unique<MemoryFixture>(); });
}

TEST_CASE("a storage opened as memory: keeps every promise of a storage", "[storage][conformance]") {
  quern_test::run_storage_conformance([] { return std::make_unique<AnyFixture>(); });
}

TEST_CASE("two MemoryStorages share nothing", "[storage]") {
  quern::MemoryStorage first;
  quern::MemoryStorage second;
  const quern::NewJob job{.id = first.reserve_ids(1), .kind = "work"};
  first.insert({&job, 1});
  CHECK(first.count().size() == 1);
  CHECK(second.count().empty());
  CHECK(second.reserve_ids(1) == job.id);
}

TEST_CASE("a MemoryStorage without a clock goes by the machine's", "[storage]") {
  quern::MemoryStorage storage;
  const auto before = quern::SystemClock().now();
  const auto now = storage.clock().now();
  CHECK(now >= before);
  CHECK(now <= quern::SystemClock().now());
}

TEST_CASE("a MemoryStorage tells jobs that are just ready from what may be due earlier than before",
          "[storage]") {
  const quern::ManualClock clock;
  quern::MemoryStorage storage(clock);
  WorkCounter told;
  storage.observe(told);
  const auto add = [&](quern::NewJob job) {
    job.id = storage.reserve_ids(1);
    job.kind = "work";
    storage.insert({&job, 1});
  };
  add({});
  CHECK(told.ready == 1);
  add({.run_at = quern::When::after(1h)});
  add({.run_at = quern::When::after(2h)});  // later than what waits: nobody need know
  CHECK(told.work == 1);
  add({.run_at = quern::When::after(1min)});
  CHECK(told.work == 2);
  CHECK(told.ready == 1);
  add({.deadline = quern::When::after(5s)});  // ready, and may miss its deadline
  CHECK(told.work == 3);

  const auto node = storage.register_node({.name = "node"});
  const auto claims = storage.claim({.node = node, .limit = 1, .kinds = {{"work", 1, 3}}});
  REQUIRE(claims.size() == 1);
  const quern::Finish handed_back{.ref = claims[0].ref, .outcome = quern::Outcome::released};
  storage.finish({&handed_back, 1});
  CHECK(told.ready == 2);
  CHECK(told.work == 3);
  storage.unobserve(told);
}

TEST_CASE("an observer hears nothing more of a MemoryStorage once it has been taken away",
          "[storage][threads]") {
  quern::MemoryStorage storage;
  std::atomic<bool> stop{false};
  std::vector<std::jthread> callers;
  for (int i = 0; i < 3; ++i)
    callers.emplace_back([&] {
      while (!stop) {
        const quern::NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
        storage.insert({&job, 1});
      }
    });
  for (int round = 0; round < 200; ++round) {
    auto told = std::make_unique<WorkCounter>();  // the sanitizers see who calls one that has gone
    storage.observe(*told);
    while (told->ready == 0) std::this_thread::yield();
    storage.unobserve(*told);
    const int heard = told->ready;
    std::this_thread::yield();
    CHECK(told->ready == heard);
  }
  stop = true;
}
