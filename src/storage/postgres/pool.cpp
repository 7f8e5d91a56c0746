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
      if (idle.since > lost_at_) {
        if (clock.steady() - idle.since < long_idle || !idle.connection->hung_up())
          return {*this, std::move(idle.connection)};
        lost_at_ = clock.steady();
        ++losses_;
      }
      --open_;
    }
    const SteadyTime now = clock.steady();
    if (quiet(now)) throw ConnectionLost(last_failure_, false);
    if (open_ < most_) break;
    if (now >= deadline)
      throw ConnectionLost(server_.name + ": no connection was free in time; allow more of them", false);
    freed_.wait_for(lock, deadline - now);
  }
  ++open_;
  trying_ = failures_ > 0;
  lock.unlock();
  try {
    return {*this, open(deadline)};
  } catch (const std::exception& e) {
    lock.lock();
    --open_;
    note_failure(e.what());
    freed_.notify_one();
    throw;
  }
}

void Pool::wait_for_turn(SteadyTime deadline) {
  const SystemClock clock;
  std::unique_lock lock(mutex_);
  for (SteadyTime now = clock.steady(); now < deadline && quiet(now); now = clock.steady())
    tried_.wait_for(lock, (trying_ ? deadline : std::min(deadline, quiet_until_)) - now);
}

std::unique_ptr<Connection> Pool::open(SteadyTime deadline) {
  const SteadyTime until = std::min(deadline, SystemClock().steady() + server_.connect_timeout);
  auto connection = std::make_unique<Connection>(server_, until);
  clock_.set_offset(connection->clock_offset());
  const std::lock_guard lock(mutex_);
  failures_ = 0;
  trying_ = false;
  quiet_until_ = {};
  tried_.notify_all();
  return connection;
}

void Pool::note_failure(const std::string& message) {
  trying_ = false;
  tried_.notify_all();
  last_failure_ = message;
  const SteadyTime now = SystemClock().steady();
  if (now < quiet_until_) return;  // several tried at once: that is one failure
  constexpr int most_doublings = 6;
  constexpr std::int64_t first_us = 50'000;
  const std::int64_t wait = first_us << std::min(failures_, most_doublings);
  ++failures_;
  const auto jitter = static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(wait)));
  quiet_until_ = now + Duration(wait / 2 + jitter);
}

void Pool::give_back(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  if (connection->broken()) {
    --open_;
    ++losses_;
    lost_at_ = SystemClock().steady();
  } else {
    idle_.push_back({std::move(connection), SystemClock().steady()});
  }
  freed_.notify_one();
}

}  // namespace quern::inline v1::postgres
