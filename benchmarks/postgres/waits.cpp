// How soon a job starts, and what a service that has nothing to do asks of the server.

#include <libpq-fe.h>

#include <chrono>
#include <string>
#include <thread>

#include "../engine/engine_parts.hpp"
#include "support.hpp"

namespace bench::pg {

void latency(const Settings& settings) {
  using namespace std::chrono_literals;
  const std::size_t count = settings.scaled(500);
  Scene scene(settings);
  quern::JobQueue queue(scene.storage());
  const auto here = start_waits(queue, queue, count, 7ms);
  print("postgres.latency_here_p50.us", quantile(here, 0.5), "us");
  print("postgres.latency_here_p99.us", quantile(here, 0.99), "us");
  // From a storage object of its own, as from another machine.
  const auto other = scene.another();
  quern::JobQueue outside(*other);
  const auto elsewhere = start_waits(queue, outside, count, 7ms);
  print("postgres.latency_p50.us", quantile(elsewhere, 0.5), "us");
  print("postgres.latency_p99.us", quantile(elsewhere, 0.99), "us");
}

/// By what the server counts: each statement is a transaction of its own. What it does by itself (vacuum) is
/// counted, too.
void idle(const Settings& settings) {
  const double seconds = settings.quick ? 15 : 120;
  Scene scene(settings);
  quern::JobQueue queue(scene.storage());
  auto handlers = quern::HandlerRegistry().on<SendDigest>([](const SendDigest&) {});
  quern::Processor processor(queue, handlers);
  processor.start();
  const auto transactions = [&] {
    return std::stod(ask(settings.address,
                         "SELECT xact_commit + xact_rollback FROM pg_stat_database "
                         "WHERE datname = current_database()"));
  };
  // A connection hands its numbers in up to 10 s late.
  std::this_thread::sleep_for(std::chrono::seconds(settings.quick ? 3 : 15));
  const double before = transactions();
  const Stopwatch watch;
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const double count = transactions() - before - 1;
  const double minutes = watch.seconds() / 60;
  processor.stop();
  print("postgres.idle.queries_per_min", count / minutes, "1/min");
}

}  // namespace bench::pg
