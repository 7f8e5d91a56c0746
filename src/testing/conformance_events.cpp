#include <algorithm>
#include <atomic>
#include <mutex>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// Writes down all that it is told; may be told from any thread.
class Recorder final : public StorageObserver {
 public:
  explicit Recorder(StoragePort& store, bool events = true) : store_(store), events_wanted_(events) {
    store_.observe(*this);
  }
  ~Recorder() override { store_.unobserve(*this); }

  void on_work() noexcept override {
    const std::lock_guard lock(mutex_);
    ++work_;
  }
  void on_cancel(std::span<const JobId> running) noexcept override {
    const std::lock_guard lock(mutex_);
    cancels_.insert(cancels_.end(), running.begin(), running.end());
  }
  [[nodiscard]] bool wants_events() const noexcept override { return events_wanted_; }
  void on_events(std::span<const JobEvent> events) noexcept override {
    const std::lock_guard lock(mutex_);
    all_.insert(all_.end(), events.begin(), events.end());
  }

  /// What was told since the last look.
  [[nodiscard]] std::vector<JobEvent> events() {
    const std::lock_guard lock(mutex_);
    return std::exchange(all_, {});
  }
  [[nodiscard]] std::vector<JobEventType> types() {
    std::vector<JobEventType> types;
    for (const JobEvent& event : events()) types.push_back(event.type);
    return types;
  }
  [[nodiscard]] bool worked() {
    const std::lock_guard lock(mutex_);
    return std::exchange(work_, 0) > 0;
  }
  [[nodiscard]] std::vector<JobId> cancels() {
    const std::lock_guard lock(mutex_);
    return std::exchange(cancels_, {});
  }

 private:
  StoragePort& store_;
  bool events_wanted_;
  std::mutex mutex_;
  int work_ = 0;
  std::vector<JobId> cancels_;
  std::vector<JobEvent> all_;
};

using enum JobEventType;
using Types = std::vector<JobEventType>;

