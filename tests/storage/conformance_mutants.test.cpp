// The suite is worth what it catches: storages that are wrong in one way each, all of which must fail it.

#include <string>
#include <vector>

#include "quern/storage/memory_storage.hpp"
#include "quern/testing/storage_conformance.hpp"
#include "storage/mutants.hpp"
#include "support/catch.hpp"

namespace {

using namespace quern;
using namespace quern_test::mutants;
using quern_test::ForwardingStorage;

/// The right storage behind a clock that tells leases by the wall clock.
struct WallClockLeases {
  const ManualClock& clock;
  [[nodiscard]] TimePoint now() const { return clock.now(); }
  [[nodiscard]] SteadyTime steady() const { return clock.now().time_since_epoch(); }
  [[nodiscard]] std::string boot_id() const { return clock.boot_id(); }
};
/// ... and one that does not know of restarts.
struct OneBoot {
  const ManualClock& clock;
  [[nodiscard]] TimePoint now() const { return clock.now(); }
  [[nodiscard]] SteadyTime steady() const { return clock.steady(); }
  [[nodiscard]] std::string boot_id() const { return "always the same"; }
};

template <class Mutant>
class MutantFixture final : public testing::StorageFixture {
 public:
  StoragePort& store() override { return mutant_; }

 private:
  StorageAdapter<MemoryStorage> inner_{ClockRef(clock())};
  Mutant mutant_{inner_};
};

template <class WrongClock>
class ClockMutantFixture final : public testing::StorageFixture {
 public:
  StoragePort& store() override { return storage_; }

 private:
  WrongClock wrong_{clock()};
  StorageAdapter<MemoryStorage> storage_{ClockRef(wrong_)};
};

/// The first case that the fixture fails; empty when it passes all.
template <class Fixture>
std::string first_failure() {
  for (const auto& c : testing::storage_conformance_cases()) {
    if (c.needs_reopen) continue;
    Fixture fixture;
    try {
      c.run(fixture);
    } catch (const std::exception&) {
      return c.name;
    }
  }
  return {};
}

template <class... Mutants>
void expect_caught(const char* names) {
  INFO(names);
  const std::vector<std::string> caught{first_failure<MutantFixture<Mutants>>()...};
  for (std::size_t i = 0; i < caught.size(); ++i) {
    INFO("mutant number " << i + 1);
    CHECK_FALSE(caught[i].empty());
  }
}
#define QUERN_EXPECT_CAUGHT(...) expect_caught<__VA_ARGS__>(#__VA_ARGS__)

}  // namespace

TEST_CASE("the conformance suite finds nothing wrong with a storage behind another one",
          "[storage][mutants]") {
  CHECK(first_failure<MutantFixture<ForwardingStorage>>().empty());
}

TEST_CASE("the conformance suite catches storages that fence badly", "[storage][mutants]") {
  QUERN_EXPECT_CAUGHT(NoEpochCheck, NoNodeCheck, LostFinishIsRecorded, LostProgressIsHeld, StepOfAnyEpoch,
                      ReturnsAClaimTwice, RenewsTheDead, RetireDoesNothing);
}

TEST_CASE("the conformance suite catches storages that insert badly", "[storage][mutants]") {
  QUERN_EXPECT_CAUGHT(ForgetsParents, ForgetsParentPolicy, ForgetsUniqueKey, ForgetsUniquePeriod,
                      HoldsKeyAfterCompletion, NeverReplaces, StartsEarly, StartsABitEarly, ForgetsDeadline,
                      ForgetsPriority, InsertsOneByOne, InsertsTwice, ReservesTooFew, NotThreadSafeIds);
}

TEST_CASE("the conformance suite catches storages that claim and finish badly", "[storage][mutants]") {
  QUERN_EXPECT_CAUGHT(ClaimsPausedQueues, ClaimsInReverse, IgnoresKindLimits, IgnoresQueueLimits,
                      IgnoresAgeing, CountsAttemptsAtTheError, SnoozeCostsAnAttempt, NeverDiesOfAttempts,
                      LosesResults, LosesJobsOfACompletion, RecordsBeforeTheFinish, CancelBeatsSuccess,
                      ForgetsCancelOfARunningJob);
}

TEST_CASE("the conformance suite catches storages that keep house badly", "[storage][mutants]") {
  QUERN_EXPECT_CAUGHT(NeverQuarantines, RescuesFromLiveNodes, UnboundedRescue, PrunesByStateAlone,
                      PrunesAllKinds, PrunesWithoutException, PromotesWithoutBound, ForgetsWhatIsDueNext,
                      RetriesInPlace);
}

TEST_CASE("the conformance suite catches storages that change waiting jobs badly", "[storage][mutants]") {
  QUERN_EXPECT_CAUGHT(ReschedulesEndedJobs, ReschedulesForNow, PrioritizesTheFirst, ErasesByCancelling,
                      LimitsNothing, LimitsOneLess, FillsUpToTheLimit, KnowsNoHolder);
}

TEST_CASE("the conformance suite catches storages that limit badly", "[storage][mutants]") {
  QUERN_EXPECT_CAUGHT(KeepsRulesToItself, LetsOneMoreRun, EndsWindowsEarly, TakesBucketsForWindows,
                      ForgetsTheKindOfARule, FillsARateThatIsChanged, StaysSilentAboutTheNextStart,
                      CountsWhatRunsOnce);
}

TEST_CASE("the conformance suite catches storages that read and tell badly", "[storage][mutants]") {
  QUERN_EXPECT_CAUGHT(CountsWithoutRunning, RecountsWithoutRunning, TellsTheYoungestReadyJob,
                      ListsWithoutFilter, ListsOfAllTimes, ListsTheEndOfATime, ListsTheLastOfAPageAgain,
                      ForgetsErrors, SortsSteps, RecordsWithoutCase, TellsTwice, TellsNothing, NoticesItself);
}

TEST_CASE("the conformance suite catches leases on a wrong clock", "[storage][mutants]") {
  CHECK(first_failure<ClockMutantFixture<WallClockLeases>>() == "I03 setting the wall clock ends no lease");
  CHECK_FALSE(first_failure<ClockMutantFixture<OneBoot>>().empty());
}
