#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace quern::inline v1 {

/// Whose job a processor takes when several of its queues have some.
enum class QueueOrder : std::uint8_t {
  priority,  ///< The most urgent job of all its queues, then the one that is due longest.
  weighted,  ///< The queues in proportion to their weights, each by priority. None starves.
  strict,    ///< The queues as they are listed: one is served when those before it have nothing to run.
};

/// A queue that a processor serves.
struct QueueSlots {
  std::string name{};
  int concurrency = 0;  ///< At most so many of its jobs at once here. 0: no limit but the processor's slots.
  int weight = 1;       ///< Its share where the order is `weighted`. 1 to 1000.
};

namespace detail {

/// Decides which queue is asked for jobs next, and for how many.
///
///     turns.begin();
///     while (left > 0 && (turn = turns.next(left))) { ... turns.took(*turn, count); left -= count; }
///
/// Weighted is stride scheduling (Waldspurger and Weihl, 1995): each queue has a pass, which grows by
/// 1/weight for each job taken; the queue with the smallest pass is next. A queue that has nothing to give
/// keeps up with the others, so that it saves up no turns. No clock, no chance. Not thread-safe.
class QueueTurns {
 public:
  /// `order` must not be `priority`: that needs no turns.
  QueueTurns(const std::vector<QueueSlots>& queues, QueueOrder order);

  struct Turn {
    std::size_t queue = 0;  ///< Its place in the list.
    std::size_t share = 0;  ///< How many jobs to ask for, at least 1.
  };

  /// A new round: every queue may have jobs again.
  void begin();
  /// Whose turn it is with `left` free slots (at least 1); none when all queues came short in this round.
  [[nodiscard]] std::optional<Turn> next(std::size_t left) const;
  /// The queue gave so many. Less than its share: it has no more in this round.
  void took(const Turn& turn, std::size_t count);

 private:
  struct Queue {
    double weight = 1;
    double pass = 0;
    bool active = true;
  };
  [[nodiscard]] const Queue* first_active() const;

  QueueOrder order_;
  std::vector<Queue> queues_;
};

}  // namespace detail
}  // namespace quern::inline v1
