// The program that each project here builds: it calls into every component that its project has linked.
#include <chrono>
#include <cstdio>
#include <string>

#include "quern/core/time.hpp"
#include "quern/cron.hpp"
#include "quern/quern.hpp"

#ifdef CONSUME_SQLITE
#include "quern/sqlite.hpp"
#endif
#ifdef CONSUME_POSTGRES
#include "quern/postgres.hpp"
#endif

namespace {

template <class Storage>
bool runs_a_job(Storage& storage) {
  quern::JobQueue queue(storage);
  quern::HandlerRegistry handlers;
  int runs = 0;
  handlers.on("work", [&runs](quern::JobContext&) { ++runs; });
  const auto id = queue.enqueue("work", quern::Payload()).id;
  quern::Processor processor(queue, handlers);
  processor.run_until_idle();
  return runs == 1 && queue.find(id)->state == quern::JobState::completed;
}

bool core_works() {
  quern::MemoryStorage storage;
  return quern::to_text(std::chrono::seconds(90)) == "1m30s" && runs_a_job(storage);
}

#ifdef CONSUME_SQLITE
bool sqlite_works() {
  auto storage = quern::open_storage("sqlite:consume.db");
  return runs_a_job(storage);
}
#else
bool sqlite_works() { return true; }
#endif

#ifdef CONSUME_POSTGRES
/// There is no server here: what is asked for is that the address reaches the library, which says so.
bool postgres_works() {
  if (quern::PostgresStorage::migration_sql("jobs").find("jobs") == std::string::npos) return false;
  try {
    auto storage = quern::open_storage("postgresql://nobody@127.0.0.1:1/none");
  } catch (const quern::StorageError& e) {
    return e.transient();
  }
  return false;
}
#else
bool postgres_works() { return true; }
#endif

bool schedule_works() {
  const quern::CronSchedule noon(quern::CronExpression::parse("0 12 * * *"));
  return quern::to_rfc3339(*noon.next(quern::from_us(0))) == "1970-01-01T12:00:00Z";
}

}  // namespace

int main() {
  if (!core_works() || !sqlite_works() || !postgres_works() || !schedule_works()) {
    std::puts("the package answers wrongly");
    return 1;
  }
  std::puts("the package works");
}
