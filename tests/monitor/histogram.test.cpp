// Quantiles of durations: how far they are from exact ones, and that parts add up.
#include "quern/monitor/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/random.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using quern::Duration;
using quern::Histogram;

namespace {

/// Durations from microseconds to days, as likely in each power of two.
std::vector<Duration> durations(std::uint64_t seed, std::size_t count, unsigned powers = 40) {
  quern::Random random(seed);
  std::vector<Duration> values;
  for (std::size_t i = 0; i < count; ++i)
    values.emplace_back(
        static_cast<std::int64_t>(random.below(std::uint64_t{1} << random.below(powers + 1))));
  return values;
}

Histogram of(const std::vector<Duration>& values) {
  Histogram histogram;
  for (const Duration value : values) histogram.record(value);
  return histogram;
}

}  // namespace

TEST_CASE("a histogram's quantiles are those of the sorted durations to within 1/64", "[histogram]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const std::size_t count = 1 + seed * seed * 25;
    auto values = durations(seed, count);
    const Histogram histogram = of(values);
    std::ranges::sort(values);
    for (const double q : {0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
      const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(q * static_cast<double>(count))));
      const auto exact = static_cast<double>(values[rank - 1].count());
      const auto told = static_cast<double>(histogram.quantile(q).value().count());
      INFO("seed " << seed << ", q " << q << ": " << exact << " us, told " << told);
      CHECK(std::abs(told - exact) <= exact / 64);
    }
    CHECK(histogram.min() == values.front());
    CHECK(histogram.max() == values.back());
    CHECK(histogram.count() == count);
    Duration sum{0};
    for (const Duration value : values) sum += value;
    CHECK(histogram.sum() == sum);
    CHECK(histogram.mean() == sum / static_cast<std::int64_t>(count));
  }
}

TEST_CASE("microseconds below 64 are told exactly", "[histogram]") {
  Histogram histogram;
  for (int us = 0; us < 64; ++us) histogram.record(Duration(us));
  for (int us = 0; us < 64; ++us) {
    CHECK(histogram.quantile((us + 1) / 64.0) == Duration(us));
    CHECK(histogram.at_most(Duration(us)) == static_cast<std::uint64_t>(us) + 1);
  }
}

