#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "quern/core/clock.hpp"

namespace quern::inline v1::postgres {

/// Where the lines of ready jobs begin, as of a snapshot: see schema_claim.hpp. Lines that are not named are
/// empty. Without a snapshot nothing is known.
struct LineHints {
  struct Line {
    int lane = 0;
    int priority = 0;
    std::int64_t run_at = 0;
    std::int64_t first = 0;
  };
  std::string snapshot{};
  std::vector<Line> lines{};
  double jobs_per_row = 1;  ///< Of late.
  // Where these differ from what holds now, another server may have the jobs, or one that has recovered from a crash.
  // It gives out once more the transaction ids of what had not reached its disk, and so the snapshot says nothing.
  std::uint64_t losses = 0;  ///< Connections that had been lost when the snapshot was taken.
  SteadyTime since{};        ///< When nothing was known.
};

/// A job that a claim found and did not start.
struct SetAside {
  std::int64_t id = 0;
  bool expired = false;  ///< Else it can't be read.
  int lane = 0;
  int priority = 0;
  std::int64_t run_at = 0;
};

/// Hints for claims that are under way at the same time, each of which needs its own. Thread-safe.
class LineHintsPool {
 public:
  /// Those that were used last; new ones where none is left.
  [[nodiscard]] std::unique_ptr<LineHints> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<LineHints>();
    auto hints = std::move(idle_.back());
    idle_.pop_back();
    return hints;
  }
  void give_back(std::unique_ptr<LineHints> hints) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(hints));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<LineHints>> idle_;
};

}  // namespace quern::inline v1::postgres
