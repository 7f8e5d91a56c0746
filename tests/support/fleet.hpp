#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/child_process.hpp"
#include "support/fleet_check.hpp"
#include "support/fleet_producer.hpp"
#include "support/loopback_proxy.hpp"
#include "support/postgres_server.hpp"

namespace quern_test {

struct FleetOptions {
  std::string program = QUERN_TEST_PROGRAMS_DIR "/quern_fleet_worker";  ///< Of a worker.
  int workers = 4;
  int slots = 16;  ///< Of each worker.
  std::chrono::milliseconds lease{1000};
  std::chrono::milliseconds poll{500};
  int producers = 2;
  std::size_t batch = 20;
  bool plain_jobs = false;           ///< None that has a unique key, and none that fails at first.
  std::uint64_t most_waiting = 300;  ///< Producers wait while more jobs do.
  std::chrono::milliseconds producer_pause{0};
  std::uint64_t seed = 1;
  std::chrono::milliseconds patience{120'000};  ///< Without any progress; then it has failed.
};

/// Worker processes and producers on a PostgreSQL server of their own, with proxies in between: every third
/// worker talks to the server itself, the others through one of two proxies, producers through a third.
/// Not thread-safe.
class Fleet {
 public:
  /// Starts everything. Throws where that can't be done.
  explicit Fleet(FleetOptions options);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;
  ~Fleet();

  /// One worker's place. Processes in it come and go.
  struct Worker {
    int number = 0;  ///< Of the process: each has another one.
    std::unique_ptr<ChildProcess> process{};
    bool paused = false;
  };
  [[nodiscard]] std::vector<Worker>& workers() noexcept { return workers_; }
  /// Starts a process in this place; one that was there has ended.
  void start(Worker& worker);

  [[nodiscard]] PostgresServer& server() noexcept { return server_; }
  [[nodiscard]] std::vector<std::unique_ptr<ProxyThread>>& proxies() noexcept { return proxies_; }
  [[nodiscard]] const FleetOptions& options() const noexcept { return options_; }

  /// Takes a look at the database and the processes, and remembers what must not be: two live claims of one
  /// job, two live jobs with one key, a worker that ended by itself.
  void look();
  /// How many jobs had not ended at the last look.
  [[nodiscard]] std::uint64_t waiting() const noexcept { return waiting_; }
  /// Jobs that producers know to be there; enqueues of theirs that threw; looks; processes so far.
  [[nodiscard]] std::uint64_t added() const;
  [[nodiscard]] std::uint64_t in_doubt() const;
  [[nodiscard]] int looks() const noexcept { return looks_; }
  [[nodiscard]] int processes() const noexcept { return processes_; }

  /// Ends the producers, waits until every job has ended, stops the workers in good order and reads what
  /// happened. Whatever goes wrong is among what is broken. The network must be in order, and nobody paused.
  [[nodiscard]] FleetHistory finish();
  /// What was broken besides what the history shows.
  [[nodiscard]] const std::vector<std::string>& trouble() const noexcept { return trouble_; }

 private:
  void drain();
  void stop_workers();
  [[nodiscard]] std::vector<FleetHistory::Kept> read_jobs();

  const FleetOptions options_;
  PostgresServer server_;
  const std::string schema_;
  std::vector<std::unique_ptr<ProxyThread>> proxies_;
  std::vector<Worker> workers_;
  std::atomic<std::uint64_t> waiting_{0};
  std::vector<std::unique_ptr<FleetProducer>> producers_;
  std::vector<std::string> trouble_;
  int processes_ = 0;
  int looks_ = 0;
};

}  // namespace quern_test