void add_event_order_cases(Cases& cases) {
  add_case(cases, "each step of a job's life is told once, in order, with what belongs to it", [](Scene& s) {
    Recorder recorder(s.store());
    auto job = s.job();
    job.queue = "mail";
    job.max_attempts = 2;
    s.add(job);
    auto events = recorder.events();
    QUERN_EXPECT_EQ(events.size(), std::size_t{1});
    QUERN_EXPECT_EQ(events[0].type, created);
    QUERN_EXPECT_EQ(events[0].id, job.id);
    QUERN_EXPECT_EQ(events[0].kind, std::string("work"));
    QUERN_EXPECT_EQ(events[0].queue, std::string("mail"));
    QUERN_EXPECT_EQ(events[0].at, s.clock.now());

    auto claim = s.start(job.id);
    events = recorder.events();
    QUERN_EXPECT_EQ(events.size(), std::size_t{1});
    QUERN_EXPECT_EQ(events[0].type, started);
    QUERN_EXPECT_EQ(events[0].attempt, 1);
    QUERN_EXPECT_EQ(events[0].epoch, claim.ref.epoch);

    s.progress(claim.ref, 40, "half");
    events = recorder.events();
    QUERN_EXPECT_EQ(events.size(), std::size_t{1});
    QUERN_EXPECT_EQ(events[0].type, progress_updated);
    QUERN_EXPECT_EQ(events[0].progress, (Progress{40, "half"}));

    s.clock.advance(1s);
    s.fail(claim, When::after(1min), "broken");
    events = recorder.events();
    QUERN_EXPECT_EQ(events.size(), std::size_t{2});
    QUERN_EXPECT_EQ(events[0].type, failed);
    QUERN_EXPECT_EQ(events[0].message, std::string("broken"));
    QUERN_EXPECT_EQ(events[0].attempt, 1);
    QUERN_EXPECT_EQ(events[1].type, retrying);
    QUERN_EXPECT_EQ(events[1].run_at, s.clock.now() + 1min);

    s.clock.advance(1min);
    s.store().promote(1);
    claim = s.start(job.id);
    s.snooze(claim, When::after(1min));
    events = recorder.events();
    QUERN_EXPECT_EQ(events.size(), std::size_t{2});
    QUERN_EXPECT_EQ(events[1].type, snoozed);
    QUERN_EXPECT_EQ(events[1].run_at, s.clock.now() + 1min);
    QUERN_EXPECT_EQ(events[1].message, std::string("later"));

    s.clock.advance(1min);
    s.store().promote(1);
    s.release(s.start(job.id));
    QUERN_EXPECT_EQ(recorder.types(), (Types{started, released}));
    s.fail(s.start(job.id));
    events = recorder.events();
    QUERN_EXPECT_EQ(events.size(), std::size_t{3});
    QUERN_EXPECT_EQ(events[1].type, failed);
    QUERN_EXPECT_EQ(events[2].type, dead);
    QUERN_EXPECT_EQ(events[2].dead_reason, DeadReason::out_of_attempts);
    QUERN_EXPECT_EQ(events[2].message, std::string("failed"));

    s.retry(job.id);
    s.complete(s.start(job.id));
    QUERN_EXPECT_EQ(recorder.types(), (Types{retrying, started, completed}));
    s.store().prune({});
    QUERN_EXPECT(recorder.types().empty());
  });

  add_case(cases, "a job that waits for its parents is told as created and blocked, and cancelled with them",
           [](Scene& s) {
             Recorder recorder(s.store());
             const JobId parent = s.add();
             const JobId child = s.add(s.child_of({parent}));
             QUERN_EXPECT_EQ(recorder.types(), (Types{created, created, blocked}));
             s.cancel(parent, "dave");
             const auto events = recorder.events();
             QUERN_EXPECT_EQ(events.size(), std::size_t{2});
             QUERN_EXPECT_EQ(events[0].type, cancelled);
             QUERN_EXPECT_EQ(events[0].id, parent);
             QUERN_EXPECT_EQ(events[0].message, std::string("cancelled by dave"));
             QUERN_EXPECT_EQ(events[1].type, cancelled);
             QUERN_EXPECT_EQ(events[1].id, child);
             s.add(s.child_of({parent}));
             QUERN_EXPECT_EQ(recorder.types(), (Types{created, cancelled}));
           });

  add_case(cases, "a failed attempt is told before what it leads to, also when the job was asked to stop",
           [](Scene& s) {
             Recorder recorder(s.store());
             auto claim = s.start(s.add());
             s.cancel(claim.ref.id);
             s.cancel(claim.ref.id);
             s.fail(claim);
             QUERN_EXPECT_EQ(recorder.types(),
                             (Types{created, started, cancel_requested, failed, cancelled}));
             claim = s.start(s.add());
             s.discard(claim);
             QUERN_EXPECT_EQ(recorder.types(), (Types{created, started, failed, dead}));
           });

  add_case(cases,
           "what is asked of a job that waits is told with who asked, and nothing where it changed nothing",
           [](Scene& s) {
             const JobId id = s.add(s.unique_job("key"));
             const JobId running = s.add();
             s.cancel(id);
             const auto claim = s.start(running);
             s.retry(id);
             Recorder recorder(s.store());
             const std::vector ids{id, running, JobId{987'654'321}};
             s.store().reschedule(ids, When::after(1h), "ann");
             auto events = recorder.events();
             QUERN_EXPECT_EQ(events.size(), std::size_t{1});
             QUERN_EXPECT_EQ(events[0].type, rescheduled);
             QUERN_EXPECT_EQ(events[0].id, id);
             QUERN_EXPECT_EQ(events[0].run_at, s.clock.now() + 1h);
             QUERN_EXPECT_EQ(events[0].message, std::string("rescheduled by ann"));
             auto other = s.unique_job("key", UniqueConflict::reschedule);
             other.run_at = When::after(2h);
             s.insert(other);
             events = recorder.events();
             QUERN_EXPECT_EQ(events.size(), std::size_t{1});
             QUERN_EXPECT_EQ(events[0].type, rescheduled);
             QUERN_EXPECT_EQ(events[0].run_at, s.clock.now() + 2h);
             s.store().set_priority(ids, Priority::high, "bob");
             events = recorder.events();
             QUERN_EXPECT_EQ(events.size(), std::size_t{1});
             QUERN_EXPECT_EQ(events[0].type, priority_changed);
             QUERN_EXPECT_EQ(events[0].message, std::string("priority changed by bob"));
             s.store().erase(ids);
             QUERN_EXPECT_EQ(recorder.types(), Types{erased});
             s.complete(claim);
           });

  add_case(cases, "I04 a lost finish is told as a lost lease, and nothing else", [](Scene& s) {
    const auto claim = s.start(s.add());
    s.complete(claim);
    Recorder recorder(s.store());
    static_cast<void>(s.try_finish(claim.ref, Outcome::failed));
    const auto events = recorder.events();
    QUERN_EXPECT_EQ(events.size(), std::size_t{1});
    QUERN_EXPECT_EQ(events[0].type, lease_lost);
    QUERN_EXPECT_EQ(events[0].id, claim.ref.id);
    QUERN_EXPECT_EQ(events[0].epoch, claim.ref.epoch);
  });

  add_case(cases, "a rescue is told as rescued, dead or cancelled, and an expiry as dead", [](Scene& s) {
    const JobId again = s.add();
    auto last = s.job();
    last.max_attempts = 1;
    s.add(last);
    const JobId asked = s.add();
    s.claim();
    s.cancel(asked);
    Recorder recorder(s.store());
    s.crash_node();
    auto events = recorder.events();
    QUERN_EXPECT_EQ(events.size(), std::size_t{3});
    std::ranges::sort(events, {}, &JobEvent::id);
    QUERN_EXPECT(events[0].type == rescued && events[0].id == again);
    QUERN_EXPECT(events[1].type == dead && events[1].id == last.id);
    QUERN_EXPECT_EQ(events[1].dead_reason, DeadReason::out_of_attempts);
    QUERN_EXPECT(events[2].type == cancelled && events[2].id == asked);

    for (int i = 0; i < 2; ++i) {
      auto expiring = s.job("third");
      expiring.deadline = When::after(1s);
      s.add(expiring);
      s.clock.advance(1s);
      static_cast<void>(recorder.events());
      i == 0 ? static_cast<void>(s.store().promote(10)) : static_cast<void>(s.claim());
      events = recorder.events();
      std::erase_if(events, [&](const JobEvent& event) { return event.id != expiring.id; });
      QUERN_EXPECT_EQ(events.size(), std::size_t{1});
      QUERN_EXPECT_EQ(events[0].type, dead);
      QUERN_EXPECT_EQ(events[0].dead_reason, DeadReason::expired);
    }
  });

  add_case(cases, "a completion is told before what it sets free and what it adds", [](Scene& s) {
    const auto claim = s.start(s.add());
    const JobId child = s.add(s.child_of({claim.ref.id}));
    const auto follower = s.job();
    Recorder recorder(s.store());
    s.finish({.ref = claim.ref, .jobs = {follower}});
    const auto events = recorder.events();
    QUERN_EXPECT(events.size() >= 2);
    QUERN_EXPECT(events.front().type == completed && events.front().id == claim.ref.id);
    QUERN_EXPECT(events.back().type == created && events.back().id == follower.id);
    QUERN_EXPECT_EQ(s.state(child), JobState::ready);
  });

  add_case(cases, "what was refused is not told", [](Scene& s) {
    s.add(s.unique_job("key"));
    Recorder recorder(s.store());
    QUERN_EXPECT_EQ(s.insert(s.unique_job("key")).status, InsertStatus::duplicate);
    const std::vector jobs{s.job(), s.child_of({JobId{987'654'321}})};
    QUERN_EXPECT_THROWS(InvalidArgument, s.store().insert(jobs));
    QUERN_EXPECT_EQ(s.cancel(JobId{987'654'321}), CancelResult::unknown);
    QUERN_EXPECT(recorder.events().empty());
    QUERN_EXPECT(!recorder.worked());
    QUERN_EXPECT(recorder.cancels().empty());
  });
}

