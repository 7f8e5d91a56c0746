// What it costs to be watched: the same work with a JobMonitor, with a subscriber to the events, with jobs that belong to a
// trace, and with a tracer, as a ratio to that without.

#include <quern/core/trace_context.hpp>
#include <quern/core/tracer.hpp>
#include <quern/job_monitor.hpp>

#include <functional>
#include <optional>

#include "engine_parts.hpp"
#include "support.hpp"

namespace bench {
namespace {

enum class Watch { nobody, monitor, events, trace, tracer };

template <class S, class Rate>
double watched_rate(quern::JobQueue<S>& queue, Watch watch, const Rate& rate) {
  std::optional<quern::JobMonitor<S>> monitor;
  quern::Subscription subscription;
  if (watch == Watch::monitor) monitor.emplace(queue).start();
  if (watch == Watch::events) subscription = queue.subscribe([](const quern::JobEvent&) {});
  std::optional<quern::TraceScope> scope;
  if (watch == Watch::trace) scope.emplace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  if (watch == Watch::tracer) queue.set_tracer(quern::make_log_tracer([](const quern::LogRecord&) {}, 1));
  return rate(queue);
}

template <class Measure>
void beside_nobody(const Settings& settings, const std::string& name, const Measure& measure) {
  Figures figures;
  for (int round = 0; round < settings.rounds; ++round) {
    const double alone = measure(Watch::nobody);
    figures.add(name + ".jobs_per_s", alone, "jobs/s");
    figures.add(name + ".with_monitor.ratio", measure(Watch::monitor) / alone, "ratio");
    figures.add(name + ".with_events.ratio", measure(Watch::events) / alone, "ratio");
    figures.add(name + ".with_traces.ratio", measure(Watch::trace) / alone, "ratio");
    figures.add(name + ".with_tracer.ratio", measure(Watch::tracer) / alone, "ratio");
  }
  figures.print();
}

}  // namespace

void watched(const Settings& settings) {
  std::vector<SendDigest> jobs;
  for (std::size_t i = 0; i < settings.scaled(200'000); ++i) jobs.push_back(digest(i));
  for (const std::size_t batch : {std::size_t{1}, std::size_t{128}}) {
    beside_nobody(settings, "watched.memory_" + std::to_string(batch), [&](Watch watch) {
      quern::MemoryStorage storage;
      quern::JobQueue queue(storage);
      return watched_rate(queue, watch, [&](auto& used) { return e2e_rate(used, jobs, batch); });
    });
  }
  jobs.resize(settings.scaled(50'000));
  beside_nobody(settings, "watched.sqlite_100", [&](Watch watch) {
    const ScratchDatabase file(settings, "watched");
    quern::SqliteStorage storage(file.path());
    quern::JobQueue queue(storage);
    return watched_rate(queue, watch, [&](auto& used) {
      const double bulk = bulk_rate(used, jobs, 100);
      return 1 / (1 / bulk + 1 / drain_rate(used, jobs.size(), 100));
    });
  });
}

}  // namespace bench
