#pragma once

#include <memory>
#include <string>

#include "quern/handlers/http_transport.hpp"

namespace quern::inline v1 {

struct CurlOptions {
  /// A file of trusted certificates (PEM) in place of the system's; for a company's own authority.
  std::string ca_file{};
};

/// An HttpTransport over libcurl: http and https only, TLS 1.2 or later with the chain and the name verified,
/// no signals, connections kept for the next request. Threads: safe; each request in progress has a
/// connection of its own.
class CurlTransport final : public HttpTransport {
 public:
  explicit CurlTransport(CurlOptions options = {});
  ~CurlTransport() override;
  CurlTransport(const CurlTransport&) = delete;
  CurlTransport& operator=(const CurlTransport&) = delete;

  [[nodiscard]] HttpResponse perform(const HttpRequest& request) override;

 private:
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace quern::inline v1
