#include "quern/core/priority.hpp"

#include <array>

namespace quern::inline v1 {
namespace {

constexpr std::array<std::string_view, 4> names{"critical", "high", "normal", "low"};

}  // namespace

std::string to_string(Priority priority) {
  const auto level = static_cast<std::size_t>(priority.level);
  if (priority.level >= 0 && level < names.size()) return std::string(names[level]);
  return std::to_string(priority.level);
}

std::optional<Priority> parse_priority(std::string_view text) noexcept {
  for (std::size_t level = 0; level < names.size(); ++level) {
    if (names[level] == text) return Priority{static_cast<int>(level)};
  }
  if (text.size() != 1 || text[0] < '0' || text[0] > '9') return std::nullopt;
  return Priority{text[0] - '0'};
}

}  // namespace quern::inline v1
