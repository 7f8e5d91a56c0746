#pragma once

#include <cstdint>
#include <string_view>

namespace quern::inline v1::detail {

/// The number that `H` draws from a schedule's name for one field (0 second, 1 minute, 2 hour, 3 day of month, 4 month,
/// 5 day of week, 6 year). Never changes, since running schedules would move: FNV-1a of 64 bits over the name's bytes, plus
/// (the field's number + 1) times 0x9e3779b97f4a7c15, through the finalizer of splitmix64.
[[nodiscard]] constexpr std::uint64_t cron_hash(std::string_view name, unsigned field) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  hash += (std::uint64_t{field} + 1) * 0x9e3779b97f4a7c15U;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
  return hash ^ (hash >> 31);
}

}  // namespace quern::inline v1::detail
