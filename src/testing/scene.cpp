#include "testing/scene.hpp"

#include <algorithm>
#include <exception>
#include <latch>
#include <map>
#include <mutex>
#include <thread>

namespace quern::inline v1::testing::detail {

ClaimRequest Scene::request(NodeId node, std::size_t limit, std::vector<std::string> kinds) {
  ClaimRequest request{.node = node, .limit = limit, .kinds = {}, .queues = std::nullopt};
  for (auto& kind : kinds) {
    request.kinds.push_back({.name = std::move(kind), .limit = limit, .max_attempts = kind_attempts});
  }
  return request;
}

Claim Scene::start_on(NodeId on, JobId id) const {
  const auto claims = store().claim(request(on, 1));
  QUERN_EXPECT_EQ(ids_of(claims), std::vector{id});
  return claims.front();
}

JobState Scene::finish(const Finish& finish) const {
  const auto result = store().finish({&finish, 1}).at(0);
  QUERN_EXPECT_EQ(result.status, FinishStatus::recorded);
  QUERN_EXPECT_EQ(state(finish.ref.id), result.state);
  return result.state;
}

void Scene::run_to(JobId id, JobState end) const {
  switch (end) {
    case JobState::completed:
      complete(start(id));
      break;
    case JobState::dead:
      discard(start(id));
      break;
    case JobState::cancelled:
      cancel(id);
      break;
    default:
      throw ConformanceFailure("run_to: not an end");
  }
  QUERN_EXPECT_EQ(state(id), end);
}

RescueResult Scene::crash_node() {
  clock.advance(lease + 1s);
  node = new_node();
  return rescue();
}

Job Scene::get(JobId id) const {
  auto job = find(id);
  QUERN_EXPECT(job.has_value());
  QUERN_EXPECT_EQ(job->id, id);
  return *std::move(job);
}

std::uint64_t Scene::counted(JobState state) const {
  std::uint64_t sum = 0;
  for (const JobCount& count : store().count()) sum += count.state == state ? count.count : 0;
  return sum;
}

std::vector<JobId> Scene::ids_of(const std::vector<Claim>& claims) {
  std::vector<JobId> ids;
  for (const Claim& claim : claims) ids.push_back(claim.ref.id);
  return ids;
}

std::vector<JobId> Scene::ids_of(const std::vector<Job>& jobs) {
  std::vector<JobId> ids;
  for (const Job& job : jobs) ids.push_back(job.id);
  return ids;
}

void expect_counts_equal_a_recount(StoragePort& store) {
  std::map<JobCount, std::uint64_t> counted;  // with a count of 0 in the key
  JobFilter filter{.oldest_first = true, .limit = 1000};
  do {
    const auto page = store.list(filter);
    for (const Job& job : page.jobs)
      ++counted[{.queue = job.queue, .kind = job.kind, .state = job.state, .count = 0}];
    QUERN_EXPECT(!page.next || page.next > filter.after);
    filter.after = page.next;
  } while (filter.after);

  std::vector<JobCount> expected;
  for (auto [count, number] : counted) {
    expected.push_back(count);
    expected.back().count = number;
  }
  QUERN_EXPECT_EQ(store.count(), expected);
  QUERN_EXPECT(store.recount().empty());
}

void in_parallel(int threads, const std::function<void(int)>& work) {
  std::latch start(threads);
  std::mutex mutex;
  std::exception_ptr failure;
  {
    std::vector<std::jthread> running;
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        start.arrive_and_wait();
        try {
          work(i);
        } catch (...) {
          const std::lock_guard lock(mutex);
          failure = std::current_exception();
        }
      });
    }
  }
  if (failure) std::rethrow_exception(failure);
}

namespace {

std::string leading_invariants(std::string_view name) {
  std::string found;
  while (name.size() > 4 && name[0] == 'I' && name[1] >= '0' && name[1] <= '9') {
    if (!found.empty()) found += ' ';
    found += name.substr(0, 3);
    name.remove_prefix(4);
  }
  return found;
}

ConformanceCase make_case(std::string name, bool needs_reopen, void (*run)(Scene&)) {
  auto invariants = leading_invariants(name);
  return {.name = std::move(name),
          .invariants = std::move(invariants),
          .needs_reopen = needs_reopen,
          .run = [run](StorageFixture& fixture) {
            Scene scene(fixture);
            run(scene);
          }};
}

}  // namespace

void add_case(Cases& cases, std::string name, void (*run)(Scene&)) {
  cases.push_back(make_case(std::move(name), false, run));
}

void add_durable_case(Cases& cases, std::string name, void (*run)(Scene&)) {
  cases.push_back(make_case(std::move(name), true, run));
}

}  // namespace quern::inline v1::testing::detail
