#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "quern/core/clock.hpp"
#include "quern/core/error.hpp"
#include "quern/core/time.hpp"
#include "quern/handlers/digest/activity.hpp"
#include "quern/handlers/digest/response_cache.hpp"
#include "quern/handlers/http_transport.hpp"

namespace quern::inline v1::digest {

/// GitHub's API did not give what was asked for. The message says what was asked of it, what it answered and,
/// for an error that will not go away, what to check. It never contains the token.
class GitHubError : public Error {
 public:
  GitHubError(const std::string& message, int status, bool transient)
      : Error(message), status_(status), transient_(transient) {}

  /// The HTTP status; 0 where there was no answer, or one that could not be read.
  [[nodiscard]] int status() const noexcept { return status_; }
  /// True when the same request may work later: 5xx, a cut answer, no connection. False for 401, 404 and the
  /// like.
  [[nodiscard]] bool transient() const noexcept { return transient_; }

 private:
  int status_;
  bool transient_;
};

/// GitHub asks to wait: nothing is wrong, and nothing may be asked before `wait` is over.
class RateLimited : public Error {
 public:
  RateLimited(const std::string& reason, Duration wait) : Error(reason), wait_(wait) {}
  /// At least a second, at most a day.
  [[nodiscard]] Duration wait() const noexcept { return wait_; }

 private:
  Duration wait_;
};

struct GitHubOptions {
  /// GitHub Enterprise: "https://HOST/api/v3".
  std::string base_url = "https://api.github.com";
  /// Raises the limit from 60 to 5000 requests an hour and opens private repositories. Sent to the base URL's
  /// origin and nowhere else; over http only to this machine.
  std::string token{};
  std::string user_agent = "quern-digest";
  Duration connect_timeout = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(60);  ///< For each request.
  std::size_t max_response_bytes = 32u << 20;   ///< For each answer.
  int max_pages = 200;            ///< For each list, of 100 entries a page; what lies beyond is a gap.
  bool environment_proxy = true;  ///< Whether https_proxy and its kin are obeyed.
};

/// What to fetch from GitHub, and how far.
struct GitHubFetch {
  std::string repository{};  ///< "owner/name".
  Period period{};
  /// For so many of the period's pull requests, merged ones first, the size and the reviewers are asked for:
  /// two requests each. What is beyond is named in the activity's gaps.
  int max_pull_details = 50;
  /// Answers in the cache that are not older than this are taken as they are. Hand in when the job began, and
  /// a job that had to wait goes on where it was, at no cost; without it each one is asked for again ("304"
  /// or anew).
  std::optional<TimePoint> reuse_since{};
  /// How many times in a row GitHub has asked this job to wait. Lets the wait grow where GitHub names none.
  int earlier_refusals = 0;
  std::stop_token stop{};
  /// Told how far it is (0 to 100) and what is being done.
  std::function<void(int percent, std::string_view what)> progress{};
};

/// Reads a repository's activity from GitHub's REST API, with one request after another.
///
/// Follows next links and the redirects of renamed repositories as they are given, but only within the base
/// URL's origin; asks with If-None-Match for what `cache` knows. Threads  one `fetch` at a time; the
/// transport, the clock and the cache have to outlive the client. Time     `clock` judges rate limits and
/// stamps the activity.
class GitHubClient {
 public:
  /// Throws InvalidArgument for options that can't work.
  GitHubClient(HttpTransport& transport, ClockRef clock, GitHubOptions options,
               ResponseCache* cache = nullptr);

  /// Throws RateLimited, GitHubError, InvalidArgument for a request that is wrong in itself, and HttpError
  /// (aborted) when it is stopped.
  [[nodiscard]] RepositoryActivity fetch(const GitHubFetch& request);

 private:
  HttpTransport& transport_;
  ClockRef clock_;
  GitHubOptions options_;
  ResponseCache* cache_;
};

}  // namespace quern::inline v1::digest
