#include "quern/handlers/http_transport.hpp"

#include <algorithm>
#include <ranges>

#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1 {

std::optional<std::string_view> HttpHeaders::first(std::string_view name) const noexcept {
  const auto found =
      std::ranges::find_if(fields_, [&](const Field& f) { return detail::same_text(f.name, name); });
  if (found == fields_.end()) return std::nullopt;
  return found->value;
}

std::optional<std::string_view> HttpHeaders::last(std::string_view name) const noexcept {
  for (const Field& field : fields_ | std::views::reverse)
    if (detail::same_text(field.name, name)) return field.value;
  return std::nullopt;
}

}  // namespace quern::inline v1
