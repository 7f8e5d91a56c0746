#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "quern/core/limits.hpp"
#include "quern/core/random.hpp"
#include "testing/model.hpp"
#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// Does the same random things to a storage and to the model, and compares the answers and the jobs.
class Comparison {
 public:
  /// `rules`: also rules for how many jobs run and start.
  Comparison(Scene& scene, std::uint64_t seed, bool rules)
      : s_(scene), model_(scene.clock), random_(seed), rules_(rules) {
    model_.add_node(s_.node, lease);
    nodes_.push_back(s_.node);
    add_node();
  }

  void step() {
    if (rules_ && chance(6)) return change_rules();
    const auto dice = random_.below(100);
    if (dice < 22) return insert();
    if (dice < 42) return claim();
    if (dice < 66) return finish();
    if (dice < 72) return cancel();
    if (dice < 78) return retry();
    if (dice < 86) return pass_time();
    if (dice < 90) return rescue();
    if (dice < 94) return pause();
    if (dice < 97) return prune();
    return replace_lost_nodes();
  }

  void expect_same() {
    std::vector<JobId> ids;
    for (const auto& [id, job] : model_.jobs()) ids.push_back(id);
    const auto found = s_.store().find(ids);
    std::map<JobCount, std::uint64_t> counted;
    std::map<std::pair<std::string, std::string>, TimePoint> due;
    std::size_t at = 0;
    for (const auto& [id, wanted] : model_.jobs()) {
      QUERN_EXPECT(found[at].has_value());
      expect_same_job(*found[at++], wanted);
      ++counted[{.queue = wanted.given.queue, .kind = wanted.given.kind, .state = wanted.state, .count = 0}];
      if (wanted.state != JobState::ready) continue;
      const auto [first, is_new] = due.try_emplace({wanted.given.queue, wanted.given.kind}, wanted.run_at);
      first->second = std::min(first->second, wanted.run_at);
    }
    std::vector<JobCount> counts;
    for (auto [count, number] : counted) {
      counts.push_back(count);
      counts.back().count = number;
    }
    QUERN_EXPECT_EQ(s_.store().count(), counts);
    std::vector<ReadyAge> ages;
    for (const auto& [lane, since] : due)
      ages.push_back({lane.first, lane.second, since, std::max(Duration::zero(), s_.clock.now() - since)});
    QUERN_EXPECT_EQ(s_.store().oldest_ready(), ages);
    QUERN_EXPECT(s_.store().recount().empty());
    if (rules_) expect_same_rules();
    expect_same_list();
    for (const NodeId node : nodes_) {
      auto requests = s_.store().cancel_requests(node);
      std::ranges::sort(requests);
      QUERN_EXPECT_EQ(requests, model_.cancel_requests(node));
    }
  }

 private:
  static void expect_same_job(const Job& job, const Model::ModelJob& wanted) {
    QUERN_EXPECT_EQ(job.id, wanted.given.id);
    QUERN_EXPECT_EQ(job.state, wanted.state);
    QUERN_EXPECT_EQ(job.dead_reason, wanted.dead_reason);
    QUERN_EXPECT_EQ(job.run, wanted.run);
    QUERN_EXPECT_EQ(job.attempt, wanted.attempt);
    QUERN_EXPECT_EQ(job.epoch, wanted.epoch);
    QUERN_EXPECT_EQ(job.snoozes, wanted.snoozes);
    QUERN_EXPECT_EQ(job.crashes, wanted.crashes);
    QUERN_EXPECT_EQ(job.run_at, wanted.run_at);
    QUERN_EXPECT_EQ(job.deadline, wanted.deadline);
    QUERN_EXPECT_EQ(job.finished_at, wanted.finished_at);
    QUERN_EXPECT_EQ(job.node, wanted.node.value);
    QUERN_EXPECT_EQ(job.cancel_requested && job.state == JobState::running,
                    wanted.cancel_requested && wanted.state == JobState::running);
    QUERN_EXPECT_EQ(job.errors.size(), std::min(wanted.errors, max_attempt_errors));
  }

