#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/fields.hpp"
#include "quern/core/limits.hpp"
#include "quern/storage/requests.hpp"
#include "quern/work/job_context.hpp"
#include "quern/work/job_result.hpp"

// What goes over the channel between the host's thread and the runner: four bytes of length, one of type, and
// a struct with QUERN_FIELDS as JSON. The runner is not trusted: what it sends is bounded and checked like
// any JSON from outside, and what does not fit is one failed attempt.

namespace quern::inline v1::detail {

enum class MessageType : std::uint8_t {
  // to the runner
  begin = 1,  ///< BeginMessage, the first one
  stop,       ///< StopMessage
  step,       ///< StepMessage: one of those that were asked for; an answer follows the last
  answer,     ///< AnswerMessage, to the request under way
  // from the runner
  progress = 64,  ///< ProgressMessage
  find_steps,     ///< asks for all steps; empty
  save_step,      ///< StepMessage; asks
  then_job,       ///< JobMessage; asks
  then_record,    ///< RecordMessage
  result,         ///< ResultMessage, the last one
  log,            ///< LogMessage
};

struct WhenFields {
  bool absolute = false;
  Duration value{0};
};
QUERN_FIELDS(WhenFields, absolute, value)

struct ClaimFields {
  std::uint64_t id = 0;
  Epoch epoch = 0;
  std::uint64_t node = 0;
  std::uint64_t claim = 0;
  std::string kind{};
  std::string queue{};
  std::string payload{};
  int priority = 0;
  std::string tenant{};
  std::vector<std::string> tags{};
  std::string created_by{};
  std::string digest{};
  std::string trace{};
  std::vector<std::uint64_t> parents{};
  int run = 1;
  int attempt = 0;
  int max_attempts = 0;
  Duration timeout{0};
  TimePoint run_at{};
  TimePoint created_at{};
  TimePoint claimed_at{};
};
QUERN_FIELDS(ClaimFields, id, epoch, node, claim, kind, queue, payload, priority, tenant, tags, created_by,
             digest, trace, parents, run, attempt, max_attempts, timeout, run_at, created_at, claimed_at)

/// The limits that the runner checks by itself, so that a handler is told at once.
struct LimitFields {
  std::uint64_t payload_bytes = 0;
  int json_depth = 0;
  std::uint64_t key_bytes = 0;
  std::uint64_t text_bytes = 0;
};
QUERN_FIELDS(LimitFields, payload_bytes, json_depth, key_bytes, text_bytes)

struct BeginMessage {
  ClaimFields claim{};
  LimitFields limits{};
  std::optional<LogLevel> least_logged{};  ///< None: nobody wants its lines.
  std::string trace{};                     ///< Of the run.
};
QUERN_FIELDS(BeginMessage, claim, limits, least_logged, trace)

struct StopMessage {
  StopReason reason = StopReason::none;
};
QUERN_FIELDS(StopMessage, reason)

struct StepMessage {
  std::string name{};
  std::string value{};
};
QUERN_FIELDS(StepMessage, name, value)

enum class Answered : std::uint8_t {
  done,
  lost,         ///< Of a step: the storage says so.
  invalid,      ///< InvalidArgument
  storage,      ///< StorageError
  run_lost,     ///< RunLost
  other_error,  ///< Error
};
struct AnswerMessage {
  Answered what = Answered::done;
  std::uint64_t id = 0;  ///< then_job: the job's.
  bool transient = false;
  std::string field{};
  std::string message{};
};
QUERN_FIELDS(AnswerMessage, what, id, transient, field, message)

struct ProgressMessage {
  int percent = 0;
  std::string message{};
};
QUERN_FIELDS(ProgressMessage, percent, message)

/// A field of a line: a text, or one of the others with the text empty.
struct LogFieldMessage {
  std::string key{};
  std::string text{};
  std::optional<std::int64_t> integer{};
  std::optional<std::uint64_t> natural{};
  std::optional<double> number{};
  std::optional<bool> truth{};
};
QUERN_FIELDS(LogFieldMessage, key, text, integer, natural, number, truth)

struct LogMessage {
  LogLevel level = LogLevel::info;
  std::string message{};
  std::vector<LogFieldMessage> fields{};
};
QUERN_FIELDS(LogMessage, level, message, fields)

struct UniqueFields {
  std::string key{};
  bool by_arguments = false;
  Duration period{0};
  bool while_completed = false;
  bool while_dead = false;
  bool while_cancelled = false;
  UniqueConflict on_conflict = UniqueConflict::skip;
};
QUERN_FIELDS(UniqueFields, key, by_arguments, period, while_completed, while_dead, while_cancelled,
             on_conflict)

struct JobMessage {
  std::uint64_t id = 0;
  std::string kind{};
  std::string payload{};
  std::string queue{};
  int priority = 0;
  WhenFields run_at{};
  std::optional<WhenFields> deadline{};
  int max_attempts = 0;
  Duration timeout{0};
  std::string tenant{};
  std::vector<std::string> tags{};
  std::vector<std::uint64_t> parents{};
  ParentPolicy on_parent_failure = ParentPolicy::cancel;
  std::string created_by{};
  std::string digest{};
  std::string trace{};
  UniqueFields unique{};
};
QUERN_FIELDS(JobMessage, id, kind, payload, queue, priority, run_at, deadline, max_attempts, timeout, tenant,
             tags, parents, on_parent_failure, created_by, digest, trace, unique)

struct RecordMessage {
  std::string collection{};
  std::string key{};
  std::string value{};
};
QUERN_FIELDS(RecordMessage, collection, key, value)

struct ResultMessage {
  Outcome outcome = Outcome::completed;
  bool undecodable = false;
  std::string message{};
  std::optional<std::string> result{};
  std::optional<WhenFields> again{};
};
QUERN_FIELDS(ResultMessage, outcome, undecodable, message, result, again)

// To messages and back. Those that read what a runner said throw InvalidArgument for values that there are
// not.
[[nodiscard]] ClaimFields fields_of(const Claim& claim);
[[nodiscard]] Claim claim_of(ClaimFields&& fields);
[[nodiscard]] LimitFields fields_of(const JobLimits& limits);
[[nodiscard]] JobLimits limits_of(const LimitFields& fields);
[[nodiscard]] JobMessage message_of(const NewJob& job);
[[nodiscard]] NewJob job_of(JobMessage&& message);
/// What is no UTF-8 in its text becomes U+FFFD.
[[nodiscard]] ResultMessage message_of(const JobResult& result);
/// The same; a message of more than 16 KiB is cut, a text of a field at 4 KiB, and fields beyond 32 are left out.
[[nodiscard]] LogMessage message_of(LogLevel level, std::string_view message,
                                    std::span<const LogField> fields);
/// Borrows `message`.
[[nodiscard]] std::vector<LogField> fields_of(const LogMessage& message);
[[nodiscard]] JobResult result_of(ResultMessage&& message);

/// The longest message that fits these limits, with room to spare.
[[nodiscard]] std::size_t longest_message(const JobLimits& limits) noexcept;

/// A whole frame. Throws InvalidArgument for texts that are no UTF-8, and where it is longer than `longest`.
[[nodiscard]] std::string frame_of(MessageType type, const Payload& body, std::size_t longest);
template <class T>
[[nodiscard]] std::string frame_of(MessageType type, const T& message, std::size_t longest) {
  return frame_of(type, Payload::of(message), longest);
}

/// One message as it came. Its type may be any number.
struct Message {
  MessageType type{};
  std::string body{};

  /// Throws InvalidArgument for anything but a T.
  template <class T>
  [[nodiscard]] T as() && {
    return Payload::json(std::move(body)).as<T>();
  }
};

/// Puts together what arrives in pieces.
class MessageReader {
 public:
  explicit MessageReader(std::size_t longest) noexcept : longest_(longest) {}

  void add(std::string_view bytes) { bytes_ += bytes; }
  /// The next whole message. Throws InvalidArgument when it says that it is longer than allowed.
  [[nodiscard]] std::optional<Message> next();

 private:
  std::size_t longest_;
  std::string bytes_;
  std::size_t at_ = 0;
};

}  // namespace quern::inline v1::detail
