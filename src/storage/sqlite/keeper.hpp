#pragma once

#include <memory>
#include <string>

#include "quern/core/clock.hpp"
#include "quern/core/error.hpp"
#include "quern/storage/requests.hpp"
#include "storage/sqlite/work.hpp"

namespace quern::inline v1::sqlite {

// A keeper holds the jobs of a file in memory and writes them behind. The file says who (quern_meta, 'keeper'),
// and a lock beside it whether that one is still there: no lease, so nothing has to be renewed, a keeper that
// stands still loses nothing, and the next one need not wait for one that has died.

/// An exclusive lock (flock) on a file of its own beside the database, which the kernel lets go when the
/// process ends, however it does. The lock's file stays.
class KeeperLock {
 public:
  /// Null: somebody has it, another object of this process perhaps. Throws StorageError when the lock's file
  /// can't be opened.
  [[nodiscard]] static std::unique_ptr<KeeperLock> try_take(const std::string& database);
  KeeperLock(const KeeperLock&) = delete;
  KeeperLock& operator=(const KeeperLock&) = delete;
  ~KeeperLock();

 private:
  explicit KeeperLock(int file) : file_(file) {}
  const int file_;
};

/// What a call gets that may not write because of a keeper.
[[nodiscard]] StorageError kept_elsewhere(const std::string& path);

/// The keeper that the file names; none: 0.
[[nodiscard]] NodeId keeper_of(Connection& db);
/// The one that it names has gone: its runs can be rescued.
void forget_keeper(Connection& db, NodeId keeper);
/// Makes a new node the keeper. Throws a transient StorageError while nodes work on the file.
NodeId become_keeper(Work& work, const NodeInfo& info, const ClockRef& clock);

}  // namespace quern::inline v1::sqlite
