#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quern/storage/requests.hpp"
#include "storage/sqlite/id_runs.hpp"
#include "storage/sqlite/lanes.hpp"
#include "storage/sqlite/rule_book.hpp"

// What a claim knows of the lanes that it merges; see claim.cpp.

namespace quern::inline v1::sqlite {

/// The limits of a request by name, and how much of each is left.
class Limits {
 public:
  explicit Limits(const std::vector<ClaimLimit>& limits) {
    for (const ClaimLimit& limit : limits) by_name_.emplace(limit.name, limit);
  }
  ClaimLimit* find(std::string_view name) {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<std::string_view, ClaimLimit> by_name_;  // the names are the request's
};

/// Where a job stands among the ready ones.
struct ReadyKey {
  int priority = 0;
  TimePoint run_at{};
  std::uint64_t id = 0;
  friend auto operator<=>(const ReadyKey&, const ReadyKey&) = default;
};

struct ReadyRow;

/// A lane that the request wants, read forward; with ageing, one priority of it.
struct LaneReader {
  LaneId id = 0;
  const Lane* names = nullptr;
  ClaimLimit* kind = nullptr;
  ClaimLimit* queue = nullptr;  // null: bounded by the total alone
  std::vector<RuleRoom*> rules{};
  std::deque<ReadyRow*> read{};  // and not yet merged
  std::size_t read_at_once = 1;
  bool one_priority = false;                                               // that of `read_to`
  ReadyKey read_to{std::numeric_limits<int>::min(), TimePoint::min(), 0};  // the last row read
  ReadyKey used_to{};  // the last row that something was taken of; all rows before it were used, too
  bool used = false;
  std::int64_t taken = 0;  // jobs that are ready no longer
  std::int64_t claimed = 0;

  [[nodiscard]] std::size_t left(std::size_t total) const {
    auto left = std::min(total, kind->limit);
    if (queue != nullptr) left = std::min(left, queue->limit);
    for (const RuleRoom* const rule : rules)
      left = static_cast<std::size_t>(std::min<std::uint64_t>(left, rule->left));
    return left;
  }
};

/// A row of quern_ready with what is left of it.
struct ReadyRow {
  LaneReader* lane = nullptr;
  ReadyKey key{};   // as stored
  ReadyKey turn{};  // the order in which rows are merged
  bool changed = false;
  IdRuns ids{};
  std::size_t run = 0;  // the range that begins with the next id; those before are used up
  bool used = false;

  [[nodiscard]] ReadyKey next() const { return {turn.priority, turn.run_at, ids[run].first}; }
  [[nodiscard]] bool empty() const { return run == ids.size(); }
};

[[nodiscard]] inline bool is_later(const ReadyRow* a, const ReadyRow* b) { return a->next() > b->next(); }

}  // namespace quern::inline v1::sqlite
