// Servers as they are found in the field: poolers, TLS, other encodings, clocks that differ.
#include <libpq-fe.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "postgres/fixture.hpp"
#include "quern/postgres.hpp"
#include "quern/testing/random_life.hpp"
#include "support/catch.hpp"
#include "support/server_process.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;
using quern::JobState;
using quern::PostgresStorage;
using quern::StorageError;
using quern_test::PostgresServer;

namespace {

namespace fs = std::filesystem;

/// A program that is installed, or nothing.
std::string program(const char* name) {
  for (const char* folder : {"/usr/sbin", "/usr/bin", "/usr/local/bin"}) {
    const fs::path path = fs::path(folder) / name;
    if (fs::exists(path)) return path.string();
  }
  std::fprintf(stderr, "skipped: %s is not installed\n", name);
  return {};
}

/// A pooler in transaction mode before the tests' server, which gives each transaction any of three sessions.
class PgBouncer {
 public:
  explicit PgBouncer(const std::string& path) {
    quern_test::give_away(folder_.path());
    const std::string users = (folder_ / "users").string();
    const std::string settings = (folder_ / "settings").string();
    std::ofstream(users) << "\"quern\" \"\"\n";
    std::ofstream(settings) << "[databases]\npostgres = host=127.0.0.1 port="
                            << PostgresServer::shared()->port()
                            << " dbname=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = "
                            << port_ << "\nunix_socket_dir =\nauth_type = trust\nauth_file = " << users
                            << "\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 100\n";
    process_ = quern_test::spawn({path, settings}, (folder_ / "log").string());
    for (int waited = 0; PQping(address().c_str()) != PQPING_OK; ++waited) {
      if (waited > 1000) throw std::runtime_error("pgbouncer: " + quern_test::read_text(folder_ / "log"));
      std::this_thread::sleep_for(10ms);  // its start can't be waited for in another way
    }
  }
  ~PgBouncer() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  PgBouncer(const PgBouncer&) = delete;
  PgBouncer& operator=(const PgBouncer&) = delete;
  [[nodiscard]] std::string address() const {
    return "postgresql://quern@127.0.0.1:" + std::to_string(port_) + "/postgres";
  }

 private:
  quern_test::TempFolder folder_;
  const int port_ = quern_test::free_port();
  pid_t process_ = -1;
};

}  // namespace

TEST_CASE("a storage works through PgBouncer in transaction mode", "[postgres][deployment]") {
  if (PostgresServer::shared() == nullptr) return;
  const std::string path = program("pgbouncer");
  if (path.empty()) return;
  const PgBouncer bouncer(path);
  const auto schema = PostgresServer::new_schema();
  const quern::PostgresOptions options{.schema = schema, .pooled = true};
  PostgresStorage producer(bouncer.address(), options);
  PostgresStorage worker(bouncer.address(), options);
  constexpr int count = 200;
  std::atomic<int> runs{0};
  quern::HandlerRegistry handlers;
  handlers.on("work", [&](quern::JobContext&) { ++runs; });
  quern::JobQueue in(producer);
  quern::JobQueue out(worker);
  quern::Processor processor(out, handlers);
  processor.start();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < count / 4; ++i) in.enqueue("work", quern::Payload());
    });
  }
  for (auto& thread : threads) thread.join();
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (runs < count && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  processor.stop();
  CHECK(runs == count);
  CHECK(producer.recount().empty());
  CHECK(producer.count().size() == 1);
  CHECK_FALSE(worker.watches_foreign_changes());
  CHECK_THROWS_AS(worker.become_keeper({.name = "keeper"}), StorageError);

  // All other calls, too.
  quern::ManualClock clock;
  quern::StorageAdapter<PostgresStorage> other(
      bouncer.address(),
      quern::PostgresOptions{.schema = PostgresServer::new_schema(), .clock = clock, .pooled = true});
  quern::testing::RandomLife life(clock, 3);
  life.begin(other);
  for (int i = 0; i < 300; ++i) life.step();
  CHECK(other.recount().empty());
}

