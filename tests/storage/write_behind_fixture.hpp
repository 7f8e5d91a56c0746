#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "quern/sqlite.hpp"
#include "quern/write_behind.hpp"
#include "storage/forwarding_storage.hpp"
#include "storage/sqlite_consistency.hpp"
#include "storage/sqlite_fixture.hpp"
#include "support/catch.hpp"

namespace quern_test {

/// A database that can fail; one that fails for good is as good as a process that was killed.
class FailingBackup : public ForwardingStorage, public quern::BackupPort {
 public:
  explicit FailingBackup(quern::SqliteStorage& file) : FailingBackup(std::make_unique<Adapter>(file)) {}

  std::atomic<bool> fails{false};  ///< Every call that writes.
  std::atomic<int> writes{0};      ///< Transactions of images that were committed.
  /// Called before each chunk of a write is asked for: what others do meanwhile.
  std::function<void()> before_chunk{};

  quern::JobId reserve_ids(std::size_t count) override {
    check();
    return inner_.reserve_ids(count);
  }
  void retire(quern::NodeId node) override {
    check();
    inner_.retire(node);
  }
  quern::NodeId become_keeper(const quern::NodeInfo& info) override {
    return inner_.backup()->become_keeper(info);
  }
  void write_images(quern::NodeId keeper, quern::ImageSource& source) override {
    check();
    Interrupted interrupted(source, before_chunk);
    inner_.backup()->write_images(keeper, interrupted);
    ++writes;
  }
  std::vector<quern::JobImage> read_images(quern::JobId after, std::size_t limit) override {
    return inner_.backup()->read_images(after, limit);
  }
  std::vector<quern::Record> read_records(const quern::RecordKey& after, std::size_t limit) override {
    return inner_.backup()->read_records(after, limit);
  }

 private:
  using Adapter = quern::StorageAdapter<quern::SqliteStorage&>;
  class Interrupted final : public quern::ImageSource {
   public:
    Interrupted(quern::ImageSource& inner, const std::function<void()>& before_chunk)
        : inner_(inner), before_chunk_(before_chunk) {}
    void rewind() override { inner_.rewind(); }
    bool next(quern::ImageChunk& chunk) override {
      if (before_chunk_) before_chunk_();
      return inner_.next(chunk);
    }

   private:
    quern::ImageSource& inner_;
    const std::function<void()>& before_chunk_;
  };
  explicit FailingBackup(std::unique_ptr<Adapter> adapter)
      : ForwardingStorage(*adapter), adapter_(std::move(adapter)) {}
  void check() const {
    if (fails) throw quern::StorageError("the disk is on fire", true);
  }
  std::unique_ptr<Adapter> adapter_;
};

using WriteBehind = quern::WriteBehindStorage<quern::MemoryStorage, FailingBackup>;

/// A storage that is written behind to a file of its own, and driven by hand.
class WriteBehindProcess {
 public:
  explicit WriteBehindProcess(const std::string& path, const quern::ManualClock& clock,
                              quern::WriteBehindOptions options = {})
      : file(path, {.durability = quern::Durability::normal, .clock = clock}), backup(file) {
    options.thread = false;
    options.seed = 7;
    storage = std::make_unique<WriteBehind>(backup, std::move(options));
  }
  WriteBehindProcess(const WriteBehindProcess&) = delete;
  WriteBehindProcess& operator=(const WriteBehindProcess&) = delete;
  ~WriteBehindProcess() = default;

  /// Ends without a last write.
  void crash() {
    backup.fails = true;
    storage.reset();
  }

  quern::SqliteStorage file;
  FailingBackup backup;
  std::unique_ptr<WriteBehind> storage;
};

/// All jobs of a storage, oldest first.
template <class Storage>
std::vector<quern::Job> all_jobs(Storage& storage) {
  std::vector<quern::Job> jobs;
  quern::JobFilter filter{.oldest_first = true, .limit = 1000};
  do {
    auto page = storage.list(filter);
    for (quern::Job& job : page.jobs) jobs.push_back(std::move(job));
    filter.after = page.next;
  } while (filter.after);
  return jobs;
}

/// What a user can see of a job, for comparing. Its node is another one in another storage.
inline std::string text_of(const quern::Job& job) {
  std::string text = quern::to_string(job.id) + " " + job.kind + " " + job.queue + " " +
                     std::string(to_string(job.state)) + " " + job.payload.text();
  const auto add = [&](const std::string& name, auto value) {
    text += " " + name + "=" + std::to_string(value);
  };
  const auto add_time = [&](const std::string& name, const std::optional<quern::TimePoint>& time) {
    if (time) add(name, quern::to_us(*time));
  };
  add("priority", job.priority.level);
  add("run", job.run);
  add("attempt", job.attempt);
  add("max", job.max_attempts);
  add("epoch", job.epoch);
  add("crashes", job.crashes);
  add("snoozes", job.snoozes);
  add("cancel", job.cancel_requested && job.state == quern::JobState::running);
  add("timeout", job.timeout.count());
  add("policy", static_cast<int>(job.on_parent_failure));
  add("percent", job.progress.percent);
  add("reason", static_cast<int>(job.dead_reason));
  add("has_node", job.node != 0);
  add_time("created", job.created_at);
  add_time("run_at", job.run_at);
  add_time("deadline", job.deadline);
  add_time("started", job.started_at);
  add_time("finished", job.finished_at);
  for (const std::string* field :
       {&job.tenant, &job.unique_key, &job.created_by, &job.digest, &job.progress.message, &job.end_message})
    text += " '" + *field + "'";
  for (const std::string& tag : job.tags) text += " #" + tag;
  for (const quern::JobId parent : job.parents) text += " <" + quern::to_string(parent);
  if (job.result) text += " result " + job.result->text();
  for (const quern::AttemptError& error : job.errors) {
    text += " error '" + error.message + "'";
    add("attempt", error.attempt);
    add("epoch", error.epoch);
    add("fault", static_cast<int>(error.fault));
    add_time("at", error.at);
  }
  return text;
}

template <class Storage>
std::vector<std::string> texts_of(Storage& storage) {
  std::vector<std::string> texts;
  for (const quern::Job& job : all_jobs(storage)) {
    std::string text = text_of(job);
    for (const quern::Step& step : storage.steps(job.id)) text += " step " + step.name + step.value.text();
    texts.push_back(std::move(text));
  }
  return texts;
}

/// What only one of them has; empty: they are the same.
inline std::vector<std::string> differences(const std::vector<std::string>& found,
                                            const std::vector<std::string>& expected) {
  const std::set<std::string> a(found.begin(), found.end());
  const std::set<std::string> b(expected.begin(), expected.end());
  std::vector<std::string> faults;
  for (const std::string& line : a)
    if (!b.contains(line)) faults.push_back("found:    " + line);
  for (const std::string& line : b)
    if (!a.contains(line)) faults.push_back("expected: " + line);
  return faults;
}

/// The file is sound, and shows the same as the memory.
inline void check_file(const std::string& path, const std::vector<std::string>& jobs,
                       const std::vector<quern::JobCount>& counts) {
  for (const auto& fault : SqliteConsistency(path).faults()) {
    CAPTURE(fault);
    CHECK(false);
  }
  quern::SqliteStorage reader(path);
  CHECK(differences(texts_of(reader), jobs).empty());
  CHECK(reader.count() == counts);
  CHECK(reader.recount().empty());
}

}  // namespace quern_test
