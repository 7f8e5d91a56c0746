#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "quern/core/detail/crash_point.hpp"
#include "quern/sqlite.hpp"
#include "quern/storage/sqlite_crash_points.hpp"
#include "storage/sqlite_consistency.hpp"
#include "storage/sqlite_fault_vfs.hpp"
#include "support/catch.hpp"

namespace quern_test {

/// Holds the thread that first comes to a crash point, and counts the calls that queue up meanwhile.
class Gate {
 public:
  explicit Gate(std::string point) : point_(std::move(point)) {
    current = this;
    quern::detail::crash_hook = [](const char* name) noexcept { current->passed(name); };
  }
  ~Gate() {
    open();
    quern::detail::crash_hook = nullptr;
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// Returns once a thread is held; false when none comes.
  [[nodiscard]] bool holds() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return held_; });
  }
  /// Returns once so many calls wait behind it; false when they do not come.
  [[nodiscard]] bool queued(int calls) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return waiting_ == calls; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  void passed(const std::string& name) {
    std::unique_lock lock(mutex_);
    if (name == quern::detail::sqlite_waiting_point) {
      ++waiting_;
      changed_.notify_all();
    } else if (name == point_ && !std::exchange(held_, true)) {
      changed_.notify_all();
      changed_.wait(lock, [&] { return open_; });
    }
  }

  static inline Gate* current = nullptr;
  const std::string point_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool open_ = false;
  int waiting_ = 0;
};

/// Calls that are made one behind the other while another one is held, so that they are one group.
class Group {
 public:
  /// `first` is held after its transaction is committed, or before with "written".
  explicit Group(const std::function<void()>& first, const std::string& moment = "committed")
      : gate_("sqlite.insert." + moment), threads_(1) {
    threads_[0] = start(first);
    REQUIRE(gate_.holds());
  }
  void add(std::function<void()> call) {
    threads_.push_back(start(std::move(call)));
    REQUIRE(gate_.queued(static_cast<int>(threads_.size()) - 1));
  }
  void open() { gate_.open(); }
  /// Lets them go, and returns when all have their answers.
  void run() {
    open();
    threads_.clear();
    for (const std::string& surprise : surprises_) FAIL_CHECK(surprise);
  }

 private:
  std::jthread start(std::function<void()> call) {
    return std::jthread([this, call = std::move(call)] {
      try {
        call();
      } catch (const std::exception& e) {
        const std::lock_guard lock(surprises_mutex_);
        surprises_.emplace_back(e.what());
      }
    });
  }

  Gate gate_;
  std::mutex surprises_mutex_;
  std::vector<std::string> surprises_;  // what calls threw that no test expects
  std::vector<std::jthread> threads_;   // the last member: they end before the gate goes
};

/// How often the write-ahead log was made durable: once for each transaction that wrote.
class CommitCount {
 public:
  explicit CommitCount(FaultVfs& vfs) {
    vfs.set([this](Io call, const char* path) {
      if (call == Io::sync && path != nullptr && std::string_view(path).ends_with("-wal")) ++syncs_;
      return SQLITE_OK;
    });
  }
  int take() { return syncs_.exchange(0); }

 private:
  std::atomic<int> syncs_{0};
};

class Recorder final : public quern::StorageObserver {
 public:
  bool wants_events() const noexcept override { return true; }
  void on_events(std::span<const quern::JobEvent> events) noexcept override {
    for (const auto& event : events) told.emplace_back(event.type, event.id);
  }
  void on_work() noexcept override { ++work; }
  std::vector<std::pair<quern::JobEventType, quern::JobId>> told;
  int work = 0;
};

inline quern::NewJob job(quern::JobId first, std::uint64_t number) {
  return {.id = quern::JobId{first.value + number}, .kind = "work"};
}

inline quern::InsertStatus insert(quern::SqliteStorage& storage, const quern::NewJob& job) {
  return storage.insert({&job, 1}).at(0).status;
}

inline std::optional<quern::JobState> state_of(quern::SqliteStorage& storage, quern::JobId id) {
  const auto found = storage.find({&id, 1}).at(0);
  return found ? std::optional(found->state) : std::nullopt;
}

/// The message of what a call failed with; empty when it did not.
template <class Failure>
std::string failure_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Failure& e) {
    return e.what();
  }
  return {};
}

inline void check_sound(const std::string& path) { CHECK(SqliteConsistency(path).faults().empty()); }

}  // namespace quern_test
