#include "storage/rate_state.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

// No overflow: `per` is below 2^45 and counts below 2^17, so a full bucket is below 2^62; times are bounded here.

namespace quern::inline v1::detail {
namespace {

constexpr std::int64_t most_time = std::int64_t{1} << 61U;
constexpr std::size_t most_slots = 128;  // also while the window's length is changed all the time
constexpr std::size_t slot_numbers = 3;

bool is_bucket(const StartRate& rate) { return rate.algorithm == RateAlgorithm::token_bucket; }
std::int64_t per_of(const StartRate& rate) { return rate.per.count(); }
std::int64_t burst_of(const StartRate& rate) { return rate.burst > 0 ? rate.burst : rate.count; }
std::int64_t full_bucket(const StartRate& rate) { return burst_of(rate) * per_of(rate); }
std::int64_t bounded(std::int64_t time) { return std::clamp(time, -most_time, most_time); }
std::int64_t divide_up(std::int64_t value, std::int64_t by) { return value / by + (value % by > 0 ? 1 : 0); }

/// When the state was last written.
std::int64_t written_at(const StartRate& rate, const RateState& state) {
  return is_bucket(rate) ? state[0] : state[state.size() - 2];
}

/// How full the bucket is.
std::int64_t credit(const StartRate& rate, const RateState& state, std::int64_t now) {
  const std::int64_t full = full_bucket(rate);
  if (state.empty()) return full;
  const std::int64_t missing = full - std::min(state[1], full);
  const std::int64_t passed = std::max<std::int64_t>(0, now - state[0]);
  if (passed >= divide_up(missing, rate.count)) return full;
  return full - missing + passed * rate.count;
}

/// The window's end, and what has started within it.
struct Window {
  std::int64_t end = 0;
  std::int64_t used = 0;
};
Window window(const StartRate& rate, const RateState& state, std::int64_t now) {
  if (state.empty()) return {.end = now};
  Window window{.end = std::max(now, written_at(rate, state))};
  for (std::size_t i = 0; i < state.size(); i += slot_numbers)
    if (window.end - state[i + 1] < per_of(rate)) window.used += state[i + 2];
  return window;
}

void add_to_window(const StartRate& rate, RateState& state, std::int64_t now, std::int64_t count) {
  std::size_t gone = 0;
  while (gone < state.size() && now - state[gone + 1] >= per_of(rate)) gone += slot_numbers;
  state.erase(state.begin(), state.begin() + static_cast<std::ptrdiff_t>(gone));
  const std::int64_t width = std::max<std::int64_t>(1, per_of(rate) / 64);
  if (!state.empty() && now - state[state.size() - slot_numbers] < width) {
    state[state.size() - 2] = now;
    state.back() += count;
    return;
  }
  state.insert(state.end(), {now, now, count});
  if (state.size() <= most_slots * slot_numbers) return;
  state[4] = std::max(state[1], state[4]);  // the two oldest become one
  state[5] += state[2];
  state[3] = state[0];
  state.erase(state.begin(), state.begin() + slot_numbers);
}

}  // namespace

std::int64_t starts_left(const StartRate& rate, const RateState& state, std::int64_t now) {
  now = bounded(now);
  if (is_bucket(rate)) return credit(rate, state, now) / per_of(rate);
  return std::max<std::int64_t>(0, rate.count - window(rate, state, now).used);
}

std::int64_t wait_for_start(const StartRate& rate, const RateState& state, std::int64_t now) {
  now = bounded(now);
  if (is_bucket(rate)) {
    const std::int64_t there = credit(rate, state, now);
    return there >= per_of(rate) ? 0 : divide_up(per_of(rate) - there, rate.count);
  }
  Window there = window(rate, state, now);
  for (std::size_t i = 0; i < state.size() && there.used >= rate.count; i += slot_numbers) {
    const std::int64_t left = per_of(rate) - (there.end - state[i + 1]);
    if (left <= 0) continue;
    there.used -= state[i + 2];
    if (there.used < rate.count) return left;
  }
  return 0;
}

void add_starts(const StartRate& rate, RateState& state, std::int64_t now, std::int64_t count) {
  assert(count <= starts_left(rate, state, now));
  if (count <= 0) return;
  now = bounded(now);
  static_cast<void>(follow_clock(rate, state, now));
  if (is_bucket(rate)) {
    state = {now, credit(rate, state, now) - count * per_of(rate)};
  } else {
    add_to_window(rate, state, now, count);
  }
}

bool follow_clock(const StartRate& rate, RateState& state, std::int64_t now) {
  now = bounded(now);
  if (state.empty() || now >= written_at(rate, state)) return false;
  const std::int64_t back = written_at(rate, state) - now;
  if (is_bucket(rate)) {
    state[0] = now;
    return true;
  }
  for (std::size_t i = 0; i < state.size(); i += slot_numbers) {
    state[i] = bounded(state[i] - back);
    state[i + 1] = bounded(state[i + 1] - back);
  }
  return true;
}

RateState carried_over(const StartRate& before, const RateState& state, const StartRate& after,
                       std::int64_t now) {
  if (before.count == 0 || after.count == 0) return {};
  now = bounded(now);
  if (!is_bucket(before) && !is_bucket(after)) return state;
  const std::int64_t left = starts_left(before, state, now);
  if (!is_bucket(after)) {
    if (left >= after.count) return {};
    return {now, now, after.count - left};
  }
  if (is_bucket(before) && per_of(before) == per_of(after))
    return {now, std::min(credit(before, state, now), full_bucket(after))};
  return {now, std::min(left, burst_of(after)) * per_of(after)};
}

RateState used_up(const StartRate& rate, std::int64_t now) {
  now = bounded(now);
  if (rate.count == 0) return {};
  if (is_bucket(rate)) return {now, 0};
  return {now, now, rate.count};
}

bool is_sound(const StartRate& rate, const RateState& state) {
  const auto is_time = [](std::int64_t time) { return time >= -most_time && time <= most_time; };
  if (state.empty()) return true;
  if (rate.count == 0) return false;
  if (is_bucket(rate))
    return state.size() == 2 && is_time(state[0]) && state[1] >= 0 && state[1] <= full_bucket(rate);
  if (state.size() % slot_numbers != 0 || state.size() > most_slots * slot_numbers) return false;
  for (std::size_t i = 0; i < state.size(); i += slot_numbers) {
    if (!is_time(state[i]) || !is_time(state[i + 1]) || state[i + 1] < state[i]) return false;
    if (state[i + 2] < 1 || state[i + 2] > std::numeric_limits<std::int32_t>::max()) return false;
    if (i > 0 && state[i + 1] < state[i - 2]) return false;
  }
  return true;
}

std::uint64_t room_of(const LimitRule& rule, std::uint64_t running, const RateState& state,
                      std::int64_t now) {
  std::uint64_t room = std::numeric_limits<std::uint64_t>::max();
  if (rule.max_running > 0) room = rule.max_running > running ? rule.max_running - running : 0;
  if (rule.rate.count > 0)
    room = std::min(room, static_cast<std::uint64_t>(starts_left(rule.rate, state, now)));
  return room;
}

LimitStatus status_of(const LimitRule& rule, std::uint64_t running, const RateState& state,
                      std::int64_t now) {
  LimitStatus status{.rule = rule, .running = running};
  if (rule.max_running > 0) status.free = rule.max_running > running ? rule.max_running - running : 0;
  if (rule.rate.count > 0) {
    status.starts = static_cast<std::uint64_t>(starts_left(rule.rate, state, now));
    status.wait = Duration(wait_for_start(rule.rate, state, now));
  }
  return status;
}

}  // namespace quern::inline v1::detail
