#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bench::pg {

/// Parameters in PostgreSQL's binary form, as the storage sends them.
class Values {
 public:
  Values& long_of(std::int64_t value);
  Values& int_of(int value);
  Values& flag(bool value);
  Values& text(const std::string& value);
  Values& null(Oid type);
  Values& longs(std::span<const std::int64_t> values);
  Values& ints(std::span<const std::int64_t> values);
  Values& shorts(std::span<const std::int64_t> values);
  Values& texts(std::span<const std::string> values);
  /// So many times nothing.
  Values& no_texts(std::size_t count);
  Values& no_longs(std::size_t count);

 private:
  friend class BareConnection;
  Values& put(Oid type, std::string bytes);

  std::vector<Oid> types_;
  std::vector<std::string> bytes_;
  std::vector<bool> nulls_;
};

/// A connection with prepared statements, and nothing around it.
class BareConnection {
 public:
  BareConnection(const std::string& address, std::string schema);

  using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;
  /// "@." stands for the schema. A literal, known by its address.
  Answer run(const char* sql, const Values& values = {});

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
  const std::string schema_;
  std::map<const char*, std::string> prepared_;
};

/// A floor: a loop over the statements that the storage itself sends, on one connection: no pool, no objects
/// made of what comes back, no observers.
class Bare {
 public:
  /// On a schema that a storage has made; `node` is registered there.
  Bare(const std::string& address, const std::string& schema, std::uint64_t node);

  /// One statement. Payloads as JSON.
  void insert(std::int64_t first_id, std::span<const std::string> payloads);
  /// One statement; how many it got.
  std::size_t claim(int limit);
  /// Completes what the last claim got, in one statement.
  void finish();

 private:
  [[nodiscard]] Values context() const;

  BareConnection connection_;
  const std::int64_t node_;
  std::int64_t origin_ = 0;
  std::int64_t lane_ = 0;
  std::int64_t token_ = 0;
  std::vector<std::int64_t> ids_;
  std::vector<std::int64_t> epochs_;
  // Where the lines begin, as the last claim has said.
  std::string snapshot_;
  std::vector<std::int64_t> lanes_;
  std::vector<std::int64_t> priorities_;
  std::vector<std::int64_t> run_ats_;
  std::vector<std::int64_t> firsts_;
};

/// The other floor: the least that a queue in PostgreSQL can do, in SQL written for this measurement. Ready rows
/// of 25 ids, one row per claim, outcomes appended; one queue with one priority, no retries, no limits, no
/// unique keys, no counts, no order among several lines.
class LeastSql {
 public:
  /// Makes its tables in the schema, which must be there.
  LeastSql(const std::string& address, const std::string& schema);

  void insert(std::span<const std::string> payloads);
  std::size_t claim(int limit);
  void finish();

 private:
  BareConnection connection_;
  std::vector<std::int64_t> ids_;
  std::vector<std::int64_t> attempts_;
  std::int64_t claim_ = 0;
  // Where the next claim begins.
  std::int64_t run_at_ = 0;
  std::int64_t first_ = 0;
};

}  // namespace bench::pg
