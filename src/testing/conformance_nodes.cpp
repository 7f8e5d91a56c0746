#include <algorithm>

#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

std::vector<NodeId> node_ids(const Scene& s) {
  std::vector<NodeId> ids;
  for (const NodeStatus& node : s.store().nodes()) ids.push_back(node.id);
  return ids;
}

}  // namespace

void add_node_cases(Cases& cases) {
  add_case(cases, "a node is listed with what it can run and what is left of its lease", [](Scene& s) {
    const auto plain = s.store().nodes().at(0);
    QUERN_EXPECT_EQ(plain.lease_left, lease);
    QUERN_EXPECT_EQ(plain.info.slots, 0U);
    QUERN_EXPECT(!plain.info.queues.has_value());
    const NodeInfo info{.name = "big",
                        .lease = 10s,
                        .slots = 8,
                        .kinds = {{"mail", 4}, {"kind \"\xC3\xBC\"", 8}},
                        .queues = std::vector<SlotCount>{{"default", 2}}};
    const NodeId big = s.store().register_node(info);
    s.clock.advance(4s);
    auto status = s.store().nodes().at(1);
    QUERN_EXPECT_EQ(status.id, big);
    QUERN_EXPECT_EQ(status.info.slots, 8U);
    QUERN_EXPECT(status.info.kinds == info.kinds);
    QUERN_EXPECT(status.info.queues == info.queues);
    QUERN_EXPECT_EQ(status.lease_left, Duration(6s));
    s.store().renew(big);
    QUERN_EXPECT_EQ(s.store().nodes().at(1).lease_left, Duration(10s));
    s.clock.advance(11s);
    status = s.store().nodes().at(1);
    QUERN_EXPECT_EQ(status.state, NodeState::alive);  // nobody has looked yet
    QUERN_EXPECT_EQ(status.lease_left, Duration(0));
    s.clock.reboot(Duration(0));
    QUERN_EXPECT_EQ(s.store().nodes().at(0).lease_left, Duration(0));
  });

  add_case(cases, "a node is alive for its lease, and again for as long after each renewal", [](Scene& s) {
    const JobId id = s.add();
    const auto claim = s.start(id);
    for (int i = 0; i < 5; ++i) {
      s.clock.advance(lease - 1us);
      QUERN_EXPECT_EQ(s.rescue().nodes, std::size_t{0});
      QUERN_EXPECT_EQ(s.store().renew(s.node), RenewResult::renewed);
    }
    QUERN_EXPECT_EQ(s.state(id), JobState::running);
    s.clock.advance(lease + 1us);
    QUERN_EXPECT_EQ(s.store().renew(s.node), RenewResult::renewed);  // late, but nobody has declared it dead
    QUERN_EXPECT_EQ(s.rescue().nodes, std::size_t{0});
    s.clock.advance(lease + 1us);
    QUERN_EXPECT_EQ(s.rescue().nodes, std::size_t{1});
    QUERN_EXPECT_EQ(s.store().renew(s.node), RenewResult::lost);
    s.clock.advance(1h);
    QUERN_EXPECT_EQ(s.store().renew(s.node), RenewResult::lost);  // for ever
    QUERN_EXPECT_EQ(s.try_finish(claim.ref, Outcome::completed), FinishStatus::lost);
  });

  add_case(cases, "each node has its own lease and a fresh id", [](Scene& s) {
    const NodeId brief = s.store().register_node({.name = "brief", .host = "h", .lease = 1s});
    const NodeId lasting = s.store().register_node({.name = "lasting", .host = "h", .lease = 1h});
    QUERN_EXPECT(brief != lasting && brief != s.node && brief && lasting);
    s.clock.advance(2s);
    QUERN_EXPECT_EQ(s.rescue().nodes, std::size_t{1});
    QUERN_EXPECT_EQ(s.store().renew(brief), RenewResult::lost);
    s.clock.advance(1min);
    s.rescue();
    QUERN_EXPECT_EQ(s.store().renew(s.node), RenewResult::lost);
    QUERN_EXPECT_EQ(s.store().renew(lasting), RenewResult::renewed);
    const NodeId again = s.store().register_node({.name = "brief", .host = "h", .lease = 1s});
    QUERN_EXPECT(again != brief && again != s.node && again != lasting);
    QUERN_EXPECT_EQ(s.store().renew(NodeId{987'654'321}), RenewResult::lost);
  });

  add_case(cases, "a lease that is too short or too long is refused", [](Scene& s) {
    const auto with_lease = [&](Duration wanted) {
      return s.store().register_node({.name = "n", .host = "h", .lease = wanted});
    };
    QUERN_EXPECT_THROWS(InvalidArgument, with_lease(0us));
    QUERN_EXPECT_THROWS(InvalidArgument, with_lease(-1s));
    QUERN_EXPECT_THROWS(InvalidArgument, with_lease(24h + 1us));
    with_lease(1ms);
    with_lease(24h);
  });

  add_case(cases, "I03 setting the wall clock ends no lease", [](Scene& s) {
    const JobId id = s.add();
    const auto claim = s.start(id);
    for (const Duration jump : {Duration(1h), Duration(-2h), Duration(87'600h), Duration(-438'000h)}) {
      s.clock.set_wall(s.clock.now() + jump);
      const auto result = s.rescue();
      QUERN_EXPECT_EQ(result.nodes + result.rescued + result.dead, std::size_t{0});
      QUERN_EXPECT_EQ(s.state(id), JobState::running);
      QUERN_EXPECT_EQ(s.store().renew(s.node), RenewResult::renewed);
    }
    s.complete(claim);
  });

  add_case(cases, "I03 a restart of the machine ends every lease, however its steady clock starts",
           [](Scene& s) {
             for (const Duration steady : {Duration(0), s.clock.steady(), s.clock.steady() + 24h}) {
               const JobId id = s.add();
               const NodeId before = s.node;
               const auto claim = s.start(id);
               s.clock.reboot(steady);
               s.node = s.new_node();
               const auto result = s.rescue();
               QUERN_EXPECT_EQ(result.nodes, std::size_t{1});
               QUERN_EXPECT_EQ(result.rescued, std::size_t{1});
               QUERN_EXPECT_EQ(s.store().renew(before), RenewResult::lost);
               QUERN_EXPECT_EQ(s.store().renew(s.node), RenewResult::renewed);
               QUERN_EXPECT_EQ(s.try_finish(claim.ref, Outcome::completed), FinishStatus::lost);
               s.complete(s.start(id));
             }
           });

  add_case(cases, "I08 a crash counts as an attempt, and the job is ready at once", [](Scene& s) {
    const JobId id = s.add();
    s.start(id);
    const NodeId dead = s.node;
    const auto result = s.crash_node();
    QUERN_EXPECT_EQ(result.nodes, std::size_t{1});
    QUERN_EXPECT_EQ(result.rescued, std::size_t{1});
    QUERN_EXPECT_EQ(result.dead, std::size_t{0});
    QUERN_EXPECT_EQ(result.more, false);
    const Job job = s.get(id);
    QUERN_EXPECT_EQ(job.state, JobState::ready);
    QUERN_EXPECT_EQ(job.attempt, 1);
    QUERN_EXPECT_EQ(job.crashes, 1);
    QUERN_EXPECT_EQ(job.node, 0U);
    QUERN_EXPECT_EQ(job.run_at, s.clock.now());
    QUERN_EXPECT_EQ(job.errors.size(), std::size_t{1});
    QUERN_EXPECT_EQ(job.errors[0].fault, AttemptFault::crash);
    QUERN_EXPECT_EQ(job.errors[0].message, "node " + std::to_string(dead.value) + " died");
    QUERN_EXPECT_EQ(job.errors[0].attempt, 1);
    QUERN_EXPECT_EQ(job.errors[0].at, s.clock.now());
    QUERN_EXPECT_EQ(s.start(id).attempt, 2);
  });

  add_case(cases, "I08 a job that was running at too many deaths is quarantined", [](Scene& s) {
    auto poison = s.job();
    poison.max_attempts = 1000;
    s.add(poison);
    for (int crash = 1; crash <= crash_limit; ++crash) {
      s.start(poison.id);
      const auto result = s.crash_node();
      QUERN_EXPECT_EQ(result.dead, std::size_t{crash < crash_limit ? 0U : 1U});
      QUERN_EXPECT_EQ(s.get(poison.id).crashes, crash);
    }
    const Job job = s.get(poison.id);
    QUERN_EXPECT_EQ(job.state, JobState::dead);
    QUERN_EXPECT_EQ(job.dead_reason, DeadReason::quarantined);
    QUERN_EXPECT(!job.end_message.empty());
    QUERN_EXPECT_EQ(job.errors.size(), std::size_t{crash_limit});
    s.retry(poison.id);
    s.start(poison.id);
    QUERN_EXPECT_EQ(s.crash_node().rescued, std::size_t{1});  // a new run counts anew
  });

  add_case(cases, "I08 a crash at the last attempt is the end", [](Scene& s) {
    auto job = s.job();
    job.max_attempts = 2;
    s.add(job);
    s.fail(s.start(job.id), When());
    s.start(job.id);
    QUERN_EXPECT_EQ(s.crash_node().dead, std::size_t{1});
    QUERN_EXPECT_EQ(s.get(job.id).dead_reason, DeadReason::out_of_attempts);

    const JobId by_kind = s.add();
    auto request = Scene::request(s.node, 1);
    request.kinds.front().max_attempts = 1;
    QUERN_EXPECT_EQ(s.store().claim(request).size(), std::size_t{1});
    s.crash_node();
    QUERN_EXPECT_EQ(s.get(by_kind).dead_reason, DeadReason::out_of_attempts);
  });

  add_case(cases, "I03 a rescue never touches a job that a live node runs", [](Scene& s) {
    const JobId old = s.add();
    s.start(old);
    const JobId kept = s.add();
    s.clock.advance(lease - 1s);
    const NodeId other = s.new_node();
    const auto claim = s.start_on(other, kept);
    s.clock.advance(5s);
    const auto result = s.rescue();
    QUERN_EXPECT_EQ(result.nodes, std::size_t{1});
    QUERN_EXPECT_EQ(result.rescued, std::size_t{1});
    QUERN_EXPECT_EQ(s.state(kept), JobState::running);
    QUERN_EXPECT_EQ(s.get(kept).epoch, claim.ref.epoch);
    s.clock.advance(lease - 10s);
    s.store().renew(other);
    s.clock.advance(24h - 1s);  // however long it has been running
    s.store().renew(other);
    s.rescue();
    s.complete(claim);
  });

  add_case(cases, "I24 what a retired node held is given up at once and counts as a crash", [](Scene& s) {
    const JobId id = s.add();
    s.start(id);
    const NodeId retired = s.node;
    s.store().retire(retired);
    QUERN_EXPECT_EQ(s.store().renew(retired), RenewResult::lost);
    s.node = s.new_node();
    const auto result = s.rescue();
    QUERN_EXPECT_EQ(result.nodes, std::size_t{0});  // it was not found dead
    QUERN_EXPECT_EQ(result.rescued, std::size_t{1});
    QUERN_EXPECT_EQ(s.get(id).crashes, 1);
    s.complete(s.start(id));
    s.store().retire(NodeId{987'654'321});
    s.store().retire(retired);
  });

  add_case(cases, "a rescue is bounded, and goes on where it stopped", [](Scene& s) {
    for (int i = 0; i < 10; ++i) s.add();
    s.claim(6);
    const NodeId first = s.node;
    s.node = s.new_node();
    s.claim();
    const NodeId second = s.node;
    s.clock.advance(lease + 1s);
    s.node = s.new_node();
    auto result = s.rescue(4);
    QUERN_EXPECT_EQ(result.nodes, std::size_t{2});
    QUERN_EXPECT_EQ(result.rescued, std::size_t{4});
    QUERN_EXPECT_EQ(result.more, true);
    QUERN_EXPECT_EQ(s.store().renew(first), RenewResult::lost);
    QUERN_EXPECT_EQ(s.store().renew(second), RenewResult::lost);
    result = s.rescue(4);
    QUERN_EXPECT_EQ(result.nodes, std::size_t{0});
    QUERN_EXPECT_EQ(result.rescued, std::size_t{4});
    QUERN_EXPECT_EQ(result.more, true);
    result = s.rescue(4);
    QUERN_EXPECT_EQ(result.rescued, std::size_t{2});
    QUERN_EXPECT_EQ(result.more, false);
    QUERN_EXPECT_EQ(s.claim().size(), std::size_t{10});
  });

  add_case(cases, "I03 two rescuers rescue each job once", [](Scene& s) {
    std::vector<JobId> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(s.add());
    s.claim();
    s.clock.advance(lease + 1s);
    std::size_t rescued = 0;
    std::size_t nodes = 0;
    for (int i = 0; i < 5; ++i) {
      for (StoragePort* store : {&s.store(), &s.fixture.second()}) {
        const auto result = store->rescue(3, crash_limit);
        rescued += result.rescued;
        nodes += result.nodes;
      }
    }
    QUERN_EXPECT_EQ(rescued, std::size_t{20});
    QUERN_EXPECT_EQ(nodes, std::size_t{1});
    for (const JobId id : ids) {
      QUERN_EXPECT_EQ(s.get(id).crashes, 1);
      QUERN_EXPECT_EQ(s.get(id).errors.size(), std::size_t{1});
    }
  });

  add_case(cases, "a rescue needs a limit of at least one crash",
           [](Scene& s) { QUERN_EXPECT_THROWS(InvalidArgument, s.store().rescue(10, 0)); });

  add_case(cases, "the nodes are listed while they are alive or still hold jobs", [](Scene& s) {
    const NodeId second =
        s.store().register_node({.name = "second", .host = "host-2", .process = 4711, .lease = 1h});
    QUERN_EXPECT_EQ(node_ids(s), (std::vector{s.node, second}));
    s.add();
    s.add();
    s.claim();
    const TimePoint started = s.clock.now();
    auto nodes = s.store().nodes();
    QUERN_EXPECT_EQ(nodes[0].running, std::size_t{2});
    QUERN_EXPECT_EQ(nodes[0].state, NodeState::alive);
    QUERN_EXPECT_EQ(nodes[1].running, std::size_t{0});
    QUERN_EXPECT_EQ(nodes[1].info.name, std::string("second"));
    QUERN_EXPECT_EQ(nodes[1].info.host, std::string("host-2"));
    QUERN_EXPECT_EQ(nodes[1].info.process, std::int64_t{4711});
    QUERN_EXPECT_EQ(nodes[1].info.lease, Duration(1h));
    QUERN_EXPECT_EQ(nodes[1].started_at, started);

    s.clock.advance(lease + 1s);
    s.store().rescue(1, crash_limit);
    nodes = s.store().nodes();
    QUERN_EXPECT_EQ(node_ids(s), (std::vector{s.node, second}));
    QUERN_EXPECT_EQ(nodes[0].state, NodeState::dead);
    QUERN_EXPECT_EQ(nodes[0].running, std::size_t{1});
    s.rescue();
    QUERN_EXPECT_EQ(node_ids(s), std::vector{second});
    const auto claims = s.store().claim(Scene::request(second, 1));
    QUERN_EXPECT_EQ(claims.size(), std::size_t{1});
    s.store().retire(second);
    nodes = s.store().nodes();
    QUERN_EXPECT_EQ(nodes.size(), std::size_t{1});
    QUERN_EXPECT_EQ(nodes[0].state, NodeState::retired);
    s.rescue();
    QUERN_EXPECT(s.store().nodes().empty());
    const NodeId idle = s.new_node();
    s.store().retire(idle);
    QUERN_EXPECT(s.store().nodes().empty());
  });
}

}  // namespace quern::inline v1::testing::detail
