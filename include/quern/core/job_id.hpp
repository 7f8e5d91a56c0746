#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace quern::inline v1 {

/// Names a job for ever: a number from 1 to 2^63 - 1, reserved in blocks from the storage, so that it is
/// known before the insert and a batch has consecutive ids. Later jobs have larger ids, roughly. JSON shows
/// it as a string, because JavaScript cannot hold 64 bits.
struct JobId {
  std::uint64_t value = 0;

  /// False for the default value, which names no job.
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return value != 0; }
  friend constexpr auto operator<=>(const JobId&, const JobId&) = default;
};

/// The largest id; SQL's integers end there.
inline constexpr std::uint64_t max_job_id = (std::uint64_t{1} << 63U) - 1;

/// Decimal digits.
[[nodiscard]] std::string to_string(JobId id);

/// Reads what `to_string` wrote: 1 to 2^63 - 1 in decimal, no sign, space or leading zero. Empty on anything
/// else.
[[nodiscard]] std::optional<JobId> parse_job_id(std::string_view text) noexcept;

}  // namespace quern::inline v1

template <>
struct std::hash<quern::JobId> {
  std::size_t operator()(quern::JobId id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};
