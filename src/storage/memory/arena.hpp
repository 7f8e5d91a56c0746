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
  /// Asks for the beginning of it to be brought near.
  static void prefetch(const char* kept) noexcept {
    constexpr std::size_t line = 64;
    const char* const from = kept - sizeof(Header);
    __builtin_prefetch(from);
    __builtin_prefetch(from + line);
    __builtin_prefetch(from + 2 * line);
  }

 private:
  static constexpr std::size_t chunk_bytes = std::size_t{64} << 10U;
  struct Header {
    std::uint32_t length;
    std::uint32_t chunk;
  };
  struct Chunk {
    char* memory = nullptr;
    std::uint32_t live = 0;  // strings in it
  };
  void next_chunk();
  void add_chunks();

  std::vector<std::unique_ptr<char[]>> blocks_;  // NOLINT(modernize-avoid-c-arrays): of some chunks each
  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t> free_;  // chunks without strings, but for the current one; the next at the end
  std::uint32_t current_ = 0;
  std::size_t used_ = chunk_bytes;  // of the current one; at first there is none
};

}  // namespace quern::inline v1::memory
