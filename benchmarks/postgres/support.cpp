#include "support.hpp"

#include <libpq-fe.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace bench::pg {
namespace {

std::string next_schema() {
  static int number = 0;
  return "quern_bench_" + std::to_string(::getpid()) + "_" + std::to_string(++number);
}

}  // namespace

Scene::Scene(const Settings& settings)
    : address_(settings.address),
      schema_(next_schema()),
      storage_(
          std::make_unique<quern::PostgresStorage>(address_, quern::PostgresOptions{.schema = schema_})) {}

Scene::~Scene() {
  storage_.reset();
  try {
    ask(address_, "DROP SCHEMA IF EXISTS " + schema_ + " CASCADE");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "quern-bench-postgres: the schema %s stays: %s\n", schema_.c_str(), e.what());
  }
}

std::unique_ptr<quern::PostgresStorage> Scene::another() const {
  return std::make_unique<quern::PostgresStorage>(address_, quern::PostgresOptions{.schema = schema_});
}

std::string ask(const std::string& address, const std::string& sql) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb(address.c_str()), PQfinish);
  PQsetNoticeReceiver(connection.get(), [](void*, const PGresult*) {}, nullptr);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), sql.c_str()), PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    throw std::runtime_error(PQerrorMessage(connection.get()));
  return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

void fill(quern::PostgresStorage& storage, std::size_t count) {
  constexpr std::size_t at_once = 10'000;
  for (std::size_t i = 0; i < count; i += at_once) {
    std::vector<quern::NewJob> jobs(std::min(at_once, count - i));
    quern::JobId next = storage.reserve_ids(jobs.size());
    for (std::size_t k = 0; k < jobs.size(); ++k) {
      jobs[k].id = quern::JobId{next.value++};
      jobs[k].kind = SendDigest::kind;
      jobs[k].priority = quern::Priority{static_cast<int>((i + k) / 100 * 7 % 4)};
      jobs[k].payload = quern::Payload::json(quern::Payload::of(digest(i + k)).text());
    }
    storage.insert(jobs);
  }
}

quern::ClaimRequest request(quern::NodeId node, std::size_t limit) {
  return {.node = node,
          .limit = limit,
          .kinds = {{std::string(SendDigest::kind), limit, 3}},
          .queues = std::nullopt};
}

void complete(quern::PostgresStorage& storage, const std::vector<quern::Claim>& claims) {
  std::vector<quern::Finish> finishes(claims.size());
  for (std::size_t i = 0; i < claims.size(); ++i) finishes[i].ref = claims[i].ref;
  storage.finish(finishes);
}

}  // namespace bench::pg
