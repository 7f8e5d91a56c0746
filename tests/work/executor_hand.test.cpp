// What a thread of an executor takes by the handful must not wait there for what takes long.
#include <atomic>
#include <chrono>
#include <deque>
#include <latch>
#include <memory>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/work/detail/executor_hand.hpp"
#include "quern/work/executor.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::detail::ExecutorTask;
using quern::detail::Hand;
using quern::detail::HandTask;

namespace {

struct Counted final : ExecutorTask {
  Counted(std::atomic<int>& counter, quern::TaskToken its_token) : count(counter) { token = its_token; }
  void run(std::shared_ptr<ExecutorTask> /*self*/) noexcept override { ++count; }
  std::atomic<int>& count;
};

struct Blocked final : ExecutorTask {
  Blocked(std::latch& begins, std::shared_ptr<std::latch> may_end, quern::TaskToken its_token)
      : begun(begins), end(std::move(may_end)) {
    token = its_token;
  }
  void run(std::shared_ptr<ExecutorTask> /*self*/) noexcept override {
    begun.count_down();
    end->wait();
  }
  std::latch& begun;
  const std::shared_ptr<std::latch> end;  // one that is given up may outlive its test
};

std::vector<HandTask> counted(int number, std::atomic<int>& counter) {
  std::vector<HandTask> tasks;
  for (int i = 0; i < number; ++i)
    tasks.push_back(std::make_shared<Counted>(counter, static_cast<quern::TaskToken>(i + 1)));
  return tasks;
}

/// Looks in as who drives an executor does, until so many have been counted.
void stir_until(quern::ThreadExecutor& executor, const std::atomic<int>& counter, int number) {
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (counter < number && std::chrono::steady_clock::now() < deadline) executor.stir();
}

constexpr quern::TaskToken long_one = 1000;

}  // namespace

TEST_CASE("tasks behind one that takes long are run by other threads", "[executor]") {
  std::atomic<int> count{0};
  std::latch begun(1);
  const auto end = std::make_shared<std::latch>(1);
  quern::ThreadExecutor executor;
  executor.post_all(counted(1000, count));  // so that threads take them by the handful
  stir_until(executor, count, 1000);
  REQUIRE(count == 1000);

  std::vector<HandTask> tasks{std::make_shared<Blocked>(begun, end, long_one)};
  for (auto& task : counted(40, count)) tasks.push_back(std::move(task));
  executor.post_all(tasks);
  begun.wait();
  stir_until(executor, count, 1040);
  CHECK(count == 1040);
  CHECK_FALSE(executor.backlog());
  end->count_down();
}

TEST_CASE("tasks behind one that is given up are run by other threads", "[executor]") {
  std::atomic<int> count{0};
  std::latch begun(1);
  const auto end = std::make_shared<std::latch>(1);
  {
    quern::ThreadExecutor executor;
    executor.post_all(counted(1000, count));
    stir_until(executor, count, 1000);
    std::vector<HandTask> tasks{std::make_shared<Blocked>(begun, end, long_one)};
    for (auto& task : counted(40, count)) tasks.push_back(std::move(task));
    executor.post_all(tasks);
    begun.wait();
    executor.abandon(long_one);
    stir_until(executor, count, 1040);
    CHECK(count == 1040);
  }  // does not wait for the one that was given up
  end->count_down();
}

TEST_CASE("tasks that take long get a thread each, also after many that seemed to take no time",
          "[executor]") {
  constexpr int number = 8;
  quern::ManualClock clock;
  std::atomic<int> count{0};
  quern::ThreadExecutor executor(clock);
  struct Slow final : ExecutorTask {
    Slow(std::atomic<int>& counter, quern::ManualClock& its_clock) : ran(counter), time(its_clock) {
      token = 1;
    }
    void run(std::shared_ptr<ExecutorTask> /*self*/) noexcept override {
      time.advance(1ms);
      ++ran;
    }
    std::atomic<int>& ran;
    quern::ManualClock& time;
  };
  constexpr int quick_ones = 200;
  for (int i = 0; i < quick_ones; ++i) {
    executor.post_all(counted(1, count));
    stir_until(executor, count, i + 1);
  }
  constexpr int slow_ones = 40;
  for (int i = 0; i < slow_ones; ++i) {
    executor.post_all(std::vector<HandTask>{std::make_shared<Slow>(count, clock)});
    stir_until(executor, count, quick_ones + i + 1);
  }
  // They are known to take long now, so that as many as come begin at once, though nobody stirs.
  std::latch begun(number);
  const auto end = std::make_shared<std::latch>(1);
  std::vector<HandTask> tasks;
  for (int i = 0; i < number; ++i)
    tasks.push_back(std::make_shared<Blocked>(begun, end, long_one + static_cast<quern::TaskToken>(i)));
  executor.post_all(tasks);
  begun.wait();
  CHECK(executor.threads() >= number);
  end->count_down();
}

TEST_CASE("a hand runs what it took and gives back what it has not begun", "[executor]") {
  std::atomic<int> count{0};
  std::deque<HandTask> tasks;
  for (auto& task : counted(5, count)) tasks.push_back(std::move(task));
  Hand hand;
  CHECK_FALSE(hand.holds_more());
  CHECK(hand.take(tasks, 3) == 3);
  CHECK(tasks.size() == 2);
  CHECK(hand.holds_more());
  hand.give_back(tasks);
  REQUIRE(tasks.size() == 5);
  CHECK(tasks.front()->token == 1);  // in their order
  CHECK(tasks[2]->token == 3);
  CHECK(hand.run() == 0);
  CHECK(hand.take(tasks, 100) == 5);
  CHECK(hand.run() == 5);
  CHECK(count == 5);
  CHECK_FALSE(hand.holds_more());
  CHECK_FALSE(hand.abandon(5));  // it has ended
}

TEST_CASE("an impatient task shares no hand", "[executor]") {
  std::atomic<int> count{0};
  std::deque<HandTask> tasks;
  for (auto& task : counted(4, count)) tasks.push_back(std::move(task));
  tasks[1]->patient = false;
  Hand hand;
  CHECK(hand.take(tasks, 4) == 1);
  CHECK(hand.run() == 1);
  CHECK(hand.take(tasks, 4) == 1);
  CHECK(hand.run() == 1);
  CHECK(hand.take(tasks, 4) == 2);
}
