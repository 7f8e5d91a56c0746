#include "support/engine_storage.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "quern/storage/memory_storage.hpp"
#include "support/temp_folder.hpp"
#if defined(QUERN_TEST_SQLITE)
#include "quern/sqlite.hpp"
#endif
#if defined(QUERN_TEST_POSTGRES)
#include "quern/postgres.hpp"
#include "support/postgres_server.hpp"
#endif

namespace quern_test {
namespace {

std::string_view wanted() {
  const char* const value = std::getenv("QUERN_TEST_STORAGE");
  return value == nullptr || *value == '\0' ? std::string_view("memory") : std::string_view(value);
}

#if defined(QUERN_TEST_POSTGRES)
struct Schema {
  explicit Schema(PostgresServer& on) : server(on) {}
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;
  ~Schema() { server.run("DROP SCHEMA IF EXISTS " + name + " CASCADE"); }

  PostgresServer& server;
  const std::string name = PostgresServer::new_schema();
};

PostgresServer& server() {
  if (PostgresServer* const shared = PostgresServer::shared()) return *shared;
  std::_Exit(77);  // it has said why
}
#endif

std::shared_ptr<void> make_place() {
  if (wanted() == "sqlite") return std::make_shared<TempFolder>();
#if defined(QUERN_TEST_POSTGRES)
  if (wanted() == "postgres") return std::make_shared<Schema>(server());
#endif
  return nullptr;
}

std::unique_ptr<quern::StoragePort> open([[maybe_unused]] void* place, std::optional<quern::ClockRef> clock) {
  if (wanted() == "memory")
    return std::make_unique<quern::StorageAdapter<quern::MemoryStorage>>(clock.value_or(quern::ClockRef()));
#if defined(QUERN_TEST_SQLITE)
  if (wanted() == "sqlite") {
    return std::make_unique<quern::StorageAdapter<quern::SqliteStorage>>(
        (*static_cast<TempFolder*>(place) / "jobs.db").string(),
        quern::SqliteOptions{.durability = quern::Durability::normal,
                             .clock = clock.value_or(quern::ClockRef())});
  }
#endif
#if defined(QUERN_TEST_POSTGRES)
  if (wanted() == "postgres") {
    const auto& schema = *static_cast<Schema*>(place);
    // A test that has time in its hand wants no thread to tell it something in between.
    return std::make_unique<quern::StorageAdapter<quern::PostgresStorage>>(
        schema.server.address(),
        quern::PostgresOptions{.schema = schema.name, .clock = clock, .listen = !clock});
  }
#endif
  throw std::runtime_error("QUERN_TEST_STORAGE is memory, sqlite or postgres, as far as built in; not \"" +
                           std::string(wanted()) + '"');
}

}  // namespace

EngineStorage::EngineStorage(std::optional<quern::ClockRef> clock)
    : place_(make_place()), storage(open(place_.get(), clock)) {}

}  // namespace quern_test
