// What a claim costs with ten thousand ready jobs, and with ten million.

#include <stdexcept>
#include <string>

#include "support.hpp"

namespace bench {
namespace {

constexpr std::size_t batch = 100;
constexpr std::size_t deepest = 10'000'000;
constexpr std::size_t waiting = 1'000'000;
constexpr int claims = 200;

/// Adds jobs, ready now or later, ten thousand at once.
template <class Storage>
void add(Storage& storage, std::size_t count, quern::When when = {}) {
  constexpr std::size_t at_once = 10'000;
  for (std::size_t i = 0; i < count; i += at_once) {
    const std::size_t some = std::min(at_once, count - i);
    quern::JobId next = storage.reserve_ids(some);
    std::vector<quern::NewJob> jobs(some);
    for (std::size_t k = 0; k < some; ++k) {
      jobs[k].id = quern::JobId{next.value++};
      jobs[k].kind = "digest.send";
      jobs[k].payload = quern::Payload::of(digest(i + k));
      jobs[k].priority = quern::Priority{static_cast<int>((i + k) / 100 % 4)};
      jobs[k].run_at = when;
    }
    storage.insert(jobs);
  }
}

/// Microseconds of each of `count` calls.
template <class Call>
std::vector<double> times_of(int count, const Call& call) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const Stopwatch watch;
    call();
    times.push_back(watch.seconds() * 1e6);
  }
  return times;
}

/// Microseconds per claim of a batch; each batch is completed and added anew.
template <class Storage>
std::vector<double> claim_times(Storage& storage) {
  const auto node = storage.register_node({.name = "bench"});
  const quern::ClaimRequest request{
      .node = node, .limit = batch, .kinds = {{"digest.send", batch, 3}}, .queues = {}};
  std::vector<double> times;
  for (int i = 0; i < claims; ++i) {
    const Stopwatch watch;
    const auto claimed = storage.claim(request);
    times.push_back(watch.seconds() * 1e6);
    if (claimed.size() != batch) throw std::runtime_error("a claim came back with too few jobs");
    std::vector<quern::Finish> finishes(claimed.size());
    for (std::size_t k = 0; k < claimed.size(); ++k) finishes[k].ref = claimed[k].ref;
    storage.finish(finishes);
    add(storage, batch);
  }
  return times;
}

struct Depth {
  std::vector<double> claim;
  std::vector<double> count;  // all counters
};

template <class Storage>
Depth at_depth(Storage& storage, std::size_t count) {
  add(storage, count);
  Depth depth;
  depth.claim = claim_times(storage);
  depth.count = times_of(claims, [&] { static_cast<void>(storage.count()); });
  return depth;
}

std::string depth_name(std::size_t deep) {
  return deep >= 1'000'000 ? std::to_string(deep / 1'000'000) + "m" : "small";
}

void report(const std::string& storage, std::size_t deep, const Depth& shallow, const Depth& deeper) {
  const std::string name = depth_name(deep);
  print(storage + ".claim_10k.p50.us", median(shallow.claim), "us");
  print(storage + ".claim_" + name + ".p50.us", median(deeper.claim), "us");
  print(storage + ".claim_" + name + ".ratio_to_10k", median(deeper.claim) / median(shallow.claim), "ratio");
  print(storage + ".count_10k.us", median(shallow.count), "us");
  print(storage + ".count_" + name + ".us", median(deeper.count), "us");
}

/// What a promotion costs that finds nothing due, with no scheduled job and with many of them.
template <class Storage>
void scheduled(const std::string& name, Storage& storage, std::size_t many) {
  constexpr int calls = 1000;
  const auto promote = [&] { static_cast<void>(storage.promote(1000)); };
  const double none = median(times_of(calls, promote));
  add(storage, many, quern::When::after(std::chrono::hours(24)));
  const double some = median(times_of(calls, promote));
  print(name + ".promote_none.us", none, "us");
  print(name + ".promote_scheduled_" + depth_name(many) + ".us", some, "us");
}

}  // namespace

void memory_depth(const Settings& settings) {
  const std::size_t deep = settings.scaled(deepest);
  {
    Depth shallow;
    {
      quern::MemoryStorage storage;
      shallow = at_depth(storage, 10'000);
    }
    quern::MemoryStorage storage;
    report("memory", deep, shallow, at_depth(storage, deep));
  }
  quern::MemoryStorage storage;
  scheduled("memory", storage, settings.scaled(waiting));
}

void sqlite_depth(const Settings& settings) {
  const std::size_t deep = settings.scaled(deepest);
  Depth shallow;
  {
    const ScratchDatabase file(settings, "shallow");
    quern::SqliteStorage storage(file.path());
    shallow = at_depth(storage, 10'000);
  }
  {
    const ScratchDatabase file(settings, "deep");
    {
      quern::SqliteStorage storage(file.path());
      report("sqlite", deep, shallow, at_depth(storage, deep));
    }  // the log is now in the file
    const double added = static_cast<double>(deep + (static_cast<std::size_t>(claims) * batch));
    print("sqlite.bytes_per_job", static_cast<double>(fs::file_size(file.path())) / added, "B");
  }
  const ScratchDatabase file(settings, "scheduled");
  quern::SqliteStorage storage(file.path());
  scheduled("sqlite", storage, settings.scaled(waiting));
}

}  // namespace bench
