#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/storage/job_image.hpp"

namespace quern::inline v1 {

/// Another process keeps the storage now: what this one has not written is lost, and its runs are void.
class KeeperLost : public StorageError {
 public:
  explicit KeeperLost(const std::string& message) : StorageError(message, false) {}
};

/// A durable storage that can keep the jobs of another one, which works in memory.
///
/// While a keeper is at work the storage belongs to it: calls of anybody else that write throw a transient
/// StorageError that says so. When the keeper's process has gone, the storage is again one like any other:
/// what stood as running is rescued from the keeper as from a node that died.
/// What holds for all storage contracts (job_store.hpp) holds here, too.
template <class S>
concept BackupStore = requires(S& store, const NodeInfo& info, NodeId keeper, ImageSource& source,
                               JobId after, const RecordKey& after_record, std::size_t limit) {
  // Makes this object the keeper, as a node that no lease ends: until it is retired or its process ends.
  // Throws a transient StorageError while another process keeps the storage, or nodes work on it.
  { store.become_keeper(info) } -> std::same_as<NodeId>;

  // Makes the storage hold what the source says, in one transaction: each job of it as its image shows it
  // (a running one as the keeper's), added or in place of what was known of it; none that it says is erased.
  // What the source does not name stays as it is. Throws KeeperLost when `keeper` is none any more. Cost: as an insert for a job that was not there, about twice that for another.
  { store.write_images(keeper, source) } -> std::same_as<void>;

  // Up to `limit` jobs with ids beyond `after`, by id.
  { store.read_images(after, limit) } -> std::same_as<std::vector<JobImage>>;

  // Up to `limit` records beyond `after_record`, in the order of collections and keys.
  { store.read_records(after_record, limit) } -> std::same_as<std::vector<Record>>;
};

/// The same as virtual functions.
class BackupPort {
 public:
  BackupPort() = default;
  BackupPort(const BackupPort&) = delete;
  BackupPort& operator=(const BackupPort&) = delete;
  virtual ~BackupPort() = default;

  virtual NodeId become_keeper(const NodeInfo& info) = 0;
  virtual void write_images(NodeId keeper, ImageSource& source) = 0;
  virtual std::vector<JobImage> read_images(JobId after, std::size_t limit) = 0;
  virtual std::vector<Record> read_records(const RecordKey& after, std::size_t limit) = 0;
};

}  // namespace quern::inline v1
