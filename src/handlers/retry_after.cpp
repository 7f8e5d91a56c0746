#include "retry_after.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>

namespace quern::inline v1::detail {

std::optional<std::int64_t> parse_seconds(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return error == std::errc::result_out_of_range ? INT64_MAX : seconds;
}

std::optional<Duration> parse_retry_after(std::string_view value, TimePoint now) {
  constexpr std::int64_t year = std::int64_t{366} * 86'400;
  if (const auto seconds = parse_seconds(value)) return std::chrono::seconds(std::min(*seconds, year));
  const std::int64_t date = curl_getdate(std::string(value).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  const auto wait = std::chrono::sys_seconds(std::chrono::seconds(date)) - now;
  return std::clamp<Duration>(wait, Duration::zero(), std::chrono::seconds(year));
}

}  // namespace quern::inline v1::detail
