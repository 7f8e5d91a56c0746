#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace quern::inline v1::detail {

/// Takes the values that must not be seen out of texts.
///
/// Finds     each value as it is, and as it stands in a JSON string; of a value with several lines also each
///           line by itself. One of 1 to 3 bytes only where it is a word by itself, since it would else be
///           found nearly everywhere. What overlaps goes as a whole.
/// Threads   any.
/// Cost      without values a look at an atomic; else a search of the text for each of them.
class Redactor {
 public:
  Redactor() = default;
  Redactor(const Redactor&) = delete;
  Redactor& operator=(const Redactor&) = delete;
  ~Redactor() = default;

  /// From now on it is not to be seen. Empty: nothing.
  void add(std::string_view value);
  void clear();
  [[nodiscard]] bool empty() const noexcept { return !any_.load(std::memory_order_acquire); }

  /// The text with "***" in the place of each value.
  [[nodiscard]] std::string redact(std::string_view text) const;

 private:
  void add_locked(std::string_view value);

  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> values_;
};

}  // namespace quern::inline v1::detail
