#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "quern/sqlite.hpp"
#include "quern/testing/random_life.hpp"
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
  void set_limit(const quern::LimitRule& rule) override {
    check();
    inner_.set_limit(rule);
  }
  bool erase_limit(std::string_view name) override {
    check();
    return inner_.erase_limit(name);
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

/// All that a user can see of a storage.
template <class Storage>
std::vector<std::string> state_of(Storage& storage) {
  quern::StorageAdapter<Storage&> port(storage);
  return quern::testing::to_text(port);
}

/// The file is sound, and shows this.
inline void check_file(const std::string& path, const std::vector<std::string>& state) {
  for (const auto& fault : SqliteConsistency(path).faults()) {
    CAPTURE(fault);
    CHECK(false);
  }
  quern::SqliteStorage reader(path);
  CHECK(quern::testing::differences(state_of(reader), state) == std::vector<std::string>{});
  CHECK(reader.recount().empty());
}

}  // namespace quern_test
