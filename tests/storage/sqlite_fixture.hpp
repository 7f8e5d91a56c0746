#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "quern/storage/any_storage.hpp"
#include "quern/storage/sqlite_storage.hpp"
#include "quern/testing/storage_conformance.hpp"
#include "support/temp_folder.hpp"

namespace quern_test {

/// A plain connection to a file: what a host, a backup tool or a vandal would have.
class RawDb {
 public:
  explicit RawDb(const std::string& path) {
    if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK) throw std::runtime_error("cannot open " + path);
    sqlite3_busy_timeout(db_, 5000);
  }
  ~RawDb() { sqlite3_close(db_); }
  RawDb(const RawDb&) = delete;
  RawDb& operator=(const RawDb&) = delete;

  [[nodiscard]] sqlite3* handle() const { return db_; }
  void run(const std::string& sql) const {
    char* message = nullptr;
    if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &message) != SQLITE_OK) {
      const std::string text = message == nullptr ? "?" : message;
      sqlite3_free(message);
      throw std::runtime_error(sql + ": " + text);
    }
  }
  using Row = std::vector<std::string>;  // NULL is an empty text
  /// All rows, each value as bytes.
  [[nodiscard]] std::vector<Row> rows(const std::string& sql) const {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
      throw std::runtime_error(sql + ": " + sqlite3_errmsg(db_));
    std::vector<Row> rows;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      Row& row = rows.emplace_back();
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        const auto* data = static_cast<const char*>(sqlite3_column_blob(statement, i));
        row.emplace_back(data == nullptr ? "" : data,
                         static_cast<std::size_t>(sqlite3_column_bytes(statement, i)));
      }
    }
    sqlite3_finalize(statement);
    return rows;
  }
  /// The first column of the first row; empty without one.
  [[nodiscard]] std::string value(const std::string& sql) const {
    const auto all = rows(sql);
    return all.empty() ? std::string() : all.front().front();
  }

 private:
  sqlite3* db_ = nullptr;
};

/// The conformance suite's view of SqliteStorages on one temporary file.
class SqliteFixture : public quern::testing::StorageFixture {
 public:
  using Adapter = quern::StorageAdapter<quern::SqliteStorage>;

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
    const RawDb db(path());
    // In turn: fields that can't be unpacked, no payload, no row.
    switch (job.value % 3) {
      case 0:
        db.run("UPDATE quern_jobs SET more = x'FFFF' WHERE id = " + std::to_string(job.value));
        break;
      case 1:
        db.run("UPDATE quern_jobs SET payload = 7 WHERE id = " + std::to_string(job.value));
        break;
      default:
        db.run("DELETE FROM quern_jobs WHERE id = " + std::to_string(job.value));
        break;
    }
    return true;
  }

  [[nodiscard]] bool was_opened() const { return std::filesystem::exists(path()); }
  [[nodiscard]] std::string path() const { return (folder_ / "jobs.db").string(); }

 private:
  std::unique_ptr<Adapter> open() {
    // What the suite asks does not depend on the disk, and FULL would make it wait for the disk most of the
    // time.
    return std::make_unique<Adapter>(
        path(), quern::SqliteOptions{.durability = quern::Durability::normal, .clock = clock()});
  }

  TempFolder folder_;
  std::mutex mutex_;
  std::unique_ptr<Adapter> first_;
  std::unique_ptr<Adapter> second_;
};

}  // namespace quern_test
