#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace quern::inline v1::detail {

class ByteSink;

/// What stands before a packed value.
struct PackedHeader {
  static constexpr std::size_t bytes = sizeof(std::uint32_t) + 1;
  static constexpr std::uint32_t unknown = 0xFFFF'FFFF;  ///< A text of 4 GiB or more.

  std::uint64_t max_json_bytes = 0;
  std::uint8_t depth = 0;

  void write(char* to) const noexcept {
    const auto size = max_json_bytes < unknown ? static_cast<std::uint32_t>(max_json_bytes) : unknown;
    std::memcpy(to, &size, sizeof(size));
    to[sizeof(size)] = static_cast<char>(depth);
  }
};

/// Lengths below this take one byte; others this byte and eight more.
inline constexpr std::size_t long_count = 0xFF;
void put_count(ByteSink& out, std::size_t count);

/// Reads packed bytes from front to back, and nothing outside of them.
class PackedReader {
 public:
  /// Begins behind the header.
  explicit PackedReader(std::string_view bytes) : rest_(bytes) {
    static_cast<void>(take(PackedHeader::bytes));
  }

  /// Throws InvalidArgument (field "payload") when there are no so many.
  [[nodiscard]] const char* take(std::size_t count) {
    if (count > rest_.size()) refuse();
    const char* const at = rest_.data();
    rest_.remove_prefix(count);
    return at;
  }
  template <class T>
  [[nodiscard]] T number() {
    T value{};
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }
  [[nodiscard]] bool boolean() { return *take(1) != '\0'; }
  /// A count of values that follow, each of which has a byte at least.
  [[nodiscard]] std::size_t count() {
    const auto small = static_cast<unsigned char>(*take(1));
    const std::uint64_t count = small < long_count ? small : number<std::uint64_t>();
    if (count > rest_.size()) refuse();
    return static_cast<std::size_t>(count);
  }
  [[nodiscard]] std::string_view string() {
    const std::size_t size = count();
    return {take(size), size};
  }
  /// Throws when something is left.
  void end() const {
    if (!rest_.empty()) refuse();
  }

  /// Guards against bytes that nest without end.
  void enter() {
    if (++depth_ > most_depth) refuse();
  }
  void leave() noexcept { --depth_; }

 private:
  static constexpr int most_depth = 64;
  [[noreturn]] static void refuse();

  std::string_view rest_;
  int depth_ = 0;
};

}  // namespace quern::inline v1::detail
