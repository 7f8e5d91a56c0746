#include <algorithm>
#include <map>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

struct Typed {
  std::string text;
  std::map<std::string, std::vector<int>> numbers;
  double ratio = 0;
  std::optional<int> none;

  friend bool operator==(const Typed&, const Typed&) = default;
};
QUERN_FIELDS(Typed, text, numbers, ratio, none)

}  // namespace

void add_insert_cases(Cases& cases) {
  add_case(cases, "I01 an added job is there until it has ended and was pruned", [](Scene& s) {
    const JobId id = s.add();
    const auto expect = [&](JobState state) {
      QUERN_EXPECT_EQ(s.state(id), state);
      const auto page = s.store().list({});
      QUERN_EXPECT_EQ(Scene::ids_of(page.jobs), std::vector{id});
      QUERN_EXPECT_EQ(s.store().count(), (std::vector<JobCount>{{"default", "work", state, 1}}));
      QUERN_EXPECT_EQ(s.store().prune({.state = JobState::completed}).pruned, std::size_t{0});
    };
    expect(JobState::ready);
    auto claim = s.start(id);
    expect(JobState::running);
    s.fail(claim, When::after(1min));
    expect(JobState::scheduled);
    s.clock.advance(1min);
    s.store().promote(10);
    expect(JobState::ready);
    s.snooze(s.start(id), When::after(1h));
    expect(JobState::scheduled);
    s.clock.advance(1h);
    s.store().promote(10);
    s.start(id);
    s.crash_node();
    expect(JobState::ready);
    claim = s.start(id);
    s.release(claim);
    expect(JobState::ready);
    s.complete(s.start(id));
    QUERN_EXPECT_EQ(s.store().prune({.state = JobState::dead}).pruned, std::size_t{0});
    QUERN_EXPECT_EQ(s.state(id), JobState::completed);
    QUERN_EXPECT_EQ(s.store().prune({.state = JobState::completed}).pruned, std::size_t{1});
    QUERN_EXPECT(!s.find(id).has_value());
    QUERN_EXPECT(s.store().count().empty());
  });

  add_case(cases, "I02 a batch is added as a whole or not at all", [](Scene& s) {
    auto first = s.unique_job("key");
    auto second = s.job();
    auto third = s.child_of({JobId{999'999}});
    const std::vector jobs{first, second, third};
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().insert(jobs));
    QUERN_EXPECT(!s.find(first.id) && !s.find(second.id) && !s.find(third.id));
    QUERN_EXPECT(s.store().count().empty());
    QUERN_EXPECT(s.store().list({}).jobs.empty());
    QUERN_EXPECT(s.claim().empty());
    s.add(s.unique_job("key"));  // nobody holds it
    s.add(second);               // and the ids are free
  });

  add_case(cases, "I11 the same insert sent twice makes one job, also when it has ended", [](Scene& s) {
    auto job = s.unique_job("key");
    s.add(job);
    auto again = s.insert(job);
    QUERN_EXPECT_EQ(again.status, InsertStatus::repeated);
    QUERN_EXPECT_EQ(s.counted(JobState::ready), 1U);
    s.complete(s.start(job.id));
    QUERN_EXPECT_EQ(s.insert(job).status, InsertStatus::repeated);
    QUERN_EXPECT_EQ(s.state(job.id), JobState::completed);
    QUERN_EXPECT_EQ(s.counted(JobState::ready), 0U);

    const auto fresh = s.job();
    const std::vector jobs{job, fresh};
    const auto results = s.store().insert(jobs);
    QUERN_EXPECT_EQ(results.at(0).status, InsertStatus::repeated);
    QUERN_EXPECT_EQ(results.at(1).status, InsertStatus::added);
  });

  add_case(cases, "I11 an insert sent twice is recognized before its parents are looked at", [](Scene& s) {
    const JobId parent = s.add();
    const auto child = s.child_of({parent});
    s.add(child);
    s.complete(s.start(parent));
    QUERN_EXPECT_EQ(s.store().prune({}).pruned, std::size_t{1});
    QUERN_EXPECT_EQ(s.insert(child).status, InsertStatus::repeated);
  });

  add_case(cases, "a job is kept as it was given", [](Scene& s) {
    const JobId parent = s.add();
    NewJob given{.id = s.store().reserve_ids(1),
                 .kind = "kind: with spaces, \"quotes\" and ü",
                 .payload = Payload::json(R"( {"b": 1.50, "a":"\u00e9 é \"", "n":[null, true]} )"),
                 .queue = "queue/with'all%sorts_of;signs",
                 .priority = Priority{7},
                 .run_at = When::after(5min),
                 .deadline = When::after(1h),
                 .max_attempts = 17,
                 .timeout = 90s,
                 .tenant = "tenant ü",
                 .tags = {"zebra", "apple", "zebra crossing"},
                 .parents = {parent},
                 .on_parent_failure = ParentPolicy::run,
                 .created_by = "user:é",
                 .digest = "digest-1",
                 .trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 vendor=x",
                 .unique = {.key = "key ü"}};
    s.add(given);
    const Job job = s.get(given.id);
    QUERN_EXPECT_EQ(job.kind, given.kind);
    QUERN_EXPECT_EQ(job.payload, given.payload);
    QUERN_EXPECT_EQ(job.queue, given.queue);
    QUERN_EXPECT_EQ(job.priority.level, 7);
    QUERN_EXPECT_EQ(job.state, JobState::blocked);
    QUERN_EXPECT_EQ(job.tenant, given.tenant);
    QUERN_EXPECT_EQ(job.tags, given.tags);
    QUERN_EXPECT_EQ(job.unique_key, given.unique.key);
    QUERN_EXPECT_EQ(job.parents, given.parents);
    QUERN_EXPECT_EQ(job.on_parent_failure, ParentPolicy::run);
    QUERN_EXPECT_EQ(job.created_by, given.created_by);
    QUERN_EXPECT_EQ(job.digest, given.digest);
    QUERN_EXPECT_EQ(job.trace, given.trace);
    QUERN_EXPECT_EQ(job.run, 1);
    QUERN_EXPECT_EQ(job.attempt, 0);
    QUERN_EXPECT_EQ(job.max_attempts, 17);
    QUERN_EXPECT_EQ(job.epoch, 0U);
    QUERN_EXPECT_EQ(job.crashes, 0);
    QUERN_EXPECT_EQ(job.snoozes, 0);
    QUERN_EXPECT_EQ(job.cancel_requested, false);
    QUERN_EXPECT_EQ(job.created_at, s.clock.now());
    QUERN_EXPECT_EQ(job.run_at, s.clock.now() + 5min);
    QUERN_EXPECT_EQ(job.deadline, std::optional(s.clock.now() + 1h));
    QUERN_EXPECT(!job.started_at.has_value() && !job.finished_at.has_value());
    QUERN_EXPECT_EQ(job.timeout, Duration(90s));
    QUERN_EXPECT_EQ(job.node, 0U);
    QUERN_EXPECT_EQ(job.progress, Progress{});
    QUERN_EXPECT(!job.result.has_value());
    QUERN_EXPECT_EQ(job.dead_reason, DeadReason::none);
    QUERN_EXPECT(job.end_message.empty());
    QUERN_EXPECT(job.errors.empty());
  });

  add_case(cases, "a job has the default values where nothing was said", [](Scene& s) {
    const Job job = s.get(s.add());
    QUERN_EXPECT_EQ(job.payload, Payload());
    QUERN_EXPECT_EQ(job.queue, std::string("default"));
    QUERN_EXPECT_EQ(job.priority.level, Priority::normal.level);
    QUERN_EXPECT_EQ(job.state, JobState::ready);
    QUERN_EXPECT_EQ(job.run_at, s.clock.now());
    QUERN_EXPECT(!job.deadline.has_value());
    QUERN_EXPECT_EQ(job.max_attempts, 0);
    QUERN_EXPECT_EQ(job.timeout, Duration(0));
    QUERN_EXPECT(job.tags.empty() && job.parents.empty() && job.tenant.empty() && job.unique_key.empty());
  });

  add_case(cases, "a payload of a struct with fields comes back as the struct and as its text", [](Scene& s) {
    const Typed given{
        .text = "é \"quoted\"\n", .numbers = {{"a", {1, -2}}, {"b", {}}}, .ratio = 0.1, .none = {}};
    NewJob job = s.job();
    job.payload = Payload::of(given);
    const std::string text =
        R"({"text":"é \"quoted\"\n","numbers":{"a":[1,-2],"b":[]},"ratio":0.1,"none":null})";
    s.add(job);
    const auto check = [&](const Payload& payload) {
      QUERN_EXPECT(payload.as<Typed>() == given);
      QUERN_EXPECT_EQ(payload.text(), text);
      QUERN_EXPECT_EQ(payload, job.payload);
    };
    check(s.get(job.id).payload);
    const auto claims = s.claim(1);
    check(claims.at(0).payload);
  });

  add_case(cases, "a payload of a megabyte and a payload of every kind of character come back byte for byte",
           [](Scene& s) {
             auto large = s.job();
             large.payload = Payload::json('"' + std::string((1U << 20U) - 2, 'x') + '"');
             auto odd = s.job();
             odd.payload =
                 Payload::json("\"\xF0\x9F\x98\x80 \xEF\xBF\xBF \xE2\x80\xA8 \x7F ' -- ; \\u0001\"");
             s.add(large);
             s.add(odd);
             QUERN_EXPECT(s.get(large.id).payload == large.payload);
             QUERN_EXPECT_EQ(s.get(odd.id).payload, odd.payload);
             const auto claims = s.claim();
             QUERN_EXPECT_EQ(claims.size(), std::size_t{2});
             QUERN_EXPECT(claims.at(0).payload == large.payload);
             QUERN_EXPECT_EQ(claims.at(1).payload, odd.payload);
           });

  add_case(cases, "relative and absolute times are judged by the storage's clock", [](Scene& s) {
    const TimePoint now = s.clock.now();
    const auto added = [&](When run_at) {
      auto job = s.job();
      job.run_at = run_at;
      return s.get(s.add(job));
    };
    const Job late = added(When::after(10s));
    QUERN_EXPECT_EQ(late.run_at, now + 10s);
    QUERN_EXPECT_EQ(late.state, JobState::scheduled);
    const Job future = added(When::at(now + 1us));
    QUERN_EXPECT_EQ(future.run_at, now + 1us);
    QUERN_EXPECT_EQ(future.state, JobState::scheduled);
    const Job past = added(When::at(now - 1h));
    QUERN_EXPECT_EQ(past.run_at, now - 1h);
    QUERN_EXPECT_EQ(past.state, JobState::ready);
    QUERN_EXPECT_EQ(added(When::at(now)).state, JobState::ready);
    const Job never = added(When::after(Duration::max()));
    QUERN_EXPECT_EQ(never.run_at, TimePoint::max());
    QUERN_EXPECT_EQ(never.state, JobState::scheduled);
  });

  add_case(cases, "an id that is missing, too large or stands twice in a batch is refused", [](Scene& s) {
    auto missing = s.job();
    missing.id = {};
    QUERN_EXPECT_THROWS(InvalidArgument, s.insert(missing));
    auto large = s.job();
    large.id = JobId{max_job_id + 1};
    QUERN_EXPECT_THROWS(InvalidArgument, s.insert(large));
    const auto good = s.job();
    const std::vector twice{good, good};
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().insert(twice));
    QUERN_EXPECT(s.store().count().empty());
    QUERN_EXPECT(!s.find(good.id).has_value());
  });

  add_case(cases, "empty batches change nothing", [](Scene& s) {
    QUERN_EXPECT(s.store().insert({}).empty());
    QUERN_EXPECT(s.store().finish({}).empty());
    QUERN_EXPECT(s.store().cancel({}, "x").empty());
    QUERN_EXPECT(s.store().retry({}, "x").empty());
    QUERN_EXPECT(s.store().find({}).empty());
    QUERN_EXPECT(s.store().progress({}).empty());
    QUERN_EXPECT(s.store().count().empty());
  });

  add_case(cases, "a batch of five thousand jobs keeps their order", [](Scene& s) {
    constexpr std::size_t size = 5'000;
    const JobId first = s.store().reserve_ids(size);
    std::vector<NewJob> jobs;
    std::vector<JobId> ids;
    for (std::size_t i = 0; i < size; ++i) {
      jobs.push_back(
          {.id = JobId{first.value + i}, .kind = "work", .payload = Payload::json(std::to_string(i))});
      ids.push_back(jobs.back().id);
    }
    const auto results = s.store().insert(jobs);
    QUERN_EXPECT_EQ(results.size(), size);
    QUERN_EXPECT(std::ranges::all_of(results, [](const auto& r) { return r.status == InsertStatus::added; }));
    QUERN_EXPECT_EQ(s.counted(JobState::ready), size);
    const auto claims = s.claim(size);
    QUERN_EXPECT(Scene::ids_of(claims) == ids);
    for (std::size_t i = 0; i < size; ++i) QUERN_EXPECT_EQ(claims[i].payload.text(), std::to_string(i));
    std::vector<Finish> finishes;
    for (const Claim& claim : claims) finishes.push_back({.ref = claim.ref});
    QUERN_EXPECT_EQ(s.store().finish(finishes).size(), size);
    QUERN_EXPECT_EQ(s.counted(JobState::completed), size);
  });

  add_case(cases, "reserved ids grow and are never reserved again", [](Scene& s) {
    std::uint64_t end = 1;
    for (const std::size_t count : {1U, 1U, 1000U, 1U, 70'000U, 2U}) {
      const JobId first = s.store().reserve_ids(count);
      QUERN_EXPECT(first.value >= end);
      QUERN_EXPECT(first.value + count - 1 <= max_job_id);
      end = first.value + count;
    }
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().reserve_ids(0));
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().reserve_ids((std::size_t{1} << 32U) + 1));
    QUERN_EXPECT(s.store().reserve_ids(1).value >= end);
  });
}

}  // namespace quern::inline v1::testing::detail
