// How a SqliteStorage notices what others commit to its file, without being asked.
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "../../src/storage/sqlite/look_pace.hpp"
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
  explicit Listener(SqliteStorage& storage, std::function<void()> when_told = {})
      : storage_(storage), when_told_(std::move(when_told)) {
    storage_.observe(*this);
  }
  ~Listener() override { storage_.unobserve(*this); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  bool wants_foreign_changes() const noexcept override { return true; }
  void on_foreign_change() noexcept override {
    const std::lock_guard lock(mutex_);
    if (when_told_) when_told_();
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
  const std::function<void()> when_told_;
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

TEST_CASE("after a write one looks for 16 seconds, and then not before the next one",
          "[storage][sqlite][watch]") {
  using namespace quern::sqlite;
  int looks = 0;
  std::chrono::milliseconds covered{0};
  int wait_ms = first_look_ms;
  for (; wait_ms != for_ever; wait_ms = wait_after_nothing(wait_ms)) {
    REQUIRE(++looks <= 20);
    CHECK(wait_ms <= covered.count() + 1);  // what took the disk so long is noticed after as long again
    covered += std::chrono::milliseconds(wait_ms);
  }
  CHECK(covered >= 16s);
  // A wait for ever that ended by itself is begun again.
  CHECK(wait_after_nothing(for_ever) == for_ever);
}

TEST_CASE("a host's signal handlers never run in the thread that watches", "[storage][sqlite][watch]") {
  Shared shared;
  SqliteStorage other(shared.path);
  sigset_t before{};
  sigset_t after{};
  sigset_t watcher{};
  ::pthread_sigmask(SIG_BLOCK, nullptr, &before);
  Listener listener(shared.storage, [&] { ::pthread_sigmask(SIG_BLOCK, nullptr, &watcher); });
  ::pthread_sigmask(SIG_BLOCK, nullptr, &after);
  other.put_record({.collection = "c", .key = "k"});
  REQUIRE(listener.hears(1));
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGUSR2, SIGPROF}) {
    CAPTURE(number);
    CHECK(::sigismember(&watcher, number) == 1);
    CHECK(::sigismember(&after, number) == ::sigismember(&before, number));
  }
  CHECK(::sigismember(&watcher, SIGSEGV) == 0);  // of a fault the host's handler shall hear
}

TEST_CASE("who observes a file that was replaced gets no error, and is told once it is back",
          "[storage][sqlite][watch]") {
  Shared shared;
  SqliteStorage other(shared.path);
  const auto aside = shared.path + ".aside";
  std::filesystem::rename(shared.path, aside);
  std::filesystem::copy_file(aside, shared.path);
  {
    const Listener gone(shared.storage);
  }
  Listener listener(shared.storage);
  CHECK_THROWS_AS(shared.storage.reserve_ids(1), quern::StorageError);
  std::filesystem::remove(shared.path);
  std::filesystem::rename(aside, shared.path);
  other.put_record({.collection = "c", .key = "k"});
  CHECK(listener.hears(1));
}

TEST_CASE("a foreign commit is noticed although its write to the log comes before it",
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
  CHECK(becomes([&] { return shared.storage.foreign_changes() != before; }));  // asking works as ever
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
