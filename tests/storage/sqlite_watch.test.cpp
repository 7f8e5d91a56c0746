// How a SqliteStorage notices what others commit to its file, without being asked.
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "sqlite_fault_vfs.hpp"
#include "sqlite_fixture.hpp"
#include "support/catch.hpp"

#ifdef __linux__

using namespace std::chrono_literals;
using quern::JobId;
using quern::NewJob;
using quern::SqliteStorage;
using quern_test::FaultVfs;
using quern_test::RawDb;
using quern_test::TempFolder;

namespace {

constexpr auto long_enough = 20s;

/// Counts what it is told.
class Listener final : public quern::StorageObserver {
 public:
  explicit Listener(SqliteStorage& storage) : storage_(storage) { storage_.observe(*this); }
  ~Listener() override { storage_.unobserve(*this); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  bool wants_foreign_changes() const noexcept override { return true; }
  void on_foreign_change() noexcept override {
    const std::lock_guard lock(mutex_);
    ++count_;
    told_.notify_all();
  }
  [[nodiscard]] int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  [[nodiscard]] bool hears(int at_least) {
    std::unique_lock lock(mutex_);
    return told_.wait_for(lock, long_enough, [&] { return count_ >= at_least; });
  }

 private:
  SqliteStorage& storage_;
  std::mutex mutex_;
  std::condition_variable told_;
  int count_ = 0;
};

struct Shared {
  TempFolder folder;
  std::string path = (folder / "jobs.db").string();
  SqliteStorage storage{path};
};

void add(SqliteStorage& storage) {
  const NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
  storage.insert({&job, 1});
}

template <class Condition>
bool becomes(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + long_enough;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

TEST_CASE("who wants to hear of foreign changes is told of each without asking", "[storage][sqlite][watch]") {
  Shared shared;
  SqliteStorage other(shared.path);
  Listener listener(shared.storage);
  CHECK(shared.storage.watches_foreign_changes());
  for (int i = 1; i <= 5; ++i) {
    other.put_record({.collection = "c", .key = std::to_string(i)});
    REQUIRE(listener.hears(i));
  }
}

TEST_CASE("one's own writes are no foreign changes, also when a foreign one is among them",
          "[storage][sqlite][watch]") {
  Shared shared;
  SqliteStorage other(shared.path);
  Listener listener(shared.storage);
  for (int i = 0; i < 30; ++i) add(shared.storage);
  CHECK(listener.count() == 0);
  other.put_record({.collection = "c", .key = "k"});
  for (int i = 0; i < 30; ++i) add(shared.storage);
  CHECK(listener.hears(1));
  for (int i = 0; i < 30; ++i) add(shared.storage);
  CHECK(listener.count() == 1);
}

TEST_CASE("a foreign commit is noticed however long after its write to the log it comes",
          "[storage][sqlite][watch]") {
  Shared shared;
  FaultVfs vfs;
  SqliteStorage other(shared.path, {.vfs = vfs.name()});
  Listener listener(shared.storage);
  std::mutex mutex;
  std::condition_variable changed;
  bool waits_for_disk = false;
  bool disk_answers = false;
  vfs.set([&](quern_test::Io call, const char*) {
    if (call != quern_test::Io::sync) return SQLITE_OK;
    std::unique_lock lock(mutex);
    waits_for_disk = true;
    changed.notify_all();
    changed.wait_for(lock, long_enough, [&] { return disk_answers; });
    return SQLITE_OK;
  });
  std::thread writer([&] { other.put_record({.collection = "c", .key = "k"}); });
  {
    std::unique_lock lock(mutex);
    CHECK(changed.wait_for(lock, long_enough, [&] { return waits_for_disk; }));
  }
  CHECK(listener.count() == 0);  // nobody can know yet whether it will be committed
  {
    const std::lock_guard lock(mutex);
    disk_answers = true;
  }
  changed.notify_all();
  CHECK(listener.hears(1));
  writer.join();
  vfs.set({});
}

TEST_CASE("a host's own transaction on the file is noticed once it is committed",
          "[storage][sqlite][watch]") {
  Shared shared;
  const RawDb host(shared.path);
  Listener listener(shared.storage);
  std::vector<NewJob> jobs(1);
  jobs[0].kind = "mail";
  host.run("BEGIN IMMEDIATE");
  shared.storage.insert_within(host.handle(), jobs);
  host.run("ROLLBACK");
  host.run("BEGIN IMMEDIATE");
  shared.storage.insert_within(host.handle(), jobs);
  CHECK(listener.count() == 0);
  host.run("COMMIT");
  CHECK(listener.hears(1));
  CHECK(shared.storage.count().at(0).count == 1);
}

TEST_CASE("nothing watches the file where nobody wants to hear of foreign changes",
          "[storage][sqlite][watch]") {
  Shared shared;
  CHECK_FALSE(shared.storage.watches_foreign_changes());
  {
    Listener first(shared.storage);
    {
      const Listener second(shared.storage);
    }
    CHECK(shared.storage.watches_foreign_changes());
    SqliteStorage(shared.path).put_record({.collection = "c", .key = "k"});
    CHECK(first.hears(1));
  }
  CHECK_FALSE(shared.storage.watches_foreign_changes());
}

TEST_CASE("a storage that cannot watch its log says so, and can once it is back",
          "[storage][sqlite][watch]") {
  Shared shared;
  SqliteStorage other(shared.path);
  Listener listener(shared.storage);
  const auto log = shared.path + "-wal";
  std::filesystem::rename(log, log + ".away");
  CHECK(becomes([&] { return !shared.storage.watches_foreign_changes(); }));
  const auto before = shared.storage.foreign_changes();
  other.put_record({.collection = "c", .key = "1"});
  CHECK(shared.storage.foreign_changes() != before);  // asking works as ever
  std::filesystem::rename(log + ".away", log);
  CHECK(becomes([&] { return shared.storage.watches_foreign_changes(); }));
  const int told = listener.count();
  other.put_record({.collection = "c", .key = "2"});
  CHECK(listener.hears(told + 1));
}

TEST_CASE("with another VFS nobody watches, and asking works as ever", "[storage][sqlite][watch]") {
  FaultVfs vfs;
  const TempFolder folder;
  const auto path = (folder / "jobs.db").string();
  SqliteStorage storage(path, {.vfs = vfs.name()});
  const Listener listener(storage);
  CHECK_FALSE(storage.watches_foreign_changes());
  const auto before = storage.foreign_changes();
  SqliteStorage(path, {.vfs = vfs.name()}).put_record({.collection = "c", .key = "k"});
  CHECK(storage.foreign_changes() != before);
}

#endif
