#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quern::inline v1::sqlite {

/// All ids from `first` to `last`.
struct IdRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  [[nodiscard]] std::uint64_t size() const noexcept { return last - first + 1; }
  friend bool operator==(const IdRange&, const IdRange&) = default;
};

/// A set of ids: ranges in ascending order with at least one missing id between two of them.
using IdRuns = std::vector<IdRange>;

/// Adds an id that is larger than all of the set.
void append(IdRuns& runs, std::uint64_t id);
/// The set of any ids; none may stand twice.
[[nodiscard]] IdRuns runs_of(std::vector<std::uint64_t> ids);
/// How many ids.
[[nodiscard]] std::uint64_t count_ids(std::span<const IdRange> runs) noexcept;
/// Takes one id out; false when it was not in the set.
bool take_out(IdRuns& runs, std::uint64_t id);

/// Packs whole numbers and sets into bytes: 7 bits a byte, small numbers first. A set is the distances
/// between its ranges and their lengths, so that neighbours cost two bytes a range.
class Packer {
 public:
  void number(std::uint64_t value);
  void text(std::string_view bytes);  ///< Its length, then the bytes.
  void runs(std::span<const IdRange> runs);
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

 private:
  std::string bytes_;
};

/// Reads what a Packer wrote. After something malformed, `ok` is false for good and every answer is empty.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) noexcept : rest_(bytes) {}
  std::uint64_t number() noexcept;
  std::string_view text() noexcept;
  IdRuns runs();
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] bool done() const noexcept { return !ok_ || rest_.empty(); }
  /// The number lies outside what the caller can use.
  void refuse() noexcept { ok_ = false; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

/// The ids of a row of quern_ready; empty when they are malformed. `packed` is empty where it is all from
/// first to last.
[[nodiscard]] IdRuns unpack_ready(std::uint64_t first, std::uint64_t last, std::string_view packed);

}  // namespace quern::inline v1::sqlite
