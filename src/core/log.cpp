#include "quern/core/log.hpp"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "core/utf8.hpp"
#include "quern/core/secret.hpp"

namespace quern::inline v1 {
namespace {

/// A character that must not reach a line as itself: it could end the line, or do things to a terminal.
bool is_unsafe(char32_t code) noexcept {
  return detail::is_control(code) || code == 0x2028 || code == 0x2029;
}

/// Appends the text; `escape` writes what is unsafe, or `also`, in its own way.
template <class Escape>
void append_clean(std::string& out, std::string_view text, std::string_view also, const Escape& escape) {
  while (!text.empty()) {
    const detail::Character next = detail::first_character(text);
    if (!next.well_formed)
      out += "\xEF\xBF\xBD";
    else if (is_unsafe(next.code) || (next.code < 0x80 && also.find(text[0]) != std::string_view::npos))
      escape(next.code);
    else
      out += text.substr(0, next.bytes);
    text.remove_prefix(next.bytes);
  }
}

void append_json(std::string& out, std::string_view text) {
  out += '"';
  append_clean(out, text, "\"\\", [&](char32_t code) {
    switch (code) {
      case '"':
      case '\\':
        out += '\\';
        out += static_cast<char>(code);
        return;
      case '\n':
        out += "\\n";
        return;
      case '\t':
        out += "\\t";
        return;
      default:
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint32_t>(code));
    }
  });
  out += '"';
}

void append_plain(std::string& out, std::string_view text, std::string_view also) {
  append_clean(out, text, also, [&](char32_t code) {
    if (code == '\n')
      out += "\\n";
    else if (code == '\t')
      out += "\\t";
    else if (code == '"' || code == '\\')
      (out += '\\') += static_cast<char>(code);
    else if (code < 0x100)
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<std::uint32_t>(code));
    else
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint32_t>(code));
  });
}

/// ` key=value`, or ` key="a value"`.
void append_pair(std::string& out, std::string_view key, std::string_view value) {
  out += ' ';
  append_plain(out, key, {});
  out += '=';
  if (value.empty() || value.find_first_of(" =\"\\") != std::string_view::npos) {
    out += '"';
    append_plain(out, value, "\"\\");
    out += '"';
  } else {
    append_plain(out, value, {});
  }
}

// Where they stand in a traceparent.
std::string_view trace_id_in(std::string_view trace) {
  return trace.size() < 52 ? std::string_view() : trace.substr(3, 32);
}
std::string_view span_id_in(std::string_view trace) {
  return trace.size() < 52 ? std::string_view() : trace.substr(36, 16);
}

}  // namespace

std::string_view to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "?";
}

LogField::LogField(std::string_view key, const Secret& /*value*/) noexcept
    : key_(key), value_(Secret::hidden) {}

std::string LogField::text() const {
  return std::visit([](const auto& value) { return fmt::format("{}", value); }, value_);
}

void Logger::operator()(const LogRecord& record) const noexcept {
  if (!wants(record.level)) return;
  try {
    sink_(record);
  } catch (...) {  // a sink that fails has nowhere to report that
    return;
  }
}

std::string to_json(const LogRecord& record, std::optional<TimePoint> time) {
  std::string out = "{";
  const auto name = [&](std::string_view key) {
    if (out.back() != '{') out += ',';
    append_json(out, key);
    out += ':';
  };
  const auto text = [&](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    name(key);
    append_json(out, value);
  };
  const auto number = [&](std::string_view key, std::uint64_t value) {
    if (value == 0) return;
    name(key);
    out += std::to_string(value);
  };
  if (time) text("time", to_rfc3339(*time));
  text("level", to_string(record.level));
  name("message");
  append_json(out, record.message);
  if (record.job) text("job", to_string(record.job));
  text("kind", record.kind);
  text("queue", record.queue);
  number("run", static_cast<std::uint64_t>(record.run));
  number("attempt", static_cast<std::uint64_t>(record.attempt));
  text("worker", record.worker);
  number("node", record.node);
  text("trace_id", trace_id_in(record.trace));
  text("span_id", span_id_in(record.trace));
  if (!record.fields.empty()) {
    name("fields");
    out += '{';
    for (const LogField& field : record.fields) {
      name(field.key());
      const auto* const string = std::get_if<std::string_view>(&field.value());
      const auto* const real = std::get_if<double>(&field.value());
      if (string != nullptr)
        append_json(out, *string);
      else if (real != nullptr && !std::isfinite(*real))
        out += "null";
      else
        out += field.text();
    }
    out += '}';
  }
  out += '}';
  return out;
}

std::string to_text(const LogRecord& record) {
  std::string out;
  append_plain(out, record.message, {});
  const auto pair = [&](std::string_view key, std::string_view value) {
    if (!value.empty()) append_pair(out, key, value);
  };
  if (record.job) pair("job", to_string(record.job));
  pair("kind", record.kind);
  pair("queue", record.queue);
  if (record.run > 1) pair("run", std::to_string(record.run));
  if (record.attempt != 0) pair("attempt", std::to_string(record.attempt));
  pair("worker", record.worker);
  if (record.node != 0) pair("node", std::to_string(record.node));
  pair("trace_id", trace_id_in(record.trace));
  pair("span_id", span_id_in(record.trace));
  for (const LogField& field : record.fields) append_pair(out, field.key(), field.text());
  return out;
}

}  // namespace quern::inline v1
