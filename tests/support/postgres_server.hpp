#pragma once

#include <memory>
#include <string>

namespace quern_test {

/// A PostgreSQL server of the test program's own: its data in a temporary folder, on a free port of the
/// loopback, as a user that is not root, without waiting for the disk. It ends with the program, also when
/// that is killed.
class PostgresServer {
 public:
  /// The one of this program, started at the first call; null where the server's programs are missing, after
  /// a message that says so.
  static PostgresServer* shared();

  /// Throws where the server does not start. `settings`: further ones, "name=value", separated by spaces.
  explicit PostgresServer(const std::string& settings = "");
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer();

  [[nodiscard]] int port() const noexcept;
  /// As its superuser, over the loopback.
  [[nodiscard]] std::string address() const;
  /// A name that no other call has given.
  [[nodiscard]] static std::string new_schema();
  /// Runs SQL and waits; throws with the server's message where it fails. The first value of the answer.
  std::string run(const std::string& sql) const;
  /// Ends the sessions that `SELECT pid FROM` and this gives, and waits until they are gone. Throws when they don't go.
  void end_sessions(const std::string& from) const;

  enum class Stop {
    immediate,  ///< As in a crash: the next start recovers from the log.
    fast,       ///< Ends all sessions, and what they were at is rolled back.
  };
  void stop(Stop how = Stop::immediate);
  void start();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quern_test
