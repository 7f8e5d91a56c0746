// SqliteStorage beside the raw floor: the same bytes through one prepared INSERT in one transaction, on the
// same disk.

#include <sqlite3.h>

#include <stdexcept>

#include "support.hpp"

namespace bench {
namespace {

using quern::Finish;
using quern::JobId;
using quern::NewJob;
using quern::SqliteStorage;

std::string payload(std::size_t number) { return quern::Payload::of(digest(number)).text(); }

/// Runs of 100 share a priority, as batches of real jobs do.
int priority(std::size_t number) { return static_cast<int>(number / 100 * 7 % 4); }

void check(int code, sqlite3* db) {
  if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
    throw std::runtime_error(sqlite3_errmsg(db));
}

/// Jobs per second of one INSERT per job in one transaction.
double floor_rate(const Settings& settings, std::size_t count) {
  const ScratchDatabase file(settings, "floor");
  sqlite3* db = nullptr;
  check(sqlite3_open(file.path().c_str(), &db), db);
  check(sqlite3_exec(
            db,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;"
            "CREATE TABLE jobs(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, queue INTEGER NOT NULL, priority "
            "INTEGER "
            "NOT NULL, max_attempts INTEGER NOT NULL, run_at INTEGER NOT NULL, created_at INTEGER NOT NULL, "
            "unique_key TEXT, payload BLOB NOT NULL)",
            nullptr, nullptr, nullptr),
        db);
  std::vector<std::string> payloads;
  for (std::size_t i = 0; i < count; ++i) payloads.push_back(payload(i));
  sqlite3_stmt* insert = nullptr;
  check(sqlite3_prepare_v3(db, "INSERT INTO jobs VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)", -1,
                           SQLITE_PREPARE_PERSISTENT, &insert, nullptr),
        db);
  const Stopwatch watch;
  check(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), db);
  for (std::size_t i = 0; i < count; ++i) {
    sqlite3_bind_int64(insert, 1, static_cast<sqlite3_int64>(i + 1));
    sqlite3_bind_text(insert, 2, "digest.send", -1, SQLITE_STATIC);
    sqlite3_bind_int64(insert, 3, 1);
    sqlite3_bind_int64(insert, 4, priority(i));
    sqlite3_bind_int64(insert, 5, 0);
    sqlite3_bind_int64(insert, 6, 1'767'225'600'000'000);
    sqlite3_bind_int64(insert, 7, 1'767'225'600'000'000);
    sqlite3_bind_null(insert, 8);
    sqlite3_bind_blob(insert, 9, payloads[i].data(), static_cast<int>(payloads[i].size()), SQLITE_STATIC);
    check(sqlite3_step(insert), db);
    sqlite3_reset(insert);
  }
  check(sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr), db);
  const double seconds = watch.seconds();
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return static_cast<double>(count) / seconds;
}

struct Rates {
  double insert = 0;
  double claim = 0;
  double finish = 0;
  double all = 0;
};

/// Insert all, claim all, complete all; each batch is one durable transaction.
Rates storage_rates(const Settings& settings, std::size_t count, std::size_t batch) {
  const ScratchDatabase file(settings, "batches");
  Rates rates;
  {
    SqliteStorage storage(file.path());
    const auto node = storage.register_node({.name = "bench", .host = "localhost"});
    std::vector<NewJob> jobs(count);
    JobId next = storage.reserve_ids(count);
    for (std::size_t i = 0; i < count; ++i) {
      jobs[i] = {.id = JobId{next.value++},
                 .kind = "digest.send",
                 .payload = quern::Payload::json(payload(i)),
                 .priority = quern::Priority{priority(i)}};
    }
    const auto per_second = [&](const Stopwatch& watch) {
      return static_cast<double>(count) / watch.seconds();
    };
    const Stopwatch whole;
    const Stopwatch inserting;
    for (std::size_t i = 0; i < jobs.size(); i += batch)
      storage.insert(std::span(jobs).subspan(i, std::min(batch, jobs.size() - i)));
    rates.insert = per_second(inserting);

    std::vector<std::vector<Finish>> finishes;
    const Stopwatch claiming;
    std::size_t claimed = 0;
    while (true) {
      const auto claims =
          storage.claim({.node = node, .limit = batch, .kinds = {{"digest.send", batch, 3}}, .queues = {}});
      if (claims.empty()) break;
      claimed += claims.size();
      auto& some = finishes.emplace_back();
      for (const auto& claim : claims) some.push_back({.ref = claim.ref});
    }
    rates.claim = per_second(claiming);
    if (claimed != count) throw std::runtime_error("not all jobs were claimed");

    const Stopwatch finishing;
    for (const auto& some : finishes) storage.finish(some);
    rates.finish = per_second(finishing);
    rates.all = per_second(whole);
  }
  return rates;
}

}  // namespace

void sqlite_batches(const Settings& settings) {
  const std::size_t count = settings.scaled(50'000);
  std::vector<double> floors, inserts, claims, finishes, e2e_1000, e2e_100, bulk_ratio, e2e_1000_ratio,
      e2e_100_ratio;
  for (int round = 0; round < settings.rounds; ++round) {
    const double floor = floor_rate(settings, count);
    const Rates thousand = storage_rates(settings, count, 1000);
    const Rates hundred = storage_rates(settings, count, 100);
    floors.push_back(floor);
    inserts.push_back(thousand.insert);
    claims.push_back(thousand.claim);
    finishes.push_back(thousand.finish);
    e2e_1000.push_back(thousand.all);
    e2e_100.push_back(hundred.all);
    bulk_ratio.push_back(thousand.insert / floor);
    e2e_1000_ratio.push_back(thousand.all / floor);
    e2e_100_ratio.push_back(hundred.all / floor);
  }
  print("sqlite.floor", median(floors), "jobs/s");
  print("sqlite.bulk_1000", median(inserts), "jobs/s");
  print("sqlite.claim_1000", median(claims), "jobs/s");
  print("sqlite.finish_1000", median(finishes), "jobs/s");
  print("sqlite.e2e_1000", median(e2e_1000), "jobs/s");
  print("sqlite.e2e_100", median(e2e_100), "jobs/s");
  print("sqlite.bulk_1000.ratio_to_floor", median(bulk_ratio), "ratio");
  print("sqlite.e2e_1000.ratio_to_floor", median(e2e_1000_ratio), "ratio");
  print("sqlite.e2e_100.ratio_to_floor", median(e2e_100_ratio), "ratio");
}

}  // namespace bench
