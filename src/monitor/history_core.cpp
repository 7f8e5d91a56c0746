#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <utility>

#include "monitor/history_collector.hpp"
#include "monitor/history_reader.hpp"
#include "monitor/history_store.hpp"
#include "quern/core/error.hpp"
#include "quern/monitor/job_history.hpp"

namespace quern::inline v1::detail {
namespace {

using namespace std::chrono_literals;
using Resolution = HistoryResolution;

/// How long a write may be under way that was begun in time.
constexpr Duration longest_write = 5min;
/// Nodes write at different moments, up to so long after the minute.
constexpr Duration longest_spread = 20s;

HistoryOptions checked(HistoryOptions options) {
  std::vector<std::string> faults;
  const auto check = [&](std::string_view name, Duration value, Duration least, Duration most) {
    if (value < least || value > most)
      faults.push_back(
          fmt::format("{}: is {}; allowed is {} to {}", name, to_text(value), to_text(least), to_text(most)));
  };
  constexpr Duration day = 24h;
  check("interval", options.interval, 1s, 1min);
  check("keep_minutes", options.keep_minutes, 3h, day * 31);
  check("keep_hours", options.keep_hours, std::max(day * 2, std::min(options.keep_minutes, day * 31)),
        day * 730);
  check("keep_days", options.keep_days, std::max(day * 7, std::min(options.keep_hours, day * 730)),
        day * 7300);
  check("late", options.late, 1min, 1h);
  if (options.most_pairs < 1 || options.most_pairs > 10'000)
    faults.push_back(fmt::format("most_pairs: is {}; allowed is 1 to 10000", options.most_pairs));
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return options;
}

TimePoint end_of(TimePoint minute) { return minute + length_of(Resolution::minute); }

}  // namespace

/// What this node alone knows.
struct HistoryCore::Local {
  explicit Local(std::function<Metrics()> of) : metrics(std::move(of)) {}

