#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "quern/core/job.hpp"

namespace quern::inline v1 {

/// What a job may look like; one policy for every storage, checked at the door.
struct JobLimits {
  std::size_t payload_bytes = std::size_t{1} << 20U;  ///< Also the limit of a result and of a step.
  int json_depth = 64;
  std::size_t name_bytes = 128;  ///< Of a kind and of a queue.
  std::size_t key_bytes = 4096;  ///< Of a unique key.
  std::size_t text_bytes = 256;  ///< Of a tenant, a tag, created_by, a digest's id, a step's name.
  std::size_t tags = 32;
  std::size_t parents = 1000;
  int max_attempts = 1'000'000;
  Duration max_timeout = std::chrono::hours(24 * 365);
  std::size_t batch = 100'000;  ///< Jobs in one call.
};

/// How long a stored text may be; longer ones are cut, at a whole character, and marked with "…".
inline constexpr std::size_t max_error_bytes = 8 * 1024;
/// How many failed attempts a job remembers: the last so many.
inline constexpr std::size_t max_attempt_errors = 25;
/// How often one run of a job may be snoozed or handed back.
inline constexpr int max_snoozes = 10'000;

/// Throws InvalidArgument that names the first faulty field. The payload must be JSON: strict UTF-8, no
/// NUL character (also not as \u0000), no name twice in an object, numbers that a 64-bit number or a finite
/// double can hold. Cost: one pass over the payload; nothing for one of a struct with QUERN_FIELDS, which was
/// checked when it was made.
void check(const NewJob& job, const JobLimits& limits);

/// The same check for any JSON text; `field` is what an error names.
void check_json(std::string_view text, std::string_view field, const JobLimits& limits);
void check_json(const Payload& payload, std::string_view field, const JobLimits& limits);

/// Throws unless `text` is UTF-8 without control characters and at most `max_bytes` long.
void check_text(std::string_view text, std::string_view field, std::size_t max_bytes);

/// True for well-formed UTF-8 (no overlong form, no surrogate, nothing above U+10FFFF).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// Makes any bytes fit to be stored as a message: malformed UTF-8 becomes U+FFFD, NUL and other control
/// characters except newline and tab become spaces, and what is longer than `max_bytes` is cut at a whole
/// character.
[[nodiscard]] std::string clean_message(std::string_view text, std::size_t max_bytes = max_error_bytes);

}  // namespace quern::inline v1