  void expect_same_rules() {
    const auto limits = s_.store().limits();
    const auto wanted = model_.limits();
    QUERN_EXPECT_EQ(limits.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      QUERN_EXPECT(limits[i].rule == wanted[i].rule);
      QUERN_EXPECT_EQ(limits[i].running, wanted[i].running);
      QUERN_EXPECT_EQ(limits[i].free, wanted[i].free);
      QUERN_EXPECT_EQ(limits[i].starts, wanted[i].starts);
      QUERN_EXPECT_EQ(limits[i].wait, wanted[i].wait);
    }
  }

  /// Some filter gives the jobs that match it, page by page.
  void expect_same_list() {
    JobFilter filter{.oldest_first = chance(50), .limit = 1 + random_.below(40)};
    if (chance(50)) {
      for (const JobState state : all_job_states)
        if (chance(30)) filter.states.push_back(state);
    }
    if (chance(25)) filter.queue = one_of(queues_);
    if (chance(25)) filter.kind = one_of(kinds_);
    if (chance(30)) filter.tenant = one_of(tenants_);
    if (chance(30)) filter.tag = one_of(tags_);
    const Duration age = s_.clock.now() - begin_;
    if (chance(30)) filter.created_from = begin_ + age / 10 * static_cast<int>(random_.below(11));
    if (chance(30)) filter.created_before = begin_ + age / 10 * static_cast<int>(random_.below(11));

    std::vector<JobId> wanted;
    for (const auto& [id, job] : model_.jobs()) {
      const bool matches = (filter.states.empty() || std::ranges::count(filter.states, job.state) > 0) &&
                           (filter.queue.empty() || filter.queue == job.given.queue) &&
                           (filter.kind.empty() || filter.kind == job.given.kind) &&
                           (filter.tenant.empty() || filter.tenant == job.given.tenant) &&
                           (filter.tag.empty() || std::ranges::count(job.given.tags, filter.tag) > 0) &&
                           (!filter.created_from || job.created_at >= *filter.created_from) &&
                           (!filter.created_before || job.created_at < *filter.created_before);
      if (matches) wanted.push_back(id);
    }
    if (!filter.oldest_first) std::ranges::reverse(wanted);
    std::vector<JobId> listed;
    do {
      const auto page = s_.store().list(filter);
      QUERN_EXPECT(page.jobs.size() <= filter.limit && (!page.next || page.next != filter.after));
      for (const Job& job : page.jobs) listed.push_back(job.id);
      filter.after = page.next;
    } while (filter.after);
    QUERN_EXPECT_EQ(listed, wanted);
  }

  [[nodiscard]] bool chance(std::uint64_t percent) { return random_.below(100) < percent; }
  [[nodiscard]] Duration some_seconds(std::uint64_t most) {
    return std::chrono::seconds(random_.below(most + 1));
  }
  [[nodiscard]] When some_time() {
    if (chance(50)) return {};
    if (chance(20)) return When::at(s_.clock.now() - some_seconds(20));
    return When::after(some_seconds(40));
  }
  template <class T>
  [[nodiscard]] const T& one_of(const std::vector<T>& values) {
    return values[random_.below(values.size())];
  }
  /// Any known job; mostly a young one. None: an id that no job has.
  [[nodiscard]] JobId some_job() {
    if (ids_.empty() || chance(2)) return JobId{987'654'321};
    const std::size_t window = std::min<std::size_t>(ids_.size(), chance(80) ? 25 : 200);
    return ids_[ids_.size() - 1 - random_.below(window)];
  }

