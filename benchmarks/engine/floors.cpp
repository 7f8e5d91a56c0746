#include "floors.hpp"

#include <sqlite3.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include "bare_pool.hpp"

namespace bench {
namespace {

void check(int code, sqlite3* db) {
  if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
    throw std::runtime_error(sqlite3_errmsg(db));
}

}  // namespace

double pool_rate(const std::vector<SendDigest>& jobs) {
  Countdown left(jobs.size());
  std::atomic<std::int64_t> sum{0};
  const Stopwatch watch;
  {
    BarePool pool;
    for (const SendDigest& job : jobs)
      pool.post([job, &left, &sum] {
        sum.fetch_add(job.user_id, std::memory_order_relaxed);
        left.done();
      });
    left.wait();
  }
  return static_cast<double>(jobs.size()) / watch.seconds();
}

std::vector<double> condvar_waits(int count) {
  std::mutex mutex;
  std::condition_variable wake;
  std::optional<std::chrono::steady_clock::time_point> sent;
  bool stop = false;
  std::atomic<int> received{0};
  std::vector<double> waits;
  std::jthread receiver([&] {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [&] { return stop || sent; });
      if (!sent) return;
      waits.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - *sent).count());
      sent.reset();
      ++received;
      received.notify_all();
    }
  });
  for (int i = 0; i < count; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    {
      const std::lock_guard lock(mutex);
      sent = std::chrono::steady_clock::now();
    }
    wake.notify_one();
    // As `start_waits` does: where both threads share a processor, the receiver often runs only once the sender
    // waits, and how it waits decides how soon.
    for (int seen = received; seen <= i; seen = received) received.wait(seen);
  }
  {
    const std::lock_guard lock(mutex);
    stop = true;
  }
  wake.notify_one();
  receiver.join();
  return waits;
}

double sqlite_floor_rate(const Settings& settings, std::size_t count) {
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
  for (std::size_t i = 0; i < count; ++i) payloads.push_back(quern::Payload::of(digest(i)).text());
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

}  // namespace bench
