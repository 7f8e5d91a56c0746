#include "quern/http/failure_limiter.hpp"

#include <algorithm>
#include <string>

#include "quern/core/error.hpp"

namespace quern::inline v1::http {
namespace {

FailurePolicy checked(const FailurePolicy& policy) {
  constexpr Duration longest = std::chrono::hours(24);
  if (policy.base <= Duration::zero()) throw InvalidArgument("failures.base", "is not above 0s");
  if (policy.ceiling < policy.base || policy.ceiling > longest)
    throw InvalidArgument("failures.ceiling", "is shorter than base, or longer than a day");
  if (policy.forget <= Duration::zero() || policy.forget > longest)
    throw InvalidArgument("failures.forget", "is not above 0s, or longer than a day");
  return policy;
}

std::string pair_of(std::string_view address, std::string_view hash) {
  std::string both(hash);
  both += address;
  return both;
}

}  // namespace

FailureLimiter::FailureLimiter(FailurePolicy policy, std::size_t most)
    : policy_(checked(policy)), failures_(most), right_until_(most) {}

Duration FailureLimiter::wait(std::string_view address, std::string_view hash, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const Failures* const failures = failures_.find(address);
  if (failures == nullptr || failures->until <= now) return Duration::zero();
  const SteadyTime* const right_until = right_until_.find(pair_of(address, hash));
  if (right_until != nullptr && now < *right_until) return Duration::zero();
  return failures->until - now;
}

void FailureLimiter::failed(std::string_view address, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  Failures& failures = failures_.get(address);
  if (now - failures.last >= policy_.forget) failures.count = 0;
  failures.last = now;
  ++failures.count;
  if (failures.count <= policy_.free) return;
  Duration wait = policy_.base;
  for (std::uint32_t i = policy_.free + 1; i < failures.count && wait < policy_.ceiling; ++i) wait *= 2;
  failures.until = now + std::min(wait, policy_.ceiling);
}

void FailureLimiter::succeeded(std::string_view address, std::string_view hash, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  right_until_.get(pair_of(address, hash)) = now + policy_.forget;
}

}  // namespace quern::inline v1::http
