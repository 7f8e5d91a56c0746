#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "quern/core/clock.hpp"
#include "quern/http/detail/lru_table.hpp"

namespace quern::inline v1::http {

/// How addresses are slowed down that send wrong credentials.
struct FailurePolicy {
  std::uint32_t free = 10;                     ///< So many may be wrong before anything waits.
  Duration base = std::chrono::seconds(1);     ///< The first wait; each failure more doubles it.
  Duration ceiling = std::chrono::minutes(1);  ///< The longest. Not shorter than `base`, at most a day.
  Duration forget = std::chrono::minutes(
      10);  ///< After so long without a failure all are forgotten; also how long a success is known.
};

/// Slows down whoever tries credentials out, by address.
///
/// Behind one address there may be many callers, a proxy's or an office's. So that one of them who fails does not keep the others out, a
/// credential that was right there lately is let through to be checked: it is known by its SHA-256, which nobody has who does not have the
/// credential.
///
/// Time     the steady one, handed in.
/// Memory   bounded: `most` addresses and as many credentials. The one longest not seen is forgotten first.
/// Threads  every call may be made from any thread.
class FailureLimiter {
 public:
  /// Throws InvalidArgument ("failures.base") for waits outside what is allowed.
  explicit FailureLimiter(FailurePolicy policy = {}, std::size_t most = 10'000);

  /// How long this address has to wait before a credential is looked at; zero: not at all. `hash` is the credential's SHA-256.
  [[nodiscard]] Duration wait(std::string_view address, std::string_view hash, SteadyTime now);
  void failed(std::string_view address, SteadyTime now);
  void succeeded(std::string_view address, std::string_view hash, SteadyTime now);

 private:
  struct Failures {
    std::uint32_t count = 0;
    SteadyTime last{0};
    SteadyTime until{0};
  };
  const FailurePolicy policy_;
  std::mutex mutex_;
  detail::LruTable<Failures> failures_;
  detail::LruTable<SteadyTime> right_until_;
};

}  // namespace quern::inline v1::http
