#include "quern/monitor/fingerprint.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace quern::inline v1 {
namespace {

// Of ASCII alone, whatever the host's locale says.
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_hex(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
constexpr bool is_word(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

/// The length of the longest beginning of `text` whose characters are all of a kind.
template <class Kind>
std::size_t run(std::string_view text, Kind kind) noexcept {
  return static_cast<std::size_t>(std::ranges::find_if_not(text, kind) - text.begin());
}

std::size_t uuid(std::string_view text) noexcept {
  constexpr std::string_view form = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";
  if (text.size() < form.size()) return 0;
  for (std::size_t i = 0; i < form.size(); ++i)
    if (form[i] == 'h' ? !is_hex(text[i]) : text[i] != '-') return 0;
  return form.size();
}

std::size_t memory_address(std::string_view text) noexcept {
  if (!text.starts_with("0x") && !text.starts_with("0X")) return 0;
  const std::size_t digits = run(text.substr(2), is_hex);
  return digits == 0 ? 0 : 2 + digits;
}

std::size_t port(std::string_view text) noexcept {
  if (text.empty() || text.front() != ':') return 0;
  const std::size_t digits = run(text.substr(1), is_digit);
  return digits == 0 ? 0 : 1 + digits;
}

std::size_t ip4(std::string_view text) noexcept {
  std::size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at >= text.size() || text[at++] != '.')) return 0;
    const std::size_t digits = run(text.substr(at), is_digit);
    if (digits == 0 || digits > 3) return 0;
    at += digits;
  }
  return at + port(text.substr(at));
}

/// With a "::", or all eight groups; a time of day has neither.
std::size_t ip6(std::string_view text) noexcept {
  const std::size_t size = run(text, [](char c) { return is_hex(c) || c == ':'; });
  const std::string_view address = text.substr(0, size);
  const auto colons = std::ranges::count(address, ':');
  const bool short_form = address.find("::") != std::string_view::npos && size > 2;
  const bool has_digit =
      std::ranges::any_of(address, is_digit);  // a name in C++ may look like one, but for this
  return has_digit && colons >= 2 && colons <= 7 && (short_form || colons == 7) ? size : 0;
}

std::size_t mail(std::string_view text) noexcept {
  const std::size_t name = run(
      text, [](char c) { return is_word(c) || c == '.' || c == '_' || c == '+' || c == '-' || c == '%'; });
  if (name == 0 || name >= text.size() || text[name] != '@') return 0;
  std::size_t domain = run(text.substr(name + 1), [](char c) { return is_word(c) || c == '.' || c == '-'; });
  while (domain > 0 && !is_word(text[name + domain])) --domain;  // the end of a sentence
  return domain == 0 ? 0 : name + 1 + domain;
}

/// A word of eight or more hexadecimal digits, or of sixteen or more of any letters, with figures in it.
std::size_t long_id(std::string_view text) noexcept {
  const std::size_t size = run(text, is_word);
  const std::string_view word = text.substr(0, size);
  if (!std::ranges::any_of(word, is_digit) || std::ranges::all_of(word, is_digit)) return 0;
  return (size >= 8 && std::ranges::all_of(word, is_hex)) || size >= 16 ? size : 0;
}

std::size_t number(std::string_view text) noexcept {
  std::size_t size = run(text, is_digit);
  if (size == 0) return 0;
  while (size + 1 < text.size() && (text[size] == '.' || text[size] == ',') && is_digit(text[size + 1]))
    size += 1 + run(text.substr(size + 1), is_digit);
  return size;
}

struct Form {
  std::size_t (*length)(std::string_view text) noexcept;
  std::string_view name;
  bool whole_words;  // it begins and ends where a word does
};
constexpr std::array<Form, 7> forms{{
    {mail, "<mail>", true},
    {uuid, "<id>", true},
    {memory_address, "<address>", true},
    {ip4, "<host>", true},
    {ip6, "<host>", true},
    {long_id, "<id>", true},
    {number, "<n>", false},
}};

}  // namespace

std::string normalized_error(std::string_view error, std::size_t most) {
  std::string made;
  bool in_word = false;  // the character before belongs to the same word
  bool blank = false;    // white space to be written, once something follows
  // So that no text makes the forms look at it again and again.
  constexpr std::size_t longest_form = 256;
  std::size_t at = 0;
  while (at < error.size() && made.size() <= most) {
    if (is_space(error[at])) {
      blank = !made.empty();
      in_word = false;
      ++at;
      continue;
    }
    if (std::exchange(blank, false)) made += ' ';
    const std::string_view rest = error.substr(at, longest_form);
    std::size_t size = 0;
    for (const Form& form : forms) {
      if (form.whole_words && in_word) continue;
      size = form.length(rest);
      if (size > 0 && form.whole_words && size < rest.size() && is_word(rest[size - 1]) &&
          is_word(rest[size]))
        size = 0;
      if (size == 0) continue;
      made += form.name;
      break;
    }
    if (size == 0) {
      made += error[at];
      size = 1;
    }
    at += size;
    in_word = is_word(error[at - 1]);
  }
  if (made.size() <= most) return made;
  // Not within a character, whose further bytes are 10xxxxxx.
  while (most > 0 && (static_cast<unsigned char>(made[most]) & 0xC0U) == 0x80U) --most;
  made.resize(most);
  return made + "...";
}

std::uint64_t failure_fingerprint(std::string_view kind, std::string_view error) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  };
  add(kind);
  add(std::string_view("\0", 1));
  add(normalized_error(error));
  return hash == 0 ? 1 : hash;
}

}  // namespace quern::inline v1
