#include "quern/monitor/histogram.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "quern/core/error.hpp"

namespace quern::inline v1 {
namespace {

constexpr std::int64_t most_us = std::numeric_limits<std::int64_t>::max();

std::int64_t add(std::int64_t a, std::int64_t b) noexcept { return a > most_us - b ? most_us : a + b; }

std::int64_t times(std::int64_t us, std::uint64_t count) noexcept {
  return us != 0 && count > static_cast<std::uint64_t>(most_us / us) ? most_us
                                                                     : us * static_cast<std::int64_t>(count);
}

[[noreturn]] void refuse(const std::string& why) { throw InvalidArgument("histogram", why); }

template <class T>
T number(const nlohmann::json& value, std::string_view what) {
  if (!value.is_number_unsigned() ||
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<T>::max()))
    refuse(fmt::format("{} is {}; it must be a whole number from 0", what, value.dump()));
  return value.get<T>();
}

}  // namespace

std::size_t Histogram::bucket_of(std::int64_t us) noexcept {
  const auto value = static_cast<std::uint64_t>(us);
  const int power = static_cast<int>(std::bit_width(value)) - 1;
  if (power < precision) return static_cast<std::size_t>(value);
  if (power >= powers) return most_buckets - 1;
  // The part of its power, without the leading one, after all parts of the powers below.
  return (static_cast<std::size_t>(power - precision) << precision) +
         static_cast<std::size_t>(value >> static_cast<unsigned>(power - precision));
}

std::int64_t Histogram::middle_of(std::size_t bucket) noexcept {
  constexpr std::size_t parts = std::size_t{1} << precision;
  if (bucket < parts * 2) return static_cast<std::int64_t>(bucket);  // one microsecond each
  const auto shift = static_cast<unsigned>(bucket / parts - 1);
  const auto low = static_cast<std::int64_t>(bucket % parts + parts) << shift;
  return low + (std::int64_t{1} << shift) / 2;
}

void Histogram::record(Duration value, std::uint64_t count) {
  if (count == 0) return;
  const std::int64_t us = std::max<std::int64_t>(0, value.count());
  const std::size_t bucket = bucket_of(us);
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  buckets_[bucket] += count;
  min_ = empty() ? Duration(us) : std::min(min_, Duration(us));
  max_ = std::max(max_, Duration(us));
  sum_ = Duration(add(sum_.count(), times(us, count)));
  count_ += count;
}

void Histogram::merge(const Histogram& other) {
  if (other.empty()) return;
  if (buckets_.size() < other.buckets_.size()) buckets_.resize(other.buckets_.size());
  for (std::size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  min_ = empty() ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ = Duration(add(sum_.count(), other.sum_.count()));
  count_ += other.count_;
}

Histogram Histogram::since(const Histogram& before) const {
  Histogram made;
  made.buckets_ = buckets_;
  const std::size_t common = std::min(buckets_.size(), before.buckets_.size());
  for (std::size_t i = 0; i < common; ++i) made.buckets_[i] -= std::min(buckets_[i], before.buckets_[i]);
  while (!made.buckets_.empty() && made.buckets_.back() == 0) made.buckets_.pop_back();
  if (made.buckets_.empty()) return made;
  if (before.empty()) return *this;
  for (const std::uint64_t in_it : made.buckets_) made.count_ += in_it;
  made.sum_ = std::max(Duration::zero(), sum_ - before.sum_);
  // Within their buckets, and such that they fit the sum: none is shorter than the mean, none longer than all together.
  const auto first = std::ranges::find_if(made.buckets_, [](std::uint64_t in_it) { return in_it != 0; });
  const auto lowest = static_cast<std::size_t>(first - made.buckets_.begin());
  const std::size_t highest = made.buckets_.size() - 1;
  const Duration middle(middle_of(lowest));
  made.min_ = min_ < before.min_ ? min_ : std::min(std::max(middle, min_), made.mean());
  made.max_ = max_ > before.max_ ? max_ : std::min({Duration(middle_of(highest)), max_, made.sum_});
  made.max_ = std::max(made.max_, made.min_);
  if (made.count_ == 1) {  // then it is known, also where the sum has long been too large
    const Duration only = max_ > before.max_ ? max_ : (min_ < before.min_ ? min_ : made.sum_);
    made.min_ = made.max_ = made.sum_ = only;
  }
  if (!made.consistent()) {  // only where a sum was too large to be exact
    made.min_ = middle;
    made.max_ = Duration(middle_of(highest));
    made.sum_ = std::max(made.sum_, made.max_);
  }
  return made;
}

Duration Histogram::mean() const noexcept {
  if (empty()) return Duration::zero();
  return Duration(static_cast<std::int64_t>(static_cast<std::uint64_t>(sum_.count()) / count_));
}

std::optional<Duration> Histogram::quantile(double q) const {
  if (!(q >= 0 && q <= 1)) throw InvalidArgument("q", fmt::format("is {}; allowed is 0 to 1", q));
  if (empty()) return std::nullopt;
  const auto rank =
      static_cast<std::uint64_t>(std::clamp(std::ceil(q * static_cast<double>(count_)), 1.0, 1.8e19));
  if (rank <= 1) return min_;
  if (rank >= count_ || q == 1) return max_;  // a large rank is not exact
  std::uint64_t seen = 0;
  std::size_t bucket = 0;
  while (bucket + 1 < buckets_.size() && (seen += buckets_[bucket]) < rank) ++bucket;
  return std::clamp(Duration(middle_of(bucket)), min_, max_);
}

std::uint64_t Histogram::at_most(Duration bound) const noexcept {
  if (bound < min()) return 0;
  if (bound >= max_) return count_;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < buckets_.size() && middle_of(i) <= bound.count(); ++i) sum += buckets_[i];
  return sum;
}

