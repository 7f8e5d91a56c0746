#include "quern/work/detail/prune_plan.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace std::chrono_literals;
using quern::JobState;
using quern::detail::prune_plan;

}  // namespace

TEST_CASE("without kinds of their own there is one prune for each terminal state", "[upkeep]") {
  const auto plan = prune_plan({.completed = 1h, .cancelled = 2h, .dead = 3h, .kinds = {}}, 50);
  REQUIRE(plan.size() == 3);
  const std::vector states{JobState::completed, JobState::cancelled, JobState::dead};
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(plan[i].state == states[i]);
    CHECK(plan[i].older_than == (i + 1) * 1h);
    CHECK(plan[i].limit == 50);
    CHECK(plan[i].kind.empty());
    CHECK(plan[i].except.empty());
  }
}

TEST_CASE("a kind with a time of its own is pruned by that alone, in the states that it names", "[upkeep]") {
  const auto plan =
      prune_plan({.completed = 7h,
                  .cancelled = 7h,
                  .dead = 9h,
                  .kinds = {{"audit", {.completed = 30h}}, {"send", {.completed = 1h, .dead = 2h}}}},
                 10);
  REQUIRE(plan.size() == 6);
  const auto check = [&](std::size_t at, JobState state, quern::Duration older_than, const std::string& kind,
                         const std::vector<std::string>& except) {
    INFO("number " << at);
    CHECK(plan[at].state == state);
    CHECK(plan[at].older_than == older_than);
    CHECK(plan[at].limit == 10);
    CHECK(plan[at].kind == kind);
    CHECK(plan[at].except == except);
  };
  check(0, JobState::completed, 30h, "audit", {});
  check(1, JobState::completed, 1h, "send", {});
  check(2, JobState::completed, 7h, "", {"audit", "send"});
  check(3, JobState::cancelled, 7h, "", {});
  check(4, JobState::dead, 2h, "send", {});
  check(5, JobState::dead, 9h, "", {"send"});
}

TEST_CASE("a kind that is kept as long as all the others costs no prune of its own", "[upkeep]") {
  const auto plan = prune_plan({.dead = 9h, .kinds = {{"a", {.dead = 9h}}, {"b", {}}}}, 10);
  REQUIRE(plan.size() == 3);
  CHECK(plan[2].except.empty());
}
