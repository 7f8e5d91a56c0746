#include "storage/sqlite/keeper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/sql.hpp"
#include "storage/sqlite/sql_read.hpp"

namespace quern::inline v1::sqlite {

std::unique_ptr<KeeperLock> KeeperLock::try_take(const std::string& database) {
  const std::string path = database + "-keeper";
  const auto refuse = [&](const char* what) {
    throw StorageError(fmt::format("{}: {}: {}", path, what, std::system_category().message(errno)), false);
  };
  constexpr int mode = 0644;
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode);
  if (file < 0) refuse("cannot be opened");
  int result = 0;
  do {
    result = ::flock(file, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return std::unique_ptr<KeeperLock>(new KeeperLock(file));
  const int problem = errno;
  ::close(file);
  if (problem == EWOULDBLOCK) return nullptr;
  errno = problem;
  refuse("cannot be locked");
  return nullptr;
}

KeeperLock::~KeeperLock() { ::close(file_); }

StorageError kept_elsewhere(const std::string& path) {
  return {path +
              ": another process keeps its jobs in memory and writes them behind; it must stop before this "
              "one can change them",
          true};
}

NodeId keeper_of(Connection& db) {
  return NodeId{static_cast<std::uint64_t>(db.value(sql::meta, std::string_view("keeper")).value_or(0))};
}

void forget_keeper(Connection& db, NodeId keeper) {
  db.run(sql::put_meta, std::string_view("keeper"), std::int64_t{0});
  if (db.exists(sql::node_holds, keeper.value))
    db.run(sql::declare_dead, keeper.value);
  else
    db.run(sql::delete_node, keeper.value);
}

NodeId become_keeper(Work& work, const NodeInfo& info, const ClockRef& clock) {
  if (const NodeId before = keeper_of(work.db)) forget_keeper(work.db, before);
  const std::string boot = clock.boot_id();
  const auto steady = clock.steady().count();
  Query busy = work.db.query(sql::working_nodes);
  if (busy.bind(boot, steady).step()) {
    throw StorageError(
        fmt::format("{}: node {} (\"{}\", process {} on {}) works on these jobs; its processor must "
                    "stop, or its lease pass, before another process can keep them in memory",
                    work.db.file(), busy.number(0), busy.string(1), busy.number(3), busy.string(2)),
        true);
  }
  busy.reset();
  work.db.run(sql::forget_nodes, boot, steady);  // nobody rescues from them while the jobs are in memory
  NodeInfo keeper = info;
  keeper.lease = std::chrono::days(1);  // the longest; nobody asks for it while the lock is held
  const NodeId id = register_node(work, keeper, clock);
  work.db.run(sql::put_meta, std::string_view("keeper"), id.value);
  return id;
}

}  // namespace quern::inline v1::sqlite
