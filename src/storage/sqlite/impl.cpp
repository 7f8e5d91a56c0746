#include "storage/sqlite/impl.hpp"

#include <fmt/core.h>
#include <sys/stat.h>

#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>

#include "storage/sqlite/failure.hpp"
#include "storage/sqlite/images.hpp"
#include "storage/sqlite/migrate.hpp"
#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1 {

using sqlite::Connection;
using sqlite::Work;

namespace {

template <class T>
void check_range(const char* field, T value, T least, T most) {
  if (value < least || value > most)
    throw InvalidArgument(field, fmt::format("is {}, allowed are {} to {}", value, least, most));
}

void check_options(const std::string& path, const SqliteOptions& options) {
  if (path.empty()) throw InvalidArgument("path", "is empty; name the file that shall hold the jobs");
  if (path.find('\0') != std::string::npos) throw InvalidArgument("path", "holds a NUL character");
  if (path == ":memory:")
    throw InvalidArgument("path",
                          "\":memory:\" would be another database for each connection; use MemoryStorage");
  const auto busy_ms = std::chrono::duration_cast<std::chrono::milliseconds>(options.busy_timeout).count();
  check_range<std::int64_t>("busy_timeout", busy_ms, 0, 3'600'000);
  check_range("readers", options.readers, 1, 64);
  check_range("wal_autocheckpoint", options.wal_autocheckpoint, 1, 1'000'000);
  check_range("cache_mib", options.cache_mib, 1, 65'536);
}

}  // namespace

SqliteStorage::Impl::Impl(std::string path, SqliteOptions options)
    : path_(std::move(path)),
      options_(std::move(options)),
      readers_(options_.readers, [this] { return open(false, true); }) {
  check_options(path_, options_);
  writer_ = open(true, false);
  sqlite::migrate(*writer_);
  look_for_changes();
  full_path_ = sqlite3_db_filename(writer_->handle(), "main");
  identity_ = identity();
}

std::unique_ptr<Connection> SqliteStorage::Impl::open(bool create, bool read_only) const {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  // Before it is opened: a connection to another file in this place would take the log that lies beside it
  // for that file's own, and write it there.
  const auto check_file = [&] {
    if (identity_ && identity() != identity_) throw sqlite::failure(SQLITE_READONLY_DBMOVED, nullptr, path_);
  };
  check_file();
  auto connection = std::make_unique<Connection>(sqlite::OpenSettings{
      .path = path_,
      .vfs = options_.vfs,
      .create = create,
      .read_only = read_only,
      .full_sync = options_.durability == Durability::full,
      .busy_timeout_ms = static_cast<int>(duration_cast<milliseconds>(options_.busy_timeout).count()),
      .wal_autocheckpoint = options_.wal_autocheckpoint,
      .cache_kib = options_.cache_mib * 1024});
  check_file();
  return connection;
}

Connection& SqliteStorage::Impl::writer() {
  if (writer_ && !writer_->usable()) {
    writer_.reset();
    lanes_.forget_all();
  }
  if (!writer_) {
    auto fresh = open(false, false);
    sqlite::check_version(*fresh);
    writer_ = std::move(fresh);
    ++generation_;
  }
  writer_->check_in_place();
  return *writer_;
}

std::optional<SqliteStorage::Impl::Identity> SqliteStorage::Impl::identity() const {
  // Of the path alone: opening the file a second time would drop the locks that SQLite holds on it.
  struct stat status{};
  if (!options_.vfs.empty() || ::stat(path_.c_str(), &status) != 0) return std::nullopt;
  return Identity{static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino)};
}

bool SqliteStorage::Impl::wants_events() const {
  return std::any_of(observers_.begin(), observers_.end(), [](const auto* o) { return o->wants_events(); });
}

void SqliteStorage::Impl::tell(const Work& work) const noexcept {
  for (StorageObserver* const observer : observers_) {
    if (!work.events.empty() && observer->wants_events()) observer->on_events(work.events);
    if (!work.asked_to_stop.empty()) observer->on_cancel(work.asked_to_stop);
    if (work.has_work)
      observer->on_work();
    else if (work.ready)
      observer->on_ready();
  }
}

void SqliteStorage::Impl::observe(StorageObserver& observer) {
  {
    const std::lock_guard lock(mutex_);
    observers_.push_back(&observer);
  }
  watch_if_wanted();
}

void SqliteStorage::Impl::unobserve(StorageObserver& observer) {
  {
    const std::lock_guard lock(mutex_);
    std::erase(observers_, &observer);
  }
  watch_if_wanted();
}

void SqliteStorage::Impl::watch_if_wanted() noexcept {
  const std::lock_guard watch_lock(watch_mutex_);
  bool wanted = false;
  {
    const std::lock_guard lock(mutex_);
    wanted = std::any_of(observers_.begin(), observers_.end(),
                         [](const auto* o) { return o->wants_foreign_changes(); });
  }
  if (!wanted) {
    watch_.reset();
    return;
  }
  if (watch_ || !options_.vfs.empty()) return;  // another VFS may keep its log anywhere
  try {
    sqlite::ChangeWatch::Questions questions;
    // What was committed since then, the thread's first look finds.
    questions.look = [this, seen = last_version_.load()]() mutable {
      const std::uint64_t now = foreign_changes();
      return std::exchange(seen, now) != now;
    };
    questions.own_writes = [this] { return own_writes_.load(); };
    watch_ = std::make_unique<sqlite::ChangeWatch>(full_path_ + "-wal", std::move(questions));
  } catch (const std::exception&) {
    watch_.reset();  // no memory: who wants to know asks
  }
}

