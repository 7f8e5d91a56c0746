// Lists by time, tenant and tag, among jobs whose ids lie far apart.

#include <algorithm>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// All pages of a filter, oldest first.
std::vector<JobId> listed(const Scene& s, JobFilter filter) {
  std::vector<JobId> ids;
  filter.oldest_first = true;
  filter.limit = 3;
  do {
    const auto page = s.store().list(filter);
    for (const Job& job : page.jobs) ids.push_back(job.id);
    QUERN_EXPECT(page.next != filter.after || !page.next);
    filter.after = page.next;
  } while (filter.after);

  std::vector<JobId> downwards;
  filter.oldest_first = false;
  do {
    const auto page = s.store().list(filter);
    for (const Job& job : page.jobs) downwards.push_back(job.id);
    filter.after = page.next;
  } while (filter.after);
  std::ranges::reverse(downwards);
  QUERN_EXPECT_EQ(downwards, ids);
  return ids;
}

}  // namespace

void add_filter_cases(Cases& cases) {
  add_case(cases, "a list by time has the jobs created from its begin on and before its end", [](Scene& s) {
    const TimePoint start = s.clock.now();
    std::vector<JobId> ids;
    for (int i = 0; i < 8; ++i) {
      ids.push_back(s.add());
      s.clock.advance(1h);
    }
    const auto from_to = [&](std::optional<TimePoint> from, std::optional<TimePoint> before) {
      return listed(s, {.created_from = from, .created_before = before});
    };
    QUERN_EXPECT_EQ(from_to({}, {}), ids);
    QUERN_EXPECT_EQ(from_to(start, start + 8h), ids);
    QUERN_EXPECT_EQ(from_to(start + 2h, start + 4h), (std::vector{ids[2], ids[3]}));
    QUERN_EXPECT_EQ(from_to(start + 2h + 1us, start + 4h + 1us), (std::vector{ids[3], ids[4]}));
    QUERN_EXPECT_EQ(from_to(start + 6h, {}), (std::vector{ids[6], ids[7]}));
    QUERN_EXPECT_EQ(from_to({}, start + 1us), (std::vector{ids[0]}));
    QUERN_EXPECT(from_to({}, start).empty());
    QUERN_EXPECT(from_to(start + 3h, start + 3h).empty());
    QUERN_EXPECT(from_to(start + 4h, start + 3h).empty());
    QUERN_EXPECT(from_to(start + 8h, {}).empty());
    QUERN_EXPECT_EQ(from_to(TimePoint::min(), TimePoint::max()), ids);
    QUERN_EXPECT(from_to({}, TimePoint::min()).empty());
  });

  add_case(cases, "a list finds what it filters by among ids that lie far apart and are used out of order",
           [](Scene& s) {
             const TimePoint start = s.clock.now();
             std::vector<JobId> blocks;
             for (int i = 0; i < 12; ++i) blocks.push_back(s.store().reserve_ids(30'000));
             std::ranges::reverse(blocks);  // the largest ids are used first
             std::vector<std::vector<JobId>> of_hour;
             std::vector<JobId> red;
             std::vector<JobId> acme;
             std::vector<JobId> rare;
             for (const JobId block : blocks) {
               auto& ids = of_hour.emplace_back();
               for (std::uint64_t i = 0; i < 4; ++i) {
                 auto job = s.job();
                 job.id = JobId{block.value + i * 9'999};
                 if (i == 1) job.tags = {"blue", "red"};
                 if (i == 2 && of_hour.size() % 3 == 0) job.tenant = "acme";
                 if (of_hour.size() == 5 && i == 3) job.kind = "third";
                 s.add(job);
                 ids.push_back(job.id);
                 if (i == 1) red.insert(red.begin(), job.id);
                 if (!job.tenant.empty()) acme.insert(acme.begin(), job.id);
                 if (job.kind == "third") rare.push_back(job.id);
               }
               s.clock.advance(1h);
             }
             QUERN_EXPECT_EQ(listed(s, {}).size(), std::size_t{48});
             QUERN_EXPECT_EQ(listed(s, {.tag = "red"}), red);
             QUERN_EXPECT_EQ(listed(s, {.tenant = "acme"}), acme);
             QUERN_EXPECT(listed(s, {.tenant = "red"}).empty());
             QUERN_EXPECT(listed(s, {.tag = "acme"}).empty());
             QUERN_EXPECT(listed(s, {.tenant = "acme", .tag = "red"}).empty());
             QUERN_EXPECT_EQ(listed(s, {.kind = "third"}), rare);
             QUERN_EXPECT(listed(s, {.kind = "third", .tag = "red"}).empty());
             QUERN_EXPECT(listed(s, {.states = {JobState::dead, JobState::cancelled}}).empty());
             for (std::size_t hour = 0; hour < of_hour.size(); ++hour) {
               const TimePoint from = start + std::chrono::hours(hour);
               const JobFilter then{.created_from = from, .created_before = from + 1h};
               QUERN_EXPECT_EQ(listed(s, then), of_hour[hour]);
               auto red_then = then;
               red_then.tag = "red";
               red_then.states = {JobState::ready, JobState::dead};
               QUERN_EXPECT_EQ(listed(s, red_then), std::vector{of_hour[hour][1]});
             }
           });

  add_case(cases, "a list by states has the jobs of each of them, once", [](Scene& s) {
    std::vector<JobId> ids;
    for (int i = 0; i < 9; ++i) {
      ids.push_back(s.add());
      const JobState end = i % 3 == 0   ? JobState::dead
                           : i % 3 == 1 ? JobState::cancelled
                                        : JobState::completed;
      s.run_to(ids.back(), end);
    }
    const auto every_third = [&](std::initializer_list<std::size_t> of) {
      std::vector<JobId> some;
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if (std::ranges::count(of, i % 3) > 0) some.push_back(ids[i]);
      }
      return some;
    };
    using enum JobState;
    QUERN_EXPECT_EQ(listed(s, {.states = {dead}}), every_third({0}));
    QUERN_EXPECT_EQ(listed(s, {.states = {cancelled, dead}}), every_third({0, 1}));
    QUERN_EXPECT_EQ(listed(s, {.states = {completed, cancelled, completed}}), every_third({1, 2}));
    QUERN_EXPECT_EQ(listed(s, {.states = {completed, cancelled, dead, running}}), ids);
    QUERN_EXPECT(listed(s, {.states = {ready, blocked}}).empty());
  });

  add_case(cases, "what is erased or pruned is listed by nothing any more", [](Scene& s) {
    const TimePoint start = s.clock.now();
    auto job = s.job("third");
    job.tenant = "acme";
    job.tags = {"red", "blue"};
    s.add(job);
    auto other = s.job();
    other.tags = {"red"};
    s.add(other);
    s.cancel(job.id);
    QUERN_EXPECT_EQ(listed(s, {.tag = "red"}), (std::vector{job.id, other.id}));
    QUERN_EXPECT_EQ(s.store().prune({.state = JobState::cancelled}).pruned, std::size_t{1});
    QUERN_EXPECT(listed(s, {.tenant = "acme"}).empty());
    QUERN_EXPECT(listed(s, {.kind = "third"}).empty());
    QUERN_EXPECT_EQ(listed(s, {.tag = "red"}), std::vector{other.id});
    QUERN_EXPECT_EQ(listed(s, {.created_from = start}), std::vector{other.id});
    s.store().erase(std::vector{other.id});
    QUERN_EXPECT(listed(s, {.tag = "red"}).empty());
    QUERN_EXPECT(listed(s, {.created_from = start}).empty());
    s.add(s.job("third"));
    QUERN_EXPECT_EQ(listed(s, {.kind = "third", .created_from = start}).size(), std::size_t{1});
  });
}

}  // namespace quern::inline v1::testing::detail
