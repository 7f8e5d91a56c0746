#pragma once

#include <string>
#include <vector>

#include "quern/core/job.hpp"
#include "quern/storage/limit_rules.hpp"
#include "quern/storage/requests.hpp"

namespace quern::inline v1 {

/// All that a storage keeps of one job, so that another one can go on with it.
struct JobImage {
  Job job{};                       ///< As `find` gives it.
  Unique unique{};                 ///< Its wish as a whole; `unique.key` is `job.unique_key`.
  bool holds_key = false;          ///< It holds that key now.
  std::vector<JobId> waits_for{};  ///< Of a blocked job: its parents that are not resolved.
  int claimed_attempts = 0;        ///< Of a running job: how many attempts its claim allows, at least 1.
  std::string cancel_reason{};     ///< Of a running job that was asked to stop.
  Epoch progress_epoch = 0;        ///< The run that reported `job.progress`.
  std::vector<Step> steps{};       ///< In the order in which they were saved.
};

/// Names a record.
struct RecordKey {
  std::string collection{};
  std::string key{};
  friend auto operator<=>(const RecordKey&, const RecordKey&) = default;
};

/// A part of what one storage says to another of its state.
struct ImageChunk {
  std::vector<JobId> erased{};  ///< Jobs that are gone; before `jobs`, where an id may stand again.
  std::vector<JobImage> jobs{};
  std::vector<RecordKey> erased_records{};
  std::vector<Record> records{};
  std::vector<QueueStatus> queues{};
  /// Only for who restores: rules that hold. What was started under their rates is not known, so they begin used up.
  std::vector<LimitRule> limits{};

  [[nodiscard]] bool empty() const noexcept {
    return erased.empty() && jobs.empty() && erased_records.empty() && records.empty() && queues.empty() &&
           limits.empty();
  }
  void clear() {
    erased.clear();
    jobs.clear();
    erased_records.clear();
    records.clear();
    queues.clear();
    limits.clear();
  }
};

/// Where the chunks of one state come from, so that a transaction of any size needs memory for one chunk.
/// All chunks between two calls of `rewind` show one moment; jobs that they name come in any order.
class ImageSource {
 public:
  ImageSource() = default;
  ImageSource(const ImageSource&) = delete;
  ImageSource& operator=(const ImageSource&) = delete;
  virtual ~ImageSource() = default;

  /// Begins anew, at first and where a transaction must be repeated; with a later moment, if it likes.
  virtual void rewind() = 0;
  /// The next chunk, instead of what `chunk` holds; false: there is none.
  virtual bool next(ImageChunk& chunk) = 0;
};

}  // namespace quern::inline v1
