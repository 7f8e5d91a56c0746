#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/random.hpp"
#include "quern/storage/any_storage.hpp"
#include "quern/storage/job_image.hpp"

namespace quern::inline v1::testing {

/// Does random things to a storage, of every sort that changes something: for tests that compare two storages, or
/// one before and after a crash. The same seed does the same to the same storage. One thread at a time.
class RandomLife {
 public:
  /// The clock is the storage's; it is moved, too.
  RandomLife(ManualClock& clock, std::uint64_t seed) : clock_(clock), random_(seed) {}

  /// From now on a process of its own works on this storage: the runs of the one before are lost. It must outlive
  /// this, or the next call.
  void begin(StoragePort& store);
  /// One random call, or some that belong together.
  void step();
  /// A random number in [0, bound).
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

  std::vector<std::string> kinds{"a", "b", "c"};  ///< That its jobs are given.
  bool with_queues = true;                        ///< Pauses and limits queues, too.

 private:
  [[nodiscard]] bool chance(std::uint64_t percent) { return random_.below(100) < percent; }
  [[nodiscard]] std::string some(const char* prefix, std::uint64_t count);
  [[nodiscard]] JobId one();
  [[nodiscard]] When soon();
  [[nodiscard]] Unique unique();
  [[nodiscard]] Record record();
  void add_parents(NewJob& job);
  void insert();
  void claim();
  void finish();
  void report();
  void command();
  void change();
  void erase();
  void queues();
  void records();
  void change_record(const Record& wanted);
  void prune();
  void lose_node();

  ManualClock& clock_;
  Random random_;
  StoragePort* store_ = nullptr;
  NodeId node_{};
  std::uint64_t next_id_ = 0;
  std::vector<JobId> added_;  // by all processes, and perhaps gone again
  std::vector<RunRef> claims_;
};

/// All of an image that a user can see, as one line. Of a running job's node only that there is one.
[[nodiscard]] std::string to_text(const JobImage& image);
/// All of a storage that a user can see, a line each: jobs with their steps, counts, queues that are paused or
/// limited, rules, and records of RandomLife's collections.
[[nodiscard]] std::vector<std::string> to_text(StoragePort& store);
/// What only one of them has, each line with "found: " or "expected: " before it; empty: they are the same.
[[nodiscard]] std::vector<std::string> differences(const std::vector<std::string>& found,
                                                   const std::vector<std::string>& expected);

}  // namespace quern::inline v1::testing
