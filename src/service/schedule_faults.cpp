#include "service/schedule_faults.hpp"

#include <fmt/format.h>

#include <cctype>
#include <string_view>

namespace quern::inline v1::detail {

std::string schedule_fault(std::size_t index, const InvalidArgument& error) {
  std::string_view field = error.field();
  const std::string_view problem = std::string_view(error.what()).substr(field.size());  // begins with ": "
  constexpr std::string_view timing = "timing";
  if (field.starts_with(timing)) field.remove_prefix(timing.size());
  if (field.starts_with('.')) field.remove_prefix(1);
  std::string path = fmt::format("schedules[{}]", index);
  if (!field.empty()) path += '.';
  bool capital = false;
  for (const char c : field) {
    if (c != '_') path += capital ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    capital = c == '_';
  }
  return path + std::string(problem);
}

}  // namespace quern::inline v1::detail
