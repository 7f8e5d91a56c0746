#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/sqlite.hpp"
#include "quern/storage/any_storage.hpp"
#include "quern/storage/memory_storage.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace {

std::string refusal(std::string_view address) {
  try {
    static_cast<void>(quern::open_storage(address));
  } catch (const quern::InvalidArgument& e) {
    CHECK(e.field() == "storage");
    return e.what();
  }
  return "opened";
}

std::string opened_rest;
std::unique_ptr<quern::StoragePort> open_test(std::string_view rest, quern::ClockRef clock) {
  opened_rest = rest;
  return std::make_unique<quern::StorageAdapter<quern::MemoryStorage>>(clock);
}

}  // namespace

TEST_CASE("a storage is opened by its scheme", "[storage]") {
  CHECK(quern::open_storage("memory:").describe() == "memory:");
  const quern::ManualClock clock;
  CHECK(quern::open_storage("memory:", clock).clock().now() == clock.now());
}

TEST_CASE("an address that can't be opened says what is allowed", "[storage]") {
  CHECK(refusal("") == "storage: the address has no scheme; it looks like \"memory:\" or \"sqlite:jobs.db\"");
  CHECK(refusal("jobs.db").find("no scheme") != std::string::npos);
  CHECK(refusal("memory:jobs") == "storage: nothing may follow \"memory:\"");
  const auto unknown = refusal("mysql://root:secret@host/db");
  CHECK(unknown.find("\"mysql:\" is not known") != std::string::npos);
  CHECK(unknown.find("memory:") != std::string::npos);
  CHECK(unknown.find("secret") == std::string::npos);
  CHECK(quern::is_utf8(refusal("\xFF\n:")));
}

TEST_CASE("an address may name a storage that is written behind", "[storage][write-behind]") {
  const quern_test::TempFolder folder;
  const std::string address = "write-behind:sqlite:" + (folder / "jobs.db").string();
  quern::NewJob job{.kind = "work"};
  {
    auto storage = quern::open_storage(address);
    CHECK(storage.describe() == address);
    job.id = storage.reserve_ids(1);
    storage.insert({&job, 1});
    CHECK_THROWS_AS(quern::open_storage(address), quern::StorageError);
  }
  CHECK(quern::open_storage(address).find({&job.id, 1}).at(0)->kind == "work");
  CHECK(refusal("write-behind:memory:").find("memory: cannot keep the jobs") != std::string::npos);
  CHECK(refusal("write-behind:jobs.db").find("no scheme") != std::string::npos);
}

TEST_CASE("a scheme that a program registers is opened with what stands behind the colon", "[storage]") {
  CHECK(quern::register_storage_scheme("test", open_test));
  const auto storage = quern::open_storage("test:some:where?x=1");
  CHECK(opened_rest == "some:where?x=1");
  CHECK(refusal("unknown:").find("memory:, ") != std::string::npos);
  CHECK(refusal("unknown:").find("test:") != std::string::npos);
  CHECK(quern::register_storage_scheme("test", open_test));
}

TEST_CASE("an AnyStorage can be moved and hands its calls on", "[storage]") {
  auto first = quern::open_storage("memory:");
  const quern::NewJob job{.id = first.reserve_ids(1), .kind = "work"};
  first.insert({&job, 1});
  auto second = std::move(first);
  CHECK(second.count().size() == 1);
  CHECK(second.port().count() == second.count());
  CHECK(second.find({&job.id, 1}).at(0)->kind == "work");
}
