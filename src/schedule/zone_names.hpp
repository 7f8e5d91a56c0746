#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace quern::inline v1::detail {

/// True for names that stay below the folder of zones: parts of letters, digits, '_', '-', '+' and inner dots, between slashes.
[[nodiscard]] bool is_zone_name(std::string_view name) noexcept;

/// The names of all compiled zones in a folder, sorted; without "posix/" and "right/", which repeat them.
[[nodiscard]] std::vector<std::string> list_zones(const std::filesystem::path& folder);

/// Up to three names that are most like this one, the likest first.
[[nodiscard]] std::vector<std::string> near_names(std::string_view name,
                                                  const std::vector<std::string>& names);

}  // namespace quern::inline v1::detail
