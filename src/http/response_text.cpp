#include "http/response_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1::http::detail {
namespace {

constexpr std::array<std::pair<int, std::string_view>, 38> reasons{{
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
}};

std::string_view reason_of(int status) {
  for (const auto& [known, reason] : reasons)
    if (known == status) return reason;
  return {};
}

/// Fields that say how the message goes over this connection, which only the server knows.
bool is_of_the_server(std::string_view name) {
  constexpr std::array<std::string_view, 9> names{"Content-Length",
                                                  "Transfer-Encoding",
                                                  "Connection",
                                                  "Keep-Alive",
                                                  "Proxy-Connection",
                                                  "Date",
                                                  "TE",
                                                  "Trailer",
                                                  "Upgrade"};
  return std::ranges::any_of(names, [&](std::string_view own) { return same_name(own, name); });
}

}  // namespace

bool has_body(int status) noexcept { return status >= 200 && status != 204 && status != 304; }

std::string head_text(const Response& response, const Sending& sending) {
  if (response.status < 200 || response.status > 599)
    throw InvalidArgument("status",
                          fmt::format("{} is not that of an answer; 200 to 599 are", response.status));
  std::string text;
  text.reserve(256);
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status, reason_of(response.status),
                 date_text(sending.now));
  // Fields take nothing that would end the header.
  for (const auto& [name, value] : response.headers)
    if (!is_of_the_server(name)) fmt::format_to(out, "{}: {}\r\n", name, value);
  if (response.stream != nullptr) {
    if (!response.headers.find("Cache-Control")) text += "Cache-Control: no-store\r\n";
    if (!response.headers.find("X-Accel-Buffering")) text += "X-Accel-Buffering: no\r\n";
    if (sending.chunked) text += "Transfer-Encoding: chunked\r\n";
  } else if (has_body(response.status)) {
    fmt::format_to(out, "Content-Length: {}\r\n", response.body.size());
  }
  if (!sending.keep_alive)
    text += "Connection: close\r\n";
  else if (!sending.http11)
    text += "Connection: keep-alive\r\n";
  text += "\r\n";
  return text;
}

std::string chunk_text(std::string_view piece) {
  return piece.empty() ? std::string{} : fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

std::string date_text(TimePoint time) {
  constexpr std::array<std::string_view, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss of_day{std::chrono::floor<std::chrono::seconds>(time - day)};
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
                     days.at(std::chrono::weekday{day}.c_encoding()), static_cast<unsigned>(date.day()),
                     months.at(static_cast<unsigned>(date.month()) - 1), static_cast<int>(date.year()),
                     of_day.hours().count(), of_day.minutes().count(), of_day.seconds().count());
}

}  // namespace quern::inline v1::http::detail
