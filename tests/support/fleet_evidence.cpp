// Empty where quern is built without PostgreSQL.
#if __has_include(<libpq-fe.h>)
#include "support/fleet_evidence.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace quern_test {
namespace {

constexpr unsigned number_bits = 40;  // of a token; the others are its worker's

struct CloseConnection {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};

PGconn* connect(const std::string& address) {
  const char* const keys[]{"application_name", "connect_timeout", "dbname", nullptr};
  const char* const values[]{"fleet-evidence", "2", address.c_str(), nullptr};
  PGconn* const connection = PQconnectdbParams(keys, values, 1);
  // That the server ends a session is nothing new here.
  PQsetNoticeReceiver(connection, [](void*, const PGresult*) {}, nullptr);
  return connection;
}

template <class Number>
Number number(const PGresult* result, int row, int column) {
  const std::string_view digits = PQgetvalue(result, row, column);
  Number value{};
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

}  // namespace

std::string evidence_tables() {
  return "CREATE TABLE run_begin(token bigint PRIMARY KEY, job bigint, epoch bigint, attempt integer, at "
         "bigint);"
         "CREATE TABLE run_end(token bigint PRIMARY KEY, refused boolean, at bigint)";
}

std::vector<FleetHistory::Run> read_evidence(const std::string& address) {
  const std::unique_ptr<PGconn, CloseConnection> connection(connect(address));
  std::vector<FleetHistory::Run> runs;
  constexpr int page = 100'000;
  std::uint64_t after = 0;
  while (true) {
    const auto sql = fmt::format(
        "SELECT b.token, b.job, b.epoch, b.attempt, b.at, coalesce(e.at, 0), coalesce(e.refused, false) "
        "FROM run_begin b LEFT JOIN run_end e USING (token) WHERE b.token > {} ORDER BY b.token LIMIT {}",
        after, page);
    const std::unique_ptr<PGresult, ClearResult> rows(PQexec(connection.get(), sql.c_str()));
    if (PQresultStatus(rows.get()) != PGRES_TUPLES_OK)
      throw std::runtime_error(std::string("can't read the evidence: ") + PQerrorMessage(connection.get()));
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      runs.push_back({.job = number<std::uint64_t>(rows.get(), row, 1),
                      .epoch = number<std::uint32_t>(rows.get(), row, 2),
                      .attempt = number<int>(rows.get(), row, 3),
                      .token = number<std::uint64_t>(rows.get(), row, 0),
                      .began_us = number<std::int64_t>(rows.get(), row, 4),
                      .ended_us = number<std::int64_t>(rows.get(), row, 5),
                      .refused = *PQgetvalue(rows.get(), row, 6) == 't'});
    }
    if (PQntuples(rows.get()) < page) return runs;
    after = runs.back().token;
  }
}

EvidenceWriter::EvidenceWriter(std::string address, std::int64_t worker)
    : address_(std::move(address)), worker_(worker) {}

EvidenceWriter::~EvidenceWriter() { PQfinish(connection_); }

std::uint64_t EvidenceWriter::begin(std::uint64_t job, std::uint32_t epoch, int attempt) {
  std::uint64_t token = 0;
  {
    const std::lock_guard lock(mutex_);
    token = (static_cast<std::uint64_t>(worker_) << number_bits) + next_++;
  }
  write({.token = token, .begins = true, .job = job, .epoch = epoch, .attempt = attempt});
  return token;
}

void EvidenceWriter::end(std::uint64_t token, bool refused) { write({.token = token, .refused = refused}); }

void EvidenceWriter::write(Line line) {
  std::unique_lock lock(mutex_);
  lines_.push_back(line);
  const std::uint64_t mine = round_;
  // Two rounds are under way at most, one that is written and one that fills.
  written_[mine % 2].wait(lock, [&] { return done_ > mine || !writing_; });
  if (done_ > mine) return;
  // Nobody writes: this thread does, for all that have come until now.
  writing_ = true;
  const std::vector<Line> lines = std::exchange(lines_, {});
  ++round_;
  lock.unlock();
  send(lines);
  lock.lock();
  done_ = round_;
  writing_ = false;
  written_[mine % 2].notify_all();
  written_[round_ % 2].notify_one();
}

/// What is sent twice is there once: each line has its token.
void EvidenceWriter::send(const std::vector<Line>& lines) {
  std::string begins;
  std::string ends;
  constexpr std::string_view now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
  for (const Line& line : lines) {
    if (line.begins)
      begins += fmt::format("{}({}, {}, {}, {}, {})", begins.empty() ? "" : ", ", line.token, line.job,
                            line.epoch, line.attempt, now);
    else
      ends += fmt::format("{}({}, {}, {})", ends.empty() ? "" : ", ", line.token, line.refused, now);
  }
  std::string sql;
  if (!begins.empty()) sql += "INSERT INTO run_begin VALUES " + begins + " ON CONFLICT DO NOTHING;";
  if (!ends.empty()) sql += "INSERT INTO run_end VALUES " + ends + " ON CONFLICT DO NOTHING";
  while (!run(sql)) {
    PQfinish(std::exchange(connection_, nullptr));
    ::poll(nullptr, 0, 20);  // a server that is down is not to be knocked at all the time
  }
}

bool EvidenceWriter::run(const std::string& sql) {
  if (connection_ == nullptr) connection_ = connect(address_);
  if (PQstatus(connection_) != CONNECTION_OK) return false;
  const std::unique_ptr<PGresult, ClearResult> result(PQexec(connection_, sql.c_str()));
  return PQresultStatus(result.get()) == PGRES_COMMAND_OK;
}

}  // namespace quern_test
#endif
