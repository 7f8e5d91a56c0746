#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "quern/core/clock.hpp"
#include "quern/http/detail/lru_table.hpp"
#include "quern/http/message.hpp"

namespace quern::inline v1::http {

/// How much is allowed in a time.
struct RatePolicy {
  std::string name = "default";  ///< As the fields show it: a-z, 0-9 and '-'.
  std::uint32_t quota = 0;       ///< At once, after a rest; 0: any number. To 1,000,000.
  Duration window =
      std::chrono::minutes(1);  ///< In which as many become free again, evenly. 1 second to 1 day.
};

/// Throws InvalidArgument ("rate.quota") where a value is outside what is allowed.
void check(const RatePolicy& policy, std::string_view field);

/// Whether something may happen now.
struct RateDecision {
  bool allowed = true;
  std::uint32_t remaining = 0;  ///< How many more may, at once.
  Duration wait{0};             ///< Not allowed: until it will be.
  Duration reset{0};  ///< Until as many may as after a rest; where it is not allowed, the same as `wait`.
};

/// A token bucket for each key. In one process: each node counts for itself.
///
/// Time     the steady one, handed in.
/// Memory   bounded: `most_keys` buckets of some 150 bytes. The key that was longest not asked for is forgotten first, and may then start
///          as after a rest.
/// Threads  every call may be made from any thread.
class RateLimiter {
 public:
  /// `policy` must pass `check`, else InvalidArgument.
  explicit RateLimiter(RatePolicy policy, std::size_t most_keys = 10'000);

  /// Takes `cost` from the key's bucket where it may. What costs more than the whole quota may happen when the bucket is full, and is paid
  /// for afterwards: the rate holds in the long run.
  [[nodiscard]] RateDecision decide(std::string_view key, SteadyTime now, std::uint32_t cost = 1);
  /// The same without taking anything: whether one may happen.
  [[nodiscard]] RateDecision look(std::string_view key, SteadyTime now);

  [[nodiscard]] const RatePolicy& policy() const noexcept { return policy_; }
  [[nodiscard]] bool limits() const noexcept { return policy_.quota > 0; }

 private:
  const RatePolicy policy_;
  std::mutex mutex_;
  detail::LruTable<SteadyTime> full_at_;  // when the bucket will be full again
};

/// Adds RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), and Retry-After (RFC 9110 10.2.3) where it is not
/// allowed: whole seconds, rounded up, and never earlier than `t` of RateLimit. Nothing where there is no limit.
void add_rate_fields(Fields& fields, const RatePolicy& policy, const RateDecision& decision);

/// What an address counts as: an IPv4 address as it is, also one that is mapped into IPv6; of IPv6 the first 64 bits, since everybody has
/// all of the rest.
[[nodiscard]] std::string address_key(std::string_view peer);

}  // namespace quern::inline v1::http
