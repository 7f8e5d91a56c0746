#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "quern/core/clock.hpp"
#include "storage/postgres/failure.hpp"
#include "storage/postgres/params.hpp"

namespace quern::inline v1::postgres {

/// A statement of this storage; "@." in it stands for the schema. Its address names it.
struct Statement {
  const char* text;
};

/// The rows of an answer.
class Result {
 public:
  explicit Result(PGresult* result) : result_(result, PQclear) {}

  [[nodiscard]] const PGresult* get() const noexcept { return result_.get(); }
  [[nodiscard]] int rows() const noexcept { return PQntuples(result_.get()); }
  [[nodiscard]] bool null(int row, int column) const noexcept {
    return PQgetisnull(result_.get(), row, column) != 0;
  }
  /// 0 for NULL.
  [[nodiscard]] std::int64_t number(int row, int column) const;
  [[nodiscard]] std::uint64_t id(int row, int column) const {
    return static_cast<std::uint64_t>(number(row, column));
  }
  [[nodiscard]] int small(int row, int column) const { return static_cast<int>(number(row, column)); }
  [[nodiscard]] bool truth(int row, int column) const noexcept {
    return *PQgetvalue(result_.get(), row, column) == 't';
  }
  [[nodiscard]] TimePoint time(int row, int column) const { return from_us(number(row, column)); }
  [[nodiscard]] std::optional<TimePoint> maybe_time(int row, int column) const {
    return null(row, column) ? std::nullopt : std::optional(time(row, column));
  }
  /// Lives as long as the result. Empty for NULL.
  [[nodiscard]] std::string_view text(int row, int column) const noexcept {
    return {PQgetvalue(result_.get(), row, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
  }
  [[nodiscard]] std::string string(int row, int column) const { return std::string(text(row, column)); }

 private:
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

/// What all connections of a storage have in common.
struct Server {
  std::string address{};
  std::string name{};    ///< For messages: no user, no password.
  std::string schema{};  ///< Its name, not quoted.
  bool pooled = false;
  Duration connect_timeout{};
  Duration call_timeout{};
  Duration lock_timeout{};
};

/// "@." and the other placeholders of a statement or of the schema's SQL, replaced.
[[nodiscard]] std::string fill_in(std::string_view text, const std::string& schema);

/// One connection, of one thread at a time. Every wait ends at a deadline on the machine's steady clock.
class Connection {
 public:
  /// Throws ConnectionLost, or a StorageError that won't pass.
  Connection(const Server& server, SteadyTime deadline);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { PQfinish(connection_); }

  /// Throws SqlError, InvalidArgument or ConnectionLost; after the last one it is broken.
  Result run(const Statement& statement, const Params& params, SteadyTime deadline);
  /// Two, one after the other in one transaction and one round trip; both or none.
  std::pair<Result, Result> run_two(const Statement& first, const Params& first_params,
                                    const Statement& second, const Params& second_params,
                                    SteadyTime deadline);
  /// One or more statements without parameters, in one transaction.
  Result script(const std::string& sql, SteadyTime deadline);

  /// Of no more use.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  /// Looks whether the server has hung up; costs a system call.
  [[nodiscard]] bool hung_up() const noexcept;
  /// The server's clock minus this machine's, when the connection was made.
  [[nodiscard]] Duration clock_offset() const noexcept { return clock_offset_; }
  [[nodiscard]] PGconn* handle() const noexcept { return connection_; }

 private:
  void connect(SteadyTime deadline);
  void look_at_server(SteadyTime deadline);
  /// Waits until the socket can be read (or written), or throws.
  void wait(bool write, SteadyTime deadline, bool sent);
  void flush(SteadyTime deadline);
  /// The next result, or null.
  PGresult* next_result(SteadyTime deadline);
  /// Throws what a result that is an error means.
  void check(const PGresult* result);
  Result collect(SteadyTime deadline);
  struct Prepared {
    std::string text;
    std::string name;  ///< Empty: not prepared.
  };
  const Prepared& prepare(const Statement& statement, const Params& params, SteadyTime deadline);
  void send(const Prepared& prepared, const Params& params);
  [[noreturn]] void lose(std::string_view what, bool sent);

  const Server& server_;
  PGconn* connection_ = nullptr;
  bool broken_ = false;
  Duration clock_offset_{0};
  std::unordered_map<const Statement*, Prepared> prepared_;
  int names_ = 0;  ///< Of prepared statements.
};

}  // namespace quern::inline v1::postgres
