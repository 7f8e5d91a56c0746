#include "schedule/tzif.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "quern/schedule/time_zone.hpp"
#include "schedule/zone_rule.hpp"

namespace quern::inline v1::detail {
namespace {

constexpr std::string_view magic = "TZif";
constexpr std::size_t header_size = 44;

struct Counts {
  std::size_t ut_flags = 0;
  std::size_t standard_flags = 0;
  std::size_t leap_seconds = 0;
  std::size_t shifts = 0;
  std::size_t kinds = 0;
  std::size_t letters = 0;

  /// The bytes of a block whose times have so many each.
  [[nodiscard]] std::size_t block_size(std::size_t time_size) const noexcept {
    return shifts * (time_size + 1) + kinds * 6 + letters + leap_seconds * (time_size + 4) + standard_flags +
           ut_flags;
  }
};

/// Reads numbers from bytes; what is beyond them throws.
class ByteReader {
 public:
  ByteReader(std::string_view name, std::string_view bytes) noexcept : name_(name), bytes_(bytes) {}

  [[noreturn]] void fail(std::string_view problem) const {
    throw ZoneError(fmt::format("{}: the zone file is damaged: {}", name_, problem));
  }

  std::string_view take(std::size_t count) {
    if (count > bytes_.size() - at_) fail("it ends too early");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(take(1).front()); }
  /// Big-endian, signed.
  std::int64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (const char c : take(size)) value = value << 8 | static_cast<unsigned char>(c);
    return size == 4 ? static_cast<std::int32_t>(static_cast<std::uint32_t>(value))
                     : static_cast<std::int64_t>(value);
  }
  std::size_t count() {
    const std::int64_t value = number(4);
    // More than any file has, so that nothing overflows that is computed from it.
    if (value < 0 || value > 1'000'000) fail("a count is out of range");
    return static_cast<std::size_t>(value);
  }

  Counts header(char& version) {
    if (take(magic.size()) != magic) fail("it does not begin as one");
    version = static_cast<char>(byte());
    take(15);
    Counts counts;
    counts.ut_flags = count();
    counts.standard_flags = count();
    counts.leap_seconds = count();
    counts.shifts = count();
    counts.kinds = count();
    counts.letters = count();
    if (counts.kinds == 0 || counts.kinds > 256 || counts.letters == 0)
      fail("it has no kind of local time, or too many");
    return counts;
  }

  [[nodiscard]] std::string_view rest() const noexcept { return bytes_.substr(at_); }

 private:
  std::string_view name_;
  std::string_view bytes_;
  std::size_t at_ = 0;
};

std::vector<ZoneKind> read_kinds(ByteReader& in, const Counts& counts) {
  std::vector<ZoneKind> kinds(counts.kinds);
  std::vector<std::size_t> names(counts.kinds);
  for (std::size_t i = 0; i < counts.kinds; ++i) {
    const std::int64_t offset = in.number(4);
    // RFC 9636 asks for -25 to 26 hours.
    if (offset < -26 * 3600 || offset > 27 * 3600) in.fail("an offset is out of range");
    kinds[i].offset = static_cast<std::int32_t>(offset);
    kinds[i].daylight = in.byte() != 0;
    names[i] = in.byte();
  }
  const std::string_view letters = in.take(counts.letters);
  for (std::size_t i = 0; i < counts.kinds; ++i) {
    if (names[i] >= letters.size()) in.fail("an abbreviation is out of range");
    const std::string_view name = letters.substr(names[i]);
    kinds[i].abbreviation = name.substr(0, std::min<std::size_t>(name.find('\0'), 16));
  }
  return kinds;
}

/// The line after a block of version 2 or later.
std::string_view read_footer(ByteReader& in) {
  const std::string_view rest = in.rest();
  if (!rest.starts_with('\n')) in.fail("its footer is missing");
  const std::size_t end = rest.find('\n', 1);
  if (end == std::string_view::npos) in.fail("its footer does not end");
  return rest.substr(1, end - 1);
}

}  // namespace

bool looks_like_tzif(std::string_view bytes) noexcept {
  return bytes.size() >= header_size && bytes.starts_with(magic);
}

ZoneData read_tzif(std::string name, std::string_view bytes) {
  ByteReader in(name, bytes);
  char version = 0;
  Counts counts = in.header(version);
  std::size_t time_size = 4;
  if (version >= '2') {
    // The first block is for programs that know 32 bits only.
    in.take(counts.block_size(4));
    counts = in.header(version);
    time_size = 8;
  }
  if (counts.leap_seconds > 0)
    throw ZoneError(
        name +
        ": the zone counts leap seconds (\"right/\"), which civil time does not; take the one without");

  std::vector<std::int64_t> times(counts.shifts);
  for (std::int64_t& time : times) time = in.number(time_size);
  std::vector<std::size_t> kind_of(counts.shifts);
  for (std::size_t& kind : kind_of) kind = in.byte();
  const std::vector<ZoneKind> kinds = read_kinds(in, counts);
  in.take(counts.standard_flags + counts.ut_flags);
  const std::string_view footer = time_size == 8 ? read_footer(in) : std::string_view();

  for (std::size_t i = 0; i < times.size(); ++i) {
    if (kind_of[i] >= kinds.size()) in.fail("a shift is to a kind that is not there");
    if (i > 0 && times[i] <= times[i - 1]) in.fail("its shifts are not in order");
  }
  ZoneBuilder zone(name, kinds[0]);
  for (std::size_t i = 0; i < times.size(); ++i) zone.shift(times[i], kinds[kind_of[i]]);
  if (!footer.empty()) {
    const auto rule = ZoneRule::parse(footer);
    if (!rule) in.fail("the rule in its footer can't be read");
    rule->extend(zone, times.empty() ? ZoneData::always : times.back());
  }
  return zone.take();
}

}  // namespace quern::inline v1::detail
