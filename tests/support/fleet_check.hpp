#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace quern_test {

/// What a fleet was asked to do and what it did, as producers, workers and the storage tell it. All times are
/// microseconds of one database's clock.
struct FleetHistory {
  /// What a producer knows of a job that it tried to enqueue.
  enum class Answer : std::uint8_t {
    acknowledged,  ///< Added, it was told.
    refused,       ///< Not added: another job holds its unique key.
    found,         ///< It was told neither; a look by the job's id found it.
    unknown,       ///< It was told neither, found nothing, and gave up.
  };
  struct Attempt {
    std::uint64_t job = 0;
    Answer answer = Answer::unknown;
    std::uint64_t batch = 0;  ///< Jobs of one batch without unique keys are all added or none. 0: has keys.
  };
  /// One start of a handler, as it wrote it down itself.
  struct Run {
    std::uint64_t job = 0;
    std::uint32_t epoch = 0;
    int attempt = 0;
    std::uint64_t token = 0;    ///< Its own; a completion keeps that of its run.
    std::int64_t began_us = 0;  ///< Written down after the claim and before anything else.
    std::int64_t ended_us = 0;  ///< Written down before its end was reported. 0: it never came to that.
    bool refused = false;       ///< A write of it was refused: it was told that it had lost the job.
  };
  struct Failure {
    std::uint32_t epoch = 0;
    std::int64_t at_us = 0;
    bool crash = false;  ///< Its lease was taken away.
  };
  /// A job as it stands in the storage.
  struct Kept {
    std::uint64_t job = 0;
    bool completed = false;
    std::uint32_t epoch = 0;
    int attempt = 0;
    int snoozes = 0;          ///< Hand-backs.
    std::uint64_t token = 0;  ///< Of the run whose end was recorded.
    std::int64_t created_us = 0;
    std::string key{};
    std::vector<Failure> failures{};  ///< All, oldest first.
  };

  std::vector<Attempt> attempts{};
  std::vector<Run> runs{};
  std::vector<Kept> kept{};
};

/// The four sets of a total-queue test, by job, and what else was broken, in words.
struct FleetVerdict {
  std::vector<std::uint64_t> lost{};        ///< Acknowledged, and not completed.
  std::vector<std::uint64_t> unexpected{};  ///< Kept or run, and never asked for; or refused, and there.
  std::vector<std::uint64_t> duplicated{};  ///< More than one end, or two runs that are the same one.
  std::vector<std::uint64_t> recovered{};   ///< Not known to be there, and there. That is no fault.
  std::vector<std::string> broken{};        ///< Leases, epochs, keys, batches; the first hundred.

  std::size_t crashed_leases = 0;  ///< Taken away from a node that was dead or taken for it.
  std::size_t stale_ends = 0;      ///< Runs that came to their end after they had lost the job.
  std::size_t refusals = 0;        ///< Runs that were told so by a write.

  [[nodiscard]] bool good() const noexcept {
    return lost.empty() && unexpected.empty() && duplicated.empty() && broken.empty();
  }
};

/// Once everything has come to rest. Takes time n log n.
[[nodiscard]] FleetVerdict check_fleet(FleetHistory history);

/// "lost 0, unexpected 0, ...", with the first jobs of each set that should be empty, and what is broken.
[[nodiscard]] std::string to_text(const FleetVerdict& verdict);

}  // namespace quern_test