std::string Histogram::to_json() const {
  std::string text = fmt::format(R"({{"count":{},"sum_us":{},"min_us":{},"max_us":{},"buckets":[)", count_,
                                 sum_.count(), min_.count(), max_.count());
  const char* comma = "";
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    text += fmt::format("{}[{},{}]", comma, i, buckets_[i]);
    comma = ",";
  }
  return text + "]}";
}

Histogram Histogram::from_json(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.size() != 5 || !json.contains("buckets") || !json["buckets"].is_array())
    refuse("must be an object of count, sum_us, min_us, max_us and buckets");
  const auto field = [&](const char* name) -> const nlohmann::json& {
    if (!json.contains(name)) refuse(fmt::format("has no {}", name));
    return json[name];
  };
  Histogram made;
  const auto count = number<std::uint64_t>(field("count"), "count");
  made.sum_ = Duration(number<std::int64_t>(field("sum_us"), "sum_us"));
  made.min_ = Duration(number<std::int64_t>(field("min_us"), "min_us"));
  made.max_ = Duration(number<std::int64_t>(field("max_us"), "max_us"));
  for (const auto& pair : json["buckets"]) {
    if (!pair.is_array() || pair.size() != 2) refuse("a bucket must be a pair of its number and its count");
    const auto bucket = number<std::uint64_t>(pair[0], "a bucket's number");
    const auto in_it = number<std::uint64_t>(pair[1], "a bucket's count");
    if (bucket >= most_buckets || bucket < made.buckets_.size() || in_it == 0)
      refuse(fmt::format("bucket {} with {}: they go up from 0 to {}, and none is empty", bucket, in_it,
                         most_buckets - 1));
    made.buckets_.resize(bucket + 1);
    made.buckets_.back() = in_it;
    if (in_it > std::numeric_limits<std::uint64_t>::max() - made.count_) refuse("counts more than 2^64");
    made.count_ += in_it;
  }
  if (made.count_ != count) refuse(fmt::format("count is {}, its buckets hold {}", count, made.count_));
  if (!made.consistent()) refuse("its sum, shortest and longest do not fit its buckets");
  return made;
}

bool Histogram::consistent() const noexcept {
  if (empty()) return sum_ == Duration::zero() && min_ == Duration::zero() && max_ == Duration::zero();
  const auto first = std::ranges::find_if(buckets_, [](std::uint64_t in_it) { return in_it != 0; });
  return bucket_of(min_.count()) == static_cast<std::size_t>(first - buckets_.begin()) &&
         bucket_of(max_.count()) + 1 == buckets_.size() && sum_ >= max_;
}

}  // namespace quern::inline v1
