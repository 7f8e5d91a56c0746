#include "isolation_wire.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <variant>

namespace quern::inline v1::detail {
namespace {

constexpr std::size_t head_bytes = sizeof(std::uint32_t) + 1;

WhenFields fields_of(const When& when) {
  // An absolute time is the same from wherever one looks.
  const Duration value = when.resolve(TimePoint{}).time_since_epoch();
  const bool absolute = when.resolve(from_us(1)).time_since_epoch() == value;
  return {absolute, value};
}
When when_of(const WhenFields& fields) {
  return fields.absolute ? When::at(TimePoint(fields.value)) : When::after(fields.value);
}

std::vector<std::uint64_t> numbers_of(const std::vector<JobId>& ids) {
  std::vector<std::uint64_t> numbers;
  numbers.reserve(ids.size());
  for (const JobId id : ids) numbers.push_back(id.value);
  return numbers;
}
std::vector<JobId> ids_of(const std::vector<std::uint64_t>& numbers) {
  std::vector<JobId> ids;
  ids.reserve(numbers.size());
  for (const std::uint64_t number : numbers) ids.push_back({number});
  return ids;
}

template <class E>
void check_enum(E value, E last, const char* field) {
  if (value > last)
    throw InvalidArgument(field, fmt::format("is {}; there is no such value", static_cast<unsigned>(value)));
}

}  // namespace

ClaimFields fields_of(const Claim& claim) {
  ClaimFields fields;
  fields.id = claim.ref.id.value;
  fields.epoch = claim.ref.epoch;
  fields.node = claim.ref.node.value;
  fields.claim = claim.ref.claim;
  fields.kind = claim.kind;
  fields.queue = claim.queue;
  fields.payload = claim.payload.text();
  fields.priority = claim.priority.level;
  fields.tenant = claim.tenant;
  fields.tags = claim.tags;
  fields.created_by = claim.created_by;
  fields.digest = claim.digest;
  fields.trace = claim.trace;
  fields.parents = numbers_of(claim.parents);
  fields.run = claim.run;
  fields.attempt = claim.attempt;
  fields.max_attempts = claim.max_attempts;
  fields.timeout = claim.timeout;
  fields.run_at = claim.run_at;
  fields.created_at = claim.created_at;
  fields.claimed_at = claim.claimed_at;
  return fields;
}

Claim claim_of(ClaimFields&& fields) {
  Claim claim;
  claim.ref = {.id = {fields.id}, .epoch = fields.epoch, .node = {fields.node}, .claim = fields.claim};
  claim.kind = std::move(fields.kind);
  claim.queue = std::move(fields.queue);
  claim.payload = Payload::json(std::move(fields.payload));
  claim.priority.level = fields.priority;
  claim.tenant = std::move(fields.tenant);
  claim.tags = std::move(fields.tags);
  claim.created_by = std::move(fields.created_by);
  claim.digest = std::move(fields.digest);
  claim.trace = std::move(fields.trace);
  claim.parents = ids_of(fields.parents);
  claim.run = fields.run;
  claim.attempt = fields.attempt;
  claim.max_attempts = fields.max_attempts;
  claim.timeout = fields.timeout;
  claim.run_at = fields.run_at;
  claim.created_at = fields.created_at;
  claim.claimed_at = fields.claimed_at;
  return claim;
}

LimitFields fields_of(const JobLimits& limits) {
  return {limits.payload_bytes, limits.json_depth, limits.key_bytes, limits.text_bytes};
}

JobLimits limits_of(const LimitFields& fields) {
  JobLimits limits;
  limits.payload_bytes = static_cast<std::size_t>(fields.payload_bytes);
  limits.json_depth = fields.json_depth;
  limits.key_bytes = static_cast<std::size_t>(fields.key_bytes);
  limits.text_bytes = static_cast<std::size_t>(fields.text_bytes);
  return limits;
}

JobMessage message_of(const NewJob& job) {
  JobMessage message;
  message.id = job.id.value;
  message.kind = job.kind;
  message.payload = job.payload.text();
  message.queue = job.queue;
  message.priority = job.priority.level;
  message.run_at = fields_of(job.run_at);
  if (job.deadline) message.deadline = fields_of(*job.deadline);
  message.max_attempts = job.max_attempts;
  message.timeout = job.timeout;
  message.tenant = job.tenant;
  message.tags = job.tags;
  message.parents = numbers_of(job.parents);
  message.on_parent_failure = job.on_parent_failure;
  message.created_by = job.created_by;
  message.digest = job.digest;
  message.trace = job.trace;
  message.unique.key = job.unique.key;
  message.unique.by_arguments = job.unique.by_arguments;
  message.unique.period = job.unique.period;
  message.unique.while_completed = job.unique.while_completed;
  message.unique.while_dead = job.unique.while_dead;
  message.unique.while_cancelled = job.unique.while_cancelled;
  message.unique.on_conflict = job.unique.on_conflict;
  return message;
}

NewJob job_of(JobMessage&& message) {
  check_enum(message.on_parent_failure, ParentPolicy::stay_blocked, "on_parent_failure");
  check_enum(message.unique.on_conflict, UniqueConflict::reschedule, "unique.on_conflict");
  NewJob job;
  job.id = {message.id};
  job.kind = std::move(message.kind);
  job.payload = Payload::json(std::move(message.payload));
  job.queue = std::move(message.queue);
  job.priority.level = message.priority;
  job.run_at = when_of(message.run_at);
  if (message.deadline) job.deadline = when_of(*message.deadline);
  job.max_attempts = message.max_attempts;
  job.timeout = message.timeout;
  job.tenant = std::move(message.tenant);
  job.tags = std::move(message.tags);
  job.parents = ids_of(message.parents);
  job.on_parent_failure = message.on_parent_failure;
  job.created_by = std::move(message.created_by);
  job.digest = std::move(message.digest);
  job.trace = std::move(message.trace);
  job.unique.key = std::move(message.unique.key);
  job.unique.by_arguments = message.unique.by_arguments;
  job.unique.period = message.unique.period;
  job.unique.while_completed = message.unique.while_completed;
  job.unique.while_dead = message.unique.while_dead;
  job.unique.while_cancelled = message.unique.while_cancelled;
  job.unique.on_conflict = message.unique.on_conflict;
  return job;
}

ResultMessage message_of(const JobResult& result) {
  ResultMessage message;
  message.outcome = result.outcome();
  message.undecodable = result.dead_reason() == DeadReason::undecodable;
  message.message = clean_message(result.message());
  if (result.result()) message.result = result.result()->text();
  if (result.again()) message.again = fields_of(*result.again());
  return message;
}

JobResult result_of(ResultMessage&& message) {
  const std::optional<When> again = message.again ? std::optional(when_of(*message.again)) : std::nullopt;
  switch (message.outcome) {
    case Outcome::completed:
      return message.result ? JobResult::completed(Payload::json(std::move(*message.result)))
                            : JobResult::completed();
    case Outcome::failed:
      return again ? JobResult::retry_at(*again, std::move(message.message))
                   : JobResult::failed(std::move(message.message));
    case Outcome::discarded:
      return message.undecodable ? JobResult::undecodable(std::move(message.message))
                                 : JobResult::discarded(std::move(message.message));
    case Outcome::snoozed:
      return JobResult::snoozed(again.value_or(When()), std::move(message.message));
    case Outcome::cancelled:
      return JobResult::cancelled(std::move(message.message));
    case Outcome::released:  // not for a handler to say
      break;
  }
  throw InvalidArgument("outcome", "is none that a handler can have");
}

LogMessage message_of(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  constexpr std::size_t longest_line = 16 * 1024;
  constexpr std::size_t longest_text = 4 * 1024;
  constexpr std::size_t most_fields = 32;
  LogMessage made{level, clean_message(message, longest_line), {}};
  for (const LogField& field : fields.first(std::min(fields.size(), most_fields))) {
    LogFieldMessage& one = made.fields.emplace_back();
    one.key = clean_message(field.key(), longest_text);
    const auto& value = field.value();
    if (const auto* const integer = std::get_if<std::int64_t>(&value))
      one.integer = *integer;
    else if (const auto* const natural = std::get_if<std::uint64_t>(&value))
      one.natural = *natural;
    else if (const auto* const number = std::get_if<double>(&value);
             number != nullptr && std::isfinite(*number))
      one.number = *number;
    else if (const auto* const truth = std::get_if<bool>(&value))
      one.truth = *truth;
    else
      one.text = clean_message(field.text(), longest_text);
  }
  return made;
}

std::vector<LogField> fields_of(const LogMessage& message) {
  if (message.level > LogLevel::error) throw InvalidArgument("message", "has a level that there is not");
  std::vector<LogField> fields;
  fields.reserve(message.fields.size());
  for (const LogFieldMessage& field : message.fields) {
    if (field.integer)
      fields.emplace_back(field.key, *field.integer);
    else if (field.natural)
      fields.emplace_back(field.key, *field.natural);
    else if (field.number)
      fields.emplace_back(field.key, *field.number);
    else if (field.truth)
      fields.emplace_back(field.key, *field.truth);
    else
      fields.emplace_back(field.key, field.text);
  }
  return fields;
}

std::size_t longest_message(const JobLimits& limits) noexcept {
  // A character of a text becomes six at most where JSON is put into JSON.
  return 6 * limits.payload_bytes + (std::size_t{1} << 20U);
}

std::string frame_of(MessageType type, const Payload& body, std::size_t longest) {
  const std::string& text = body.text();
  if (text.size() > longest)
    throw InvalidArgument("message",
                          fmt::format("is {} bytes long; allowed is up to {}", text.size(), longest));
  const auto size = static_cast<std::uint32_t>(text.size());
  std::string frame(head_bytes, '\0');
  std::memcpy(frame.data(), &size, sizeof(size));
  frame[sizeof(size)] = static_cast<char>(type);
  frame += text;
  return frame;
}

std::optional<Message> MessageReader::next() {
  const std::string_view rest = std::string_view(bytes_).substr(at_);
  std::uint32_t size = 0;
  if (rest.size() >= head_bytes) {
    std::memcpy(&size, rest.data(), sizeof(size));
    if (size > longest_)
      throw InvalidArgument("message", fmt::format("is {} bytes long; allowed is up to {}", size, longest_));
  }
  if (rest.size() < head_bytes || rest.size() - head_bytes < size) {
    bytes_.erase(0, at_);
    at_ = 0;
    return std::nullopt;
  }
  at_ += head_bytes + size;
  return Message{static_cast<MessageType>(rest[sizeof(size)]), std::string(rest.substr(head_bytes, size))};
}

}  // namespace quern::inline v1::detail
