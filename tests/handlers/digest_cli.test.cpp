// The example program as a newcomer runs it, and killed at every point where that could hurt.
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "quern/storage/sqlite_crash_points.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

using quern_test::ChildProcess;
using quern_test::TempFolder;

namespace {

/// A clone with one commit, a data folder, and the program.
struct Newcomer {
  TempFolder folder;

  Newcomer() {
    const std::string path = (folder / "clone").string();
    const std::string command = "git init -q -b main '" + path + "' && cd '" + path +
                                "' && git config user.name Ada && git config user.email ada@example.org && "
                                "echo a > a && git add a && "
                                "GIT_COMMITTER_DATE=2026-01-02T00:00:00Z "
                                "GIT_AUTHOR_DATE=2026-01-02T00:00:00Z git commit -q -m 'Add a'";
    REQUIRE(std::system(command.c_str()) == 0);
  }
  [[nodiscard]] ChildProcess start(const std::string& crash_at = {},
                                   std::vector<std::string> more = {}) const {
    std::vector<std::string> environment;
    if (!crash_at.empty()) environment.push_back("QUERN_CRASH_AT=" + crash_at);
    std::vector<std::string> words{"/bin/sh",
                                   "-c",
                                   R"(out="$1"; shift; exec "$@" >>"$out" 2>&1)",
                                   "sh",
                                   (folder / "output").string(),
                                   std::string(QUERN_TEST_PROGRAMS_DIR) + "/quern_digest_cli",
                                   "--clone",
                                   (folder / "clone").string(),
                                   "--data",
                                   (folder / "data").string(),
                                   "--since",
                                   "2026-01-01",
                                   "--until",
                                   "2026-02-01"};
    words.insert(words.end(), more.begin(), more.end());
    return ChildProcess(words, environment);
  }
  [[nodiscard]] std::string output() const { return quern_test::read_text(folder / "output"); }
  [[nodiscard]] int delivered() const {
    int count = 0;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "data/outbox", none))
      count += entry.path().filename().string().front() == '.' ? 0 : 1;
    return count;
  }
};

}  // namespace

TEST_CASE("the digest program prints its digest and says where everything is", "[cli]") {
  const Newcomer newcomer;
  ChildProcess program = newcomer.start();
  program.wait();
  INFO(newcomer.output());
  CHECK(program.exit_code() == 0);
  CHECK(newcomer.output().find("Add a") != std::string::npos);
  CHECK(newcomer.output().find("quern.db") != std::string::npos);
  CHECK(newcomer.delivered() == 1);
}

TEST_CASE("the digest program says what is wrong with its arguments", "[cli]") {
  const Newcomer newcomer;
  const auto refused = [&](std::vector<std::string> words, const std::string& what) {
    ChildProcess program = newcomer.start({}, std::move(words));
    program.wait();
    INFO(newcomer.output());
    CHECK(program.exit_code() == 2);
    CHECK(newcomer.output().find(what) != std::string::npos);
  };
  refused({"--sinse", "x"}, "--sinse");
  refused({"--notify", "pigeon:home"}, "pigeon:home");
  refused({"--since", "yesterday"}, "time");
  refused({"--repo"}, "--repo");
}

TEST_CASE("a folder that is no clone is a clear error and no endless retry", "[cli]") {
  const Newcomer newcomer;
  ChildProcess program = newcomer.start({}, {"--clone", newcomer.folder.path().string()});
  program.wait();
  INFO(newcomer.output());
  CHECK(program.exit_code() == 1);
  CHECK(newcomer.output().find("not made") != std::string::npos);
}

TEST_CASE("killed at any point and run again the digest program goes on and delivers once", "[cli][crash]") {
  const char* const point =
      GENERATE("sqlite.insert.committed", "sqlite.claim.committed", "sqlite.save_step.committed",
               "artifact.rename", "sqlite.finish_and_claim.written", "sqlite.finish_and_claim.committed",
               "notify.before", "notify.file.rename", "notify.after", "sqlite.migrate.written");
  const Newcomer newcomer;
  ChildProcess victim = newcomer.start(std::string(point) + ":1");
  victim.wait();
  INFO("crash point " << point << '\n' << newcomer.output());
  CHECK(victim.killed());
  ChildProcess again = newcomer.start();
  again.wait();
  CHECK(again.exit_code() == 0);
  CHECK(newcomer.delivered() == 1);
  CHECK(newcomer.output().find("Add a") != std::string::npos);
}
