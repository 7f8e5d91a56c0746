#pragma once

#include <concepts>
#include <cstdint>

#include "quern/storage/any_storage.hpp"

namespace quern::inline v1 {

/// What `copy_jobs` has copied.
struct CopyResult {
  std::uint64_t jobs = 0;
  std::uint64_t records = 0;
  std::uint64_t queues = 0;
};

/// Copies all that one storage holds to another, of any other kind: jobs with their ids and all that belongs to
/// them, records, pauses and limits of queues. In one transaction of `to`, so that it has all or nothing. Ids
/// that are reserved there afterwards are larger. Before that it sets the rules of `from` (see LimitStore) in `to`, one by
/// one; what their rates have let start is not copied.
///
/// Both storages belong to the copy meanwhile (see BackupStore): it throws a transient StorageError while a node
/// works on either. What stood as running in `from`, of a node that died, is rescued from the copy in `to`, as
/// it would have been there. `from` stays as it is; it is for the host not to run the same jobs from both.
/// Throws InvalidArgument (field "to") when there are jobs in `to`.
///
///     quern::SqliteStorage file("jobs.db");
///     quern::PostgresStorage database("postgresql://db/jobs");
///     quern::copy_jobs(file, database);
CopyResult copy_jobs(StoragePort& from, StoragePort& to);

template <class From, class To>
  requires Storage<From> && BackupStore<From> && Storage<To> && BackupStore<To>
CopyResult copy_jobs(From& from, To& to) {
  StorageAdapter<From&> from_port(from);
  StorageAdapter<To&> to_port(to);
  return copy_jobs(static_cast<StoragePort&>(from_port), static_cast<StoragePort&>(to_port));
}

}  // namespace quern::inline v1
