#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "quern/postgres.hpp"
#include "quern/testing/storage_conformance.hpp"
#include "support/postgres_server.hpp"

namespace quern_test {

/// The conformance suite's view of PostgresStorages on one schema of the test's server.
class PostgresFixture final : public quern::testing::StorageFixture {
 public:
  using Adapter = quern::StorageAdapter<quern::PostgresStorage>;

  PostgresFixture() = default;
  ~PostgresFixture() override {
    const bool used = first_ || second_;
    first_.reset();
    second_.reset();
    if (used) PostgresServer::shared()->run("DROP SCHEMA IF EXISTS " + schema_ + " CASCADE");
  }

  quern::StoragePort& store() override {
    const std::lock_guard lock(mutex_);  // cases ask for it from several threads
    if (!first_) first_ = open();
    return *first_;
  }
  bool shared() const override { return true; }
  quern::StoragePort& second() override {
    const std::lock_guard lock(mutex_);
    if (!second_) second_ = open();
    return *second_;
  }
  bool durable() const override { return true; }
  void reopen() override {
    first_.reset();
    second_.reset();
  }
  bool corrupt(quern::JobId job) override {
    const std::string id = std::to_string(job.value);
    // In turn: another lane, no payload, no row.
    const std::string change[]{"UPDATE " + schema_ + ".job SET lane = 0 WHERE id = " + id,
                               "UPDATE " + schema_ + ".job SET payload = NULL WHERE id = " + id,
                               "DELETE FROM " + schema_ + ".job WHERE id = " + id};
    PostgresServer::shared()->run(change[job.value % 3]);
    return true;
  }

  [[nodiscard]] const std::string& schema() const noexcept { return schema_; }

 private:
  std::unique_ptr<Adapter> open() {
    return std::make_unique<Adapter>(
        PostgresServer::shared()->address(),
        quern::PostgresOptions{.schema = schema_, .clock = clock(), .change_poll = quern::Duration(0)});
  }

  const std::string schema_ = PostgresServer::new_schema();
  std::mutex mutex_;
  std::unique_ptr<Adapter> first_;
  std::unique_ptr<Adapter> second_;
};

}  // namespace quern_test
