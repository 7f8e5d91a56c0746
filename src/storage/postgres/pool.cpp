#include "storage/postgres/pool.hpp"

#include <algorithm>
#include <utility>

namespace quern::inline v1::postgres {

Pool::Pool(Server server, std::size_t most)
    : server_(std::move(server)), most_(most), random_(Random::entropy()) {}

Pool::Lease Pool::take(SteadyTime deadline) {
  constexpr Duration long_idle = std::chrono::seconds(1);
  const SystemClock clock;
  std::unique_lock lock(mutex_);
  while (true) {
    while (!idle_.empty()) {
      Idle idle = std::move(idle_.back());  // the one that was used last, so that the others may go
      idle_.pop_back();
      if (clock.steady() - idle.since < long_idle || !idle.connection->hung_up())
        return {*this, std::move(idle.connection)};
      --open_;
      ++losses_;
    }
    const SteadyTime now = clock.steady();
    if (now < quiet_until_) throw ConnectionLost(last_failure_, false);
    if (open_ < most_) break;
    if (now >= deadline)
      throw ConnectionLost(server_.name + ": no connection was free in time; allow more of them", false);
    freed_.wait_for(lock, deadline - now);
  }
  ++open_;
  lock.unlock();
  try {
    return {*this, open(deadline)};
  } catch (const StorageError& e) {
    lock.lock();
    --open_;
    note_failure(e.what());
    freed_.notify_one();
    throw;
  }
}

std::unique_ptr<Connection> Pool::open(SteadyTime deadline) {
  const SteadyTime until = std::min(deadline, SystemClock().steady() + server_.connect_timeout);
  auto connection = std::make_unique<Connection>(server_, until);
  clock_.set_offset(connection->clock_offset());
  const std::lock_guard lock(mutex_);
  failures_ = 0;
  return connection;
}

void Pool::note_failure(const std::string& message) {
  constexpr int most_doublings = 6;
  constexpr std::int64_t first_us = 50'000;
  const std::int64_t wait = first_us << std::min(failures_, most_doublings);
  ++failures_;
  last_failure_ = message;
  const auto jitter = static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(wait)));
  quiet_until_ = SystemClock().steady() + Duration(wait / 2 + jitter);
}

void Pool::give_back(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  if (connection->broken()) {
    --open_;
    ++losses_;
  } else {
    idle_.push_back({std::move(connection), SystemClock().steady()});
  }
  freed_.notify_one();
}

}  // namespace quern::inline v1::postgres