void add_signal_cases(Cases& cases) {
  add_case(cases, "observers are told of work when something becomes ready or due sooner, and not otherwise",
           [](Scene& s) {
             Recorder recorder(s.store());
             const auto expect_work = [&](bool expected) { QUERN_EXPECT_EQ(recorder.worked(), expected); };
             expect_work(false);
             const JobId id = s.add();
             expect_work(true);
             auto claim = s.start(id);
             expect_work(false);
             s.release(claim);
             expect_work(true);
             claim = s.start(id);
             s.fail(claim, When::after(1min));
             expect_work(true);  // nothing else waits, so it is due first
             s.store().promote(10);
             expect_work(false);
             s.clock.advance(1min);
             s.store().promote(10);
             expect_work(true);
             claim = s.start(id);
             s.progress(claim.ref, 5);
             s.store().renew(s.node);
             expect_work(false);
             s.complete(claim);
             expect_work(false);
             s.retry(id);
             expect_work(true);
             s.start(id);
             expect_work(false);
             s.crash_node();
             expect_work(true);
             const JobId child = s.add(s.child_of({id}));
             expect_work(false);
             s.complete(s.start(id));
             expect_work(true);
             s.cancel(child);
             expect_work(false);
           });

  add_case(cases, "observers are told of running jobs that were asked to stop", [](Scene& s) {
    Recorder recorder(s.store());
    const JobId running = s.add();
    s.start(running);
    const JobId waiting = s.add();
    const std::vector ids{waiting, running, JobId{987'654'321}};
    s.store().cancel(ids, "x");
    QUERN_EXPECT_EQ(recorder.cancels(), std::vector{running});
  });

  add_case(cases, "what may be due sooner than before is not told as if it were just ready", [](Scene& s) {
    class Listener final : public StorageObserver {
     public:
      void on_work() noexcept override { told_ = true; }
      void on_ready() noexcept override {}  // a storage may tell of both by on_work
      [[nodiscard]] bool told() { return told_.exchange(false); }

     private:
      std::atomic<bool> told_{false};
    };
    Listener listener;
    s.store().observe(listener);
    const auto add = [&](When run_at, std::optional<When> deadline) {
      NewJob job = s.job();
      job.run_at = run_at;
      job.deadline = deadline;
      QUERN_EXPECT_EQ(s.insert(job).status, InsertStatus::added);
      return job.id;
    };
    add(When::after(1h), std::nullopt);
    QUERN_EXPECT(listener.told());
    add(When::after(1min), std::nullopt);
    QUERN_EXPECT(listener.told());
    const JobId id = add({}, When::after(1s));  // ready, but it may miss its deadline
    QUERN_EXPECT(listener.told());
    const auto claim = s.start(id);
    s.fail(claim, When::after(500ms));
    QUERN_EXPECT(listener.told());
    s.store().unobserve(listener);
  });

  add_case(cases, "an observer that wants no events gets none, and one that left is told nothing",
           [](Scene& s) {
             Recorder quiet(s.store(), false);
             {
               Recorder gone(s.store());
               s.add();
               QUERN_EXPECT_EQ(gone.types(), Types{created});
               QUERN_EXPECT(quiet.events().empty());
               QUERN_EXPECT(quiet.worked() && gone.worked());
             }
             Recorder second(s.store());
             s.add();
             QUERN_EXPECT_EQ(second.types(), Types{created});
             QUERN_EXPECT(quiet.events().empty());
           });

  add_case(cases, "changes of another object on the same data show as foreign, own ones do not",
           [](Scene& s) {
             Recorder recorder(s.store());
             auto seen = s.store().foreign_changes();
             QUERN_EXPECT_EQ(s.store().foreign_changes(), seen);
             s.complete(s.start(s.add()));
             if (!s.fixture.shared()) {
               QUERN_EXPECT_EQ(s.store().foreign_changes(), seen);
               return;
             }
             seen = s.store().foreign_changes();
             static_cast<void>(recorder.events());
             const auto job = s.job();
             s.fixture.second().insert({&job, 1});
             QUERN_EXPECT(s.store().foreign_changes() != seen);
             seen = s.store().foreign_changes();
             QUERN_EXPECT_EQ(s.store().foreign_changes(), seen);
             QUERN_EXPECT(recorder.events().empty());  // told of its own object's calls only
             QUERN_EXPECT_EQ(s.claim_ids(), std::vector{job.id});
           });
}

}  // namespace

void add_event_cases(Cases& cases) {
  add_event_order_cases(cases);
  add_signal_cases(cases);
}

}  // namespace quern::inline v1::testing::detail
