#pragma once

#include <cassert>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace quern::inline v1::detail {

/// Collects bytes that are mostly few: on the stack first, so that the result is one allocation of its size.
class ByteSink {
 public:
  ByteSink() = default;
  ByteSink(const ByteSink&) = delete;
  ByteSink& operator=(const ByteSink&) = delete;

  /// Room for `bytes` at least; write there, then `advance`.
  [[nodiscard]] char* room(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - at_) < bytes) grow(bytes);
    return at_;
  }
  /// Takes what was written at `room()`, up to `end`.
  void advance(const char* end) noexcept {
    assert(end >= at_ && end <= end_);
    at_ += end - at_;
  }

  void put(char byte) {
    *room(1) = byte;
    ++at_;
  }
  void put(std::string_view bytes) {
    char* const to = room(bytes.size());
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  /// The bytes of a number, as they lie in memory.
  template <class T>
  void put_raw(T value) {
    std::memcpy(room(sizeof(T)), &value, sizeof(T));
    at_ += sizeof(T);
  }

  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin()); }
  /// The bytes so far, to be changed in place.
  [[nodiscard]] char* begin() noexcept { return large_.empty() ? small_ : large_.data(); }
  [[nodiscard]] const char* begin() const noexcept { return large_.empty() ? small_ : large_.data(); }

  /// Ends the collecting.
  [[nodiscard]] std::string take() {
    if (large_.empty()) return {small_, size()};
    large_.resize(size());
    return std::move(large_);
  }

 private:
  void grow(std::size_t bytes);

  char small_[1024];  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  std::string large_;
  char* at_ = small_;
  char* end_ = small_ + sizeof(small_);
};

}  // namespace quern::inline v1::detail