bool SqliteStorage::Impl::watches_foreign_changes() const {
  const std::lock_guard lock(watch_mutex_);
  return watch_ && watch_->watching();
}

std::uint64_t SqliteStorage::Impl::foreign_changes() {
  // Asked often, so it does not wait: while a group is at work the last answer will do, and that group's
  // leader looks for the next one. So it is never older than two groups, however busy this object is.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock) {
    look_for_changes();
  } else {
    version_wanted_ = true;
  }
  return last_version_;
}

void SqliteStorage::Impl::look_for_changes() {
  const auto version = static_cast<std::uint64_t>(writer().value(sqlite::sql::data_version).value_or(0));
  const std::uint64_t now = (generation_ << 32U) + version;
  version_wanted_ = false;
  if (last_version_.exchange(now) == now) return;
  for (StorageObserver* const observer : observers_) {
    if (observer->wants_foreign_changes()) observer->on_foreign_change();
  }
}

bool SqliteStorage::Impl::is_our_file(sqlite3* host) const {
  const char* const name = sqlite3_db_filename(host, "main");
  if (name == nullptr || *name == '\0') return false;
  if (full_path_ == name) return true;
  std::error_code ignored;
  return options_.vfs.empty() && std::filesystem::equivalent(full_path_, name, ignored);
}

bool SqliteStorage::Impl::pass_keeper(Connection& db, sqlite::SqliteOp op) {
  using sqlite::SqliteOp;
  const NodeId keeper = sqlite::keeper_of(db);
  if (!keeper) return true;
  if (op == SqliteOp::keeper || op == SqliteOp::images) return false;  // they look for themselves
  if (keeper == keeper_) {
    if (op == SqliteOp::reserve_ids || op == SqliteOp::retire) return false;
    throw StorageError(path_ + ": its jobs are kept in memory; use the storage that keeps them", false);
  }
  // In a transaction, so that who becomes the keeper, in one of his own, doesn't find it taken by us.
  if (sqlite::KeeperLock::try_take(full_path_)) {
    sqlite::forget_keeper(db, keeper);
    return true;
  }
  throw sqlite::kept_elsewhere(path_);
}

void SqliteStorage::Impl::check_may_set_rules(sqlite::Connection& db) {
  if (keeper_ && sqlite::keeper_of(db) == keeper_) return;
  static_cast<void>(pass_keeper(db, sqlite::SqliteOp::pause));
}

NodeId SqliteStorage::Impl::become_keeper(const NodeInfo& info) {
  std::unique_ptr<sqlite::KeeperLock> lock;
  const NodeId keeper = write(sqlite::SqliteOp::keeper, 1, [&](Work& work) {
    if (!lock) lock = sqlite::KeeperLock::try_take(full_path_);
    if (!lock) throw sqlite::kept_elsewhere(path_);
    return sqlite::become_keeper(work, info, clock());
  });
  const std::lock_guard guard(mutex_);
  keeper_lock_ = std::move(lock);
  keeper_ = keeper;
  return keeper;
}

void SqliteStorage::Impl::write_images(NodeId keeper, ImageSource& source) {
  constexpr std::size_t much = 1'000'000;  // so that it shares its transaction with few
  write(sqlite::SqliteOp::images, much, [&](Work& work) {
    if (keeper != keeper_ || sqlite::keeper_of(work.db) != keeper)
      throw KeeperLost(path_ + ": another process keeps its jobs now");
    sqlite::ImageWriter writer(work, keeper);
    ImageChunk chunk;
    source.rewind();
    while (source.next(chunk)) writer.write(chunk);
    writer.finish();
    return 0;
  });
}

void SqliteStorage::Impl::retire(NodeId node) {
  write(sqlite::SqliteOp::retire, 1, [&](Work& work) {
    sqlite::retire(work, node);
    if (sqlite::keeper_of(work.db) == node)
      work.db.run(sqlite::sql::put_meta, std::string_view("keeper"), std::int64_t{0});
    return 0;
  });
  const std::lock_guard guard(mutex_);
  if (node != keeper_) return;
  keeper_ = {};
  keeper_lock_.reset();
}

std::vector<InsertResult> SqliteStorage::Impl::insert_within(sqlite3* host, std::span<NewJob> jobs) {
  // Neither our mutex nor our connection: a host that holds the file's write lock would wait for a writer of
  // ours that waits for that lock.
  if (host == nullptr) throw InvalidArgument("host", "is null");
  if (sqlite3_get_autocommit(host) != 0)
    throw InvalidArgument("host", "has no open transaction; begin one first, with BEGIN IMMEDIATE");
  if (!is_our_file(host))
    throw InvalidArgument("host",
                          fmt::format("its main database is not the file of this storage, {}", path_));

  Connection db(host, path_);
  const sqlite::HostSavepoint savepoint(db);
  sqlite::check_version(db);
  sqlite::LaneBook lanes;  // its lanes go when the host rolls back, so they are not kept
  Work work(db, lanes, options_.clock.now(), false);
  if (sqlite::keeper_of(db) && !sqlite::KeeperLock::try_take(full_path_)) throw sqlite::kept_elsewhere(path_);
  std::vector<NewJob*> nameless;
  for (NewJob& job : jobs) {
    if (!job.id) nameless.push_back(&job);
  }
  try {
    if (!nameless.empty()) {
      JobId next = sqlite::reserve_ids(db, nameless.size());
      for (NewJob* const job : nameless) job->id = JobId{next.value++};
    }
    auto results = sqlite::insert(work, jobs);
    work.flush();
    savepoint.keep();
    return results;
  } catch (...) {
    for (NewJob* const job : nameless) job->id = JobId{};
    throw;
  }
}

}  // namespace quern::inline v1
