#include "quern/work/load_balancing.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "quern/core/random.hpp"

namespace quern::inline v1::balancing {
namespace {

/// Whether a has a smaller part of its slots taken than b: exact, without division.
bool less_loaded(const WorkerLoad& a, const WorkerLoad& b) {
  return a.running * b.max_jobs < b.running * a.max_jobs;
}

std::size_t least_loaded_of(std::span<const WorkerLoad> candidates) {
  return static_cast<std::size_t>(std::ranges::min_element(candidates, less_loaded) - candidates.begin());
}

/// FNV-1a (Fowler, Noll and Vo), 64 bits.
std::uint64_t hash(std::string_view text, std::uint64_t from = 0xCBF2'9CE4'8422'2325U) {
  for (const char c : text) from = (from ^ static_cast<unsigned char>(c)) * 0x100'0000'01B3U;
  return from;
}

std::int64_t amount_of(const Resources& resources, std::string_view name) {
  const auto found = resources.find(name);
  return found == resources.end() ? 0 : found->second;
}

/// How much of its tightest resource the worker would use with the job; negative: its budget limits none of the cost.
double fullness(const WorkerLoad& worker, const Resources& cost) {
  double fullest = -1;
  for (const auto& [name, limit] : *worker.budget) {
    const std::int64_t needed = amount_of(cost, name);
    if (needed == 0 || limit == 0) continue;
    const auto used = static_cast<double>(amount_of(*worker.used, name) + needed);
    fullest = std::max(fullest, used / static_cast<double>(limit));
  }
  return fullest;
}

}  // namespace

Balancer round_robin() {
  return [last = std::uint64_t{0}](const PlacementRequest& /*job*/,
                                   std::span<const WorkerLoad> candidates) mutable {
    const auto next =
        std::ranges::find_if(candidates, [&](const WorkerLoad& worker) { return worker.number > last; });
    const std::size_t chosen =
        next == candidates.end() ? 0 : static_cast<std::size_t>(next - candidates.begin());
    last = candidates[chosen].number;
    return chosen;
  };
}

Balancer least_loaded() {
  return [](const PlacementRequest& /*job*/, std::span<const WorkerLoad> candidates) {
    return least_loaded_of(candidates);
  };
}

Balancer weighted() {
  // How far each worker has come: 1/weight for each of its jobs. Who falls behind is brought to where the others are.
  return [passes = std::map<std::uint64_t, double>(), now = 0.0](
             const PlacementRequest& /*job*/, std::span<const WorkerLoad> candidates) mutable {
    std::size_t chosen = 0;
    double smallest = std::numeric_limits<double>::max();
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      double& pass = passes[candidates[i].number];
      // One that had no room may be as far behind as its next step, so that it keeps its place within a round.
      pass = std::max(pass, now - 1 / candidates[i].weight);
      if (pass + 1 / candidates[i].weight < smallest) {
        smallest = pass + 1 / candidates[i].weight;
        chosen = i;
      }
    }
    passes[candidates[chosen].number] = smallest;
    now = std::max(now, smallest);
    // Workers that have gone are forgotten; those that only had no room lose nothing by it.
    if (passes.size() > 2 * candidates.size() + 64)
      std::erase_if(passes, [&](const auto& entry) { return entry.second < now - 1; });
    return chosen;
  };
}

Balancer kind_affinity() {
  return [](const PlacementRequest& job, std::span<const WorkerLoad> candidates) {
    const std::uint64_t kind = hash(job.kind);
    const auto score = [&](const WorkerLoad& worker) { return Random(hash(worker.id, kind)).next(); };
    return static_cast<std::size_t>(std::ranges::max_element(candidates, {}, score) - candidates.begin());
  };
}

Balancer resource_fit() {
  return [](const PlacementRequest& job, std::span<const WorkerLoad> candidates) {
    std::size_t chosen = 0;
    double fullest = -1;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double full = fullness(candidates[i], *job.cost);
      if (full > fullest) {
        fullest = full;
        chosen = i;
      }
    }
    return fullest < 0 ? least_loaded_of(candidates) : chosen;
  };
}

}  // namespace quern::inline v1::balancing
