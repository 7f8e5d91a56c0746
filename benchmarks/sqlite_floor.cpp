// SqliteStorage beside the raw floor: the same bytes through one prepared INSERT in one transaction, in the
// same run and on the same disk. Rounds alternate, and each figure is the median of its rounds' ratios.
//
//   quern-bench-sqlite-floor [jobs per round = 50000] [rounds = 5] [folder = the temporary one]

#include <sqlite3.h>
#include <quern/sqlite.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using quern::Finish;
using quern::JobId;
using quern::NewJob;
using quern::SqliteStorage;

struct Settings {
  std::size_t jobs = 50'000;
  int rounds = 5;
  fs::path folder = fs::temp_directory_path();
};

std::string payload(std::size_t number) {
  std::string text =
      R"({"repository":"quern/quern","user_id":)" + std::to_string(1'000'000 + number) +
      R"(,"period":"2026-01-01/2026-01-31","recipients":["a@example.org","b@example.org"],"options":{)";
  text += R"("format":"markdown","max":50}})";
  text.insert(text.size() - 1,
              R"(,"pad":")" + std::string(185 - std::min<std::size_t>(184, text.size() + 9), 'x') + '"');
  return text;
}

/// Runs of 100 share a priority, as batches of real jobs do.
int priority(std::size_t number) { return static_cast<int>(number / 100 * 7 % 4); }

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void check(int code, sqlite3* db) {
  if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
    throw std::runtime_error(sqlite3_errmsg(db));
}

void remove_database(const fs::path& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path.string() + suffix);
}

/// Jobs per second of one INSERT per job in one transaction.
double floor_rate(const Settings& settings) {
  const fs::path path = settings.folder / "quern-bench-floor.db";
  remove_database(path);
  sqlite3* db = nullptr;
  check(sqlite3_open(path.c_str(), &db), db);
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
  for (std::size_t i = 0; i < settings.jobs; ++i) payloads.push_back(payload(i));
  sqlite3_stmt* insert = nullptr;
  check(sqlite3_prepare_v3(db, "INSERT INTO jobs VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)", -1,
                           SQLITE_PREPARE_PERSISTENT, &insert, nullptr),
        db);
  const Stopwatch watch;
  check(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), db);
  for (std::size_t i = 0; i < settings.jobs; ++i) {
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
  remove_database(path);
  return static_cast<double>(settings.jobs) / seconds;
}

struct Rates {
  double insert = 0;
  double claim = 0;
  double finish = 0;
  double all = 0;
};

/// Insert all, claim all, complete all; each batch is one durable transaction.
Rates storage_rates(const Settings& settings, std::size_t batch) {
  const fs::path path = settings.folder / "quern-bench-storage.db";
  remove_database(path);
  Rates rates;
  {
    SqliteStorage storage(path.string());
    const auto node = storage.register_node({.name = "bench", .host = "localhost"});
    std::vector<NewJob> jobs(settings.jobs);
    JobId next = storage.reserve_ids(settings.jobs);
    for (std::size_t i = 0; i < settings.jobs; ++i) {
      jobs[i] = {.id = JobId{next.value++},
                 .kind = "digest.send",
                 .payload = quern::Payload::json(payload(i)),
                 .priority = quern::Priority{priority(i)}};
    }
    const auto per_second = [&](const Stopwatch& watch) {
      return static_cast<double>(settings.jobs) / watch.seconds();
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
    if (claimed != settings.jobs) throw std::runtime_error("not all jobs were claimed");

    const Stopwatch finishing;
    for (const auto& some : finishes) storage.finish(some);
    rates.finish = per_second(finishing);
    rates.all = per_second(whole);
  }
  remove_database(path);
  return rates;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print(const char* name, double value, const char* unit) {
  std::printf("%s\t%.4g\t%s\n", name, value, unit);
}

}  // namespace

int main(int argc, char** argv) try {
  Settings settings;
  if (argc > 1) settings.jobs = std::stoul(argv[1]);
  if (argc > 2) settings.rounds = std::stoi(argv[2]);
  if (argc > 3) settings.folder = argv[3];

  std::vector<double> floors, inserts, claims, finishes, e2e_1000, e2e_100, bulk_ratio, e2e_1000_ratio,
      e2e_100_ratio;
  for (int round = 0; round < settings.rounds; ++round) {
    const double floor = floor_rate(settings);
    const Rates thousand = storage_rates(settings, 1000);
    const Rates hundred = storage_rates(settings, 100);
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
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "quern-bench-sqlite-floor: %s\n", e.what());
  return 1;
}
