#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "quern/handlers/digest/github_client.hpp"

namespace quern::inline v1::digest {

/// One answer of GitHub's API.
struct GitHubPage {
  nlohmann::json value;    ///< Reduced to the members that the digest reads.
  std::string next;        ///< The next page's URL; empty on the last one.
  std::string last;        ///< The last page's URL; empty where GitHub does not say.
  bool unchanged = false;  ///< The cache's copy, confirmed by GitHub (304).
  bool reused = false;     ///< The cache's copy, not asked for again.
};

/// Whether a cached answer may be taken without asking, as GitHubFetch::reuse_since allows.
enum class Ask : std::uint8_t { if_old, always };

/// The protocol with GitHub: headers, conditional requests, redirects, limits, errors. Knows nothing of what
/// the answers mean.
class GitHubApi {
 public:
  GitHubApi(HttpTransport& transport, ClockRef clock, const GitHubOptions& options, ResponseCache* cache,
            const GitHubFetch& fetch);

  /// The URL of a path below the base URL; it begins with '/'.
  [[nodiscard]] std::string url(const std::string& path) const;
  /// Asks for a URL of the base URL's origin.
  [[nodiscard]] GitHubPage get(const std::string& url, Ask ask = Ask::if_old);
  [[nodiscard]] TimePoint now() const { return clock_.now(); }

 private:
  [[nodiscard]] HttpResponse send(const std::string& url, const std::string& etag) const;
  [[nodiscard]] GitHubPage page(const CachedResponse& kept) const;
  [[noreturn]] void refuse(const HttpResponse& response) const;

  HttpTransport& transport_;
  ClockRef clock_;
  const GitHubOptions& options_;
  ResponseCache* cache_;
  const GitHubFetch& fetch_;
  std::string origin_;
};

}  // namespace quern::inline v1::digest
