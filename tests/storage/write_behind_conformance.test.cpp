// What a storage promises holds in memory, and after each case the file shows the same.
#include "storage/conformance_runner.hpp"
#include "storage/write_behind_fixture.hpp"

namespace {

using quern_test::WriteBehindProcess;

class WriteBehindFixture final : public quern::testing::StorageFixture {
 public:
  explicit WriteBehindFixture(quern::WriteBehindOptions options) : options_(std::move(options)) {}
  ~WriteBehindFixture() override {
    if (!process_) return;
    process_->storage->write();
    const auto state = quern_test::state_of(*process_->storage);
    quern_test::check_file(path(), state);
    process_->storage->stop();
    quern_test::check_file(path(), state);
  }
  quern::StoragePort& store() override {
    const std::lock_guard lock(mutex_);
    if (!process_) {
      process_.emplace(path(), clock(), options_);
      port_.emplace(*process_->storage);
    }
    return *port_;
  }

 private:
  [[nodiscard]] std::string path() const { return (folder_ / "jobs.db").string(); }
  quern::WriteBehindOptions options_;
  quern_test::TempFolder folder_;
  std::mutex mutex_;
  std::optional<WriteBehindProcess> process_;
  std::optional<quern::StorageAdapter<quern_test::WriteBehind&>> port_;
};

}  // namespace

TEST_CASE("a storage that is written behind keeps every promise of a storage, and its file says the same",
          "[storage][write-behind][conformance]") {
  quern_test::run_storage_conformance(
      [] { return std::make_unique<WriteBehindFixture>(quern::WriteBehindOptions{}); });
}

TEST_CASE(
    "a storage that commits every call behind keeps every promise of a storage, and its file says the same",
    "[storage][write-behind][conformance]") {
  quern_test::run_storage_conformance([] {
    return std::make_unique<WriteBehindFixture>(
        quern::WriteBehindOptions{.durability = quern::JobDurability::committed});
  });
}
