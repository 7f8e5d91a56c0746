#include "http/request_head.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "quern/core/error.hpp"

namespace quern::inline v1::http::detail {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

[[noreturn]] void malformed(std::string detail) { throw Problem::malformed(std::move(detail)); }

/// Whether a list such as Connection's has that word.
bool has_word(const Fields& fields, std::string_view name, std::string_view word) {
  for (const auto& field : fields) {
    if (!same_name(field.name, name)) continue;
    std::string_view rest = field.value;
    for (;;) {
      const std::size_t comma = rest.find(',');
      if (same_name(trim(rest.substr(0, comma)), word)) return true;
      if (comma == rest.npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return false;
}

/// Its form alone: which host it is, is another matter.
void check_authority(std::string_view authority, std::string_view what) {
  if (host_of(authority).empty()) malformed(fmt::format("{} is malformed", what));
}

/// "http://host/path" becomes "/path", and the host counts in the place of the field Host (RFC 9112 3.2.2).
std::optional<std::string> take_authority(std::string& target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() < scheme.size() || lower(std::string_view(target).substr(0, scheme.size())) != scheme)
      continue;
    const std::size_t end = std::min(target.find_first_of("/?", scheme.size()), target.size());
    std::string authority = target.substr(scheme.size(), end - scheme.size());
    check_authority(authority, "the target's host");
    target.erase(0, end);
    if (target.empty() || target.front() == '?') target.insert(target.begin(), '/');
    return authority;
  }
  return std::nullopt;
}

void check_framing(const Fields& fields, bool http11, std::size_t body_limit) {
  const std::size_t encodings = fields.count("Transfer-Encoding");
  const std::size_t lengths = fields.count("Content-Length");
  if (encodings > 0 && lengths > 0) malformed("there are both Content-Length and Transfer-Encoding");
  if (encodings > 1) malformed("there is more than one Transfer-Encoding");
  if (lengths > 1) malformed("there is more than one Content-Length");
  if (encodings == 1) {
    if (!http11) malformed("HTTP/1.0 has no Transfer-Encoding");
    if (!same_name(*fields.find("Transfer-Encoding"), "chunked"))
      throw Problem{
          .status = 501, .name = "not-implemented", .detail = "the only Transfer-Encoding here is chunked"};
  }
  if (lengths == 1) {
    const std::string_view text = *fields.find("Content-Length");
    if (text.empty() || !std::ranges::all_of(text, is_digit)) malformed("Content-Length is not a number");
    std::uint64_t length = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), length);
    if (parsed.ec != std::errc{} || length > body_limit) throw too_large(body_limit);
  }
}

}  // namespace

std::size_t HeadScan::find(std::string_view bytes) {
  for (; at_ < bytes.size(); ++at_) {
    const char c = bytes[at_];
    const bool after_cr = at_ > 0 && bytes[at_ - 1] == '\r';
    if (c == '\n') {
      if (!after_cr) malformed("a line ends without a carriage return");
      const bool empty = line_ + 1 == at_;
      if (empty && first_) malformed("there is no request line");
      first_ = false;
      line_ = at_ + 1;
      if (empty) return line_;
    } else if (after_cr) {
      malformed("there is a carriage return within a line");
    } else if (at_ == line_ && (c == ' ' || c == '\t')) {
      malformed("a line begins with a space");
    } else if (c == '\0') {
      malformed("the header has a NUL");
    }
  }
  return std::string_view::npos;
}

std::string_view host_of(std::string_view authority) noexcept {
  std::string_view host = authority;
  std::string_view rest;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == host.npos) return {};
    rest = host.substr(end + 1);
    host = host.substr(1, end - 1);
    if (host.find(':') == host.npos || !is_address(host)) return {};
  } else {
    const std::size_t colon = std::min(host.find(':'), host.size());
    rest = host.substr(colon);
    host = host.substr(0, colon);
    const bool fit = std::ranges::all_of(host, [](char c) {
      const char letter = lower(c);
      return (letter >= 'a' && letter <= 'z') || is_digit(c) || c == '-' || c == '.' || c == '_';
    });
    if (!fit) return {};
  }
  if (!rest.empty()) {
    if (rest.front() != ':') return {};
    rest.remove_prefix(1);
    if (rest.size() > 5 || !std::ranges::all_of(rest, is_digit)) return {};
  }
  return host;
}

