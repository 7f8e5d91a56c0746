// Inserts that depend on records: see RecordStore.
#include <fmt/format.h>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

Payload value(int number) { return Payload::json(std::to_string(number)); }

RecordChange change(std::string key, std::optional<int> seen, std::optional<int> wanted) {
  RecordChange made{.collection = "c", .key = std::move(key)};
  if (seen) made.seen = value(*seen);
  if (wanted) made.value = value(*wanted);
  return made;
}

InsertIfResult insert_if(const Scene& s, const std::vector<NewJob>& jobs,
                         const std::vector<RecordChange>& changes) {
  return s.store().insert_if(jobs, changes);
}

std::optional<Payload> record(const Scene& s, std::string_view key) { return s.store().get_record("c", key); }

void add_cases_of_one(Cases& cases) {
  add_case(
      cases, "jobs are added with the records that change, where those are as they were seen", [](Scene& s) {
        s.store().put_record({"c", "changes", value(1)});
        s.store().put_record({"c", "goes", value(2)});
        const NewJob first = s.job();
        const NewJob second = s.child_of({first.id});
        const auto done = insert_if(
            s, {first, second},
            {change("comes", {}, 3), change("changes", 1, 4), change("goes", 2, {}), change("none", {}, {})});
        QUERN_EXPECT(done.done);
        QUERN_EXPECT_EQ(done.jobs.size(), std::size_t{2});
        QUERN_EXPECT_EQ(done.jobs[0].status, InsertStatus::added);
        QUERN_EXPECT_EQ(done.jobs[1].status, InsertStatus::added);
        QUERN_EXPECT_EQ(s.state(first.id), JobState::ready);
        QUERN_EXPECT_EQ(s.state(second.id), JobState::blocked);
        QUERN_EXPECT_EQ(record(s, "comes"), std::optional(value(3)));
        QUERN_EXPECT_EQ(record(s, "changes"), std::optional(value(4)));
        QUERN_EXPECT(!record(s, "goes"));
        QUERN_EXPECT_EQ(s.claim_ids(), std::vector{first.id});
        expect_counts_equal_a_recount(s.store());
      });

  add_case(cases, "where one record is not as it was seen nothing happens", [](Scene& s) {
    s.store().put_record({"c", "b", value(1)});
    const std::vector<RecordChange> others{change("b", 2, 3),   change("b", {}, 3), change("b", 2, {}),
                                           change("b", {}, {}), change("z", 1, 2),  change("z", 1, {})};
    for (const RecordChange& other : others) {
      const NewJob job = s.job();
      const auto done = insert_if(s, {job}, {change("a", {}, 9), other});
      QUERN_EXPECT(!done.done);
      QUERN_EXPECT(done.jobs.empty());
      QUERN_EXPECT(!s.find(job.id));
      QUERN_EXPECT(!record(s, "a"));
      QUERN_EXPECT(!record(s, "z"));
      QUERN_EXPECT_EQ(record(s, "b"), std::optional(value(1)));
    }
    QUERN_EXPECT(s.store().count().empty());
  });

  add_case(cases, "a value is compared as its text", [](Scene& s) {
    s.store().put_record({"c", "k", Payload::json(R"({"a": 1})")});
    RecordChange wish{.collection = "c", .key = "k", .seen = Payload::json(R"({"a":1})"), .value = value(1)};
    QUERN_EXPECT(!insert_if(s, {}, {wish}).done);
    wish.seen = s.store().get_record("c", "k");
    QUERN_EXPECT(insert_if(s, {}, {wish}).done);
    QUERN_EXPECT_EQ(record(s, "k"), std::optional(value(1)));
  });

  add_case(cases, "an insert that depends on records, sent twice, is done once", [](Scene& s) {
    const NewJob job = s.job();
    const std::vector<RecordChange> changes{change("k", {}, 1)};
    QUERN_EXPECT(insert_if(s, {job}, changes).done);
    const auto again = insert_if(s, {job}, changes);
    QUERN_EXPECT(again.done);
    QUERN_EXPECT_EQ(again.jobs.at(0).status, InsertStatus::repeated);
    QUERN_EXPECT_EQ(s.counted(JobState::ready), std::uint64_t{1});
    // Another one that wants the same has seen what is no more.
    const NewJob other = s.job();
    QUERN_EXPECT(!insert_if(s, {other}, changes).done);
    QUERN_EXPECT(!s.find(other.id));
    QUERN_EXPECT(insert_if(s, {}, changes).done);  // there is nothing that would be done twice
  });

  add_case(cases, "where a queue is full no record changes either", [](Scene& s) {
    s.store().limit_queue("small", 1);
    NewJob job = s.job();
    job.queue = "small";
    QUERN_EXPECT(insert_if(s, {job}, {change("k", {}, 1)}).done);
    job.id = s.store().reserve_ids(1);
    const auto full = insert_if(s, {job}, {change("k", 1, 2)});
    QUERN_EXPECT(full.done);
    QUERN_EXPECT_EQ(full.jobs.at(0).status, InsertStatus::queue_full);
    QUERN_EXPECT_EQ(record(s, "k"), std::optional(value(1)));
    QUERN_EXPECT(!s.find(job.id));
  });

  add_case(cases, "a job whose unique key is taken is not added, and the records change", [](Scene& s) {
    const JobId holder = s.add(s.unique_job("u"));
    const auto done = insert_if(s, {s.unique_job("u")}, {change("k", {}, 1)});
    QUERN_EXPECT(done.done);
    QUERN_EXPECT_EQ(done.jobs.at(0).status, InsertStatus::duplicate);
    QUERN_EXPECT_EQ(done.jobs.at(0).holder, holder);
    QUERN_EXPECT_EQ(record(s, "k"), std::optional(value(1)));
  });

  add_case(cases, "an insert that depends on records is refused as any other", [](Scene& s) {
    const auto refused = [&](const std::vector<NewJob>& jobs, const std::vector<RecordChange>& changes) {
      try {
        insert_if(s, jobs, changes);
      } catch (const InvalidArgument&) {
        return true;
      }
      return false;
    };
    const NewJob job = s.job();
    QUERN_EXPECT(refused({job}, {change("k", {}, 1), change("k", {}, 2)}));
    QUERN_EXPECT(refused({job, job}, {change("k", {}, 1)}));
    QUERN_EXPECT(refused({s.child_of({JobId{99'999'999}})}, {change("k", {}, 1)}));
    QUERN_EXPECT(!record(s, "k"));
    QUERN_EXPECT(!s.find(job.id));
  });

  add_durable_case(cases, "an insert that depends on records is there after the storage was opened again",
                   [](Scene& s) {
                     const NewJob job = s.job();
                     QUERN_EXPECT(insert_if(s, {job}, {change("k", {}, 1)}).done);
                     s.fixture.reopen();
                     QUERN_EXPECT(s.find(job.id).has_value());
                     QUERN_EXPECT_EQ(record(s, "k"), std::optional(value(1)));
                   });
}

}  // namespace

