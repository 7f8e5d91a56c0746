// Whatever ends the process of an isolated handler is one failed attempt that says why.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "isolation_fixture.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

using namespace quern_test;
using Catch::Matchers::ContainsSubstring;
using quern::JobContext;
using quern::JobResult;
using quern::JobState;
using quern::Payload;

namespace {

void touch_nothing() {
  void* const page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memset(page, 1, 1);
}

// Each call needs its array after the next one, so that none can be left out.
[[gnu::noinline]] int endless(volatile char* above, int depth) {
  volatile char here[512];  // NOLINT: written before it is read
  here[0] = static_cast<char>(depth);
  if (above != nullptr && above[0] == 'q' && depth < 0) return 0;
  return endless(here, depth + 1) + here[0];
}

[[gnu::noinline]] void burn() {
  volatile unsigned long long turns = 0;
  while (true) turns = turns + 1;
}

/// What the host has registered for its own end; -1: nobody is listening.
int exit_listener = -1;
struct AtExit {
  ~AtExit() {
    if (exit_listener >= 0 && ::write(exit_listener, "x", 1) < 0) std::abort();
  }
};
const AtExit at_exit;

}  // namespace

TEST_CASE("a crash of an isolated handler is a failed attempt that names the signal", "[isolation]") {
  IsolatedEngine engine;
  engine.on("segfault", [](JobContext&) { touch_nothing(); });
  engine.on("abort", [](JobContext&) { std::abort(); });
  engine.on("terminate",
            [](JobContext&) { std::thread([] { throw std::runtime_error("nobody catches this"); }).join(); });
  engine.on("overflow",
            [](JobContext&) { return JobResult::completed(nlohmann::json(endless(nullptr, 0))); });
  engine.on("kill", [](JobContext&) { ::kill(::getpid(), SIGKILL); });
  engine.on("fine", [](JobContext&) {});
  engine.start();
  CHECK_THAT(engine.failure("segfault"), ContainsSubstring("was killed by SIGSEGV"));
  CHECK_THAT(engine.failure("abort"), ContainsSubstring("was killed by SIGABRT"));
  CHECK_THAT(engine.failure("terminate"), ContainsSubstring("SIGABRT"));
  if (!sanitized) CHECK_THAT(engine.failure("terminate"), ContainsSubstring("nobody catches this"));
  CHECK_THAT(engine.failure("overflow"),
             ContainsSubstring("SIGSEGV") && ContainsSubstring("stack overflowed"));
  CHECK_THAT(engine.failure("kill"), ContainsSubstring("was killed by SIGKILL"));
  CHECK(engine.run("fine").state == JobState::completed);
}

TEST_CASE("an isolated handler that ends its process without a result has failed, whatever its code",
          "[isolation]") {
  IsolatedEngine engine;
  engine.on("exit 0", [](JobContext&) { std::exit(0); });
  engine.on("exit 3", [](JobContext&) { std::exit(3); });
  engine.on("_exit 4", [](JobContext&) { ::_exit(4); });
  engine.start();
  CHECK_THAT(engine.failure("exit 0"), ContainsSubstring("exited with code 0 without a result"));
  CHECK_THAT(engine.failure("exit 3"), ContainsSubstring("exited with code 3"));
  CHECK_THAT(engine.failure("_exit 4"), ContainsSubstring("exited with code 4"));
}

