#include "storage/postgres/connection.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace quern::inline v1::postgres {

std::int64_t Result::number(int row, int column) const {
  const std::string_view digits = text(row, column);
  std::int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

Connection::Connection(const Server& server, SteadyTime deadline) : server_(server) {
  try {
    connect(deadline);
    look_at_server(deadline);
  } catch (...) {
    PQfinish(connection_);
    throw;
  }
}

void Connection::lose(std::string_view what, bool sent) {
  broken_ = true;
  throw ConnectionLost(
      fmt::format("{}: {}{}", server_.name, what, sent ? "; whether the call took effect is not known" : ""),
      sent);
}

void Connection::wait(bool write, SteadyTime deadline, bool sent) {
  pollfd socket{PQsocket(connection_), static_cast<short>(write ? POLLIN | POLLOUT : POLLIN), 0};
  const SystemClock clock;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.steady());
    if (left.count() <= 0) lose("did not answer in time", sent);
    const int ready = ::poll(&socket, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 60'000)));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) lose("the connection cannot be waited for", sent);
  }
}

void Connection::connect(SteadyTime deadline) {
  // What stands in the address goes before these; keepalives find a peer that is gone.
  const std::array keys{"keepalives_idle",
                        "keepalives_interval",
                        "keepalives_count",
                        "application_name",
                        "client_encoding",
                        "dbname",
                        static_cast<const char*>(nullptr)};
  const std::array values{
      "10", "5", "3", "quern", "UTF8", server_.address.c_str(), static_cast<const char*>(nullptr)};
  connection_ = PQconnectStartParams(keys.data(), values.data(), 1);
  if (connection_ == nullptr) throw StorageError(server_.name + ": no memory for a connection", true);
  const auto refuse = [&] {
    lose(fmt::format("cannot connect: {}", one_line(PQerrorMessage(connection_))), false);
  };
  if (PQstatus(connection_) == CONNECTION_BAD) refuse();
  for (auto state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;) {
    wait(state == PGRES_POLLING_WRITING, deadline, false);
    state = PQconnectPoll(connection_);
    if (state == PGRES_POLLING_FAILED) refuse();
  }
  PQsetnonblocking(connection_, 1);
  // Notices are for people at a terminal.
  PQsetNoticeReceiver(connection_, [](void*, const PGresult*) {}, nullptr);
}