TEST_CASE("a histogram tells how many took at most so long", "[histogram]") {
  auto values = durations(7, 10'000, 30);
  const Histogram histogram = of(values);
  std::ranges::sort(values);
  for (const Duration bound : {Duration(0), Duration(5ms), Duration(100ms), Duration(1s), Duration(1min)}) {
    // What is as far away as a bucket is wide may be on either side.
    const auto up_to = [&](Duration end) {
      return static_cast<std::uint64_t>(std::ranges::upper_bound(values, end) - values.begin());
    };
    CHECK(histogram.at_most(bound) >= up_to(bound - bound / 32));
    CHECK(histogram.at_most(bound) <= up_to(bound + bound / 32));
  }
  CHECK(histogram.at_most(Duration(-1)) == 0);
  CHECK(histogram.at_most(values.back()) == values.size());
  CHECK(Histogram().at_most(1h) == 0);
}

TEST_CASE("histograms of parts add up to that of the whole, in any order", "[histogram]") {
  const auto values = durations(3, 5'000);
  const std::vector<Duration> first(values.begin(), values.begin() + 1'234);
  const std::vector<Duration> second(values.begin() + 1'234, values.end());
  Histogram forward = of(first);
  forward.merge(of(second));
  Histogram backward = of(second);
  backward.merge(of(first));
  CHECK(forward == of(values));
  CHECK(backward == of(values));
  backward.merge(Histogram());
  CHECK(backward == of(values));
  Histogram empty;
  empty.merge(of(values));
  CHECK(empty == of(values));
}

TEST_CASE("several of the same are counted at once", "[histogram]") {
  Histogram one_by_one;
  for (int i = 0; i < 1'000; ++i) one_by_one.record(3ms);
  Histogram at_once;
  at_once.record(3ms, 1'000);
  at_once.record(1h, 0);
  CHECK(at_once == one_by_one);
}

TEST_CASE("what lies beyond a histogram's range is counted at its ends", "[histogram]") {
  Histogram histogram;
  histogram.record(Duration(-5));
  CHECK(histogram.quantile(1) == Duration(0));
  histogram.record(Duration::max());
  histogram.record(Duration::max(), std::numeric_limits<std::uint64_t>::max() / 4);
  CHECK(histogram.max() == Duration::max());
  CHECK(histogram.sum() == Duration::max());
  CHECK(histogram.quantile(1) == Duration::max());
  CHECK(histogram.quantile(0) == Duration(0));
  CHECK(Histogram::from_json(histogram.to_json()) == histogram);
}

TEST_CASE("a histogram of nothing has no quantiles, and no share beyond 0 to 1", "[histogram]") {
  CHECK_FALSE(Histogram().quantile(0.5).has_value());
  CHECK(Histogram().mean() == Duration(0));
  for (const double q : {-0.1, 1.1, std::numeric_limits<double>::quiet_NaN()}) {
    try {
      static_cast<void>(Histogram().quantile(q));
      FAIL("did not throw");
    } catch (const quern::InvalidArgument& e) {
      CHECK(e.field() == "q");
    }
  }
}

TEST_CASE("a histogram survives its JSON", "[histogram]") {
  CHECK(of({100us, 300us, 500us}).to_json() ==
        R"({"count":3,"sum_us":900,"min_us":100,"max_us":500,"buckets":[[82,1],[133,1],[158,1]]})");
  CHECK(Histogram::from_json(Histogram().to_json()) == Histogram());
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Histogram histogram = of(durations(seed, 300));
    CHECK(Histogram::from_json(histogram.to_json()) == histogram);
  }
}

TEST_CASE("JSON that is no histogram is refused, whatever is wrong with it", "[histogram]") {
  const std::string good =
      R"({"count":3,"sum_us":900,"min_us":100,"max_us":500,"buckets":[[82,1],[133,1],[158,1]]})";
  const auto with = [&](const std::string& part, const std::string& other) {
    std::string changed = good;
    changed.replace(changed.find(part), part.size(), other);
    return changed;
  };
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{"), std::string("{}"), with("count", "number"),
        with("\"count\":3", "\"count\":4"), with("\"count\":3", "\"count\":-3"), with("900", "9.5"),
        with("900", "499"), with("\"min_us\":100", "\"min_us\":200"),
        with("\"max_us\":500", "\"max_us\":900"), with("[82,1]", "[82]"), with("[82,1]", "82"),
        with("[82,1]", "[82,0]"), with("[82,1]", "[140,1]"), with("[158,1]", "[1184,1]"),
        with("[158,1]", "[158,18446744073709551615]"), with("}", ",\"more\":1}")}) {
    INFO(text);
    CHECK_THROWS_AS(Histogram::from_json(text), quern::InvalidArgument);
  }
}

TEST_CASE("what a histogram has counted since an earlier copy is told, its ends to within a bucket",
          "[histogram]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const std::vector<Duration> first = durations(seed, 200);
    const std::vector<Duration> second = durations(seed + 100, seed % 2 == 0 ? 200 : 3);
    const Histogram before = of(first);
    Histogram now = before;
    for (const Duration value : second) now.record(value);
    const Histogram since = now.since(before);
    const Histogram exact = of(second);
    CHECK(since.count() == exact.count());
    CHECK(since.sum() == exact.sum());
    for (const double q : {0.0, 0.1, 0.5, 0.9, 0.99, 1.0}) {
      const auto told = static_cast<double>(since.quantile(q)->count());
      const auto is = static_cast<double>(exact.quantile(q)->count());
      CHECK(told == Approx(is).epsilon(1.0 / 32).margin(1));
    }
    CHECK(since.min() <= since.max());
    CHECK(Histogram::from_json(since.to_json()) == since);
    Histogram again = before;
    again.merge(since);
    CHECK(again.count() == now.count());
    CHECK(again.sum() == now.sum());
  }
}

TEST_CASE("since an earlier copy nothing may have been counted, or all, or one", "[histogram]") {
  const Histogram some = of({100us, 300us, 500us});
  CHECK(some.since(some) == Histogram());
  CHECK(some.since(Histogram()) == some);
  CHECK(Histogram().since(Histogram()) == Histogram());
  Histogram more = some;
  more.record(307us);  // shares a bucket with 300 us
  CHECK(more.since(some) == of({307us}));
  Histogram longest = some;
  longest.record(Duration::max());
  CHECK(longest.since(some).max() == Duration::max());
  const Histogram with_longest = longest;
  longest.record(Duration::max());
  CHECK(longest.since(with_longest).count() == 1);  // the sum has long been too large to be told
  CHECK(Histogram::from_json(longest.since(with_longest).to_json()) == longest.since(with_longest));
}

TEST_CASE("a histogram survives its compact form, which is short", "[histogram]") {
  CHECK(Histogram().to_compact() == "1");
  CHECK(Histogram::from_compact("1") == Histogram());
  CHECK(of({100us, 300us, 500us}).to_compact() == "1hAdk9ANSATIBGAE");
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Histogram histogram = of(durations(seed, 1 + seed * 20));
    CHECK(Histogram::from_compact(histogram.to_compact()) == histogram);
    CHECK(histogram.to_compact().size() < histogram.to_json().size() / 2);
  }
  Histogram full;
  for (std::int64_t us = 1; us < (std::int64_t{1} << 41); us += std::max<std::int64_t>(1, us / 64))
    full.record(Duration(us), 100);
  CHECK(Histogram::from_compact(full.to_compact()) == full);
  CHECK(full.to_compact().size() < 4'800);
}

TEST_CASE("text that is no compact histogram is refused, whatever is wrong with it", "[histogram]") {
  const std::string good = of({100us, 300us, 500us}).to_compact();
  std::vector<std::string> bad{"", "2", "2hAdk", "1!", good + "A", good + "*", good.substr(0, 5), "1AAAA"};
  bad.emplace_back("1____________________________");
  for (std::size_t i = 0; i < good.size(); ++i) {
    bad.push_back(good.substr(0, i) + "=" + good.substr(i + 1));
    if (i != 1) bad.push_back(good.substr(0, i));
  }
  for (const std::string& text : bad) {
    INFO(text);
    CHECK_THROWS_AS(Histogram::from_compact(text), quern::InvalidArgument);
  }
}
