// A host for a test: works on a SQLite file until one of its jobs brings it down. quern_flight_host FOLDER
// [note] Runs jobs of the kinds "guilty" (crashes the process once two "busy" ones run), "busy" (waits for
// ever) and "waiting" in FOLDER/jobs.db, with a flight record in FOLDER/flight. `note`: its handler of
// SIGABRT notes the crash.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include <nlohmann/json.hpp>

#include "quern/sqlite.hpp"
#include "quern/work/flight_record.hpp"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string folder = argv[1];
  if (argc > 2) {
    struct sigaction action{};
    action.sa_handler = [](int) {
      quern::note_crash();
      ::_exit(42);
    };
    ::sigaction(SIGABRT, &action, nullptr);
  } else {
    ::signal(SIGABRT, [](int) { ::_exit(42); });
  }
  std::atomic<int> busy{0};
  quern::HandlerRegistry handlers;
  handlers.on("busy", [&](quern::JobContext&) {
    ++busy;
    busy.notify_all();
    while (true) ::pause();
  });
  handlers.on("guilty", [&](quern::JobContext& context) {
    const int wanted = context.job().payload.as<int>();
    for (int seen = busy; seen < wanted; seen = busy) busy.wait(seen);
    std::abort();
  });
  quern::SqliteStorage storage(folder + "/jobs.db");
  quern::JobQueue queue(storage);
  quern::Processor processor(
      queue, handlers,
      {.max_concurrent_jobs = 8, .lease = std::chrono::hours(1), .flight_record = folder + "/flight"});
  processor.run_until([] { return false; });
}
