#include <algorithm>

#include "storage/sqlite/operations.hpp"
#include "storage/sqlite/rule_book.hpp"
#include "storage/sqlite/sql.hpp"

namespace quern::inline v1::sqlite {
namespace {

std::size_t promote_due(Work& work, std::size_t limit) {
  std::size_t promoted = 0;
  TimePoint last_run_at{};
  JobId last{};
  Query due = work.db.query(sql::due_sched);
  due.bind(work.now, limit);
  while (due.step()) {
    last_run_at = due.time(0);
    last = due.id(1);
    const LaneId lane = due.number(2);
    // Its deadline, if it has one, goes on as it is, so there is none to add.
    work.make_ready(last, lane, Priority{due.small(3)}, last_run_at, due.small(4) != 0, std::nullopt);
    work.count(lane, JobState::scheduled, -1);
    ++promoted;
  }
  due.reset();
  if (promoted > 0) work.db.run(sql::delete_sched_prefix, last_run_at, last);
  return promoted;
}

std::size_t expire_due(Work& work, std::size_t limit) {
  std::size_t expired = 0;
  // One at a time: what ends with it may have been next.
  while (expired < limit) {
    Query due = work.db.query(sql::due_expiry);
    if (!due.bind(work.now, 1).step()) break;
    const JobId id = due.id(1);
    const TimePoint deadline = due.time(0);
    due.reset();
    auto place = work.locate(id);
    if (place && !is_terminal(place->state) && place->state != JobState::running &&
        place->deadline == deadline) {
      work.expire(*place);
      work.settle();
      ++expired;
    } else {
      work.db.run(sql::delete_expiry, deadline, id);  // left behind by a record that could not be read
    }
  }
  return expired;
}

}  // namespace

bool anything_due(Connection& db, TimePoint now) { return next_due(db) <= now; }

TimePoint next_due(Connection& db) {
  const auto sched = db.value(sql::first_sched);
  const auto expiry = db.value(sql::first_expiry);
  return std::min(sched ? from_us(*sched) : TimePoint::max(), expiry ? from_us(*expiry) : TimePoint::max());
}

TimePoint next_start(Connection& db, LaneBook& lanes, const ClockRef& clock) {
  return When::after(RuleBook(db, lanes, clock.steady()).next_start()).resolve(clock.now());
}

PromoteResult promote(Work& work, std::size_t limit, const ClockRef& clock) {
  PromoteResult result;
  result.promoted = promote_due(work, limit);
  result.expired = expire_due(work, limit);
  result.next = next_due(work.db);
  result.more = result.next <= work.now;
  work.flush_counts();
  result.next = std::min(result.next, next_start(work.db, work.lanes, clock));
  return result;
}

}  // namespace quern::inline v1::sqlite
