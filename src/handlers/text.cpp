#include "quern/handlers/detail/text.hpp"

#include <algorithm>
#include <cstdint>

namespace quern::inline v1::detail {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";
constexpr std::string_view ellipsis = "\xE2\x80\xA6";
constexpr std::string_view zero_width_space = "\xE2\x80\x8B";

struct Character {
  char32_t code = 0;
  std::size_t length = 0;  // 0: not UTF-8
};

// The first character of `text`: RFC 3629, so neither surrogates nor overlong forms.
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  char32_t code = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3Fu);
  }
  constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < smallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, length};
}

// Marks that change the order in which text is shown, and the byte order mark: they have no place in a title,
// and can make it read as something else.
bool invisible_mark(char32_t code) {
  return (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0x200B ||
         code == 0x200E || code == 0x200F || code == 0x061C || code == 0xFEFF;
}

std::string clean(std::string_view text, std::size_t max_bytes, bool keep_lines) {
  std::string out;
  std::size_t fits = 0;  // the longest prefix of `out` that leaves room for the ellipsis
  bool cut = false;
  while (!text.empty()) {
    const Character c = first_character(text);
    std::string_view add = c.length == 0 ? replacement : text.substr(0, c.length);
    text.remove_prefix(c.length == 0 ? 1 : c.length);
    if (c.length != 0) {
      if (invisible_mark(c.code)) continue;
      const bool kept_control = keep_lines && (c.code == '\n' || c.code == '\t');
      const bool control =
          c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0) || c.code == 0x2028 || c.code == 0x2029;
      if (control && !kept_control) add = " ";
      if (add == " " && !keep_lines && (out.empty() || out.back() == ' ')) continue;
    }
    if (out.size() + add.size() > max_bytes) {
      cut = true;
      break;
    }
    out += add;
    if (out.size() + ellipsis.size() <= max_bytes) fits = out.size();
  }
  if (cut) out.resize(fits);
  while (!out.empty() && (out.back() == ' ' || out.back() == '\n' || out.back() == '\t')) out.pop_back();
  if (cut && max_bytes >= ellipsis.size()) out += ellipsis;
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool letter_or_digit(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || byte >= 0x80;
}

// Whether `text` begins with letters or digits that a semicolon ends.
bool is_entity_name(std::string_view text) {
  const auto end = std::ranges::find_if_not(text, letter_or_digit);
  return end != text.begin() && end != text.end() && *end == ';';
}

char lower_letter(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string clean_line(std::string_view text, std::size_t max_bytes) { return clean(text, max_bytes, false); }

std::string clean_text(std::string_view text, std::size_t max_bytes) { return clean(text, max_bytes, true); }

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// What is escaped depends on what stands beside it, so that ordinary titles stay readable as they are:
//   always      \ ` * [ ] < > | ~ $   (code, emphasis, links, HTML, table cells, strikethrough, formulas)
//   _           unless between two letters or digits, where it never means emphasis
//   &           before what could be an entity ("&lt;" and "&#60;", and not "R&D")
//   :           where a link could begin, as in "https://x": between two characters that are neither blanks
//               nor both digits
//   .           after "www"
//   @           gets an invisible blank after it, or it would mention a person or become a mail address
// A title never stands at the start of a line, so marks that only count there (# + - > and numbers) need
// nothing.
std::string escape_markdown(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char before = i > 0 ? text[i - 1] : ' ';
    const char after = i + 1 < text.size() ? text[i + 1] : ' ';
    bool escape = std::string_view("\\`*[]<>|~$").find(c) != std::string_view::npos;
    if (c == '_') escape = !(letter_or_digit(before) && letter_or_digit(after));
    if (c == '&') escape = after == '#' || is_entity_name(text.substr(i + 1));
    if (c == ':') escape = before != ' ' && after != ' ' && !(is_digit(before) && is_digit(after));
    if (c == '.') escape = i >= 3 && same_text(text.substr(i - 3, 3), "www");
    if (escape) out += '\\';
    out += c;
    if (c == '@') out += zero_width_space;
  }
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower_letter);
  return out;
}

bool same_text(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, [](char x, char y) { return lower_letter(x) == lower_letter(y); });
}

}  // namespace quern::inline v1::detail
