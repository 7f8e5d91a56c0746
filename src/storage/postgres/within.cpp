#include <libpq-fe.h>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "storage/postgres/impl.hpp"
#include "storage/postgres/job_json.hpp"
#include "storage/postgres/new_jobs.hpp"

namespace quern::inline v1 {

using postgres::Result;

namespace {

constexpr const char* insert_jobs =
    "SELECT * FROM @.insert_within(ROW($1::bigint, $2::bigint, $3::boolean)::@.ctx, $4, $5::text::jsonb)";

void check_host(PGconn* host) {
  if (host == nullptr) throw InvalidArgument("host", "is null");
  const auto state = PQtransactionStatus(host);
  if (state == PQTRANS_INERROR) throw InvalidArgument("host", "has a transaction that has failed");
  if (state != PQTRANS_INTRANS) throw InvalidArgument("host", "has no open transaction; begin one first");
  const std::string_view encoding = PQparameterStatus(host, "client_encoding");
  if (encoding != "UTF8")
    throw InvalidArgument("host", fmt::format("has the client_encoding {}, it must be UTF8", encoding));
}

/// Of the host's transaction, so that it goes on as it was where the insert fails.
class HostSavepoint {
 public:
  HostSavepoint(PGconn* host, const std::string& server) : host_(host), server_(server) {
    run("SAVEPOINT quern");
  }
  HostSavepoint(const HostSavepoint&) = delete;
  HostSavepoint& operator=(const HostSavepoint&) = delete;
  ~HostSavepoint() {
    // One that fails leaves a transaction that can't be committed, which says the same.
    if (!kept_) PQclear(PQexec(host_, "ROLLBACK TO SAVEPOINT quern; RELEASE SAVEPOINT quern"));
  }
  void run(const char* sql) {
    PGresult* const result = PQexec(host_, sql);
    const Result owned(result);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) postgres::throw_failure(result, server_);
  }
  void keep() {
    run("RELEASE SAVEPOINT quern");
    kept_ = true;
  }

 private:
  PGconn* host_;
  const std::string& server_;
  bool kept_ = false;
};

}  // namespace

std::vector<InsertResult> PostgresStorage::Impl::insert_within(PGconn* host, std::span<NewJob> jobs) {
  check_host(host);
  if (jobs.empty()) return {};
  // Ids, lanes and partitions come through a connection of our own: the host's would keep them locked.
  std::vector<NewJob*> nameless;
  for (NewJob& job : jobs) {
    if (!job.id) nameless.push_back(&job);
  }
  try {
    if (!nameless.empty()) {
      JobId next = reserve_ids(nameless.size());
      for (NewJob* const job : nameless) job->id = JobId{next.value++};
    }
    postgres::check_ids(jobs);
    auto json = nlohmann::json::array();
    for (const NewJob& job : jobs) json.push_back(postgres::job_json(job, lane_number(job.queue, job.kind)));
    Params params = context(false);
    params.add(store_).add_text(postgres::dump(json));
    const std::string sql = postgres::fill_in(insert_jobs, pool_.server().schema);
    const std::string& server = pool_.server().name;
    const std::string notice_partitions =
        postgres::fill_in("LOCK TABLE @.node IN ROW SHARE MODE", pool_.server().schema);
    int tries = 0;
    const auto ids = [&] { return postgres::ids_of(jobs); };
    return with_partitions(ids, [&] {
      HostSavepoint savepoint(host, server);
      // A transaction that has used a table does not notice new partitions of it, until it takes some lock.
      if (tries++ > 0) savepoint.run(notice_partitions.c_str());
      PGresult* const answer = PQexecParams(host, sql.c_str(), params.size(), params.types(), params.values(),
                                            params.lengths(), params.formats(), 0);
      const Result rows(answer);
      if (PQresultStatus(answer) != PGRES_TUPLES_OK) postgres::throw_failure(answer, server);
      std::vector<InsertResult> results(jobs.size());
      for (int row = 0; row < rows.rows(); ++row) {
        using Effects = postgres::Effects;
        if (rows.small(row, Effects::tag) != Effects::result) continue;
        InsertResult& result = results.at(rows.id(row, Effects::n));
        result.status = static_cast<InsertStatus>(rows.small(row, Effects::state));
        result.holder = JobId{rows.id(row, Effects::other)};
      }
      savepoint.keep();
      return results;
    });
  } catch (...) {
    for (NewJob* const job : nameless) job->id = JobId{};
    throw;
  }
}

}  // namespace quern::inline v1
