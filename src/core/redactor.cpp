#include "quern/core/detail/redactor.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/byte_sink.hpp"
#include "core/json_text.hpp"
#include "quern/core/limits.hpp"
#include "quern/core/secret.hpp"

namespace quern::inline v1::detail {
namespace {

/// From here on a value is looked for within words.
constexpr std::size_t long_enough = 4;
/// Shorter lines of a longer value say too little.
constexpr std::size_t telling_line = 8;

bool in_word(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         byte == '_' || byte >= 0x80;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) noexcept {
  return (begin == 0 || !in_word(text[begin - 1])) && (end == text.size() || !in_word(text[end]));
}

std::string escaped(std::string_view value) {
  ByteSink out;
  put_json_string(out, value);
  const std::string quoted = out.take();
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

void Redactor::add_locked(std::string_view value) {
  if (!value.empty() && std::ranges::find(values_, value) == values_.end()) values_.emplace_back(value);
}

void Redactor::add(std::string_view value) {
  if (value.empty()) return;
  const std::lock_guard lock(mutex_);
  add_locked(value);
  if (is_utf8(value)) add_locked(escaped(value));
  for (std::string_view rest = value; value.find('\n') != std::string_view::npos;) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() >= telling_line) add_locked(line);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  any_.store(true, std::memory_order_release);
}

void Redactor::clear() {
  if (empty()) return;
  const std::lock_guard lock(mutex_);
  values_.clear();
  any_.store(false, std::memory_order_release);
}

std::string Redactor::redact(std::string_view text) const {
  if (empty()) return std::string(text);
  std::vector<std::pair<std::size_t, std::size_t>> found;
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& value : values_)
      for (std::size_t at = text.find(value); at != std::string_view::npos; at = text.find(value, at + 1))
        if (value.size() >= long_enough || stands_alone(text, at, at + value.size()))
          found.emplace_back(at, at + value.size());
  }
  std::ranges::sort(found);
  std::string clean;
  std::size_t kept_to = 0;
  for (std::size_t i = 0; i < found.size();) {
    const std::size_t begin = found[i].first;
    std::size_t end = found[i].second;
    for (++i; i < found.size() && found[i].first < end; ++i) end = std::max(end, found[i].second);
    clean += text.substr(kept_to, begin - kept_to);
    clean += Secret::hidden;
    kept_to = end;
  }
  clean += text.substr(kept_to);
  return clean;
}

}  // namespace quern::inline v1::detail
