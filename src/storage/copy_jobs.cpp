#include "quern/storage/copy_jobs.hpp"

#include <unistd.h>

#include <algorithm>

namespace quern::inline v1 {
namespace {

constexpr std::size_t page = 1000;

BackupPort& backup_of(StoragePort& storage, const char* field) {
  BackupPort* const backup = storage.backup();
  if (backup == nullptr)
    throw InvalidArgument(field, "can't be copied: a storage that keeps its jobs in a database can");
  return *backup;
}

/// A storage that belongs to the copy, until the end.
class Kept {
 public:
  explicit Kept(StoragePort& storage, BackupPort& backup)
      : storage_(storage), keeper_(backup.become_keeper({.name = "copy", .process = ::getpid()})) {}
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  ~Kept() {
    if (!keeper_) return;
    try {
      storage_.retire(keeper_);
    } catch (const StorageError&) {
      keeper_ = {};  // on the way of another error; it is free when this process ends
    }
  }
  [[nodiscard]] NodeId keeper() const noexcept { return keeper_; }
  void give_back() { storage_.retire(std::exchange(keeper_, NodeId{})); }

 private:
  StoragePort& storage_;
  NodeId keeper_;
};

/// All that a storage holds, a page at a time.
class Everything final : public ImageSource {
 public:
  Everything(StoragePort& storage, BackupPort& backup) : storage_(storage), backup_(backup) {}

  void rewind() override {
    after_ = {};
    after_record_ = {};
    step_ = 0;
    result_ = {};
  }
  bool next(ImageChunk& chunk) override {
    chunk.clear();
    if (step_ == 0) {
      chunk.queues = storage_.queues();
      result_.queues = chunk.queues.size();
      ++step_;
      return true;
    }
    if (step_ == 1) {
      chunk.jobs = backup_.read_images(after_, page);
      result_.jobs += chunk.jobs.size();
      if (!chunk.jobs.empty()) {
        after_ = chunk.jobs.back().job.id;
        return true;
      }
      ++step_;
    }
    chunk.records = backup_.read_records(after_record_, page);
    result_.records += chunk.records.size();
    if (chunk.records.empty()) return false;
    after_record_ = {chunk.records.back().collection, chunk.records.back().key};
    return true;
  }
  [[nodiscard]] JobId last() const noexcept { return after_; }
  [[nodiscard]] const CopyResult& result() const noexcept { return result_; }

 private:
  StoragePort& storage_;
  BackupPort& backup_;
  JobId after_{};
  RecordKey after_record_{};
  int step_ = 0;
  CopyResult result_;
};

/// So that no id up to this one is reserved again.
void pass_ids(StoragePort& storage, JobId last) {
  constexpr std::uint64_t most = std::uint64_t{1} << 32U;
  for (JobId next = storage.reserve_ids(1); next < last;) {
    const std::uint64_t count = std::min(last.value - next.value, most);
    next = JobId{storage.reserve_ids(count).value + count - 1};
  }
}

}  // namespace

CopyResult copy_jobs(StoragePort& from, StoragePort& to) {
  BackupPort& source = backup_of(from, "from");
  BackupPort& target = backup_of(to, "to");
  Kept kept_source(from, source);
  Kept kept_target(to, target);
  if (!target.read_images({}, 1).empty()) throw InvalidArgument("to", "has jobs already");
  for (const LimitStatus& limit : from.limits()) to.set_limit(limit.rule);
  Everything everything(from, source);
  target.write_images(kept_target.keeper(), everything);
  if (everything.last()) pass_ids(to, everything.last());
  kept_target.give_back();
  kept_source.give_back();
  return everything.result();
}

}  // namespace quern::inline v1
