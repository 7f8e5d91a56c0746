#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "quern/storage/observer.hpp"
#include "storage/postgres/connection.hpp"

namespace quern::inline v1::postgres {

/// The names of lanes, by number and the other way round. They never change. Thread-safe.
class Lanes {
 public:
  struct Names {
    std::string queue;
    std::string kind;
  };
  [[nodiscard]] std::optional<int> number(const std::string& queue, const std::string& kind) const;
  /// Null where it has not been learned.
  [[nodiscard]] const Names* names(int lane) const;
  void learn(int lane, std::string queue, std::string kind);

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, int> numbers_;
  std::unordered_map<int, Names> names_;
};

/// What a call has changed, for the observers: taken from the rows of type out that its function answered.
struct Effects {
  std::vector<JobEvent> events{};
  std::vector<JobId> asked_to_stop{};
  bool ready = false;                     ///< Something became ready.
  TimePoint earliest = TimePoint::max();  ///< When the first of what was scheduled is due.

  /// The columns of type out.
  enum Column : int { tag, n, id, other, lane, state, attempt, epoch, at, run_at, reason, message };
  // Its tags.
  static constexpr int result = 0;
  static constexpr int event = 1;
  static constexpr int work = 2;
  static constexpr int due = 3;
  static constexpr int stop = 4;

  /// Takes a row that is an effect; false: it is none. `names`: of a lane, by number.
  bool take(const Result& rows, int row, const std::function<Lanes::Names(int)>& names);
};

}  // namespace quern::inline v1::postgres
