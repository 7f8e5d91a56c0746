#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "quern/http/message.hpp"
#include "quern/http/problem.hpp"
#include "quern/http/server.hpp"

namespace quern::inline v1::http::detail {

/// Finds the end of a request's header in bytes that come bit by bit, and looks at each once.
class HeadScan {
 public:
  /// The length of the header with its empty line; npos: it is not complete. `bytes` begins where it did, and has grown. Throws
  /// Problem for what parsers read in different ways: a line that ends otherwise than with CR LF, a folded line, NUL.
  [[nodiscard]] std::size_t find(std::string_view bytes);

 private:
  std::size_t at_ = 0;
  std::size_t line_ = 0;  // where the line begins that is looked at
  bool first_ = true;
};

/// The names by which the server may be asked.
class HostRule {
 public:
  explicit HostRule(const ServerOptions& options);
  [[nodiscard]] bool allows(std::string_view host) const;

 private:
  std::vector<std::string> names_;  // in lower case, without a dot at the end
  bool any_ = false;
  bool any_address_;
};

/// A host without its port; empty where that is malformed.
[[nodiscard]] std::string_view host_of(std::string_view authority) noexcept;
/// 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback(std::string_view address) noexcept;
/// IPv4 or IPv6.
[[nodiscard]] bool is_address(std::string_view text) noexcept;

/// A header as it was parsed, without a judgement.
struct ParsedHead {
  std::string method{};
  std::string target{};
  bool http11 = true;
  std::vector<Fields::Field> fields{};
};

/// What is to be done with a request, as far as its header says so.
struct RequestHead {
  Request request{};
  bool http11 = true;
  bool keep_alive = false;
  bool expects_continue = false;  ///< The client sends its body only when it is told to.
  bool about_server = false;      ///< "OPTIONS *"
};

/// Judges a header by the rules of RFC 9112, where they leave a choice by the stricter one. Throws Problem: 400, 403 (Host), 413, 414,
/// 431 or 501. The connection then has to be closed, for where the next request begins is not known.
[[nodiscard]] RequestHead read_head(ParsedHead head, const ServerLimits& limits, const HostRule& hosts);

[[nodiscard]] Problem too_large(std::size_t limit);
[[nodiscard]] Problem head_too_large(std::size_t limit);
[[nodiscard]] Problem target_too_long(std::size_t limit);

}  // namespace quern::inline v1::http::detail
