#include "storage/sqlite/reader_pool.hpp"

namespace quern::inline v1::sqlite {

std::unique_ptr<Connection> ReaderPool::take() {
  {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return free_slots_ > 0; });
    --free_slots_;
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  try {
    return open_();
  } catch (...) {
    give_back(nullptr);
    throw;
  }
}

void ReaderPool::give_back(std::unique_ptr<Connection> connection) noexcept {
  {
    const std::lock_guard lock(mutex_);
    ++free_slots_;
    if (connection && connection->usable() && !connection->in_transaction())
      idle_.push_back(std::move(connection));
  }
  freed_.notify_one();
  // A spoiled one is closed here, outside the lock.
}

}  // namespace quern::inline v1::sqlite
