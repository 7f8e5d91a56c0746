#pragma once

#include <optional>
#include <string>
#include <vector>

#include "http/api_context.hpp"
#include "quern/core/fields.hpp"

namespace quern::inline v1::http {

/// What a request with an Idempotency-Key was answered with; kept in a record.
struct KeptAnswer {
  std::string fingerprint{};  ///< Of the request.
  TimePoint at{};
  int status = 0;
  std::string body{};
};
QUERN_FIELDS(KeptAnswer, fingerprint, at, status, body)

/// A request that may come more than once.
///
/// Once    jobs and answer are written in one transaction, and only where no answer is kept: so of the same requests at the same
///         time, through whatever nodes, one adds its jobs.
/// Ends    after `ApiOptions::idempotency` an answer counts no more. Each use looks at a few others and erases those that are over, so nothing
///         grows that is not used.
class Idempotency {
 public:
  /// Throws Problem for a key that is too long or no text.
  Idempotency(const ApiContext& api, const Request& request);

  /// Whether the request has a key at all.
  [[nodiscard]] bool wanted() const noexcept { return !key_.empty(); }
  /// The answer that is kept. Throws Problem (422) where that was another request's.
  [[nodiscard]] std::optional<Response> kept();
  /// The change that keeps this one, if none is kept as yet.
  [[nodiscard]] RecordChange keep(const Response& response) const;
  void erase_old() const;

 private:
  const ApiContext& api_;
  std::string key_;  // of the record
  std::string fingerprint_;
  std::optional<Payload> seen_;
};

}  // namespace quern::inline v1::http
