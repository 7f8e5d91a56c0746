#include "quern/work/load_balancing.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "support/catch.hpp"

using quern::Balancer;
using quern::PlacementRequest;
using quern::Resources;
using quern::WorkerLoad;
namespace balancing = quern::balancing;

namespace {

const Resources nothing;

struct Place {
  std::string id;
  std::size_t max_jobs = 10;
  double weight = 1;
  Resources budget{};
  std::size_t running = 0;
  Resources used{};
};

/// Gives `count` jobs to whom the balancer chooses of those that have room; jobs end only when told.
struct Workers {
  std::vector<Place> places;

  std::string put(const Balancer& balancer, std::string_view kind = "work", const Resources& cost = nothing) {
    std::vector<WorkerLoad> candidates;
    std::vector<Place*> who;
    for (std::size_t i = 0; i < places.size(); ++i) {
      Place& place = places[i];
      if (place.running >= place.max_jobs) continue;
      candidates.push_back(
          {place.id, i + 1, place.running, place.max_jobs, place.weight, &place.budget, &place.used});
      who.push_back(&place);
    }
    const std::size_t chosen = balancer({{}, kind, &cost}, candidates);
    Place& place = *who.at(chosen);
    ++place.running;
    for (const auto& [name, amount] : cost) place.used[name] += amount;
    return place.id;
  }
  void end(const std::string& id) { --std::ranges::find(places, id, &Place::id)->running; }
};

}  // namespace

TEST_CASE("round robin takes the workers in turn, past those without room", "[balancing]") {
  const Balancer balancer = balancing::round_robin();
  Workers workers{{{"a"}, {"b", 1}, {"c"}}};
  std::string order;
  for (int i = 0; i < 7; ++i) order += workers.put(balancer);
  CHECK(order == "abcacac");
}

TEST_CASE("least loaded fills workers to the same part of their slots", "[balancing]") {
  const Balancer balancer = balancing::least_loaded();
  Workers workers{{{"small", 5}, {"large", 20}}};
  for (int i = 0; i < 15; ++i) (void)workers.put(balancer);
  CHECK(workers.places[0].running == 3);
  CHECK(workers.places[1].running == 12);
  workers.end("small");
  CHECK(workers.put(balancer) == "small");
}

TEST_CASE("weighted gives jobs in proportion to the weights", "[balancing]") {
  const Balancer balancer = balancing::weighted();
  Workers workers{{{"a", 100'000, 1}, {"b", 100'000, 2}, {"c", 100'000, 7}}};
  std::map<std::string, int> counts;
  for (int i = 0; i < 1000; ++i) ++counts[workers.put(balancer)];
  CHECK(std::abs(counts["a"] - 100) <= 2);
  CHECK(std::abs(counts["b"] - 200) <= 2);
  CHECK(std::abs(counts["c"] - 700) <= 2);
}

TEST_CASE("a worker that had no room, or is new, does not catch up", "[balancing]") {
  const Balancer balancer = balancing::weighted();
  Workers workers{{{"a", 100'000}, {"b", 1}}};
  for (int i = 0; i < 1000; ++i) (void)workers.put(balancer);
  CHECK(workers.places[1].running == 1);
  workers.places[1].max_jobs = 100'000;
  workers.places.push_back({"c", 100'000});
  std::map<std::string, int> counts;
  for (int i = 0; i < 300; ++i) ++counts[workers.put(balancer)];
  for (const char* id : {"a", "b", "c"}) CHECK(std::abs(counts[id] - 100) <= 2);
}

TEST_CASE("kind affinity keeps a kind on one worker while it has room, and moves little when workers change",
          "[balancing]") {
  const Balancer balancer = balancing::kind_affinity();
  std::map<std::string, std::string> first;
  std::map<std::string, int> load;
  for (int kind = 0; kind < 400; ++kind) {
    Workers workers{{{"a"}, {"b"}, {"c"}, {"d"}}};
    const std::string name = "kind-" + std::to_string(kind);
    first[name] = workers.put(balancer, name);
    ++load[first[name]];
    CHECK(workers.put(balancer, name) == first[name]);
    // Full: the same next one each time.
    std::ranges::find(workers.places, first[name], &Place::id)->running = 10;
    const std::string second = workers.put(balancer, name);
    CHECK(second != first[name]);
    CHECK(workers.put(balancer, name) == second);
  }
  for (const auto& [id, count] : load) CHECK(std::abs(count - 100) < 35);  // 4 standard deviations
  // Without d only its kinds move.
  for (const auto& [name, id] : first) {
    Workers workers{{{"a"}, {"b"}, {"c"}}};
    if (id != "d") CHECK(workers.put(balancer, name) == id);
  }
}

TEST_CASE("resource fit leaves room for large jobs", "[balancing]") {
  const Balancer balancer = balancing::resource_fit();
  Workers workers{{{"a", 10, 1, {{"memory", 16}}}, {"b", 10, 1, {{"memory", 16}}}}};
  std::string order;
  for (int i = 0; i < 4; ++i) order += workers.put(balancer, "small", {{"memory", 2}});
  CHECK(order == "aaaa");  // b keeps room for 16
  // Where least loaded would have left no worker for it.
  CHECK(workers.places[1].used.empty());
  // A job without a cost goes to the least loaded.
  CHECK(workers.put(balancer, "free") == "b");
  CHECK(workers.put(balancer, "other", {{"gpu", 1}}) == "b");  // limited by no budget
}
