// A histogram in few bytes: numbers of 7 bits a byte, the bytes as base64.
#include <fmt/format.h>

#include <array>
#include <limits>

#include "quern/core/error.hpp"
#include "quern/monitor/histogram.hpp"

namespace quern::inline v1 {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr char version = '1';

/// What each character stands for; 64: it is none of the alphabet.
constexpr std::array<std::uint8_t, 256> digits = [] {
  std::array<std::uint8_t, 256> made{};
  made.fill(64);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    made[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return made;
}();

[[noreturn]] void refuse(const std::string& why) { throw InvalidArgument("histogram", why); }

/// Appends numbers, each in as many bytes as it needs.
class Writer {
 public:
  void number(std::uint64_t value) {
    while (value >= 0x80U) {
      byte((value & 0x7FU) | 0x80U);
      value >>= 7U;
    }
    byte(value);
  }
  [[nodiscard]] std::string take() {
    if (bits_ > 0) text_ += alphabet[(kept_ << (6U - bits_)) & 63U];
    return std::move(text_);
  }

 private:
  void byte(std::uint64_t value) {
    kept_ = (kept_ << 8U) | value;
    for (bits_ += 8; bits_ >= 6; bits_ -= 6) text_ += alphabet[(kept_ >> (bits_ - 6U)) & 63U];
    kept_ &= 63U;
  }

  std::string text_{version};
  std::uint64_t kept_ = 0;
  unsigned bits_ = 0;  // of `kept_` that are not in the text yet; below 6
};

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  [[nodiscard]] bool over() const {
    if (text_.empty() && kept_ != 0) refuse("ends with bits that belong to no byte");
    return text_.empty();
  }
  [[nodiscard]] std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t next = byte();
      if (shift == 63 && next > 1) break;
      value |= (next & 0x7FU) << shift;
      if (next < 0x80U) return value;
    }
    refuse("a number is larger than 2^64");
  }
  [[nodiscard]] Duration duration() {
    const std::uint64_t us = number();
    if (us > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      refuse("a duration is larger than 2^63 us");
    return Duration(static_cast<std::int64_t>(us));
  }

 private:
  std::uint64_t byte() {
    while (bits_ < 8) {
      if (text_.empty()) refuse("is cut off");
      const std::uint64_t digit = digits[static_cast<unsigned char>(text_.front())];
      if (digit == 64) refuse("has a character that it can't have");
      text_.remove_prefix(1);
      kept_ = (kept_ << 6U) | digit;
      bits_ += 6;
    }
    bits_ -= 8;
    const std::uint64_t value = (kept_ >> bits_) & 0xFFU;
    kept_ &= (std::uint64_t{1} << bits_) - 1;
    return value;
  }

  std::string_view text_;
  std::uint64_t kept_ = 0;
  unsigned bits_ = 0;
};

}  // namespace

std::string Histogram::to_compact() const {
  if (empty()) return std::string(1, version);
  Writer writer;
  writer.number(static_cast<std::uint64_t>(sum_.count()));
  writer.number(static_cast<std::uint64_t>(min_.count()));
  writer.number(static_cast<std::uint64_t>(max_.count()));
  std::size_t next = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    writer.number(i - next);  // empty ones since the last
    writer.number(buckets_[i]);
    next = i + 1;
  }
  return writer.take();
}

Histogram Histogram::from_compact(std::string_view text) {
  if (text.empty() || text.front() != version) refuse("is of no version that is known here");
  Histogram made;
  Reader reader(text.substr(1));
  if (reader.over()) return made;
  made.sum_ = reader.duration();
  made.min_ = reader.duration();
  made.max_ = reader.duration();
  while (!reader.over()) {
    const std::uint64_t gap = reader.number();
    const std::uint64_t in_it = reader.number();
    if (gap >= most_buckets - made.buckets_.size() || in_it == 0)
      refuse(fmt::format("they go up to bucket {}, and none is empty", most_buckets - 1));
    made.buckets_.resize(made.buckets_.size() + static_cast<std::size_t>(gap) + 1);
    made.buckets_.back() = in_it;
    if (in_it > std::numeric_limits<std::uint64_t>::max() - made.count_) refuse("counts more than 2^64");
    made.count_ += in_it;
  }
  if (made.empty() || !made.consistent()) refuse("its sum, shortest and longest do not fit its buckets");
  return made;
}

}  // namespace quern::inline v1
