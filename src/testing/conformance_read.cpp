#include <algorithm>
#include <functional>

#include <nlohmann/json.hpp>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// All pages of a filter, with a page size of 7.
std::vector<JobId> list_all(const Scene& s, JobFilter filter) {
  std::vector<JobId> ids;
  filter.limit = 7;
  do {
    const auto page = s.store().list(filter);
    QUERN_EXPECT(page.jobs.size() <= filter.limit);
    if (page.next) QUERN_EXPECT_EQ(page.next, page.jobs.back().id);
    QUERN_EXPECT(page.next != filter.after || !page.next);  // else it never ends
    for (const Job& job : page.jobs) ids.push_back(job.id);
    filter.after = page.next;
  } while (filter.after);
  return ids;
}

void add_list_cases(Cases& cases) {
  add_case(cases, "jobs are found by id, in the order asked for", [](Scene& s) {
    const JobId a = s.add();
    const JobId b = s.add();
    const std::vector ids{b, JobId{987'654'321}, a, b};
    const auto found = s.store().find(ids);
    QUERN_EXPECT_EQ(found.size(), std::size_t{4});
    QUERN_EXPECT(found[0] && !found[1] && found[2] && found[3]);
    QUERN_EXPECT_EQ(found[0]->id, b);
    QUERN_EXPECT_EQ(found[2]->id, a);
    QUERN_EXPECT_EQ(found[3]->id, b);
  });

  add_case(
      cases, "lists have pages by id, in either direction, each filter restricts, and no job is listed twice",
      [](Scene& s) {
        for (int i = 0; i < 60; ++i) {
          auto job = s.job(i % 3 == 0 ? "work" : "other");
          job.queue = i % 2 == 0 ? "even" : "odd";
          job.tenant = i % 5 == 0 ? "five" : "";
          if (i % 4 == 0) job.tags = {"first", "four"};
          if (i % 7 == 0) job.run_at = When::after(1h);
          s.add(job);
        }
        for (const Claim& claim : s.claim(10)) s.complete(claim);
        s.claim(5);

        std::vector<Job> all;
        for (const JobId id : list_all(s, {.oldest_first = true})) all.push_back(s.get(id));
        QUERN_EXPECT_EQ(all.size(), std::size_t{60});
        QUERN_EXPECT(std::ranges::is_sorted(all, {}, &Job::id));

        struct Question {
          JobFilter filter;
          std::function<bool(const Job&)> matches;
        };
        const std::vector<Question> questions{
            {{}, [](const Job&) { return true; }},
            {{.queue = "even"}, [](const Job& j) { return j.queue == "even"; }},
            {{.kind = "work"}, [](const Job& j) { return j.kind == "work"; }},
            {{.tenant = "five"}, [](const Job& j) { return j.tenant == "five"; }},
            {{.tag = "four"}, [](const Job& j) { return j.tags.size() == 2; }},
            {{.states = {JobState::scheduled}}, [](const Job& j) { return j.state == JobState::scheduled; }},
            {{.states = {JobState::completed, JobState::running}},
             [](const Job& j) { return j.state == JobState::completed || j.state == JobState::running; }},
            {{.states = {JobState::ready}, .queue = "odd", .kind = "other", .tenant = "five"},
             [](const Job& j) {
               return j.state == JobState::ready && j.queue == "odd" && j.kind == "other" &&
                      j.tenant == "five";
             }},
            {{.queue = "even", .tag = "first"},
             [](const Job& j) { return j.queue == "even" && !j.tags.empty(); }},
            {{.states = {JobState::dead}}, [](const Job&) { return false; }},
            {{.queue = "no such"}, [](const Job&) { return false; }},
            {{.tag = "no such"}, [](const Job&) { return false; }},
        };
        for (auto [filter, matches] : questions) {
          std::vector<JobId> expected;
          for (const Job& job : all) {
            if (matches(job)) expected.push_back(job.id);
          }
          filter.oldest_first = true;
          QUERN_EXPECT_EQ(list_all(s, filter), expected);
          filter.oldest_first = false;
          std::ranges::reverse(expected);
          QUERN_EXPECT_EQ(list_all(s, filter), expected);
        }
      });

  add_case(cases, "a page says whether there is another, and jobs added meanwhile disturb no page",
           [](Scene& s) {
             std::vector<JobId> ids;
             for (int i = 0; i < 4; ++i) ids.push_back(s.add());
             auto page = s.store().list({.limit = 4});
             QUERN_EXPECT_EQ(page.jobs.size(), std::size_t{4});
             if (page.next) QUERN_EXPECT(s.store().list({.after = page.next, .limit = 4}).jobs.empty());
             page = s.store().list({.limit = 5});
             QUERN_EXPECT(!page.next);
             page = s.store().list({.limit = 2});
             QUERN_EXPECT_EQ(Scene::ids_of(page.jobs), (std::vector{ids[3], ids[2]}));
             QUERN_EXPECT_EQ(page.next, ids[2]);
             s.add();
             page = s.store().list({.after = page.next, .limit = 2});
             QUERN_EXPECT_EQ(Scene::ids_of(page.jobs), (std::vector{ids[1], ids[0]}));
             page = s.store().list({.oldest_first = true, .after = ids[3]});
             QUERN_EXPECT_EQ(page.jobs.size(), std::size_t{1});
             page = s.store().list({.oldest_first = false, .after = ids[0]});
             QUERN_EXPECT(page.jobs.empty() && !page.next);
           });

  add_case(cases, "a listed job is the same as the found one", [](Scene& s) {
    auto job = s.unique_job("key");
    job.tags = {"t"};
    s.add(job);
    s.fail(s.start(job.id), When(), "first");
    s.progress(s.start(job.id).ref, 40, "forty");
    const Job found = s.get(job.id);
    const Job listed = s.store().list({}).jobs.at(0);
    QUERN_EXPECT_EQ(listed.kind, found.kind);
    QUERN_EXPECT_EQ(listed.payload, found.payload);
    QUERN_EXPECT_EQ(listed.state, found.state);
    QUERN_EXPECT_EQ(listed.tags, found.tags);
    QUERN_EXPECT_EQ(listed.unique_key, found.unique_key);
    QUERN_EXPECT_EQ(listed.attempt, found.attempt);
    QUERN_EXPECT_EQ(listed.epoch, found.epoch);
    QUERN_EXPECT_EQ(listed.node, found.node);
    QUERN_EXPECT_EQ(listed.progress, found.progress);
    QUERN_EXPECT_EQ(listed.errors.size(), found.errors.size());
    QUERN_EXPECT_EQ(listed.errors.at(0).message, found.errors.at(0).message);
    QUERN_EXPECT_EQ(listed.run_at, found.run_at);
    QUERN_EXPECT_EQ(listed.started_at, found.started_at);
  });

  add_case(cases, "a page of no jobs and a page of too many are refused", [](Scene& s) {
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().list({.limit = 0}));
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().list({.limit = 10'001}));
    QUERN_EXPECT(s.store().list({.limit = 10'000}).jobs.empty());
  });

  add_case(cases, "counts are in the order of queue, kind and state, and show nothing that is not there",
           [](Scene& s) {
             const auto add = [&](const char* queue, const char* kind) {
               auto job = s.job(kind);
               job.queue = queue;
               return s.add(job);
             };
             add("b", "work");
             add("b", "work");
             add("b", "other");
             add("a", "work");
             const JobId gone = add("c", "work");
             s.claim(1);  // the first of b and work
             s.cancel(gone);
             s.store().prune({.state = JobState::cancelled});
             QUERN_EXPECT_EQ(s.store().count(), (std::vector<JobCount>{{"a", "work", JobState::ready, 1},
                                                                       {"b", "other", JobState::ready, 1},
                                                                       {"b", "work", JobState::ready, 1},
                                                                       {"b", "work", JobState::running, 1}}));
           });

  add_case(cases, "of each queue and kind it is known since when the job is ready that is due longest",
           [](Scene& s) {
             QUERN_EXPECT(s.store().oldest_ready().empty());
             const TimePoint start = s.clock.now();
             const auto add = [&](const char* queue, const char* kind, int priority, When when) {
               auto job = s.job(kind);
               job.queue = queue;
               job.priority = Priority{priority};
               job.run_at = when;
               return s.add(job);
             };
             add("b", "work", 3, When());
             add("b", "work", 3, When::at(start + 1min));  // due later
             add("a", "other", 3, When::at(start + 20s));
             s.clock.advance(10s);
             add("b", "work", 1, When());
             QUERN_EXPECT_EQ(s.store().oldest_ready(), (std::vector<ReadyAge>{{"b", "work", start, 10s}}));
             // A more urgent one goes first, and leaves the one that waits longer.
             QUERN_EXPECT_EQ(s.claim(1).at(0).priority, Priority{1});
             s.store().pause("b");
             s.clock.advance(20s);
             s.store().promote(100);
             QUERN_EXPECT_EQ(
                 s.store().oldest_ready(),
                 (std::vector<ReadyAge>{{"a", "other", start + 20s, 10s}, {"b", "work", start, 30s}}));
             s.store().resume("b");
             const auto claims = s.claim();
             QUERN_EXPECT_EQ(claims.size(), std::size_t{2});
             QUERN_EXPECT(s.store().oldest_ready().empty());
             // One that comes back is ready from then on, whatever it was due for at first.
             for (const Claim& claim : claims)
               if (claim.queue == "b") s.fail(claim, When());
             s.clock.advance(5s);
             s.store().promote(100);
             const auto ages = s.store().oldest_ready();
             QUERN_EXPECT_EQ(ages.size(), std::size_t{1});
             QUERN_EXPECT_EQ(ages.at(0).age, Duration(5s));
           });

  add_case(cases, "I26 a recount finds every count right, wherever jobs stand, and changes nothing",
           [](Scene& s) {
             QUERN_EXPECT(s.store().recount().empty());
             const JobId parent = s.add(s.job("other"));
             s.add(s.child_of({parent}));
             auto delayed = s.job();
             delayed.run_at = When::after(1h);
             s.add(delayed);
             for (int i = 0; i < 12; ++i) s.add();
             const auto claims = s.claim(6);
             s.complete(claims[1]);
             s.complete(claims[3]);
             s.discard(claims[4]);
             s.fail(claims[5]);
             s.cancel(s.add());
             const auto before = s.store().count();
             QUERN_EXPECT(s.store().recount().empty());
             QUERN_EXPECT_EQ(s.store().count(), before);
             QUERN_EXPECT_EQ(s.store().prune({}).pruned, std::size_t{2});
             s.crash_node();
             expect_counts_equal_a_recount(s.store());
           });
}

void add_record_cases(Cases& cases) {
  add_case(cases, "a record is put, replaced, read and erased", [](Scene& s) {
    QUERN_EXPECT(!s.store().get_record("c", "k").has_value());
    s.store().put_record({.collection = "c", .key = "k", .value = Payload::json("1")});
    QUERN_EXPECT_EQ(s.store().get_record("c", "k"), std::optional(Payload::json("1")));
    s.store().put_record({.collection = "c", .key = "k", .value = Payload::json(R"({"a": [1.0]})")});
    QUERN_EXPECT_EQ(s.store().get_record("c", "k"), std::optional(Payload::json(R"({"a": [1.0]})")));
    QUERN_EXPECT(!s.store().get_record("d", "k").has_value());
    QUERN_EXPECT(!s.store().get_record("c", "K").has_value());
    QUERN_EXPECT_EQ(s.store().erase_record("c", "K"), false);
    QUERN_EXPECT_EQ(s.store().erase_record("c", "k"), true);
    QUERN_EXPECT_EQ(s.store().erase_record("c", "k"), false);
    QUERN_EXPECT(!s.store().get_record("c", "k").has_value());
  });

  add_case(cases, "records are listed by collection in the order of their keys' bytes", [](Scene& s) {
    const std::vector<std::string> keys{"", " ", "B", "a", "a%", "a_b", "aa", "b", "é", "\xF0\x9F\x98\x80"};
    for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
      s.store().put_record({.collection = "c", .key = *key, .value = Payload::of<std::string>(*key)});
    }
    s.store().put_record({.collection = "ca", .key = "x"});
    s.store().put_record({.collection = "", .key = "y"});

    std::vector<std::string> listed;
    for (std::string after;;) {
      const auto page = s.store().list_records("c", after, 3);
      QUERN_EXPECT(page.size() <= 3 && listed.size() <= keys.size());
      for (const Record& record : page) {
        QUERN_EXPECT_EQ(record.collection, std::string("c"));
        QUERN_EXPECT_EQ(record.value, Payload::of<std::string>(record.key));
        listed.push_back(record.key);
      }
      if (page.empty()) break;
      after = page.back().key;
    }
    QUERN_EXPECT_EQ(listed, std::vector(keys.begin() + 1, keys.end()));  // "" is not greater than ""
    QUERN_EXPECT(s.store().get_record("c", "").has_value());
    QUERN_EXPECT_EQ(s.store().list_records("", "", 10).size(), std::size_t{1});
    QUERN_EXPECT(s.store().list_records("c", "", 0).empty());
    QUERN_EXPECT(s.store().list_records("unknown", "", 10).empty());
  });

  add_case(cases, "a large record comes back byte for byte", [](Scene& s) {
    const auto value = Payload::json('"' + std::string((1U << 20U) - 2, 'y') + '"');
    s.store().put_record({.collection = "c", .key = "large", .value = value});
    QUERN_EXPECT(s.store().get_record("c", "large") == value);
  });

  add_case(cases, "a storage says what it is and which clock it goes by", [](Scene& s) {
    QUERN_EXPECT(!s.store().describe().empty());
    QUERN_EXPECT_EQ(s.store().clock().now(), s.clock.now());
    s.clock.advance(1s);
    QUERN_EXPECT_EQ(s.store().clock().now(), s.clock.now());
    QUERN_EXPECT_EQ(s.store().clock().steady(), s.clock.steady());
  });
}

}  // namespace

void add_read_cases(Cases& cases) {
  add_list_cases(cases);
  add_record_cases(cases);
}

}  // namespace quern::inline v1::testing::detail
