#pragma once

#include <string>

#include "quern/core/time.hpp"
#include "quern/handlers/digest/response_cache.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::digest {

/// A ResponseCache in a storage's records (collection "quern.github.answers"), so that ETags outlive the
/// process.
class RecordResponseCache final : public ResponseCache {
 public:
  explicit RecordResponseCache(StoragePort& records) : records_(records) {}

  [[nodiscard]] std::optional<CachedResponse> get(const std::string& url) override;
  /// An answer whose URL or body is too large for a record is not kept.
  void put(const std::string& url, const CachedResponse& response) override;
  /// Forgets the answers stored before `time`; returns how many. Reads all of them, in small batches.
  std::size_t forget_before(TimePoint time);

 private:
  StoragePort& records_;
};

}  // namespace quern::inline v1::digest
