#include "http/handler_pool.hpp"

#include <utility>

namespace quern::inline v1::http::detail {

HandlerPool::HandlerPool(int threads, std::size_t waiting) : limit_(waiting) {
  threads_.reserve(static_cast<std::size_t>(threads));
  try {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  } catch (...) {
    stop();  // those that could be made wait for work
    throw;
  }
}

bool HandlerPool::submit(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    // What an idle thread is about to take does not wait.
    if (stopped_ || line_.size() >= limit_ + idle_) return false;
    line_.push_back(std::move(work));
  }
  bell_.notify_one();
  return true;
}

void HandlerPool::stop() noexcept {
  std::deque<std::function<void()>> dropped;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    dropped.swap(line_);
  }
  bell_.notify_all();
  threads_.clear();
}

std::size_t HandlerPool::waiting() const {
  const std::lock_guard lock(mutex_);
  return line_.size();
}

void HandlerPool::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    bell_.wait(lock, [&] { return stopped_ || !line_.empty(); });
    --idle_;
    if (line_.empty()) return;
    std::function<void()> work = std::move(line_.front());
    line_.pop_front();
    lock.unlock();
    work();
    work = nullptr;  // what it held goes without the lock
    lock.lock();
  }
}

}  // namespace quern::inline v1::http::detail