TEST_CASE("an isolated handler that calls exit does not run what its host has registered for its end",
          "[isolation]") {
  Whisper whisper;
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  exit_listener = ends[1];
  IsolatedEngine engine;
  engine.on("exit", [](JobContext&) { std::exit(1); });
  engine.on("ends", [](JobContext&) {});
  engine.start();
  exit_listener = -1;
  engine.run("exit");
  engine.run("ends");
  pollfd said{ends[0], POLLIN, 0};
  CHECK(::poll(&said, 1, 0) == 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("the last lines of an isolated handler that crashed stand in its error", "[isolation]") {
  IsolatedEngine engine;
  engine.on("talks", [](JobContext&) {
    for (int i = 0; i < 1000; ++i) std::fprintf(stderr, "line %d of many\n", i);
    std::fputs("the disk is on fire \xFF\n", stderr);
    std::abort();
  });
  engine.start({.on_line = [](const quern::Claim&, std::string_view) {}});
  const std::string failure = engine.failure("talks");
  CHECK_THAT(failure,
             ContainsSubstring("SIGABRT") && ContainsSubstring("\nline 999 of many\nthe disk is on fire"));
  CHECK_THAT(failure, !ContainsSubstring("line 100 of"));
  CHECK(failure.size() < 2500);
  CHECK(quern::is_utf8(failure));
}

TEST_CASE("an isolated handler that needs more memory than its limit fails and says so", "[isolation]") {
  if (sanitized) {
    WARN("skipped: sanitizers need more addresses than any limit allows");
    return;
  }
  IsolatedEngine engine;
  const quern::IsolationLimits limits{.memory_bytes = 64U << 20U};
  engine.on("greedy",
            [](JobContext&) {
              std::vector<std::string> kept;
              while (true) kept.emplace_back(1 << 20, 'x');
            },
            {.limits = limits});
  engine.on("greedy and careless",
            [](JobContext&) noexcept {
              std::vector<std::string> kept;
              while (true) kept.emplace_back(1 << 20, 'x');
            },
            {.limits = limits});
  engine.on("modest", [](JobContext&) { std::string(32 << 20, 'x').back() = 'y'; }, {.limits = limits});
  engine.on("unbounded", [](JobContext&) { std::string(128 << 20, 'x').back() = 'y'; });
  engine.start({.on_line = [](const quern::Claim&, std::string_view) {}});
  CHECK_THAT(engine.failure("greedy"),
             ContainsSubstring("no memory was left within its limit of 67108864 bytes"));
  CHECK_THAT(engine.failure("greedy and careless"),
             ContainsSubstring("SIGABRT") && ContainsSubstring("no memory is left within the limit"));
  CHECK(engine.run("modest").state == JobState::completed);
  CHECK(engine.run("unbounded").state == JobState::completed);
}

TEST_CASE("an isolated handler that uses up its processor time is ended", "[isolation]") {
  IsolatedEngine engine;
  engine.on("burn", [](JobContext&) { burn(); }, {.limits = {.cpu_time = 1s}});
  engine.start();
  CHECK_THAT(engine.failure("burn"),
             ContainsSubstring("SIGXCPU") && ContainsSubstring("1s of processor time"));
}

TEST_CASE("a crash of an isolated handler writes no core file", "[isolation]") {
  IsolatedEngine engine;
  engine.on("look", [](JobContext&) {
    rlimit core{};
    ::getrlimit(RLIMIT_CORE, &core);
    return JobResult::completed(nlohmann::json(core.rlim_cur));
  });
  engine.start();
  CHECK(engine.run("look").result->text() == "0");
}

TEST_CASE("what an isolated handler has started ends with its attempt", "[isolation]") {
  IsolatedEngine engine;
  engine.on("starts", [](JobContext&) {
    const pid_t left_behind = ::fork();
    if (left_behind == 0) {
      while (true) ::pause();
    }
    return JobResult::completed(nlohmann::json(left_behind));
  });
  engine.start();
  const auto job = engine.run("starts");
  REQUIRE(job.state == JobState::completed);
  CHECK(WatchedProcess(job.result->as<pid_t>()).ends());
}

TEST_CASE("an isolated handler that writes into the way to its host has failed, and its host goes on",
          "[isolation]") {
  static std::string garbage;
  static const auto scribble = [] {
    for (int fd = 3; fd < 1000; ++fd) {
      struct stat what{};
      if (::fstat(fd, &what) == 0 && S_ISSOCK(what.st_mode))
        static_cast<void>(::send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL));
    }
    while (true) ::pause();
  };
  IsolatedEngine engine;
  const auto frame = [](std::uint32_t size, unsigned char type, const std::string& body) {
    std::string made(5, '\0');
    std::memcpy(made.data(), &size, sizeof(size));
    made[4] = static_cast<char>(type);
    return made + body;
  };
  const auto sized = [&](unsigned char type, const std::string& body) {
    return frame(static_cast<std::uint32_t>(body.size()), type, body);
  };
  const std::vector<std::string> pieces{
      std::string(1000, '\xFF'),                                // a length beyond every limit
      sized(69, "{\"outcome\":99}"),                            // no such outcome
      sized(69, "{\"outcome\":4}"),                             // one that is not for handlers
      sized(69, "not JSON"),                                    //
      sized(69, "{\"outcome\":0,\"result\":\"{\"}"),            // a result that is no JSON
      sized(1, "{}"),                                           // what only a host sends
      sized(200, "{}"),                                         // no type at all
      sized(67, "{\"kind\":\"x\",\"on_parent_failure\":77}"),   //
      sized(68, "{\"collection\":\"c\",\"key\":\"\\u0000\"}"),  //
      sized(64, "{\"percent\":\"many\"}"),
  };
  for (std::size_t i = 0; i < pieces.size(); ++i)
    engine.on("scribble " + std::to_string(i), [&pieces, i](JobContext&) {
      garbage = pieces[i];
      scribble();
    });
  engine.on("fine", [](JobContext&) {});
  engine.start();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    INFO(i);
    CHECK_THAT(engine.failure("scribble " + std::to_string(i)), ContainsSubstring("sent what is no message"));
  }
  CHECK(engine.run("fine").state == JobState::completed);
}