  const std::function<Metrics()> metrics;
  std::uint64_t node = 0;  ///< Names this history among all that ever were; 0: it has no name yet.
  Duration spread{0};      ///< When it writes, after a minute's end.
  TimePoint tick_at = TimePoint::min();  ///< When it wants to be called next.
  bool begun = false;                    ///< It was started or ticked.
  TimePoint maintain_at = TimePoint::min();
  std::map<Resolution, TimePoint> rolled_up{};  ///< What lies before is added up.
  bool failing = false;
  std::atomic<std::uint64_t> failed_ticks{0};
};

HistoryCore::HistoryCore(QueueCore& queue, std::function<Metrics()> metrics, HistoryOptions options)
    : queue_(queue),
      options_(checked(std::move(options))),
      clock_(queue.storage().clock()),
      waker_(std::make_shared<Waker>()),
      collector_(std::make_unique<HistoryCollector>(metrics(), clock_.now(),
                                                    static_cast<std::size_t>(options_.late / 1min) + 2)),
      store_(std::make_unique<HistoryStore>(queue.storage(), options_.log)),
      local_(std::make_unique<Local>(std::move(metrics))) {}

HistoryCore::~HistoryCore() = default;

std::uint64_t HistoryCore::failed_ticks() const noexcept { return local_->failed_ticks; }

template <class Work>
void HistoryCore::with_storage(const Work& work) noexcept {
  try {
    work();
    if (std::exchange(local_->failing, false))
      log_to(options_.log, LogLevel::info, "the history is written again");
  } catch (const std::exception& e) {
    ++local_->failed_ticks;
    if (std::exchange(local_->failing, true)) return;
    log_to(options_.log, LogLevel::warning,
           fmt::format("the history could not be written, and waits: {}", e.what()));
  }
}

NextTick HistoryCore::tick(TimePoint now) noexcept {
  TimePoint& at = local_->tick_at;
  begin();
  if (now < at && at - now <= options_.interval) return {at};
  at = now + options_.interval;
  with_storage([&] {
    collector_->collect(local_->metrics(), now);
    at = std::min(at, collector_->minute_end());
    take_name();
    write(now, false);
    write_gauges(now);
    maintain(now);
    // Only what has not failed is worth an earlier tick.
    const TimePoint write_at = collector_->minute() + local_->spread;
    if (now < write_at) at = std::min(at, write_at);
  });
  return {at};
}

void HistoryCore::begin() noexcept { local_->begun = true; }

void HistoryCore::flush() noexcept {
  if (!local_->begun) return;
  with_storage([&] {
    const TimePoint now = clock_.now();
    collector_->collect(local_->metrics(), now);
    collector_->close(now);
    if (collector_->shares().empty()) return;
    take_name();
    write(now, true);
    collector_->close(now);  // what was too old to be written counts now
    write(now, true);
  });
  local_->tick_at = TimePoint::min();
}

void HistoryCore::take_name() {
  if (local_->node != 0) return;
  // From the storage, which gives no number twice: a restart is another node, and overwrites nothing.
  local_->node = queue_.take_ids(1).value;
  const std::uint64_t mixed = (local_->node * 0x9E37'79B9'7F4A'7C15U) >> 32U;
  local_->spread =
      Duration(static_cast<std::int64_t>(mixed % static_cast<std::uint64_t>(longest_spread.count())));
}

void HistoryCore::write(TimePoint now, bool at_once) {
  auto& shares = collector_->shares();
  while (!shares.empty()) {
    HistoryShare& share = shares.front();
    const TimePoint end = end_of(share.minute);
    if (!at_once && now >= share.minute && now < end + local_->spread) return;
    const std::string key = HistoryStore::share_key(share.minute, local_->node, share.number);
    if (now - end > options_.late) {
      // Its hour may have been added up. A write whose answer was lost has counted it already.
      if (share.tried && store_->has(key))
        shares.pop_front();
      else
        collector_->postpone_first();
      continue;
    }
    share.tried = true;
    store_->put(key, share.slot.stored(options_.most_pairs));
    shares.pop_front();
  }
}

void HistoryCore::write_gauges(TimePoint now) {
  auto& gauges = collector_->gauges();
  while (!gauges.empty()) {
    const auto& [minute, slot] = *gauges.begin();
    const TimePoint end = end_of(minute);
    if (now >= minute && now < end + local_->spread) return;
    // All nodes have sampled the same storage: one record does, and whoever is first writes it. Two that are so at once write the same
    // key, and the last one stays; either is right.
    const std::string key = HistoryStore::storage_key(minute);
    if (now - end <= options_.late && !store_->has(key)) store_->put(key, slot.stored(options_.most_pairs));
    gauges.erase(gauges.begin());
  }
}

// --- adding up, and what is no longer needed

TimePoint HistoryCore::rolled_up_by(TimePoint now) const noexcept {
  return begin_of(Resolution::hour, now - options_.late - longest_write);
}

void HistoryCore::maintain(TimePoint now) {
  if (now < local_->maintain_at && local_->maintain_at - now <= 2h) return;
  const TimePoint hours_until = rolled_up_by(now);
  auto& rolled_up = local_->rolled_up;
  const bool done =
      roll_up(Resolution::hour, hours_until) &&
      // Once all hours before are there.
      roll_up(Resolution::day, begin_of(Resolution::day, hours_until)) &&
      // Nothing goes before it is part of something larger.
      tidy(Resolution::minute, std::min(now - options_.keep_minutes, rolled_up[Resolution::hour])) &&
      tidy(Resolution::hour, std::min(now - options_.keep_hours, rolled_up[Resolution::day])) &&
      tidy(Resolution::day, now - options_.keep_days);
  // Others a little later, and mostly find it done.
  local_->maintain_at =
      done ? hours_until + length_of(Resolution::hour) + options_.late + longest_write + local_->spread * 9
           : now;
}

bool HistoryCore::roll_up(HistoryResolution coarse, TimePoint until) {
  constexpr int most_added_up = 2;  // in a tick
  constexpr int most_looked_at = 100;
  TimePoint& rolled_up = local_->rolled_up.try_emplace(coarse, TimePoint()).first->second;
  if (rolled_up > until) rolled_up = TimePoint();  // the clock was set back, so not all before is there
  int added_up = 0;
  for (int looked_at = 0; looked_at < most_looked_at; ++looked_at) {
    const auto first = store_->first(parts_of(coarse), rolled_up);
    if (!first) return true;
    const TimePoint time = begin_of(coarse, *first);
    const TimePoint end = time + length_of(coarse);
    if (end > until) return true;
    const std::string key = HistoryStore::whole_key(coarse, time);
    if (!store_->has(key)) {
      if (++added_up > most_added_up) return false;
      const HistorySlot sum = add_up(*store_, coarse, time);
      // Parts are erased only once the sum is there. While it is still not, all parts were: else this sum may lack some, and
      // another node's is better.
      if (!store_->has(key)) store_->put(key, sum.stored(options_.most_pairs));
    }
    rolled_up = end;
  }
  return false;
}

bool HistoryCore::tidy(HistoryResolution resolution, TimePoint before) {
  constexpr std::size_t most = 200;  // in a tick
  std::vector<std::string> old;
  store_->each(resolution, TimePoint(), before, [&](const HistoryStore::Entry& entry) {
    if (entry.time + length_of(resolution) > before) return false;
    old.push_back(entry.key);
    return old.size() < most;
  });
  for (const std::string& key : old) store_->erase(key);
  return old.size() < most;
}

// --- for anybody

std::vector<HistoryPoint> HistoryCore::query(const HistoryQuery& query) const {
  constexpr TimePoint first{};
  constexpr TimePoint last{std::chrono::sys_days(std::chrono::year(9999) / 12 / 31)};
  if (query.from < first || query.from > last)
    throw InvalidArgument("from", fmt::format("is {}; allowed is {} to {}", to_rfc3339(query.from),
                                              to_rfc3339(first), to_rfc3339(last)));
  const TimePoint to = std::min(query.to, last);
  if (to <= query.from)
    throw InvalidArgument(
        "to", fmt::format("is {}, and it begins at {}", to_rfc3339(query.to), to_rfc3339(query.from)));
  const Duration length = length_of(query.resolution);
  const TimePoint from = begin_of(query.resolution, query.from);
  const TimePoint end = begin_of(query.resolution, to + length - Duration(1));
  if (const auto points = (end - from) / length; points > static_cast<std::int64_t>(most_history_points))
    throw InvalidArgument("from", fmt::format("are {} points; allowed are {}", points, most_history_points));

  std::map<TimePoint, HistoryPoint> points;
  read_history(*store_, query.resolution, from, end, query, [&](TimePoint time, const HistorySlot& slot) {
    points.emplace(time, point_of(query.resolution, time, slot));
  });
  const TimePoint now = clock_.now();
  std::vector<HistoryPoint> made;
  made.reserve(points.size());
  for (auto& [time, point] : points) {
    point.open = now < time + length + options_.late;
    made.push_back(std::move(point));
  }
  return made;
}

}  // namespace quern::inline v1::detail
