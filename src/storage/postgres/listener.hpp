#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "quern/core/random.hpp"
#include "storage/postgres/connection.hpp"

namespace quern::inline v1::postgres {

/// A thread with a connection of its own that hears what other storage objects notify (LISTEN). It opens the
/// connection again where it breaks, looks now and then whether it still answers, and says that something has
/// changed when it could not hear for a while.
///
/// Who changes jobs notifies only where a node is marked as waiting, and a transaction that is already under
/// way when a node is marked does not see the mark. So after that somebody calls `look_since`: the thread then
/// looks for changes until all transactions of that time have ended.
class Listener {
 public:
  /// `tell`: called from the thread whenever another object may have changed something; must not throw.
  Listener(const Server& server, std::int64_t origin, std::function<void()> tell);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  [[nodiscard]] bool listening() const noexcept { return listening_.load(std::memory_order_acquire); }
  /// A node is marked as waiting; `snapshot` is what it saw when it found too little to do.
  void look_since(std::string snapshot);

 private:
  class Watch;
  void run() noexcept;
  /// Sleeps until something comes from the socket (-1: of none), or a call, or the time.
  void sleep(int socket, SteadyTime until) const;
  void ring() const noexcept;

  const Server& server_;
  const std::int64_t origin_;
  const std::function<void()> tell_;
  std::array<int, 2> bell_{-1, -1};  ///< A pipe: who writes wakes the thread.
  std::atomic<bool> stopping_{false};
  std::atomic<bool> listening_{false};
  std::mutex mutex_;
  std::string since_;  ///< Empty: nobody has asked for a look.
  Random random_;
  std::thread thread_;
};

}  // namespace quern::inline v1::postgres
