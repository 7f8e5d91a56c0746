#include "quern/handlers/detail/url.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "quern/handlers/detail/text.hpp"

namespace quern::inline v1::detail {
namespace {

using CurlUrl = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::optional<std::string> part(CURLU* url, CURLUPart what, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, what, &text, flags) != CURLUE_OK || text == nullptr) return std::nullopt;
  std::string out(text);
  curl_free(text);
  return out;
}

std::optional<Url> read(CURLU* handle) {
  Url url;
  const auto scheme = part(handle, CURLUPART_SCHEME);
  const auto host = part(handle, CURLUPART_HOST);
  const auto port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  const auto text = part(handle, CURLUPART_URL);
  if (!scheme || !host || host->empty() || !port || !text) return std::nullopt;
  url.scheme = lower(*scheme);
  if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
  url.host = lower(*host);
  const auto [end, error] = std::from_chars(port->data(), port->data() + port->size(), url.port);
  if (error != std::errc{} || end != port->data() + port->size() || url.port == 0) return std::nullopt;
  url.has_userinfo = part(handle, CURLUPART_USER).has_value() || part(handle, CURLUPART_PASSWORD).has_value();
  url.text = *text;
  return url;
}

bool plain(std::string_view text) {
  return std::ranges::none_of(text,
                              [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F; });
}

}  // namespace

std::string Url::origin() const { return scheme + "://" + host + ":" + std::to_string(port); }

bool Url::loopback() const {
  if (host == "localhost" || host == "[::1]") return true;
  // libcurl has already turned every spelling of an IPv4 address into four decimal numbers.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

std::optional<Url> parse_url(std::string_view text) {
  if (!plain(text)) return std::nullopt;
  const CurlUrl url(curl_url(), &curl_url_cleanup);
  if (!url || curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), 0) != CURLUE_OK)
    return std::nullopt;
  return read(url.get());
}

std::optional<Url> resolve_url(std::string_view base, std::string_view reference) {
  if (!plain(base) || !plain(reference) || reference.empty()) return std::nullopt;
  const CurlUrl url(curl_url(), &curl_url_cleanup);
  if (!url || curl_url_set(url.get(), CURLUPART_URL, std::string(base).c_str(), 0) != CURLUE_OK)
    return std::nullopt;
  // Set a second time, a relative URL is resolved against the first.
  if (curl_url_set(url.get(), CURLUPART_URL, std::string(reference).c_str(), 0) != CURLUE_OK)
    return std::nullopt;
  return read(url.get());
}

}  // namespace quern::inline v1::detail
