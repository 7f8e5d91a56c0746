#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "quern/storage/requests.hpp"
#include "quern/work/executor.hpp"

namespace quern::inline v1 {

/// For a host's own handler of SIGSEGV, SIGABRT and the like, which quern never installs: notes in the flight
/// record that the job which runs on the calling thread, if any, has crashed the process. Async-signal-safe.
void note_crash() noexcept;

namespace detail {

/// Which jobs a processor runs, in a small file that outlives the process: `ProcessorOptions::flight_record`.
///
/// Contract  whoever opens the file after its process has died learns what was under way there. What the
///           storage knows is only which jobs the process had claimed; those that waited for a thread can't
///           have been what killed it.
/// Cost      a few stores into mapped memory per run; no system call. The kernel keeps them when the process
///           dies, not when the machine does; what is read then is old, and the storage calls such runs lost.
/// Files     one process has it at a time: it is locked until that ends.
/// Threads   each run's calls come one after another, those of different runs at any time.
class FlightRecord {
 public:
  /// A run that a dead process has left behind.
  struct Left {
    RunRef ref{};
    bool running = false;  ///< On a thread. False: it was claimed, or its handler had returned.
    bool crashed = false;  ///< It was running on the thread that called `note_crash`.
  };

  /// Opens the file, or makes it, for so many runs at once. Throws InvalidArgument (field "flight_record")
  /// when it can't be used, is something else, or belongs to another processor.
  FlightRecord(const std::string& path, std::size_t slots);
  FlightRecord(const FlightRecord&) = delete;
  FlightRecord& operator=(const FlightRecord&) = delete;
  ~FlightRecord();

  /// What was under way when the process before this one ended; empty after an end in good order.
  [[nodiscard]] std::vector<Left> take_left() noexcept { return std::move(left_); }
  [[nodiscard]] std::uint64_t left_by() const noexcept { return left_by_; }

  /// `token` names the run (see ProcessorCore::Slot); its place is taken from the run that had it before. Runs beyond
  /// `slots`, as a pool may have that has grown, are not noted: they are rescued as without a record.
  void claimed(TaskToken token, const RunRef& ref) noexcept;
  void begin(TaskToken token) noexcept;
  void end(TaskToken token) noexcept;
  /// The processor has stopped: nothing is under way.
  void clear() noexcept;

  struct Slot;

 private:
  /// Null where the file has no place for it.
  [[nodiscard]] Slot* slot_of(TaskToken token) const noexcept;

  int file_ = -1;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  void* map_ = nullptr;
  std::size_t slots_;
  std::vector<Left> left_;
  std::uint64_t left_by_ = 0;
};

}  // namespace detail
}  // namespace quern::inline v1
