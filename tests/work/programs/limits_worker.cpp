// A worker for a test of limits: runs jobs of the kinds "work" and "other" until it is killed or none is left.
// quern_limits_worker sqlite FILE | quern_limits_worker postgres ADDRESS SCHEMA
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "quern/quern.hpp"
#if defined(QUERN_TEST_SQLITE)
#include "quern/sqlite.hpp"
#endif
#if defined(QUERN_TEST_POSTGRES)
#include "quern/postgres.hpp"
#endif

namespace {

std::unique_ptr<quern::StoragePort> open(int argc, char** argv) {
#if defined(QUERN_TEST_SQLITE)
  if (argc == 3 && std::string_view(argv[1]) == "sqlite")
    return std::make_unique<quern::StorageAdapter<quern::SqliteStorage>>(
        std::string(argv[2]), quern::SqliteOptions{.durability = quern::Durability::normal});
#endif
#if defined(QUERN_TEST_POSTGRES)
  if (argc == 4 && std::string_view(argv[1]) == "postgres")
    return std::make_unique<quern::StorageAdapter<quern::PostgresStorage>>(
        std::string(argv[2]), quern::PostgresOptions{.schema = argv[3]});
#endif
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    auto port = open(argc, argv);
    if (!port) return 2;
    quern::AnyStorage storage(std::move(port));
    quern::JobQueue queue(storage);
    quern::HandlerRegistry handlers;
    handlers.on("work", [](quern::JobContext&) {});
    handlers.on("other", [](quern::JobContext&) {});
    quern::Processor processor(queue, handlers, {.max_concurrent_jobs = 4, .lease = std::chrono::seconds(1)});
    processor.run_until([&] {
      for (const quern::JobCount& count : queue.count())
        if (!is_terminal(count.state)) return false;
      return true;
    });
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "limits worker: %s\n", e.what());
    return 1;
  }
}
