#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>

#include "quern/core/random.hpp"
#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// The object that the thread uses: half of them the second one, where there is one.
StoragePort& store_for(const Scene& s, int thread) {
  return thread % 2 == 0 ? s.store() : s.fixture.second();
}

std::vector<NewJob> jobs_with_ids(StoragePort& store, std::size_t count) {
  const JobId first = store.reserve_ids(count);
  std::vector<NewJob> jobs;
  for (std::size_t i = 0; i < count; ++i) jobs.push_back({.id = JobId{first.value + i}, .kind = "work"});
  return jobs;
}

}  // namespace

void add_concurrency_cases(Cases& cases) {
  add_case(cases, "ids that several threads reserve are disjoint, and grow for each", [](Scene& s) {
    std::mutex mutex;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> blocks;
    in_parallel(4, [&](int thread) {
      std::uint64_t last = 0;
      for (std::size_t i = 1; i <= 50; ++i) {
        const std::uint64_t first = store_for(s, thread).reserve_ids(i).value;
        QUERN_EXPECT(first > last);
        last = first + i - 1;
        const std::lock_guard lock(mutex);
        blocks.emplace_back(first, last);
      }
    });
    std::ranges::sort(blocks);
    for (std::size_t i = 1; i < blocks.size(); ++i) QUERN_EXPECT(blocks[i - 1].second < blocks[i].first);
  });

  add_case(cases, "I03 jobs claimed by four threads at once are disjoint and complete", [](Scene& s) {
    constexpr std::size_t size = 400;
    s.store().insert(jobs_with_ids(s.store(), size));
    std::mutex mutex;
    std::vector<JobId> claimed;
    in_parallel(4, [&](int thread) {
      StoragePort& store = store_for(s, thread);
      const NodeId node = store.register_node({.name = "node", .host = "h"});
      while (true) {
        const auto claims = store.claim(Scene::request(node, 7));
        if (claims.empty()) break;
        std::vector<Finish> finishes;
        for (const Claim& claim : claims) finishes.push_back({.ref = claim.ref});
        for (const auto& result : store.finish(finishes))
          QUERN_EXPECT_EQ(result.status, FinishStatus::recorded);
        const std::lock_guard lock(mutex);
        for (const Claim& claim : claims) claimed.push_back(claim.ref.id);
        QUERN_EXPECT(claimed.size() <= size);
      }
    });
    QUERN_EXPECT_EQ(claimed.size(), size);
    QUERN_EXPECT_EQ(std::set(claimed.begin(), claimed.end()).size(), size);
    QUERN_EXPECT_EQ(s.store().count(),
                    (std::vector<JobCount>{{"default", "work", JobState::completed, size}}));
  });

  add_case(cases, "I04 I07 of many threads that finish the same run, one is recorded", [](Scene& s) {
    for (int round = 0; round < 20; ++round) {
      const auto claim = s.start(s.add());
      std::atomic<int> recorded = 0;
      in_parallel(4, [&](int thread) {
        const Finish finish{.ref = claim.ref,
                            .outcome = thread < 2 ? Outcome::completed : Outcome::discarded};
        if (store_for(s, thread).finish({&finish, 1}).at(0).status == FinishStatus::recorded) ++recorded;
      });
      QUERN_EXPECT_EQ(recorded.load(), 1);
      QUERN_EXPECT(is_terminal(s.state(claim.ref.id)));
    }
  });

  add_case(cases, "I10 of many threads that add a job with the same key, one succeeds", [](Scene& s) {
    for (int round = 0; round < 20; ++round) {
      std::vector<NewJob> jobs;
      for (int i = 0; i < 4; ++i) jobs.push_back(s.unique_job("key"));
      std::atomic<int> added = 0;
      in_parallel(4, [&](int thread) {
        const auto& job = jobs[static_cast<std::size_t>(thread)];
        if (store_for(s, thread).insert({&job, 1}).at(0).status == InsertStatus::added) ++added;
      });
      QUERN_EXPECT_EQ(added.load(), 1);
      QUERN_EXPECT_EQ(s.counted(JobState::ready), 1U);
      s.complete(s.claim().at(0));
    }
  });

  add_case(cases, "I11 of many threads that send the same insert, one adds the job", [](Scene& s) {
    for (int round = 0; round < 20; ++round) {
      const auto jobs = jobs_with_ids(s.store(), 3);
      std::atomic<int> added = 0;
      in_parallel(4, [&](int thread) {
        for (const auto& result : store_for(s, thread).insert(jobs)) {
          if (result.status == InsertStatus::added) ++added;
        }
      });
      QUERN_EXPECT_EQ(added.load(), 3);
    }
    QUERN_EXPECT_EQ(s.counted(JobState::ready), 60U);
  });

  add_case(cases, "I13 parents that several threads finish together start their child once", [](Scene& s) {
    for (int round = 0; round < 20; ++round) {
      std::vector<JobId> parents;
      for (int i = 0; i < 4; ++i) parents.push_back(s.add());
      const JobId child = s.add(s.child_of(parents));
      const auto claims = s.claim();
      in_parallel(4, [&](int thread) {
        const Finish finish{.ref = claims.at(static_cast<std::size_t>(thread)).ref};
        QUERN_EXPECT_EQ(store_for(s, thread).finish({&finish, 1}).at(0).status, FinishStatus::recorded);
      });
      const auto started = s.claim();
      QUERN_EXPECT_EQ(Scene::ids_of(started), std::vector{child});
      s.complete(started.front());
    }
  });

  add_case(cases, "I03 I08 threads that rescue at once rescue each job once", [](Scene& s) {
    constexpr std::size_t size = 60;
    s.store().insert(jobs_with_ids(s.store(), size));
    s.claim(size);
    s.clock.advance(lease + 1s);
    std::atomic<std::size_t> rescued = 0;
    std::atomic<std::size_t> nodes = 0;
    in_parallel(4, [&](int thread) {
      bool more = true;
      while (more) {
        const auto result = store_for(s, thread).rescue(5, crash_limit);
        rescued += result.rescued;
        nodes += result.nodes;
        more = result.more && rescued <= size;
      }
    });
    QUERN_EXPECT_EQ(rescued.load(), size);
    QUERN_EXPECT_EQ(nodes.load(), std::size_t{1});
    for (const Job& job : s.store().list({}).jobs) {
      QUERN_EXPECT_EQ(job.crashes, 1);
      QUERN_EXPECT_EQ(job.state, JobState::ready);
    }
  });

  add_case(cases, "I18 once a pause has returned, no thread's claim starts a job of the queue", [](Scene& s) {
    constexpr std::size_t size = 300;
    s.store().insert(jobs_with_ids(s.store(), size));
    std::atomic<bool> paused = false;
    std::atomic<int> wrong = 0;
    in_parallel(4, [&](int thread) {
      StoragePort& store = store_for(s, thread);
      if (thread == 0) {
        for (int i = 0; i < 5; ++i) static_cast<void>(store.count());
        store.pause("default");
        paused = true;
        return;
      }
      const NodeId node = store.register_node({.name = "node", .host = "h"});
      for (int i = 0; i < 30; ++i) {
        const bool before = paused;
        if (!store.claim(Scene::request(node, 1)).empty() && before) ++wrong;
      }
    });
    QUERN_EXPECT_EQ(wrong.load(), 0);
    const auto left = s.counted(JobState::ready);
    QUERN_EXPECT(left >= size - 90);
    s.store().resume("default");
    QUERN_EXPECT_EQ(s.claim().size(), left);
  });

  add_case(cases, "I01 nothing is lost or done twice when many threads do everything at once", [](Scene& s) {
    constexpr std::size_t per_thread = 60;
    std::atomic<int> completed = 0;
    in_parallel(4, [&](int thread) {
      StoragePort& store = store_for(s, thread);
      const NodeId node = store.register_node({.name = "node", .host = "h"});
      Random random(static_cast<std::uint64_t>(thread) + 1);
      for (const NewJob& job : jobs_with_ids(store, per_thread)) {
        store.insert({&job, 1});
        for (const Claim& claim : store.claim(Scene::request(node, 2))) {
          const auto dice = random.below(4);
          Finish finish{.ref = claim.ref};
          if (dice == 1) finish.outcome = Outcome::released;
          if (dice == 2) finish.outcome = Outcome::snoozed;
          if (dice == 3) store.progress(std::vector{ProgressUpdate{claim.ref, {50, "half"}}});
          if (store.finish({&finish, 1}).at(0).state == JobState::completed) ++completed;
        }
        if (random.below(10) == 0) static_cast<void>(store.list({.limit = 10}));
        if (random.below(10) == 0) store.promote(10);
        if (random.below(10) == 0) store.rescue(10, crash_limit);
        static_cast<void>(store.find({&job.id, 1}));
      }
    });
    QUERN_EXPECT_EQ(s.counted(JobState::running), 0U);
    QUERN_EXPECT_EQ(s.counted(JobState::completed), completed.load());
    QUERN_EXPECT_EQ(s.counted(JobState::completed) + s.counted(JobState::ready), 4 * per_thread);
    expect_counts_equal_a_recount(s.store());
  });
}

}  // namespace quern::inline v1::testing::detail
