#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "quern/core/random.hpp"
#include "storage/postgres/connection.hpp"
#include "storage/postgres/server_clock.hpp"

namespace quern::inline v1::postgres {

/// The connections of a storage: opened as needed, at most so many, and handed out to one call at a time.
/// Where none can be made, calls fail at once for a while, which doubles with each failure up to a few
/// seconds, with jitter; and then one of them tries, before the others do. So a server that is down is not
/// knocked at by every call. Thread-safe.
class Pool {
 public:
  Pool(Server server, std::size_t most);

  /// A connection for one call; goes back at the end, or is closed where it broke.
  class Lease {
   public:
    Lease(Pool& pool, std::unique_ptr<Connection> connection)
        : pool_(&pool), connection_(std::move(connection)) {}
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (connection_) pool_->give_back(std::move(connection_));
    }
    Connection* operator->() const noexcept { return connection_.get(); }

   private:
    Pool* pool_;
    std::unique_ptr<Connection> connection_;
  };

  /// Throws ConnectionLost (not sent), or another StorageError that says why there is none.
  /// One that was idle when another was lost is not handed out: what took that one (a firewall that forgot its
  /// connections, a server gone) has most likely taken all, and on some nobody is told.
  Lease take(SteadyTime deadline);
  /// After a connection broke or none could be made: returns when it is worth while to try again, at the
  /// latest at the deadline.
  void wait_for_turn(SteadyTime deadline);

  /// How many connections have been lost so far. While it stays the same, so does the server: one that crashes, or
  /// that another one takes over from, takes all sessions with it.
  [[nodiscard]] std::uint64_t losses() const noexcept { return losses_; }

  [[nodiscard]] const Server& server() const noexcept { return server_; }
  [[nodiscard]] const ServerClock& clock() const noexcept { return clock_; }

 private:
  struct Idle {
    std::unique_ptr<Connection> connection;
    SteadyTime since{};
  };
  void give_back(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> open(SteadyTime deadline);
  void note_failure(const std::string& message);
  [[nodiscard]] bool quiet(SteadyTime now) const { return trying_ || now < quiet_until_; }

  const Server server_;
  const std::size_t most_;
  ServerClock clock_;

  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Idle> idle_;
  std::atomic<std::uint64_t> losses_{0};
  SteadyTime lost_at_ = SteadyTime::min();  ///< The last of them.
  std::size_t open_ = 0;                    ///< With those that are handed out or being made.
  int failures_ = 0;                        ///< In a row.
  bool trying_ = false;                     ///< After failures somebody tries again, and nobody else does.
  SteadyTime quiet_until_{};
  std::condition_variable tried_;
  std::string last_failure_;
  Random random_;
};

}  // namespace quern::inline v1::postgres
