#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/sqlite/connection.hpp"

namespace quern::inline v1::sqlite {

/// Numbers a pair of queue and kind, for ever.
using LaneId = std::int64_t;

struct Lane {
  std::string queue;
  std::string kind;
};

/// The lanes that this object has met. Rows of quern_lanes are never changed, so an entry stays true, unless
/// the transaction that made the row is rolled back: then call `forget_new`.
class LaneBook {
 public:
  /// The lane's number; makes a row for a pair that is new.
  LaneId intern(Connection& db, std::string_view queue, std::string_view kind);
  /// Throws StorageError when there is no such lane, since the file is then damaged.
  const Lane& name(Connection& db, LaneId id);

  void keep_new() noexcept { added_.clear(); }
  void forget_new();
  void forget_all();

 private:
  void remember(LaneId id, std::string_view queue, std::string_view kind);

  std::unordered_map<LaneId, Lane> names_;
  std::unordered_map<std::string, LaneId> numbers_;  // by queue, NUL, kind
  std::vector<LaneId> added_;                        // in the running transaction
  std::string key_;                                  // a buffer, so that looking up allocates nothing
  LaneId last_ = 0;                                  // the one asked for before
};

}  // namespace quern::inline v1::sqlite