bool is_address(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size()) return false;
  std::ranges::copy(text, copy.begin());
  in6_addr address{};
  return inet_pton(AF_INET, copy.data(), &address) == 1 || inet_pton(AF_INET6, copy.data(), &address) == 1;
}

bool is_loopback(std::string_view address) noexcept {
  if (!is_address(address)) return false;
  if (address.find(':') == address.npos) return address.starts_with("127.");
  in6_addr parsed{};
  std::array<char, INET6_ADDRSTRLEN> copy{};
  std::ranges::copy(address, copy.begin());
  return inet_pton(AF_INET6, copy.data(), &parsed) == 1 && IN6_IS_ADDR_LOOPBACK(&parsed);
}

HostRule::HostRule(const ServerOptions& options)
    : any_address_(options.address != "localhost" && !is_loopback(options.address)) {
  names_.emplace_back("localhost");
  for (const std::string& host : options.hosts) {
    if (host == "*") any_ = true;
    std::string name = lower(host);
    if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
    if (name.ends_with('.')) name.pop_back();
    names_.push_back(std::move(name));
  }
}

bool HostRule::allows(std::string_view host) const {
  if (any_ || is_loopback(host)) return true;
  // No name of somebody else's is an address, so this lets in no page of theirs.
  if (any_address_ && is_address(host)) return true;
  std::string name = lower(host);
  if (name.ends_with('.')) name.pop_back();
  return std::ranges::find(names_, name) != names_.end();
}

RequestHead read_head(ParsedHead head, const ServerLimits& limits, const HostRule& hosts) {
  RequestHead read;
  Request& request = read.request;
  read.http11 = head.http11;
  const auto method = method_of(head.method);
  if (!method)
    throw Problem{.status = 501, .name = "not-implemented", .detail = "there is no such method here"};
  request.method = *method;
  if (head.target.size() > limits.target_bytes) throw target_too_long(limits.target_bytes);
  if (head.fields.size() > limits.fields) throw head_too_large(limits.head_bytes);
  try {
    for (auto& field : head.fields) request.headers.add(std::move(field.name), std::move(field.value));
  } catch (const InvalidArgument&) {
    malformed("a header field has characters that it must not have");
  }

  check_framing(request.headers, head.http11, limits.body_bytes);
  const std::size_t named = request.headers.count("Host");
  if (named > 1) malformed("there is more than one Host");
  // Old programs that watch a server's health leave it out; no browser does.
  if (named == 0 && head.http11) malformed("there is no Host");
  std::optional<std::string> authority;
  if (named == 1) {
    authority = *request.headers.find("Host");
    check_authority(*authority, "Host");
  }
  request.target = std::move(head.target);
  if (auto absolute = take_authority(request.target)) authority = std::move(absolute);
  read.about_server = request.target == "*" && *method == Method::options;
  if (!read.about_server) {
    if (request.target.empty() || request.target.front() != '/') malformed("the target is not a path");
    if (!decode(request.target, false))
      malformed("the target has a '%' without two hexadecimal digits, a NUL, or bytes that are not UTF-8");
  }
  if (authority && !hosts.allows(host_of(*authority)))
    throw Problem{
        .status = 403, .name = "forbidden", .detail = "this server is not to be asked by that host name"};

  const bool close = has_word(request.headers, "Connection", "close");
  read.keep_alive = !close && (head.http11 || has_word(request.headers, "Connection", "keep-alive"));
  read.expects_continue = head.http11 && has_word(request.headers, "Expect", "100-continue");
  return read;
}

Problem too_large(std::size_t limit) {
  return {.status = 413, .name = "too-large", .detail = fmt::format("the body may have {} bytes", limit)};
}

Problem head_too_large(std::size_t limit) {
  return {.status = 431,
          .name = "headers-too-large",
          .detail = fmt::format("the header may have {} bytes, and not too many fields", limit)};
}

Problem target_too_long(std::size_t limit) {
  return {.status = 414,
          .name = "uri-too-long",
          .detail = fmt::format("path and query may have {} bytes", limit)};
}

}  // namespace quern::inline v1::http::detail
