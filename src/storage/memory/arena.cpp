#include "storage/memory/arena.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace quern::inline v1::memory {

const char* Arena::keep(std::string_view bytes) {
  assert(bytes.size() <= longest);
  const std::size_t needed = sizeof(Header) + ((bytes.size() + 7) & ~std::size_t{7});
  if (used_ + needed > chunk_bytes) next_chunk();
  Chunk& chunk = chunks_[current_];
  char* const at = chunk.memory + used_;
  const Header header{static_cast<std::uint32_t>(bytes.size()), current_};
  std::memcpy(at, &header, sizeof header);
  if (!bytes.empty()) std::memcpy(at + sizeof header, bytes.data(), bytes.size());
  used_ += needed;
  ++chunk.live;
  return at + sizeof header;
}

void Arena::release(const char* kept) noexcept {
  Header header{};
  std::memcpy(&header, kept - sizeof header, sizeof header);
  assert(chunks_[header.chunk].live > 0);
  if (--chunks_[header.chunk].live > 0) return;
  if (header.chunk == current_)
    used_ = 0;
  else
    free_.push_back(header.chunk);  // never more than there are chunks, for which next_chunk made room
}

const char* Arena::keep_alone(std::string_view bytes) {
  char* const at = new char[sizeof(Header) + bytes.size()];
  const Header header{static_cast<std::uint32_t>(bytes.size()), 0};
  std::memcpy(at, &header, sizeof header);
  if (!bytes.empty()) std::memcpy(at + sizeof header, bytes.data(), bytes.size());
  return at + sizeof header;
}

void Arena::release_alone(const char* kept) noexcept { delete[] (kept - sizeof(Header)); }

std::string_view Arena::bytes(const char* kept) noexcept {
  Header header{};
  std::memcpy(&header, kept - sizeof header, sizeof header);
  return {kept, header.length};
}

void Arena::next_chunk() {
  if (free_.empty()) add_chunks();
  current_ = free_.back();
  free_.pop_back();
  used_ = 0;
}

void Arena::add_chunks() {
  // Many at once, so that they don't lie between what malloc gives for a moment; see SlabPool.
  constexpr std::size_t most = 16;
  const std::size_t count = std::clamp<std::size_t>(chunks_.size() / 8, 1, most);
  free_.reserve(chunks_.size() + count);
  chunks_.reserve(chunks_.size() + count);
  // Not zeroed: it is written before it is read.
  blocks_.push_back(
      std::unique_ptr<char[]>(new char[count * chunk_bytes]));  // NOLINT(modernize-avoid-c-arrays)
  const auto first = static_cast<std::uint32_t>(chunks_.size());
  for (std::size_t i = 0; i < count; ++i) chunks_.push_back({blocks_.back().get() + i * chunk_bytes, 0});
  for (auto next = static_cast<std::uint32_t>(chunks_.size()); next > first; --next)
    free_.push_back(next - 1);
}

}  // namespace quern::inline v1::memory