TEST_CASE("a connection is encrypted, and the server's certificate is looked at", "[postgres][deployment]") {
  if (PostgresServer::shared() == nullptr) return;
  const std::string openssl = program("openssl");
  if (openssl.empty()) return;
  const quern_test::TempFolder folder;
  quern_test::give_away(folder.path());
  for (const char* name : {"server", "stranger"}) {
    const std::string file = (folder / name).string();
    const pid_t made = quern_test::spawn(
        {openssl, "req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=quern",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", file + ".crt", "-keyout", file + ".key"},
        (folder / "log").string());
    int status = 0;
    ::waitpid(made, &status, 0);
    REQUIRE(status == 0);
  }
  const PostgresServer server("ssl=on ssl_cert_file=" + (folder / "server.crt").string() +
                              " ssl_key_file=" + (folder / "server.key").string());
  const auto with_root = [&](const char* name) {
    return server.address() + "?sslmode=verify-full&sslrootcert=" + (folder / name).string();
  };
  PostgresStorage storage(with_root("server.crt"));
  const quern::NewJob job{.id = storage.reserve_ids(1), .kind = "work"};
  CHECK(storage.insert({&job, 1}).at(0).status == quern::InsertStatus::added);
  CHECK(server.run("SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE "
                   "a.application_name = 'quern'") == "t");
  CHECK_THROWS_AS(PostgresStorage(with_root("stranger.crt")), StorageError);
}

TEST_CASE("a database with another encoding than UTF8 is refused", "[postgres][deployment]") {
  if (PostgresServer::shared() == nullptr) return;
  PostgresServer::shared()->run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
  std::string address = PostgresServer::shared()->address();
  address.replace(address.rfind('/') + 1, std::string::npos, "latin");
  try {
    const PostgresStorage storage(address);
    FAIL("did not throw");
  } catch (const StorageError& e) {
    CHECK_FALSE(e.transient());
    CHECK(std::string(e.what()).find("LATIN1") != std::string::npos);
  }
}

TEST_CASE("a node whose clock is ten minutes off changes nothing", "[postgres][deployment]") {
  if (PostgresServer::shared() == nullptr) return;
  for (const auto skew : {-10min, 10min}) {
    CAPTURE(skew.count());
    // The server's clock, as these sessions see it, is as far from this machine's.
    const auto schema = PostgresServer::new_schema();
    const auto skewed = "skewed_" + schema;
    PostgresServer::shared()->run("CREATE SCHEMA " + skewed + "; CREATE FUNCTION " + skewed +
                                  ".clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT "
                                  "pg_catalog.clock_timestamp() + interval '" +
                                  std::to_string(skew.count()) + " min' $$");
    PostgresStorage storage(
        PostgresServer::shared()->address() + "?options=-csearch_path%3D" + skewed + "%2Cpg_catalog",
        {.schema = schema});
    const auto off = storage.clock().now() - quern::SystemClock().now();
    CHECK(off > skew - 5s);
    CHECK(off < skew + 5s);
    quern::JobQueue queue(storage);
    std::atomic<int> runs{0};
    quern::HandlerRegistry handlers;
    handlers.on("work", [&](quern::JobContext&) { ++runs; });
    quern::Processor processor(queue, handlers);
    processor.start();
    const auto now = queue.enqueue("work", quern::Payload()).id;
    const auto soon = queue.enqueue("work", quern::Payload(), {.run_at = quern::When::after(200ms)}).id;
    const auto at =
        queue.enqueue("work", quern::Payload(), {.run_at = quern::When::at(storage.clock().now() + 200ms)})
            .id;
    const auto later = queue.enqueue("work", quern::Payload(), {.run_at = quern::When::after(5min)}).id;
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (runs < 3 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    CHECK(runs == 3);
    CHECK(storage.rescue(100, 3).nodes == 0);  // its lease is alive
    processor.stop();
    for (const auto id : {now, soon, at}) CHECK(queue.find(id)->state == JobState::completed);
    CHECK(*queue.find(soon)->started_at - queue.find(soon)->created_at < 30s);
    CHECK(queue.find(later)->state == JobState::scheduled);
    CHECK(queue.find(later)->run_at - queue.find(later)->created_at == 5min);
  }
}
