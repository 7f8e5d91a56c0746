#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace quern::inline v1::memory {

/// Keeps byte strings close together: an allocation is a copy, and freeing one counts down.
///
/// Strings share chunks; a chunk is used anew when the last of its strings has gone. So a string that
/// outlives its neighbours by far should be kept elsewhere. Overhead: 8 bytes per string and rounding to 8.
/// Not thread-safe.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() = default;

  /// Longer strings don't belong here.
  static constexpr std::size_t longest = std::size_t{16} << 10U;

  /// A copy of `bytes` (at most `longest`), to be freed with `release`.
  [[nodiscard]] const char* keep(std::string_view bytes);
  void release(const char* kept) noexcept;
  /// The same in a block of its own, of any length; to be freed with `release_alone`.
  [[nodiscard]] static const char* keep_alone(std::string_view bytes);
  static void release_alone(const char* kept) noexcept;
  /// What either of them copied.
  [[nodiscard]] static std::string_view bytes(const char* kept) noexcept;

 private:
  static constexpr std::size_t chunk_bytes = std::size_t{64} << 10U;
  struct Header {
    std::uint32_t length;
    std::uint32_t chunk;
  };
  struct Chunk {
    std::unique_ptr<char[]> memory;  // NOLINT(modernize-avoid-c-arrays): a block of bytes
    std::uint32_t live = 0;          // strings in it
  };
  void next_chunk();

  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t> free_;  // chunks without strings, but for the current one
  std::uint32_t current_ = 0;
  std::size_t used_ = chunk_bytes;  // of the current one; at first there is none
};

}  // namespace quern::inline v1::memory