void Connection::look_at_server(SteadyTime deadline) {
  constexpr int oldest = 130'000;
  if (PQserverVersion(connection_) < oldest)
    throw StorageError(fmt::format("{}: the server is PostgreSQL {}, 13 is the oldest that works",
                                   server_.name, PQserverVersion(connection_) / 10'000),
                       false);
  const char* const encoding = PQparameterStatus(connection_, "server_encoding");
  if (encoding == nullptr || std::string_view(encoding) != "UTF8")
    throw StorageError(fmt::format("{}: the database's encoding is {}, it must be UTF8", server_.name,
                                   encoding == nullptr ? "unknown" : encoding),
                       false);
  const SystemClock clock;
  const auto ms = [](Duration time) { return std::chrono::ceil<std::chrono::milliseconds>(time).count(); };
  std::string sql;
  if (!server_.pooled) {
    // The server gives up before this side does, so that most outcomes are known.
    sql = fmt::format("SET statement_timeout = {}; SET lock_timeout = {}; SET jit = off; ",
                      ms(server_.call_timeout * 9 / 10), ms(server_.lock_timeout));
  }
  sql += "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
  const TimePoint before = clock.now();
  const Result answer = script(sql, deadline);
  const TimePoint after = clock.now();
  clock_offset_ = answer.time(0, 0) - (before + (after - before) / 2);
}

bool Connection::hung_up() const noexcept {
  char byte = 0;
  const auto size = ::recv(PQsocket(connection_), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return size == 0 || (size < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void Connection::flush(SteadyTime deadline) {
  while (true) {
    const int unsent = PQflush(connection_);
    if (unsent < 0) lose(one_line(PQerrorMessage(connection_)), true);
    if (unsent == 0) return;
    wait(true, deadline, true);
    if (PQconsumeInput(connection_) == 0) lose(one_line(PQerrorMessage(connection_)), true);
  }
}

PGresult* Connection::next_result(SteadyTime deadline) {
  while (PQisBusy(connection_) != 0) {
    wait(false, deadline, true);
    if (PQconsumeInput(connection_) == 0) lose(one_line(PQerrorMessage(connection_)), true);
  }
  return PQgetResult(connection_);
}

void Connection::check(const PGresult* result) {
  const auto status = PQresultStatus(result);
  if (PQstatus(connection_) == CONNECTION_BAD) {
    broken_ = true;
    // A server that says why it ends a connection has not carried out the statement.
    const char* const reason =
        result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (reason == nullptr) lose(one_line(PQerrorMessage(connection_)), true);
    lose(one_line(reason) + "; nothing was changed, call again", false);
  }
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) throw_failure(result, server_.name);
}

Result Connection::collect(SteadyTime deadline) {
  flush(deadline);
  Result kept(nullptr);
  while (PGresult* const next = next_result(deadline)) {
    // The first error counts.
    Result result(next);
    if (kept.get() == nullptr || PQresultStatus(kept.get()) != PGRES_FATAL_ERROR) kept = std::move(result);
  }
  check(kept.get());
  return kept;
}

Result Connection::script(const std::string& sql, SteadyTime deadline) {
  if (PQsendQuery(connection_, sql.c_str()) == 0) lose(one_line(PQerrorMessage(connection_)), false);
  return collect(deadline);
}

const Connection::Prepared& Connection::prepare(const Statement& statement, const Params& params,
                                                SteadyTime deadline) {
  const auto [known, is_new] = prepared_.try_emplace(&statement);
  Prepared& prepared = known->second;
  if (is_new) prepared.text = fill_in(statement.text, server_.schema);
  if (server_.pooled || !prepared.name.empty()) return prepared;
  const std::string name = fmt::format("quern_{}", ++names_);  // one that was refused is not free again
  if (PQsendPrepare(connection_, name.c_str(), prepared.text.c_str(), params.size(), params.types()) == 0)
    lose(one_line(PQerrorMessage(connection_)), false);
  collect(deadline);
  prepared.name = name;
  return prepared;
}

void Connection::send(const Prepared& prepared, const Params& params) {
  const int sent = server_.pooled
                       ? PQsendQueryParams(connection_, prepared.text.c_str(), params.size(), params.types(),
                                           params.values(), params.lengths(), params.formats(), 0)
                       : PQsendQueryPrepared(connection_, prepared.name.c_str(), params.size(),
                                             params.values(), params.lengths(), params.formats(), 0);
  if (sent == 0) lose(one_line(PQerrorMessage(connection_)), false);
}

Result Connection::run(const Statement& statement, const Params& params, SteadyTime deadline) {
  send(prepare(statement, params, deadline), params);
  return collect(deadline);
}

std::pair<Result, Result> Connection::run_two(const Statement& first, const Params& first_params,
                                              const Statement& second, const Params& second_params,
                                              SteadyTime deadline) {
  const Prepared& one = prepare(first, first_params, deadline);
  const Prepared& two = prepare(second, second_params, deadline);
  // What stands before a pipeline's synchronisation is one transaction, which ends there.
  if (PQenterPipelineMode(connection_) == 0) lose("cannot send two statements at once", false);
  send(one, first_params);
  send(two, second_params);
  if (PQpipelineSync(connection_) == 0) lose(one_line(PQerrorMessage(connection_)), true);
  flush(deadline);
  Result results[2] = {Result(nullptr), Result(nullptr)};
  Result failed(nullptr);
  for (int at = 0;;) {
    Result next(next_result(deadline));
    if (next.get() == nullptr) {
      if (PQstatus(connection_) == CONNECTION_BAD) break;
      ++at;  // the end of a statement's results
      continue;
    }
    const auto status = PQresultStatus(next.get());
    if (status == PGRES_PIPELINE_SYNC) break;
    if (status == PGRES_FATAL_ERROR && failed.get() == nullptr) {
      failed = std::move(next);
    } else if (at < 2 && status != PGRES_PIPELINE_ABORTED) {
      results[at] = std::move(next);
    }
  }
  if (failed.get() != nullptr || PQstatus(connection_) == CONNECTION_BAD) {
    if (PQstatus(connection_) != CONNECTION_BAD && PQexitPipelineMode(connection_) == 0) broken_ = true;
    check(failed.get());
  }
  if (PQexitPipelineMode(connection_) == 0) lose(one_line(PQerrorMessage(connection_)), true);
  check(results[0].get());
  check(results[1].get());
  return {std::move(results[0]), std::move(results[1])};
}

}  // namespace quern::inline v1::postgres
