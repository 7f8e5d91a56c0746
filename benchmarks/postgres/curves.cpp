// What a claim costs with many jobs, and while a long transaction keeps vacuum from removing what has gone.

#include <libpq-fe.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"

namespace bench::pg {
namespace {

/// A transaction that sees the database as it was at its begin, and goes on.
class OpenSnapshot {
 public:
  explicit OpenSnapshot(const std::string& address) : connection_(PQconnectdb(address.c_str()), PQfinish) {
    for (const char* sql : {"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class"}) {
      const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql), PQclear);
      const auto status = PQresultStatus(result.get());
      if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        throw std::runtime_error(PQerrorMessage(connection_.get()));
    }
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

constexpr std::size_t batch = 100;
constexpr std::size_t few = 10'000;

/// Microseconds of one claim; its jobs are completed afterwards.
double claim_once(quern::PostgresStorage& storage, const quern::ClaimRequest& wanted) {
  const Stopwatch watch;
  const auto claims = storage.claim(wanted);
  const double us = watch.seconds() * 1e6;
  if (claims.size() != wanted.limit) throw std::runtime_error("a claim got too few jobs");
  complete(storage, claims);
  return us;
}

quern::ClaimRequest wanted_on(quern::PostgresStorage& storage) {
  return request(storage.register_node({.name = "bench", .lease = std::chrono::hours(20)}), batch);
}

/// A scene whose claims are measured.
struct Claims {
  explicit Claims(const Settings& settings) : scene(settings), wanted(wanted_on(scene.storage())) {}
  double once() { return claim_once(scene.storage(), wanted); }

  Scene scene;
  quern::ClaimRequest wanted;
};

/// Claims on both in turns, since machines are not the same from one minute to the next; what was claimed is made up
/// for. Prints the medians and their ratio.
void print_in_turns(Claims& shallow, Claims& deep, const std::string& name) {
  std::vector<double> shallow_us;
  std::vector<double> deep_us;
  constexpr int warm_up = 50;
  constexpr int measured = 300;
  for (int i = 0; i < warm_up + measured; ++i) {
    const double one = shallow.once();
    const double other = deep.once();
    fill(shallow.scene.storage(), batch);
    fill(deep.scene.storage(), batch);
    if (i < warm_up) continue;
    shallow_us.push_back(one);
    deep_us.push_back(other);
  }
  print("postgres.claim_10k.us", median(shallow_us), "us");
  print(name + ".us", median(deep_us), "us");
  print(name + ".ratio_to_10k", median(deep_us) / median(shallow_us), "ratio");
}

/// Waits, a few minutes at most, until the server has written and looked through what has just been added.
void calm_down(const std::string& address) {
  ask(address, "CHECKPOINT");
  const Stopwatch watch;
  const std::string busy = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'";
  while (ask(address, busy) != "0" && watch.seconds() < 300)
    std::this_thread::sleep_for(std::chrono::seconds(1));
}

}  // namespace

/// As much comes as goes, with four priorities, and 100'000 jobs waiting.
void snapshot_claim(const Settings& settings) {
  Scene scene(settings);
  quern::PostgresStorage& storage = scene.storage();
  fill(storage, settings.scaled(100'000));
  const auto wanted = wanted_on(storage);
  for (int i = 0; i < 50; ++i) claim_once(storage, wanted);  // until plans and pages are warm
  const OpenSnapshot open(settings.address);

  const std::size_t rounds = settings.scaled(1'000'000) / batch;
  std::vector<double> all;
  std::vector<double> minute;
  int minutes = 0;
  const Stopwatch watch;
  while (settings.minutes > 0 ? minutes < settings.minutes : all.size() < rounds) {
    fill(storage, batch);
    all.push_back(claim_once(storage, wanted));
    minute.push_back(all.back());
    if (watch.seconds() < (minutes + 1) * 60) continue;
    print("postgres.snapshot_claim.minute_" + std::to_string(++minutes) + ".us", median(minute), "us");
    minute.clear();
  }
  const auto tenth = static_cast<std::ptrdiff_t>(all.size() / 10);
  const double start = median({all.begin(), all.begin() + tenth});
  const double end = median({all.end() - tenth, all.end()});
  print("postgres.snapshot_claim.start.us", start, "us");
  print("postgres.snapshot_claim.end.us", end, "us");
  print("postgres.snapshot_claim.jobs_per_s", static_cast<double>(all.size() * batch) / watch.seconds(),
        "jobs/s");
  print("postgres.snapshot_claim.ratio_to_start", end / start, "ratio");
}

/// The same claims with so many jobs waiting, beside ones where 10'000 wait.
void depth(const Settings& settings) {
  Claims shallow(settings);
  Claims deep(settings);
  fill(shallow.scene.storage(), few);
  struct Step {
    const char* name;
    std::size_t count;
  };
  std::size_t waiting = 0;
  for (const Step& step :
       {Step{"1m", settings.scaled(1'000'000)}, Step{"10m", settings.scaled(10'000'000)}}) {
    const Stopwatch filling;
    fill(deep.scene.storage(), step.count - waiting);
    print("postgres.fill_" + std::string(step.name) + ".jobs_per_s",
          static_cast<double>(step.count - waiting) / filling.seconds(), "jobs/s");
    waiting = step.count;
    calm_down(settings.address);
    print_in_turns(shallow, deep, "postgres.claim_" + std::string(step.name));
  }
}

/// The same claims after ten million jobs have ended, beside ones where none has. 10'000 wait in both.
void history(const Settings& settings) {
  Claims shallow(settings);
  Claims deep(settings);
  quern::PostgresStorage& storage = deep.scene.storage();
  fill(shallow.scene.storage(), few);
  const quern::ClaimRequest many = request(deep.wanted.node, 1000);
  const std::size_t count = settings.scaled(10'000'000);
  const Stopwatch working;
  for (std::size_t ended = 0; ended < count;) {
    fill(storage, few);
    for (auto claims = storage.claim(many); !claims.empty(); claims = storage.claim(many)) {
      complete(storage, claims);
      ended += claims.size();
    }
  }
  print("postgres.history_fill.jobs_per_s", static_cast<double>(count) / working.seconds(), "jobs/s");
  fill(storage, few);
  calm_down(settings.address);
  print_in_turns(shallow, deep, "postgres.claim_after_10m_ended");
}

}  // namespace bench::pg
