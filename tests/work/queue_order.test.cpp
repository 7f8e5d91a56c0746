#include <map>
#include <string>
#include <vector>

#include "quern/work/detail/queue_turns.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"

using namespace std::chrono_literals;
using quern::JobContext;
using quern::Payload;
using quern::QueueOrder;
using quern_test::Engine;
using Order = std::vector<std::string>;

namespace {

/// An engine with one slot, and the queues of its jobs in the order in which they ran.
struct Scene {
  Engine engine;
  Order ran;

  Scene() {
    engine.handlers.on("work", [this](JobContext& context) { ran.push_back(context.job().queue); });
  }
  void add(const std::string& queue, int count, quern::Priority priority = {}) {
    engine.queue.enqueue_all(std::vector<quern::NewJob>(
        static_cast<std::size_t>(count), {.kind = "work", .queue = queue, .priority = priority}));
  }
  [[nodiscard]] quern::ProcessorOptions options(QueueOrder order, std::vector<quern::QueueSlots> queues,
                                                int slots = 1) {
    auto made = engine.options();
    made.max_concurrent_jobs = slots;
    made.queues = std::move(queues);
    made.queue_order = order;
    return made;
  }
  /// How many of the next `count` runs, from `from` on, were of each queue.
  [[nodiscard]] std::map<std::string, int> shares(std::size_t from, std::size_t count) const {
    std::map<std::string, int> sums;
    for (std::size_t i = from; i < from + count; ++i) ++sums[ran.at(i)];
    return sums;
  }
};

}  // namespace

TEST_CASE("I21 weighted queues share the slots in proportion and none starves", "[queue-order]") {
  Scene scene;
  scene.add("urgent", 400, quern::Priority::critical);
  scene.add("normal", 400);
  scene.add("bulk", 400, quern::Priority{9});
  const int slots = GENERATE(1, 10, 64);
  const auto processor = scene.engine.processor(
      scene.options(QueueOrder::weighted, {{"urgent", 0, 6}, {"normal", 0, 3}, {"bulk", 0, 1}}, slots));
  scene.engine.settle(*processor);
  REQUIRE(scene.ran.size() == 1200);
  // As long as all three have jobs: 600 runs. A round of claims is not cut in the middle, so the shares are
  // exact up to a round.
  auto shares = scene.shares(0, 600);
  CHECK(std::abs(shares["urgent"] - 360) <= 1 + slots);
  CHECK(std::abs(shares["normal"] - 180) <= 1 + slots);
  CHECK(std::abs(shares["bulk"] - 60) <= 1 + slots / 5);
  // Of any hundred of them, too, some are of the last queue.
  for (std::size_t from = 0; from < 600; from += 100) {
    const int bulk = scene.shares(from, 100)["bulk"];
    CHECK(bulk >= 1);
    CHECK(bulk <= 10 + slots / 3);
  }
}

TEST_CASE("a queue that had nothing saves up no turns for later", "[queue-order]") {
  Scene scene;
  const auto processor =
      scene.engine.processor(scene.options(QueueOrder::weighted, {{"a", 0, 1}, {"b", 0, 1}}));
  scene.add("a", 1000);
  scene.engine.settle(*processor);
  scene.ran.clear();
  scene.add("a", 100);
  scene.add("b", 100);
  scene.engine.settle(*processor);
  CHECK(std::abs(scene.shares(0, 40)["b"] - 20) <= 1);
}

TEST_CASE("a weighted queue takes all slots while the others are empty", "[queue-order]") {
  Scene scene;
  scene.add("b", 50);
  const auto processor =
      scene.engine.processor(scene.options(QueueOrder::weighted, {{"a", 0, 1000}, {"b", 0, 1}}, 10));
  scene.engine.settle(*processor);
  CHECK(scene.ran.size() == 50);
}

TEST_CASE("in strict order a queue is served when those before it have nothing to run", "[queue-order]") {
  Scene scene;
  scene.add("last", 2, quern::Priority::critical);
  scene.add("first", 2, quern::Priority::low);
  scene.engine.queue.enqueue("work", Payload(), {.queue = "first", .run_at = quern::When::after(1h)});
  const int slots = GENERATE(1, 3, 10);
  const auto processor =
      scene.engine.processor(scene.options(QueueOrder::strict, {{"first", 0}, {"last", 0}}, slots));
  scene.engine.settle(*processor);
  CHECK(scene.ran == Order{"first", "first", "last", "last"});
}

TEST_CASE("by priority the most urgent job of all queues is next", "[queue-order]") {
  Scene scene;
  scene.add("a", 1, quern::Priority::low);
  scene.add("b", 1, quern::Priority::high);
  const auto processor = scene.engine.processor(scene.options(QueueOrder::priority, {{"a", 0}, {"b", 0}}));
  scene.engine.settle(*processor);
  CHECK(scene.ran == Order{"b", "a"});
}

TEST_CASE("queues' limits and a paused queue hold in every order", "[queue-order]") {
  for (const QueueOrder order : {QueueOrder::weighted, QueueOrder::strict}) {
    Scene scene;
    scene.add("a", 5);
    scene.add("b", 5);
    scene.add("paused", 5);
    scene.engine.queue.pause("paused");
    const auto processor = scene.engine.processor<quern_test::HeldExecutor>(
        scene.options(order, {{"paused", 0, 9}, {"a", 2, 9}, {"b", 0, 1}}, 4));
    scene.engine.settle(*processor);
    CHECK(processor->running() == 4);
    while (!processor->executor().tasks.empty()) {
      processor->executor().run_all();
      scene.engine.settle(*processor);
    }
    CHECK(scene.ran.size() == 10);
  }
}

TEST_CASE("a faulty order of queues is refused", "[queue-order]") {
  Scene scene;
  const auto refused = [&](QueueOrder order, std::vector<quern::QueueSlots> queues,
                           const std::string& field) {
    CHECK_THROWS_WITH(scene.engine.processor(scene.options(order, std::move(queues))),
                      Catch::Matchers::ContainsSubstring(field));
  };
  refused(QueueOrder::weighted, {}, "queues");
  refused(QueueOrder::strict, {}, "queues");
  refused(QueueOrder::weighted, {{"a", 0, 0}}, "queues[0].weight");
  refused(QueueOrder::weighted, {{"a", 0, 1}, {"b", 0, 1001}}, "queues[1].weight");
}

TEST_CASE("I21 with ageing a job of low priority has its turn in a stream of high priority",
          "[queue-order]") {
  Scene scene;
  auto options = scene.engine.options();
  options.max_concurrent_jobs = 1;
  options.ageing = 1min;
  const auto processor = scene.engine.processor<quern_test::HeldExecutor>(options);
  scene.add("high", 1, quern::Priority::critical);
  scene.engine.settle(*processor);
  scene.add("low", 1, quern::Priority{5});
  for (int minute = 1; minute <= 8; ++minute) {
    scene.engine.clock.advance(1min);
    scene.add("high", 1, quern::Priority::critical);
    processor->executor().run_one();
    scene.engine.settle(*processor);
  }
  CHECK(scene.ran == Order{"high", "high", "high", "high", "high", "low", "high", "high"});
}

TEST_CASE("a faulty ageing is refused", "[queue-order]") {
  Scene scene;
  for (const quern::Duration ageing : {quern::Duration(-1), quern::Duration(365 * 24h) + 1us}) {
    auto options = scene.engine.options();
    options.ageing = ageing;
    CHECK_THROWS_WITH(scene.engine.processor(options), Catch::Matchers::ContainsSubstring("ageing"));
  }
}
