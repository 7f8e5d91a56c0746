#include "quern/storage/memory_storage.hpp"

#include "quern/core/error.hpp"
#include "quern/storage/any_storage.hpp"
#include "storage/conformance_runner.hpp"
#include "support/catch.hpp"

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
