#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "quern/storage/sqlite_crash_points.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/work.hpp"

namespace quern::inline v1::sqlite {

using detail::SqliteOp;

/// A call that writes, on its caller's stack. Whoever leads its group runs it, perhaps a second time in
/// another transaction after the first was rolled back; so it must not change anything but the database and
/// its answer.
class GroupCall {
 public:
  /// `jobs`: about how many it touches at most.
  GroupCall(SqliteOp operation, std::size_t jobs) : op(operation), size(jobs) {}
  GroupCall(const GroupCall&) = delete;
  GroupCall& operator=(const GroupCall&) = delete;

  /// Answers by reading alone where there is nothing to write; else returns false.
  virtual bool answer_by_reading(Connection& /*db*/) { return false; }
  virtual void run(Work& work) = 0;

  const SqliteOp op;
  const std::size_t size;
  std::exception_ptr error{};  ///< What its caller gets instead of an answer.
  enum class Stage : std::uint8_t {
    waiting,
    read,      ///< Answered from what the transaction has written so far: holds only if that is committed.
    written,   ///< The same, by a call that wrote.
    answered,  ///< Whatever becomes of the transaction.
  } stage = Stage::waiting;

 protected:
  ~GroupCall() = default;

 private:
  friend class CommitQueue;
  friend class CallRange;

  enum class Turn : std::uint8_t { waiting, served, leading };
  /// Where callers sleep until one wake-up for all of them. It outlives their calls: who wakes them holds it a
  /// moment longer than they sleep.
  struct Seats {
    std::mutex mutex;  // guards the turns of those that sleep here
    std::condition_variable woken;
  };
  GroupCall* next_ = nullptr;  // behind it in the queue
  std::shared_ptr<Seats> seats_{};
  Turn turn_ = Turn::waiting;
};

/// What `body(work)` gives, kept for the caller.
template <class Body>
class WriteCall : public GroupCall {
 public:
  using Answer = std::invoke_result_t<const Body&, Work&>;

  WriteCall(SqliteOp operation, std::size_t jobs, const Body& body)
      : GroupCall(operation, jobs), body_(body) {}

  void run(Work& work) override { answer_.emplace(body_(work)); }
  Answer take() { return std::move(*answer_); }

 protected:
  ~WriteCall() = default;
  std::optional<Answer> answer_;

 private:
  const Body& body_;
};

/// One that always writes.
template <class Body>
class PlainCall final : public WriteCall<Body> {
 public:
  using WriteCall<Body>::WriteCall;
};

/// One that writes only if `needed(connection)`; the answer is `otherwise(connection)` where it is not.
template <class Needed, class Otherwise, class Body>
class ConditionalCall final : public WriteCall<Body> {
 public:
  ConditionalCall(SqliteOp operation, std::size_t jobs, const Needed& needed, const Otherwise& otherwise,
                  const Body& body)
      : WriteCall<Body>(operation, jobs, body), needed_(needed), otherwise_(otherwise) {}

  bool answer_by_reading(Connection& db) override {
    if (needed_(db)) return false;
    this->answer_.emplace(otherwise_(db));
    return true;
  }

 private:
  const Needed& needed_;
  const Otherwise& otherwise_;
};

/// Calls that stand behind each other in the queue. Some, at least one.
class CallRange {
 public:
  class Iterator {
   public:
    explicit Iterator(GroupCall* at) : at_(at) {}
    GroupCall& operator*() const { return *at_; }
    Iterator& operator++() {
      at_ = at_->next_;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    GroupCall* at_;
  };

  CallRange(GroupCall& first, GroupCall* end) : first_(&first), end_(end) {}
  explicit CallRange(GroupCall& one) : CallRange(one, one.next_) {}
  [[nodiscard]] Iterator begin() const { return Iterator(first_); }
  [[nodiscard]] Iterator end() const { return Iterator(end_); }
  [[nodiscard]] bool is_one() const { return first_->next_ == end_; }

 private:
  GroupCall* first_;
  GroupCall* end_;
};

/// Brings calls of many threads together, so that they share a transaction and its wait for the disk.
///
/// Nobody waits for company: a caller that finds no group at work leads one at once, of all that stands in
/// the queue: its own call. Whoever comes while a group is at work queues up; the first of them leads the
/// next group, of all that came meanwhile. So there is no thread for this, a lone caller pays for a few locks
/// that nobody else wants, and the slower the disk the larger the groups. A leader serves one group, its own,
/// and nobody overtakes.
///
/// Whoever comes first while a group is at work sleeps alone, and those behind it sleep together: the next
/// leader is woken first, so that its transaction runs while the last group is still waking up, and that group
/// by one wake-up, whatever its size.
class CommitQueue {
 public:
  CommitQueue() = default;
  ~CommitQueue() = default;
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  /// Returns when the call was served; `serve(range)`, which must not throw, is run by one thread at a time.
  template <class Serve>
  void pass(GroupCall& call, const Serve& serve) {
    if (!lead_or_be_served(call)) return;
    const CallRange group = take();
    static_assert(noexcept(serve(group)));
    serve(group);
    hand_over();
    wake(group, call);
  }

 private:
  /// True: this thread leads the next group, whose first call is its own. False: the call was served.
  bool lead_or_be_served(GroupCall& call);
  /// Takes what waits, as much as fits into a short transaction.
  CallRange take();
  void hand_over();
  static void wake(const CallRange& group, const GroupCall& own);
  [[nodiscard]] static GroupCall::Turn sleep(const GroupCall& call, GroupCall::Seats& seats);

  std::mutex mutex_;  // guards what follows; held for moments
  bool led_ = false;
  GroupCall* first_ = nullptr;
  GroupCall* last_ = nullptr;
  std::shared_ptr<GroupCall::Seats> gathering_{};  // of those behind the first one
};

}  // namespace quern::inline v1::sqlite
