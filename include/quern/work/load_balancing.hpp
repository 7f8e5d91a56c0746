#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "quern/work/worker.hpp"

namespace quern::inline v1 {

/// A worker that could take the job in question, as a balancer sees it.
struct WorkerLoad {
  std::string_view id{};
  std::uint64_t number = 0;  ///< Grows from one worker to the next, and is never used again.
  std::size_t running = 0;
  std::size_t max_jobs = 1;
  double weight = 1;
  const Resources* budget = nullptr;  ///< Never null.
  const Resources* used = nullptr;    ///< Never null.
};

/// A job that needs a worker.
struct PlacementRequest {
  JobId id{};
  std::string_view kind{};
  const Resources* cost = nullptr;  ///< Never null.
};

/// Chooses the place of one of `candidates`: workers that have room for the job, at least one, in the order in
/// which they were added. Called for one job at a time, under the pool's lock: it must be quick and may not call the pool.
/// One that throws or answers out of range gets the first candidate.
using Balancer =
    std::function<std::size_t(const PlacementRequest& job, std::span<const WorkerLoad> candidates)>;

/// The ready-made policies. Each call makes one with a memory of its own; each choice costs O(candidates).
namespace balancing {

/// The next one after the last one chosen.
[[nodiscard]] Balancer round_robin();
/// The one with the smallest part of its slots taken; of several, the one added first.
[[nodiscard]] Balancer least_loaded();
/// In proportion to the weights, as long as there is room: stride scheduling (Waldspurger and Weihl, 1995). A worker
/// that had no room, or is new, does not catch up.
[[nodiscard]] Balancer weighted();
/// Jobs of one kind to the same worker while it has room, then to the same next one, so that caches stay warm:
/// rendezvous hashing (Thaler and Ravishankar, 1998), where a worker that comes or goes moves only what is its own.
[[nodiscard]] Balancer kind_affinity();
/// The one whose tightest resource would be used most with the job, so that large jobs find room elsewhere (best fit).
/// Jobs without a cost, and those whose cost no candidate limits, go to the least loaded.
[[nodiscard]] Balancer resource_fit();

}  // namespace balancing
}  // namespace quern::inline v1