void add_insert_if_cases(Cases& cases) {
  add_cases_of_one(cases);

  add_case(cases, "I02 of callers who have seen the same record one is the first", [](Scene& s) {
    constexpr int threads = 4;
    constexpr int each = 25;
    in_parallel(threads, [&](int thread) {
      StoragePort& store = thread % 2 == 0 ? s.store() : s.fixture.second();
      for (int done = 0; done < each;) {
        const auto seen = store.get_record("c", "count");
        RecordChange wish{.collection = "c", .key = "count", .seen = seen};
        const int number = seen ? std::stoi(seen->text()) + 1 : 1;
        wish.value = value(number);
        const NewJob job{
            .id = store.reserve_ids(1), .kind = "work", .payload = value(number), .queue = "default"};
        const auto answer = store.insert_if({&job, 1}, {&wish, 1});
        if (answer.done) ++done;
      }
    });
    QUERN_EXPECT_EQ(record(s, "count"), std::optional(value(threads * each)));
    std::vector<bool> there(threads * each + 1);
    const JobPage page = s.store().list({.limit = 1000});
    QUERN_EXPECT_EQ(page.jobs.size(), std::size_t{threads * each});
    for (const Job& job : page.jobs) {
      const auto number = static_cast<std::size_t>(std::stoi(job.payload.text()));
      QUERN_EXPECT(!there.at(number));
      there.at(number) = true;
    }
    expect_counts_equal_a_recount(s.store());
  });
}

}  // namespace quern::inline v1::testing::detail
