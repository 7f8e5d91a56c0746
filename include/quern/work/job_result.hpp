#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "quern/core/payload.hpp"
#include "quern/core/time.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1 {

/// What a handler says about how its run went. What retries and what does not:
///
///   completed   done; the job ends.
///   failed      did not work; again after the retry policy's wait, while attempts are left. An exception
///               does the same.
///   retry_at    as failed, but the handler knows when to try again. Costs an attempt.
///   snoozed     not yet; again at that time. Costs no attempt.
///   discarded   cannot work, ever; the job is dead at once.
///   cancelled   given up on request; the job ends.
class JobResult {
 public:
  [[nodiscard]] static JobResult completed() { return JobResult(Outcome::completed); }
  /// Keeps a result with the job: JSON text as Payload, a struct with QUERN_FIELDS, or, with
  /// <nlohmann/json.hpp> included, JSON as `{{"pages", 3}}` or any value that nlohmann::json can encode.
  [[nodiscard]] static JobResult completed(Payload result) {
    JobResult made(Outcome::completed);
    made.result_ = std::move(result);
    return made;
  }
  [[nodiscard]] static JobResult completed(const nlohmann::json& result);
  template <class T>
  [[nodiscard]] static JobResult completed(const T& result) {
    return completed(Payload::of(result));
  }
  [[nodiscard]] static JobResult failed(std::string message) {
    return JobResult(Outcome::failed, std::move(message));
  }
  [[nodiscard]] static JobResult retry_at(When when, std::string message) {
    JobResult made(Outcome::failed, std::move(message));
    made.again_ = when;
    return made;
  }
  [[nodiscard]] static JobResult snoozed(When until, std::string reason = {}) {
    JobResult made(Outcome::snoozed, std::move(reason));
    made.again_ = until;
    return made;
  }
  [[nodiscard]] static JobResult snoozed(Duration wait, std::string reason = {}) {
    return snoozed(When::after(wait), std::move(reason));
  }
  [[nodiscard]] static JobResult discarded(std::string message) {
    return JobResult(Outcome::discarded, std::move(message));
  }
  /// The payload cannot be read; the job is dead with that reason.
  [[nodiscard]] static JobResult undecodable(std::string message) {
    JobResult made(Outcome::discarded, std::move(message));
    made.dead_reason_ = DeadReason::undecodable;
    return made;
  }
  [[nodiscard]] static JobResult cancelled(std::string reason = {}) {
    return JobResult(Outcome::cancelled, std::move(reason));
  }

  [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }
  [[nodiscard]] const std::string& message() const& noexcept { return message_; }
  [[nodiscard]] std::string message() && noexcept { return std::move(message_); }
  [[nodiscard]] const std::optional<Payload>& result() const& noexcept { return result_; }
  [[nodiscard]] std::optional<Payload> result() && noexcept { return std::move(result_); }
  /// When to run again, where the handler said so.
  [[nodiscard]] const std::optional<When>& again() const noexcept { return again_; }
  [[nodiscard]] DeadReason dead_reason() const noexcept { return dead_reason_; }

 private:
  explicit JobResult(Outcome outcome, std::string message = {})
      : outcome_(outcome), message_(std::move(message)) {}

  Outcome outcome_;
  DeadReason dead_reason_ = DeadReason::discarded;
  std::string message_;
  std::optional<Payload> result_;
  std::optional<When> again_;
};

}  // namespace quern::inline v1
