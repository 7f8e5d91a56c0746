// What a claim costs with ten thousand ready jobs, and with ten million.

#include <stdexcept>
#include <string>

#include "support.hpp"

namespace bench {
namespace {

constexpr std::size_t batch = 100;

/// Microseconds per claim of a batch, with `count` jobs ready; each batch is completed and added anew.
template <class Storage>
std::vector<double> claim_times(Storage& storage, std::size_t count, int claims) {
  const auto node = storage.register_node({.name = "bench"});
  const auto add = [&](std::size_t jobs_to_add) {
    constexpr std::size_t at_once = 10'000;
    for (std::size_t i = 0; i < jobs_to_add; i += at_once) {
      const std::size_t some = std::min(at_once, jobs_to_add - i);
      quern::JobId next = storage.reserve_ids(some);
      std::vector<quern::NewJob> jobs(some);
      for (std::size_t k = 0; k < some; ++k) {
        jobs[k].id = quern::JobId{next.value++};
        jobs[k].kind = "digest.send";
        jobs[k].payload = quern::Payload::of(digest(i + k));
        jobs[k].priority = quern::Priority{static_cast<int>((i + k) / 100 % 4)};
      }
      storage.insert(jobs);
    }
  };
  add(count);
  std::vector<double> times;
  const quern::ClaimRequest request{
      .node = node, .limit = batch, .kinds = {{"digest.send", batch, 3}}, .queues = {}};
  for (int i = 0; i < claims; ++i) {
    const Stopwatch watch;
    const auto claimed = storage.claim(request);
    times.push_back(watch.seconds() * 1e6);
    if (claimed.size() != batch) throw std::runtime_error("a claim came back with too few jobs");
    std::vector<quern::Finish> finishes(claimed.size());
    for (std::size_t k = 0; k < claimed.size(); ++k) finishes[k].ref = claimed[k].ref;
    storage.finish(finishes);
    add(batch);
  }
  return times;
}

std::string depth_name(std::size_t deep) {
  return deep >= 1'000'000 ? std::to_string(deep / 1'000'000) + "m" : "small";
}

}  // namespace

void depth(const Settings& settings) {
  const std::size_t deep = settings.scaled(10'000'000);
  const int claims = 200;
  const auto report = [&](const std::string& storage, const std::vector<double>& shallow_times,
                          const std::vector<double>& deep_times) {
    print(storage + ".claim_10k.p50.us", median(shallow_times), "us");
    print(storage + ".claim_" + depth_name(deep) + ".p50.us", median(deep_times), "us");
    print(storage + ".claim_" + depth_name(deep) + ".ratio_to_10k",
          median(deep_times) / median(shallow_times), "ratio");
  };
  {
    std::vector<double> shallow_times;
    {
      quern::MemoryStorage storage;
      shallow_times = claim_times(storage, 10'000, claims);
    }
    quern::MemoryStorage storage;
    report("memory", shallow_times, claim_times(storage, deep, claims));
  }
  std::vector<double> shallow_times;
  {
    const ScratchDatabase file(settings, "shallow");
    quern::SqliteStorage storage(file.path());
    shallow_times = claim_times(storage, 10'000, claims);
  }
  const ScratchDatabase file(settings, "deep");
  quern::SqliteStorage storage(file.path());
  report("sqlite", shallow_times, claim_times(storage, deep, claims));
}

}  // namespace bench
