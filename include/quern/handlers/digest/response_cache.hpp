#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "quern/core/time.hpp"

namespace quern::inline v1::digest {

/// An answer kept for later: what is needed to ask "has it changed?", and to go on if it has not.
struct CachedResponse {
  std::string etag{};  ///< May be empty; then it can only be reused as it is.
  std::string link{};  ///< The Link header.
  std::string body{};  ///< JSON, reduced to the members that quern reads; some 40 KiB for a page of 100.
  TimePoint stored_at{};
};

/// Keeps answers by URL, between the attempts of a job and between jobs. Only ever a saving: what is missing
/// is fetched again. Threads: used by one thread at a time, unless the class says more.
class ResponseCache {
 public:
  virtual ~ResponseCache() = default;
  /// The answer kept for this URL.
  [[nodiscard]] virtual std::optional<CachedResponse> get(const std::string& url) = 0;
  /// Keeps an answer in place of an earlier one for this URL.
  virtual void put(const std::string& url, const CachedResponse& response) = 0;

 protected:
  ResponseCache() = default;
  ResponseCache(const ResponseCache&) = default;
  ResponseCache& operator=(const ResponseCache&) = default;
};

/// A ResponseCache that ends with its process and has no limit: for tests and for single runs. Thread-safe.
class MemoryResponseCache final : public ResponseCache {
 public:
  [[nodiscard]] std::optional<CachedResponse> get(const std::string& url) override {
    const std::lock_guard lock(mutex_);
    const auto found = responses_.find(url);
    if (found == responses_.end()) return std::nullopt;
    return found->second;
  }
  void put(const std::string& url, const CachedResponse& response) override {
    const std::lock_guard lock(mutex_);
    responses_[url] = response;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, CachedResponse> responses_;
};

}  // namespace quern::inline v1::digest
