#pragma once

#include <string>
#include <string_view>

#include "quern/core/time.hpp"
#include "quern/http/message.hpp"

namespace quern::inline v1::http::detail {

/// How an answer goes over its connection.
struct Sending {
  bool http11 = true;
  bool keep_alive = true;
  bool head = false;     ///< HEAD: the header of the answer, without its body.
  bool chunked = false;  ///< A stream of HTTP/1.1.
  TimePoint now{};
};

/// Status line and header with the empty line at their end. What belongs to the server (Content-Length, Connection, Date and the
/// like) is the server's, whatever the answer has. Throws InvalidArgument for a status that is none.
[[nodiscard]] std::string head_text(const Response& response, const Sending& sending);

/// Whether an answer of that status may have a body.
[[nodiscard]] bool has_body(int status) noexcept;

/// One piece of a chunked body; empty for nothing, which would be the end.
[[nodiscard]] std::string chunk_text(std::string_view piece);
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

/// "Sun, 06 Nov 1994 08:49:37 GMT"
[[nodiscard]] std::string date_text(TimePoint time);

}  // namespace quern::inline v1::http::detail
