#include "quern/core/trace_context.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

namespace quern::inline v1 {
namespace {

constexpr std::size_t parent_bytes = 55;
constexpr std::size_t most_members = 32;  // of a tracestate

thread_local const std::string* innermost = nullptr;

int digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// Lower case only, as the recommendation has it.
bool read_hex(std::string_view text, std::span<std::uint8_t> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
  return text;
}

bool all_zero(std::span<const std::uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

void fill(std::span<std::uint8_t> bytes, Random& random) {
  do {
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.next() >> 56U);
  } while (all_zero(bytes));
}

bool is_member(std::string_view member) {
  const std::size_t equals = member.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals > 256) return false;
  const std::string_view key = member.substr(0, equals);
  const std::string_view value = member.substr(equals + 1);
  const auto in_key = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view("_-*/@").find(c) != std::string_view::npos;
  };
  const auto in_value = [](char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; };
  const bool begins_well =
      (key.front() >= 'a' && key.front() <= 'z') || (key.front() >= '0' && key.front() <= '9');
  return begins_well && std::ranges::all_of(key, in_key) && !value.empty() && value.size() <= 256 &&
         value.back() != ' ' && std::ranges::all_of(value, in_value);
}

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// The members with a comma between; none where one of them is malformed.
std::optional<std::string> clean_state(std::string_view text) {
  std::string state;
  std::size_t members = 0;
  if (text.size() > 4 * max_trace_state) return std::nullopt;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view member = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (member.empty()) continue;
    if (!is_member(member) || ++members > most_members) return std::nullopt;
    // What is too long loses its last members: those were added first.
    if (state.size() + member.size() + 1 > max_trace_state) continue;
    if (!state.empty()) state += ',';
    state += member;
  }
  return state;
}

}  // namespace

std::string TraceContext::trace_id_text() const { return hex(trace_id); }
std::string TraceContext::span_id_text() const { return hex(span_id); }

std::string TraceContext::traceparent() const {
  return fmt::format("00-{}-{}-{:02x}", trace_id_text(), span_id_text(), flags);
}

std::string TraceContext::text() const {
  std::string made = traceparent();
  if (!state.empty()) {
    made += ' ';
    made += state;
  }
  return made;
}

TraceContext TraceContext::child(Random& random) const {
  TraceContext made = *this;
  fill(made.span_id, random);
  return made;
}

TraceContext TraceContext::root(Random& random, bool sampled) {
  TraceContext made;
  fill(made.trace_id, random);
  fill(made.span_id, random);
  made.flags = sampled ? 1 : 0;
  return made;
}

std::optional<TraceContext> TraceContext::parse(std::string_view traceparent, std::string_view tracestate) {
  traceparent = trimmed(traceparent);
  if (traceparent.size() < parent_bytes) return std::nullopt;
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flags{};
  TraceContext made;
  if (!read_hex(traceparent, version) || version[0] == 0xFF || traceparent[2] != '-' ||
      !read_hex(traceparent.substr(3), made.trace_id) || traceparent[35] != '-' ||
      !read_hex(traceparent.substr(36), made.span_id) || traceparent[52] != '-' ||
      !read_hex(traceparent.substr(53), flags) || all_zero(made.trace_id) || all_zero(made.span_id))
    return std::nullopt;
  if (traceparent.size() > parent_bytes && (version[0] == 0 || traceparent[parent_bytes] != '-'))
    return std::nullopt;
  made.flags = flags[0];
  if (auto state = clean_state(tracestate)) made.state = std::move(*state);
  return made;
}

std::optional<TraceContext> TraceContext::from_text(std::string_view text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  if (end != parent_bytes || text.size() > parent_bytes + 1 + max_trace_state) return std::nullopt;
  const std::string_view state = text.substr(std::min(end + 1, text.size()));
  auto made = parse(text.substr(0, end), state);
  // Not another one's way to write it: what was checked once is the same wherever it is read.
  if (made && made->text() != text) return std::nullopt;
  return made;
}

TraceScope::TraceScope(Kept, const std::string& text) noexcept : before_(innermost) { innermost = &text; }
TraceScope::TraceScope(const TraceContext& context) : text_(context.text()), before_(innermost) {
  innermost = &text_;
}
TraceScope::TraceScope(std::string_view traceparent, std::string_view tracestate) : before_(innermost) {
  if (const auto context = TraceContext::parse(traceparent, tracestate)) text_ = context->text();
  innermost = &text_;
}
TraceScope::~TraceScope() { innermost = before_; }

std::string_view current_trace() noexcept {
  return innermost == nullptr ? std::string_view() : std::string_view(*innermost);
}

}  // namespace quern::inline v1
