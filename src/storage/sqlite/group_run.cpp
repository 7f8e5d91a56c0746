// How a group of calls becomes one transaction.

#include <cstdint>
#include <deque>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "storage/sqlite/impl.hpp"

namespace quern::inline v1 {

using sqlite::CallRange;
using sqlite::Connection;
using sqlite::crash_point;
using sqlite::GroupCall;
using sqlite::SqliteMoment;
using sqlite::SqliteOp;
using sqlite::Work;
using sqlite::WriteTransaction;

namespace {

/// An exception object that no other thread holds. Its text is copied, too.
std::exception_ptr own_copy(const std::exception_ptr& error) noexcept {
  try {
    try {
      std::rethrow_exception(error);
    } catch (const KeeperLost& e) {
      return std::make_exception_ptr(KeeperLost(std::string(e.what())));
    } catch (const StorageError& e) {
      return std::make_exception_ptr(StorageError(std::string(e.what()), e.transient()));
    } catch (const InvalidArgument& e) {
      const std::string text = e.what();
      return std::make_exception_ptr(InvalidArgument(e.field(), text.substr(e.field().size() + 2)));
    } catch (const std::bad_alloc&) {
      return std::make_exception_ptr(std::bad_alloc());
    } catch (const std::exception& e) {
      return std::make_exception_ptr(StorageError(std::string(e.what()), false));
    }
  } catch (...) {
    return std::make_exception_ptr(std::bad_alloc());  // no memory for the text
  }
}

}  // namespace

/// A group of calls in one transaction. There are no savepoints, which would cost each call a copy of each
/// page that it changes: calls that fail mostly do so before they have written anything; where one fails
/// later, everything is rolled back and the calls are run again, each in a transaction of its own.
class SqliteStorage::Impl::GroupRun {
 public:
  GroupRun(Impl& impl, const CallRange& group) : impl_(impl), group_(group) {}
  GroupRun(const GroupRun&) = delete;
  GroupRun& operator=(const GroupRun&) = delete;
  /// Lanes made by a transaction that did not come to its end are forgotten.
  ~GroupRun() { impl_.lanes_.forget_new(); }

  Together run() noexcept {
    try {
      db_ = &impl_.writer();
      phase_ = Phase::running;
      for (GroupCall& call : group_) add(call);
      commit();
    } catch (...) {
      if (phase_ == Phase::running && !group_.is_one()) return Together::one_by_one;
      const std::exception_ptr error = std::current_exception();
      for (GroupCall& call : group_) {
        if (call.stage != Stage::answered) call.error = group_.is_one() ? error : own_copy(error);
      }
      return phase_ == Phase::beginning ? Together::not_begun : Together::answered;
    }
    for (const Work& work : works_) impl_.tell(work);
    return Together::answered;
  }

 private:
  using Stage = GroupCall::Stage;
  enum class Phase : std::uint8_t { beginning, running, committing };

  void add(GroupCall& call) {
    // What one insert after another gathers is written once: their jobs then stand in one range, their lane's
    // count changes once. Any other call wants to find in the tables what those before it did.
    if (open_ != nullptr && (call.op != SqliteOp::insert || open_op_ != SqliteOp::insert)) flush();
    if (call.answer_by_reading(*db_)) {
      call.stage = transaction_ ? Stage::read : Stage::answered;
      return;
    }
    if (!transaction_) {
      phase_ = Phase::beginning;
      transaction_.emplace(*db_);
      phase_ = Phase::running;
    }
    crash_point(call.op, SqliteMoment::begin);
    const bool is_first = open_ == nullptr;
    if (is_first) {
      open_ = &works_.emplace_back(*db_, impl_.lanes_, impl_.clock().now(), impl_.wants_events());
      open_op_ = call.op;
    }
    const int changes_before = db_->total_changes();
    try {
      if (!nobody_keeps_it_) nobody_keeps_it_ = impl_.pass_keeper(*db_, call.op);
      call.run(*open_);
      call.stage = Stage::written;
    } catch (...) {
      // What an insert gathers stands for rows that it has written, so here it has left nothing behind.
      const bool harmless = db_->total_changes() == changes_before && db_->usable() && db_->in_transaction();
      if (!harmless || group_.is_one()) throw;
      call.error = std::current_exception();
      call.stage = Stage::answered;
      if (is_first) {
        works_.pop_back();
        open_ = nullptr;
      }
    }
  }

  void flush() {
    open_->flush();
    open_ = nullptr;
  }

  void commit() {
    if (!transaction_) return;
    if (open_ != nullptr) flush();
    pass_all(SqliteMoment::written);
    phase_ = Phase::committing;
    transaction_->commit();
    impl_.lanes_.keep_new();
    pass_all(SqliteMoment::committed);
  }

  void pass_all(SqliteMoment moment) const noexcept {
    for (const GroupCall& call : group_) {
      if (call.stage == Stage::written) crash_point(call.op, moment);
    }
  }

  Impl& impl_;
  const CallRange& group_;
  Phase phase_ = Phase::beginning;
  bool nobody_keeps_it_ = false;
  Connection* db_ = nullptr;
  std::optional<WriteTransaction> transaction_{};
  std::deque<Work> works_{};
  Work* open_ = nullptr;  // the last of them, until it is flushed
  SqliteOp open_op_{};    // of the calls that share it
};

SqliteStorage::Impl::Together SqliteStorage::Impl::run_together(const CallRange& group) noexcept {
  for (GroupCall& call : group) {
    call.error = nullptr;
    call.stage = GroupCall::Stage::waiting;
  }
  return GroupRun(*this, group).run();
}

void SqliteStorage::Impl::serve(const CallRange& group) noexcept {
  const std::lock_guard lock(mutex_);
  ++own_writes_;
  if (run_together(group) == Together::one_by_one) {
    std::exception_ptr not_begun;  // waiting once more for who holds the file would take too long
    for (GroupCall& call : group) {
      if (not_begun) {
        call.error = own_copy(not_begun);
      } else if (run_together(CallRange(call)) == Together::not_begun) {
        not_begun = own_copy(call.error);
      }
    }
  }
  ++own_writes_;
  if (!version_wanted_) return;
  try {
    look_for_changes();
  } catch (const std::exception&) {
    version_wanted_ = true;  // none of these calls asked for it; who asks next gets the error
  }
}

void SqliteStorage::Impl::pass(GroupCall& call) {
  queue_.pass(call, [this](const CallRange& group) noexcept { serve(group); });
  if (call.error) std::rethrow_exception(std::move(call.error));
}

}  // namespace quern::inline v1