  NewJob some_new_job(const std::vector<NewJob>& earlier) {
    auto job = s_.job(one_of(kinds_));
    // Processes reserve blocks of ids: there are gaps, and ids that are used late.
    if (chance(5)) {
      const std::uint64_t size = 3 + random_.below(100'000);
      const JobId block = s_.store().reserve_ids(size);
      for (std::uint64_t i = 0; i < 3; ++i) late_ids_.push_back(JobId{block.value + i * (size / 3)});
    }
    if (!late_ids_.empty() && chance(10)) {
      const std::size_t which = random_.below(late_ids_.size());
      job.id = late_ids_[which];
      late_ids_.erase(late_ids_.begin() + static_cast<std::ptrdiff_t>(which));
    }
    job.queue = one_of(queues_);
    if (chance(30)) job.tenant = one_of(tenants_);
    for (const auto& tag : tags_)
      if (chance(15)) job.tags.push_back(tag);
    job.priority = Priority{static_cast<int>(random_.below(3))};
    job.run_at = some_time();
    if (chance(15)) job.deadline = When::after(some_seconds(60));
    if (chance(40)) job.max_attempts = 1 + static_cast<int>(random_.below(4));
    if (chance(40)) {
      job.unique.key = fmt::format("key-{}", random_.below(6));
      job.unique.on_conflict = static_cast<UniqueConflict>(random_.below(3));
      job.unique.while_completed = chance(20);
      job.unique.while_dead = chance(20);
      job.unique.while_cancelled = chance(10);
      if (chance(30)) job.unique.period = 1s + some_seconds(60);
    }
    for (std::uint64_t parents = chance(35) ? 1 + random_.below(3) : 0; parents > 0; --parents) {
      const JobId parent = !earlier.empty() && chance(50) ? one_of(earlier).id : some_job();
      const bool known =
          model_.jobs().contains(parent) || std::ranges::find(earlier, parent, &NewJob::id) != earlier.end();
      if (known && std::ranges::find(job.parents, parent) == job.parents.end()) job.parents.push_back(parent);
    }
    job.on_parent_failure = static_cast<ParentPolicy>(random_.below(3));
    ids_.push_back(job.id);
    return job;
  }

  void insert() {
    std::vector<NewJob> jobs;
    for (std::uint64_t size = 1 + random_.below(4); size > 0; --size) jobs.push_back(some_new_job(jobs));
    for (int sent = 0; sent < (chance(5) ? 2 : 1); ++sent) {
      const auto results = s_.store().insert(jobs);
      const auto wanted = model_.insert(jobs);
      for (std::size_t i = 0; i < jobs.size(); ++i) {
        QUERN_EXPECT_EQ(results.at(i).status, wanted[i].status);
        QUERN_EXPECT_EQ(results.at(i).holder, wanted[i].holder);
      }
    }
  }

  void promote() {
    const auto result = s_.store().promote(100'000);
    const auto wanted = model_.promote();
    QUERN_EXPECT_EQ(result.promoted, wanted.promoted);
    QUERN_EXPECT_EQ(result.expired, wanted.expired);
    QUERN_EXPECT_EQ(result.next, wanted.next);
    QUERN_EXPECT_EQ(result.more, false);
  }

  ClaimRequest some_request() {
    auto request = Scene::request(one_of(nodes_), 1 + random_.below(6), {});
    for (const auto& kind : kinds_) {
      if (chance(80)) {
        request.kinds.push_back({.name = kind, .limit = random_.below(5), .max_attempts = kind_attempts});
      }
    }
    if (chance(40)) {
      request.queues.emplace();
      for (const auto& queue : queues_) {
        if (chance(70)) request.queues->push_back({.name = queue, .limit = random_.below(4)});
      }
    }
    return request;
  }

  void claim() {
    promote();  // so that no job expires in the claim, whose bounds are not promised
    const auto request = some_request();
    take(s_.store().claim(request), request);
  }

  void take(const std::vector<Claim>& claims, const ClaimRequest& request) {
    QUERN_EXPECT_EQ(Scene::ids_of(claims), model_.claim(request));
    for (const Claim& claim : claims) {
      const auto& job = model_.jobs().at(claim.ref.id);
      QUERN_EXPECT_EQ(claim.ref.epoch, job.epoch);
      QUERN_EXPECT_EQ(claim.attempt, job.attempt);
      QUERN_EXPECT_EQ(claim.max_attempts, job.allowed_attempts);
      QUERN_EXPECT_EQ(claim.run, job.run);
      runs_.push_back(claim.ref);
    }
  }

  void finish() {
    if (runs_.empty()) return;
    std::vector<Finish> finishes;
    for (std::uint64_t size = 1 + random_.below(3); size > 0; --size) {
      const std::size_t window = std::min<std::size_t>(runs_.size(), 12);
      Finish finish{.ref = runs_[runs_.size() - 1 - random_.below(window)]};
      finish.outcome = chance(40) ? Outcome::completed : static_cast<Outcome>(random_.below(6));
      finish.again = some_time();
      if (finish.outcome == Outcome::completed && chance(20)) {
        finish.jobs.push_back(some_new_job({}));
        if (chance(50)) finish.jobs.back().parents = {finish.ref.id};
        if (!model_.jobs().contains(finish.ref.id)) finish.jobs.clear();  // pruned meanwhile
      }
      finishes.push_back(finish);
    }
    // As before a claim: no job of them may expire at once.
    const auto may_expire = [&](const Finish& finish) {
      const auto job = model_.jobs().find(finish.ref.id);
      return !finish.jobs.empty() || job == model_.jobs().end() ||
             (job->second.deadline && *job->second.deadline <= s_.clock.now());
    };
    const bool turn_over = chance(50) && std::ranges::none_of(finishes, may_expire);
    if (turn_over) promote();
    const auto request = some_request();
    const Turnover done = turn_over ? s_.store().finish_and_claim(finishes, request)
                                    : Turnover{s_.store().finish(finishes), std::nullopt};
    const auto& results = done.finished;
    const auto wanted = model_.finish(finishes);
    for (std::size_t i = 0; i < finishes.size(); ++i) {
      QUERN_EXPECT_EQ(results.at(i).status, wanted[i].status);
      if (wanted[i].status == FinishStatus::recorded) QUERN_EXPECT_EQ(results[i].state, wanted[i].state);
    }
    if (done.claimed) take(*done.claimed, request);
  }

  void cancel() {
    const JobId id = some_job();
    QUERN_EXPECT_EQ(s_.cancel(id), model_.cancel(id));
  }

  void retry() {
    const JobId id = some_job();
    QUERN_EXPECT_EQ(s_.retry(id), model_.retry(id));
  }

  void change_rules() {
    LimitRule rule{.name = fmt::format("rule-{}", random_.below(4))};
    for (LimitStatus& known : model_.limits()) {
      if (known.rule.name != rule.name || chance(50)) continue;
      known.rule.max_running = 1 + random_.below(8);  // a rate goes on while the rest of its rule changes
      s_.store().set_limit(known.rule);
      return model_.set_limit(known.rule);
    }
    const bool erased = model_.erase_limit(rule.name);
    QUERN_EXPECT_EQ(s_.store().erase_limit(rule.name), erased);
    if (chance(30)) return;
    if (chance(50)) rule.queue = one_of(queues_);
    if (chance(50)) rule.kind = one_of(kinds_);
    if (chance(50)) {
      rule.rate = {.count = 1 + static_cast<std::int64_t>(random_.below(6)), .per = 20s + some_seconds(20)};
      if (chance(50)) rule.rate.algorithm = RateAlgorithm::sliding_window;
      if (rule.rate.algorithm == RateAlgorithm::token_bucket)
        rule.rate.burst = static_cast<std::int64_t>(random_.below(5));
    }
    rule.max_running = random_.below(8);
    if (rule.rate.count == 0) ++rule.max_running;
    s_.store().set_limit(rule);
    model_.set_limit(rule);
  }

  void pass_time() {
    // Rates by the second: what they count together within a second would not be the model's. And a clock that is set
    // they follow in their own way.
    s_.clock.advance(some_seconds(15) + (rules_ ? Duration(1s) : Duration(1us)));
    if (!rules_ && chance(10)) s_.clock.set_wall(s_.clock.now() + some_seconds(60) - some_seconds(60));
    for (const NodeId node : nodes_) {
      if (chance(70)) QUERN_EXPECT_EQ(s_.store().renew(node), model_.renew(node));
    }
    if (chance(50)) promote();
  }

  void rescue() {
    const auto result = s_.rescue();
    const auto wanted = model_.rescue(crash_limit);
    QUERN_EXPECT_EQ(result.nodes, wanted.nodes);
    QUERN_EXPECT_EQ(result.rescued, wanted.rescued);
    QUERN_EXPECT_EQ(result.dead, wanted.dead);
    QUERN_EXPECT_EQ(result.more, false);
  }

  void pause() {
    const auto& queue = one_of(queues_);
    const bool paused = chance(40);
    paused ? s_.store().pause(queue) : s_.store().resume(queue);
    model_.pause(queue, paused);
  }

  void prune() {
    constexpr std::array ends{JobState::completed, JobState::dead, JobState::cancelled};
    PruneRequest request{.state = ends[random_.below(ends.size())],
                         .older_than = some_seconds(60),
                         .limit = 1 + random_.below(20)};
    if (chance(30)) request.kind = one_of(kinds_);
    if (chance(30)) request.except = {one_of(kinds_), "no such kind"};
    const auto result = s_.store().prune(request);
    const auto wanted = model_.prune(request);
    QUERN_EXPECT_EQ(result.pruned, wanted.pruned);
    if (wanted.more) QUERN_EXPECT_EQ(result.more, true);
  }

  void add_node() {
    nodes_.push_back(s_.new_node());
    model_.add_node(nodes_.back(), lease);
  }

  void replace_lost_nodes() {
    const auto lost = std::erase_if(nodes_, [&](NodeId node) { return !model_.alive(node); });
    for (std::size_t i = 0; i < lost; ++i) add_node();
  }

  Scene& s_;
  Model model_;
  Random random_;
  const bool rules_;
  std::vector<JobId> ids_;
  std::vector<RunRef> runs_;
  std::vector<NodeId> nodes_;
  std::vector<JobId> late_ids_;
  const TimePoint begin_ = s_.clock.now();
  const std::vector<std::string> tenants_{"acme", "umbrella", "nobody"};
  const std::vector<std::string> tags_{"red", "acme", "blue"};
  const std::vector<std::string> kinds_{"work", "other", "third"};
  const std::vector<std::string> queues_{"default", "mail", "slow"};
};

template <std::uint64_t Seed, bool Rules = false>
void run_comparison(Scene& s) {
  constexpr int steps = 1'500;
  int step = 0;
  try {
    Comparison comparison(s, Seed, Rules);
    for (; step < steps; ++step) {
      comparison.step();
      if (step % 10 == 9) comparison.expect_same();
    }
    expect_counts_equal_a_recount(s.store());
  } catch (const std::exception& e) {
    throw ConformanceFailure(fmt::format("seed {}, step {}: {}", Seed, step, e.what()));
  }
}

}  // namespace

void add_model_cases(Cases& cases) {
  add_case(cases,
           "I03 I06 I07 I08 I10 I12 I18 I22 random calls have the same effect as on a simple model, seed 1",
           run_comparison<1>);
  add_case(cases,
           "I03 I06 I07 I08 I10 I12 I18 I22 random calls have the same effect as on a simple model, seed 2",
           run_comparison<2>);
  add_case(cases,
           "I03 I06 I07 I08 I10 I12 I18 I22 random calls have the same effect as on a simple model, seed 3",
           run_comparison<3>);
  add_case(cases,
           "I03 I06 I07 I08 I10 I12 I18 I22 random calls have the same effect as on a simple model, seed 4",
           run_comparison<4>);
  add_case(cases,
           "I18 I19 I20 random calls under changing rules have the same effect as on a simple model, seed 5",
           run_comparison<5, true>);
  add_case(cases,
           "I18 I19 I20 random calls under changing rules have the same effect as on a simple model, seed 6",
           run_comparison<6, true>);
  add_case(cases,
           "I18 I19 I20 random calls under changing rules have the same effect as on a simple model, seed 7",
           run_comparison<7, true>);
}

}  // namespace quern::inline v1::testing::detail
