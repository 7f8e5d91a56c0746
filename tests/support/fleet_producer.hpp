#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "quern/core/random.hpp"
#include "quern/core/time.hpp"
#include "quern/postgres.hpp"
#include "support/fleet_check.hpp"

namespace quern_test {

/// Enqueues batches on a thread of its own, in good and bad times, and keeps what it was told of each job.
///
/// Where an enqueue throws, it is not known whether its jobs were added. So it looks for them by their ids,
/// which it had reserved before; what is not there it sends again under the same ids, which adds nothing
/// twice, or gives up, which leaves that open.
class FleetProducer {
 public:
  struct Options {
    std::string address{};
    std::string schema{};
    std::uint64_t number = 0;  ///< One that no other producer has.
    std::uint64_t seed = 0;
    std::size_t batch = 20;
    bool plain = false;          ///< No unique keys, and no jobs that fail at first.
    quern::Duration patience{};  ///< Of one call.
    quern::Duration pause{0};    ///< Between two batches.
  };
  /// `waiting`: how many jobs wait, as far as is known; while those are more than `most_waiting`, it waits.
  FleetProducer(Options options, const std::atomic<std::uint64_t>& waiting, std::uint64_t most_waiting);
  FleetProducer(const FleetProducer&) = delete;
  FleetProducer& operator=(const FleetProducer&) = delete;
  ~FleetProducer() = default;

  /// Jobs that are known to be there.
  [[nodiscard]] std::uint64_t added() const noexcept { return added_; }
  /// Enqueues that threw.
  [[nodiscard]] std::uint64_t in_doubt() const noexcept { return in_doubt_; }
  void request_stop() { thread_.request_stop(); }
  /// Ends it, and gives what it was told. Throws where it could not go on.
  [[nodiscard]] std::vector<FleetHistory::Attempt> stop();

 private:
  using Answer = FleetHistory::Answer;
  using Queue = quern::JobQueue<quern::PostgresStorage>;

  void run(const std::stop_token& stop);
  [[nodiscard]] std::vector<quern::NewJob> make_batch(quern::PostgresStorage& storage);
  void enqueue(Queue& queue, std::vector<quern::NewJob> jobs, const std::stop_token& stop);
  /// What of the jobs is not there. None of them is known.
  [[nodiscard]] std::vector<quern::NewJob> look(Queue& queue, std::span<const quern::NewJob> jobs,
                                                const std::stop_token& stop);
  void keep(const quern::NewJob& job, Answer answer);

  const Options options_;
  const std::atomic<std::uint64_t>& waiting_;
  const std::uint64_t most_waiting_;
  quern::Random random_;
  std::uint64_t batch_ = 0;
  std::vector<FleetHistory::Attempt> attempts_;
  std::atomic<std::uint64_t> added_{0};
  std::atomic<std::uint64_t> in_doubt_{0};
  std::exception_ptr failure_;  // of the thread, until it has ended
  std::jthread thread_;
};

}  // namespace quern_test
