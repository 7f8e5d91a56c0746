// A worker of the fleet test: runs the jobs of FleetProducer until SIGTERM, and writes down each run
// on a connection of its own.
//   quern_fleet_worker ADDRESS SERVER SCHEMA NUMBER LEASE_MS POLL_MS SLOTS
// ADDRESS is where its storage is reached, SERVER the database itself; NUMBER is one that no other process has.
#include <signal.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "quern/postgres.hpp"
#include "quern/quern.hpp"
#include "support/fleet_evidence.hpp"

using namespace std::chrono_literals;

namespace {

/// Stands for work that takes so long.
void work_for(quern::JobContext& context, quern::Duration time) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, context.stop_token(), time, [] { return false; });
}

/// Some runs take longer than a lease, some a while, most no time.
quern::Duration length_of(const quern::JobContext& context, quern::Duration lease) {
  const std::uint64_t draw = quern::Random(context.id().value * 31 + context.fence()).next();
  if (draw % 500 == 0) return lease * 3 / 2;
  if (draw % 20 == 0) return quern::Duration(static_cast<std::int64_t>(draw / 20 % 50'000));
  return quern::Duration(0);
}

class Handlers {
 public:
  Handlers(quern_test::EvidenceWriter& evidence, quern::Duration lease)
      : evidence_(evidence), lease_(lease) {}

  quern::JobResult count(quern::JobContext& context) const {
    const std::uint64_t token = begin(context);
    work_for(context, length_of(context, lease_));
    // A write in the run's name, which one that has lost its job is refused.
    bool refused = false;
    if (context.id().value % 16 == 0 || context.stop_requested()) {
      try {
        context.step("work", [] { return 7; });
      } catch (const quern::RunLost&) {
        refused = true;
      } catch (const quern::StorageError&) {
        // Whether it was kept is not known; the run's end will tell.
      }
    }
    evidence_.end(token, refused);
    return quern::JobResult::completed(quern::Payload::of(token));
  }

  quern::JobResult fail_once(quern::JobContext& context) const {
    const std::uint64_t token = begin(context);
    evidence_.end(token, false);
    if (context.attempt() == 1) throw std::runtime_error("the first time");
    return quern::JobResult::completed(quern::Payload::of(token));
  }

 private:
  std::uint64_t begin(const quern::JobContext& context) const {
    return evidence_.begin(context.id().value, context.fence(), context.attempt());
  }

  quern_test::EvidenceWriter& evidence_;
  quern::Duration lease_;
};

quern::Logger logger(const std::string& number) {
  return [number](const quern::LogRecord& record) {
    if (std::getenv("QUERN_FLEET_LOG") == nullptr) return;  // what goes wrong here is what is tested
    std::fprintf(stderr, "worker %s: %s\n", number.c_str(), to_text(record).c_str());
  };
}

/// Opens the storage as soon as that is possible; null when SIGTERM comes before.
std::unique_ptr<quern::PostgresStorage> open(const std::string& address, const std::string& schema,
                                             quern::Duration lease, const sigset_t& signals) {
  while (true) {
    try {
      // A call that takes longer than a lease is of no use to a node.
      return std::make_unique<quern::PostgresStorage>(address,
                                                      quern::PostgresOptions{.schema = schema,
                                                                             .connections = 4,
                                                                             .connect_timeout = lease,
                                                                             .call_timeout = lease * 2,
                                                                             .lock_timeout = lease});
    } catch (const quern::StorageError& e) {
      if (!e.transient()) throw;
      constexpr timespec pause{.tv_sec = 0, .tv_nsec = 50'000'000};
      if (::sigtimedwait(&signals, nullptr, &pause) > 0) return nullptr;
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
#if defined(__linux__)
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (argc != 8) return 2;
  const std::string address = argv[1];
  const std::string number = argv[4];
  const quern::Duration lease = std::chrono::milliseconds(std::stoi(argv[5]));
  const quern::Duration poll = std::chrono::milliseconds(std::stoi(argv[6]));

  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before there are threads, so that none of them gets it

  const auto storage = open(address, argv[3], lease, signals);
  if (!storage) return 0;
  quern_test::EvidenceWriter evidence(argv[2], std::stoll(number));
  quern::JobQueueConfig config;
  config.default_max_retries = 100'000;  // nothing may end for having been killed often
  config.retry_delay = 10ms;
  config.max_retry_delay = 200ms;
  quern::JobQueue queue(*storage, config);
  const Handlers with(evidence, lease);
  quern::HandlerRegistry handlers;
  for (const char* const kind : {"count", "keyed"})
    handlers.on(kind, [&](quern::JobContext& context) { return with.count(context); });
  handlers.on("fail-once", [&](quern::JobContext& context) { return with.fail_once(context); });
  quern::Processor processor(queue, handlers,
                             {.name = "worker-" + number,
                              .max_concurrent_jobs = std::stoi(argv[7]),
                              .lease = lease,
                              .poll_interval = poll,
                              .crash_limit = 1'000'000,
                              .log = logger(number)});
  processor.start();
  int signal = 0;
  ::sigwait(&signals, &signal);
  processor.stop();
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "worker: %s\n", e.what());
  return 1;
}
