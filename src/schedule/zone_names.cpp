#include "schedule/zone_names.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <system_error>
#include <utility>

namespace quern::inline v1::detail {
namespace {

constexpr std::size_t longest_name = 255;

char small(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool in_name(char c) noexcept {
  const char lower = small(c);
  return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+' ||
         c == '.';
}

/// How many letters have to change to make one of the other; the case of a letter counts for nothing.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t same = diagonal + (small(a[i]) == small(b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({same, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('/') + 1); }

}  // namespace

bool is_zone_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > longest_name) return false;
  char before = '/';
  for (const char c : name) {
    // No part is empty or begins with a dot, so that none is "..".
    if (before == '/' && (c == '/' || c == '.')) return false;
    if (c != '/' && !in_name(c)) return false;
    before = c;
  }
  return before != '/';
}

std::vector<std::string> list_zones(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().lexically_relative(folder).generic_string();
    if (name == "posix" || name == "right") entry.disable_recursion_pending();
    std::error_code ignored;
    if (!is_zone_name(name) || !entry->is_regular_file(ignored)) continue;
    std::ifstream file(entry->path(), std::ios::binary);
    char begin[4] = {};
    if (file.read(begin, sizeof begin) && std::string_view(begin, sizeof begin) == "TZif")
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> near_names(std::string_view name, const std::vector<std::string>& names) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  name = name.substr(0, longest_name);
  for (const std::string& candidate : names) {
    // "New_York" is near "America/New_York".
    const std::size_t likeness =
        std::min(distance(name, candidate), distance(last_part(name), last_part(candidate)) + 1);
    if (likeness <= 1 + name.size() / 4) ranked.emplace_back(likeness, candidate);
  }
  const auto count = std::min<std::size_t>(3, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(count), ranked.end());
  std::vector<std::string> best;
  for (std::size_t i = 0; i < count; ++i) best.push_back(ranked[i].second);
  return best;
}

}  // namespace quern::inline v1::detail
