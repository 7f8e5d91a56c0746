#include "quern/http/rate_limiter.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1::http {
namespace {

constexpr std::uint32_t most_quota = 1'000'000;

RatePolicy checked(RatePolicy policy) {
  check(policy, "rate");
  return policy;
}

/// Until one more is free. Not 0: a second has no more microseconds than a quota may have.
Duration step_of(const RatePolicy& policy) { return policy.window / policy.quota; }

std::int64_t whole_seconds(Duration time) {
  return std::chrono::ceil<std::chrono::seconds>(std::max(time, Duration::zero())).count();
}

RateDecision decision_of(const RatePolicy& policy, Duration owed, std::uint32_t cost) {
  const Duration step = step_of(policy);
  const Duration whole = step * policy.quota;
  const Duration needed = step * std::min(cost, policy.quota);
  RateDecision decision;
  if (owed + needed > whole) {
    decision.allowed = false;
    decision.wait = decision.reset = owed + needed - whole;
    return decision;
  }
  const Duration after = owed + step * cost;
  decision.remaining = after >= whole ? 0 : static_cast<std::uint32_t>((whole - after) / step);
  decision.reset = after;
  return decision;
}

}  // namespace

void check(const RatePolicy& policy, std::string_view field) {
  constexpr Duration shortest = std::chrono::seconds(1);
  constexpr Duration longest = std::chrono::hours(24);
  const bool named = !policy.name.empty() && std::ranges::all_of(policy.name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!named) throw InvalidArgument(fmt::format("{}.name", field), "is not of a-z, 0-9 and '-'");
  if (policy.quota > most_quota)
    throw InvalidArgument(fmt::format("{}.quota", field),
                          fmt::format("is {}, allowed are 0 to {}", policy.quota, most_quota));
  if (policy.window < shortest || policy.window > longest)
    throw InvalidArgument(fmt::format("{}.window", field),
                          fmt::format("is {}, allowed are {} to {}", quern::to_text(policy.window),
                                      quern::to_text(shortest), quern::to_text(longest)));
}

RateLimiter::RateLimiter(RatePolicy policy, std::size_t most_keys)
    : policy_(checked(std::move(policy))), full_at_(most_keys) {}

RateDecision RateLimiter::decide(std::string_view key, SteadyTime now, std::uint32_t cost) {
  if (!limits()) return {};
  cost = std::min(cost, most_quota);  // what one can owe stays within a Duration
  const std::lock_guard lock(mutex_);
  SteadyTime& full_at = full_at_.get(key);
  const Duration owed = std::max(full_at - now, Duration::zero());
  const RateDecision decision = decision_of(policy_, owed, cost);
  if (decision.allowed) full_at = now + owed + step_of(policy_) * cost;
  return decision;
}

RateDecision RateLimiter::look(std::string_view key, SteadyTime now) {
  if (!limits()) return {};
  const std::lock_guard lock(mutex_);
  const SteadyTime* const full_at = full_at_.find(key);
  const Duration owed = full_at == nullptr ? Duration::zero() : std::max(*full_at - now, Duration::zero());
  const RateDecision one = decision_of(policy_, owed, 1);
  return one.allowed ? decision_of(policy_, owed, 0) : one;
}

void add_rate_fields(Fields& fields, const RatePolicy& policy, const RateDecision& decision) {
  if (policy.quota == 0) return;
  const std::int64_t reset = whole_seconds(decision.reset);
  fields.set("RateLimit-Policy",
             fmt::format("\"{}\";q={};w={}", policy.name, policy.quota, whole_seconds(policy.window)));
  fields.set("RateLimit", fmt::format("\"{}\";r={};t={}", policy.name, decision.remaining, reset));
  if (!decision.allowed)
    fields.set("Retry-After", fmt::format("{}", std::max<std::int64_t>(1, whole_seconds(decision.wait))));
}

std::string address_key(std::string_view peer) {
  const std::string text(peer.substr(0, std::min(peer.find('%'), peer.size())));  // without a zone
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return text;
  constexpr std::array<unsigned char, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  if (std::ranges::equal(std::span(bytes).first<12>(), mapped))
    return fmt::format("{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]);
  return fmt::format("{:02x}::/64", fmt::join(std::span(bytes).first<8>(), ":"));
}

}  // namespace quern::inline v1::http