TEST_CASE("an isolated handler that closes all its files is ended by its timeout at the latest",
          "[isolation]") {
  IsolatedEngine engine;
  engine.on("close",
            [](JobContext&) {
              for (int fd = 3; fd < 1000; ++fd) ::close(fd);
              while (true) ::pause();
            },
            {.timeout = 50ms, .limits = {.stop_grace = 50ms}});
  engine.start();
  CHECK_THAT(engine.failure("close"), ContainsSubstring("its process"));
}

TEST_CASE("when the fork server is killed its runs have failed and the next jobs run", "[isolation]") {
  IsolatedEngine engine;
  engine.on("murder", [](JobContext&) {
    ::kill(::getppid(), SIGKILL);
    while (true) ::pause();
  });
  engine.on("fine", [](JobContext&) {});
  engine.start();
  CHECK_THAT(engine.failure("murder"), ContainsSubstring("the fork server ended"));
  for (int i = 0; i < 3; ++i) CHECK(engine.run("fine").state == JobState::completed);
}

TEST_CASE("when nothing can fork any more an isolated job waits at no cost and says why", "[isolation]") {
  IsolatedEngine engine;
  engine.on("server", [](JobContext&) { return JobResult::completed(nlohmann::json(::getppid())); });
  // None waits for a job: one that was forked a moment ago would still have the server's end of the line.
  engine.start({.ready = 0});
  const auto server = engine.run("server").result->as<pid_t>();
  const auto guard = process_line(server)->parent;
  const WatchedProcess serving(server);
  REQUIRE(::kill(guard, SIGKILL) == 0);
  REQUIRE(serving.ends());
  const auto id = engine.add("server", {.max_attempts = 1});
  quern::Processor processor(*engine.queue, engine.handlers);
  processor.run_until([&] { return engine.job(id).snoozes > 0 || engine.all_ended(); });
  processor.stop();
  CHECK(engine.job(id).state == JobState::scheduled);
  CHECK(engine.job(id).attempt == 0);
}

TEST_CASE("isolated handlers end when their host is killed", "[isolation]") {
  const TempFolder folder;
  const std::string fifo = (folder / "said").string();
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const int said = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(said >= 0);
  ChildProcess host({std::string(QUERN_TEST_PROGRAMS_DIR) + "/quern_isolation_host", fifo});
  std::string text;
  while (!text.ends_with('\n')) {
    pollfd there{said, POLLIN, 0};
    REQUIRE(::poll(&there, 1, 60'000) > 0);
    char one = '\0';
    REQUIRE(::read(said, &one, 1) == 1);
    text += one;
  }
  ::close(said);
  std::istringstream ids(text);
  pid_t runner = 0;
  pid_t server = 0;
  ids >> runner >> server;
  REQUIRE(server > 0);
  const auto server_line = process_line(server);
  REQUIRE(server_line);
  const WatchedProcess running(runner);
  const WatchedProcess serving(server);
  const WatchedProcess guarding(server_line->parent);
  CHECK(server_line->name == "quern-forks");
  host.kill();
  host.wait();
  CHECK(running.ends());
  CHECK(serving.ends());
  CHECK(guarding.ends());
}
