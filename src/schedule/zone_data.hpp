#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace quern::inline v1::detail {

/// The last year whose shifts are computed from a zone's rule: one more than cron's last.
inline constexpr int last_zone_year = 2200;

/// What the clocks of a zone show for a while.
struct ZoneKind {
  std::int32_t offset = 0;  ///< Seconds, local minus UTC.
  bool daylight = false;
  std::string abbreviation;

  friend bool operator==(const ZoneKind&, const ZoneKind&) = default;
};

/// A zone's spans: the one at index i begins at `begins[i]` (seconds since 1970) and ends where the next one begins.
struct ZoneData {
  static constexpr std::int64_t always = std::numeric_limits<std::int64_t>::min();
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  std::string name;
  std::vector<std::int64_t> begins;   ///< Ascending; the first is `always`.
  std::vector<std::int32_t> offsets;  ///< Of each span.
  std::vector<std::uint8_t> kind_of;  ///< Which of the kinds each span has.
  std::vector<ZoneKind> kinds;

  [[nodiscard]] std::size_t count() const noexcept { return begins.size(); }
  [[nodiscard]] std::int64_t begin_of(std::size_t span) const noexcept { return begins[span]; }
  [[nodiscard]] std::int64_t end_of(std::size_t span) const noexcept {
    return span + 1 < begins.size() ? begins[span + 1] : never;
  }
  /// The span that an instant lies in.
  [[nodiscard]] std::size_t span_at(std::int64_t instant) const noexcept;
};

/// Adds spans in their order; one that changes nothing becomes part of the one before.
class ZoneBuilder {
 public:
  /// The zone until its first shift.
  ZoneBuilder(std::string name, const ZoneKind& kind);
  /// From an instant on, which is not before the last one. At the same instant the later call counts.
  void shift(std::int64_t at, const ZoneKind& kind);
  [[nodiscard]] std::int64_t last_begin() const noexcept { return data_.begins.back(); }
  [[nodiscard]] ZoneData take() { return std::move(data_); }

 private:
  std::uint8_t index_of(const ZoneKind& kind);
  ZoneData data_;
};

}  // namespace quern::inline v1::detail
