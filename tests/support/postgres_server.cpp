// Empty where quern is built without PostgreSQL.
#if __has_include(<libpq-fe.h>)
#include "support/postgres_server.hpp"

#include <libpq-fe.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/server_process.hpp"
#include "support/temp_folder.hpp"

namespace quern_test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Where initdb and postgres are; empty: nowhere. QUERN_POSTGRES_BIN names a folder of another version's.
fs::path programs() {
  if (const char* const chosen = std::getenv("QUERN_POSTGRES_BIN"); chosen != nullptr && *chosen != '\0')
    return chosen;
  const fs::path root("/usr/lib/postgresql");
  fs::path newest;
  std::error_code ignored;
  for (const auto& version : fs::directory_iterator(root, ignored)) {
    const fs::path bin = version.path() / "bin";
    if (fs::exists(bin / "initdb", ignored) && fs::exists(bin / "postgres", ignored) && bin > newest)
      newest = bin;
  }
  return newest;
}

}  // namespace

struct PostgresServer::Impl {
  TempFolder folder;
  fs::path bin = programs();
  int port = 0;
  pid_t process = -1;
  std::vector<std::string> settings;

  [[nodiscard]] std::string data() const { return (folder / "data").string(); }
  [[nodiscard]] std::string log() const { return (folder / "log").string(); }
};

PostgresServer* PostgresServer::shared() {
  static const std::unique_ptr<PostgresServer> server = [] {
    if (programs().empty()) {
      std::fputs("skipped: the PostgreSQL server's programs are not installed (Debian: postgresql)\n",
                 stderr);
      return std::unique_ptr<PostgresServer>();
    }
    return std::make_unique<PostgresServer>();
  }();
  return server.get();
}

PostgresServer::PostgresServer(const std::string& settings) : impl_(std::make_unique<Impl>()) {
  give_away(impl_->folder.path());
  const pid_t initdb = spawn({(impl_->bin / "initdb").string(), "-D", impl_->data(), "-U", "quern", "-A",
                              "trust", "-E", "UTF8", "--locale=C", "--no-sync"},
                             impl_->log());
  int status = 0;
  ::waitpid(initdb, &status, 0);
  if (status != 0) throw std::runtime_error("initdb failed: " + read_text(impl_->log()));
  impl_->port = free_port();
  for (std::string rest = settings; !rest.empty();) {
    const auto end = std::min(rest.find(' '), rest.size());
    impl_->settings.push_back(rest.substr(0, end));
    rest.erase(0, end + 1);
  }
  start();
}

PostgresServer::~PostgresServer() { stop(); }

void PostgresServer::start() {
  std::vector<std::string> command{
      (impl_->bin / "postgres").string(), "-D", impl_->data(), "-p", std::to_string(impl_->port), "-k",
      impl_->folder.path().string()};
  for (const char* setting :
       {"listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "synchronous_commit=off",
        "max_connections=200", "autovacuum_naptime=5s", "max_wal_size=2GB"}) {
    command.insert(command.end(), {"-c", setting});
  }
  for (const std::string& setting : impl_->settings) command.insert(command.end(), {"-c", setting});
  impl_->process = spawn(command, impl_->log());
  for (int waited = 0;; ++waited) {
    if (PQping(address().c_str()) == PQPING_OK) return;
    if (::waitpid(impl_->process, nullptr, WNOHANG) != 0 || waited > 3000)
      throw std::runtime_error("the server does not start: " + read_text(impl_->log()));
    std::this_thread::sleep_for(10ms);  // its start can't be waited for in another way
  }
}

void PostgresServer::stop(Stop how) {
  if (impl_->process < 0) return;
  ::kill(impl_->process, how == Stop::fast ? SIGINT : SIGQUIT);
  ::waitpid(impl_->process, nullptr, 0);
  impl_->process = -1;
}

int PostgresServer::port() const noexcept { return impl_->port; }

std::string PostgresServer::address() const {
  return "postgresql://quern@127.0.0.1:" + std::to_string(impl_->port) + "/postgres";
}

std::string PostgresServer::new_schema() {
  static std::atomic<int> number{0};
  return "case_" + std::to_string(++number);
}

std::string PostgresServer::run(const std::string& sql) const {
  PGconn* const connection = PQconnectdb(address().c_str());
  PQsetNoticeReceiver(connection, [](void*, const PGresult*) {}, nullptr);
  PGresult* const result = PQexec(connection, sql.c_str());
  const auto status = PQresultStatus(result);
  std::string value;
  if (status == PGRES_TUPLES_OK && PQntuples(result) > 0) value = PQgetvalue(result, 0, 0);
  const std::string problem = PQerrorMessage(connection);
  PQclear(result);
  PQfinish(connection);
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) throw std::runtime_error(sql + ": " + problem);
  return value;
}

void PostgresServer::end_sessions(const std::string& from) const {
  // PostgreSQL 13 can't wait for their end by itself.
  // In a CASE, since conditions are judged in any order and this session shall live.
  const std::string pids =
      run("SELECT coalesce(string_agg(pid::text, ','), '0') FROM (SELECT pid FROM " + from +
          ") s WHERE CASE WHEN pid <> pg_backend_pid() THEN pg_terminate_backend(pid) ELSE false END");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (run("SELECT count(*) FROM pg_stat_activity WHERE pid IN (" + pids + ")") != "0") {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("sessions do not end: " + pids);
  }
}

}  // namespace quern_test
#endif
