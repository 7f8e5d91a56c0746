#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "quern/core/job.hpp"
#include "quern/storage/requests.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/id_runs.hpp"
#include "storage/sqlite/lanes.hpp"

namespace quern::inline v1::sqlite {

/// Jobs of one claimed batch that have all of this in common.
struct ClaimGroup {
  LaneId lane{};
  int attempt = 0;
  Epoch epoch = 0;
  int max_attempts = 0;  ///< Resolved.
  bool keyed = false;    ///< They have a unique key.
  bool changed = false;  ///< They have a row in quern_changed.
  IdRuns ids{};
  std::vector<std::size_t> starts{};  ///< Of each range of `ids`: the number of its first job in the batch.

  friend bool same(const ClaimGroup& a, const ClaimGroup& b) {
    return a.lane == b.lane && a.attempt == b.attempt && a.epoch == b.epoch &&
           a.max_attempts == b.max_attempts && a.keyed == b.keyed && a.changed == b.changed;
  }
};

/// A row of quern_claims: a batch that a node claimed, and which of its jobs have been settled.
class ClaimRow {
 public:
  /// A job that is not settled yet.
  struct Spot {
    const ClaimGroup* group = nullptr;
    std::size_t number = 0;  ///< Of the job in the batch.
  };

  /// Empty when the bytes are malformed.
  static std::optional<ClaimRow> unpack(std::int64_t id, NodeId node, TimePoint claimed_at,
                                        std::string_view settled, std::string_view entries);

  [[nodiscard]] std::int64_t id() const noexcept { return id_; }
  [[nodiscard]] NodeId node() const noexcept { return node_; }
  [[nodiscard]] TimePoint claimed_at() const noexcept { return claimed_at_; }
  /// How many jobs are not settled.
  [[nodiscard]] std::size_t left() const noexcept { return left_; }
  [[nodiscard]] std::optional<Spot> find(JobId id) const;
  void settle(const Spot& spot);
  /// Calls `visit(id, spot)` for each job that is not settled, until it returns false.
  template <class Visit>
  void each(const Visit& visit) const {
    for (const ClaimGroup& group : groups_) {
      for (std::size_t run = 0; run < group.ids.size(); ++run) {
        std::size_t number = group.starts[run];
        for (std::uint64_t id = group.ids[run].first; id <= group.ids[run].last; ++id, ++number) {
          if (!is_settled(number) && !visit(JobId{id}, Spot{&group, number})) return;
        }
      }
    }
  }

 private:
  friend class ClaimBook;
  [[nodiscard]] bool is_settled(std::size_t number) const noexcept {
    return ((static_cast<unsigned char>(settled_[number / 8]) >> (number % 8)) & 1U) != 0;
  }

  std::int64_t id_ = 0;
  NodeId node_{};
  TimePoint claimed_at_{};
  std::vector<ClaimGroup> groups_;
  std::string settled_;  // a bit per job
  std::size_t left_ = 0;
  bool dirty_ = false;
};

/// The columns `settled` and `entries` of a new row.
struct PackedClaim {
  std::string settled;
  std::string entries;
};
[[nodiscard]] PackedClaim pack_claim(const std::vector<ClaimGroup>& groups);

/// The claimed batches, read as needed within one transaction.
class ClaimBook {
 public:
  explicit ClaimBook(Connection& db) : db_(db) {}

  /// Null when there is no such row.
  [[nodiscard]] ClaimRow* row(std::int64_t id);
  /// All of them. Cost: one pass over a table that has a row per batch with running jobs.
  [[nodiscard]] std::vector<ClaimRow*> all();
  /// Writes what was settled: one row each; those with nothing left are deleted. Forgets what was read.
  void flush();

 private:
  ClaimRow* keep(std::int64_t id, NodeId node, TimePoint claimed_at, std::string_view settled,
                 std::string_view entries);

  Connection& db_;
  std::map<std::int64_t, std::optional<ClaimRow>> rows_;
  bool complete_ = false;
};

}  // namespace quern::inline v1::sqlite
