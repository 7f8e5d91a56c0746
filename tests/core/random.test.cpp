#include "quern/core/random.hpp"

#include <set>

#include "support/catch.hpp"

using quern::Random;

TEST_CASE("a seed gives the published numbers of SplitMix64, everywhere", "[random]") {
  Random random(1234567);
  CHECK(random.next() == 6457827717110365317U);
  CHECK(random.next() == 3203168211198807973U);
  CHECK(random.next() == 9817491932198370423U);
  CHECK(random.next() == 4593380528125082431U);
  CHECK(random.next() == 16408922859458223821U);
}

TEST_CASE("a number below a bound stays below it and reaches all of them", "[random]") {
  Random random(7);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.below(10));
  CHECK(seen.size() == 10);
  CHECK(*seen.rbegin() == 9);
  for (int i = 0; i < 10; ++i) CHECK(random.below(1) == 0);
}

TEST_CASE("the operating system gives different seeds", "[random]") {
  std::set<std::uint64_t> seeds;
  for (int i = 0; i < 16; ++i) seeds.insert(Random::entropy());
  CHECK(seeds.size() == 16);
}
