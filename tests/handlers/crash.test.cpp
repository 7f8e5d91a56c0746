// Child processes enqueue and work on one SQLite file while they are killed: at every named crash point, and
// at random moments. Nothing acknowledged may be missing at the end, nothing may have run under two live
// leases, and every digest must have been delivered once.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "quern/handlers/digest/digest_job.hpp"
#include "quern/quern.hpp"
#include "quern/sqlite.hpp"
#include "quern/storage/sqlite_crash_points.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;
using quern_test::ChildProcess;

namespace {

const std::string worker = std::string(QUERN_TEST_PROGRAMS_DIR) + "/quern_crash_worker";

/// Where a kill must do no harm. Migrations and what is written behind have tests of their own.
bool is_elsewhere(std::string_view point) {
  return point.find(".migrate.") != std::string_view::npos ||
         point.find(".keeper.") != std::string_view::npos || point.find(".images.") != std::string_view::npos;
}

std::vector<std::string> crash_points() {
  std::vector<std::string> points{"artifact.write",     "artifact.rename", "artifact.done",
                                  "notify.before",      "notify.after",    "notify.file.write",
                                  "notify.file.rename", "notify.file.done"};
  for (const char* point : quern::detail::sqlite_crash_points)
    if (!is_elsewhere(point)) points.emplace_back(point);
  return points;
}

void make_repository(const std::filesystem::path& path) {
  const std::string command =
      "git init -q -b main '" + path.string() + "' && cd '" + path.string() +
      "' && git config user.name Ada && git config user.email ada@example.org && echo a > a && git add a && "
      "GIT_COMMITTER_DATE=2026-01-02T00:00:00Z GIT_AUTHOR_DATE=2026-01-02T00:00:00Z git commit -q -m 'Add a "
      "(#1)'";
  REQUIRE(std::system(command.c_str()) == 0);
}

struct Run {
  std::uint64_t node = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;  ///< 0: it never came to its end.
};

/// By job, and in it by epoch.
std::map<std::uint64_t, std::map<std::uint64_t, Run>> read_runs(const std::filesystem::path& log) {
  std::map<std::uint64_t, std::map<std::uint64_t, Run>> runs;
  std::istringstream lines(quern_test::read_text(log));
  std::string what;
  std::uint64_t id = 0;
  std::uint64_t epoch = 0;
  std::uint64_t node = 0;
  std::int64_t at = 0;
  while (lines >> what >> id >> epoch >> node >> at) {
    if (what == "begin") {
      INFO("job " << id << " began twice in epoch " << epoch);
      REQUIRE(runs[id].emplace(epoch, Run{node, at, 0}).second);
    } else {
      runs.at(id).at(epoch).end = at;
    }
  }
  return runs;
}

}  // namespace

TEST_CASE(
    "after two hundred kills nothing is lost and nothing ran twice at once and each digest was delivered "
    "once",
    "[crash]") {
  const quern_test::TempFolder folder;
  make_repository(folder / "repository");
  const auto start = [&](std::uint64_t seed, const char* mode, const std::string& crash_at = {}) {
    std::vector<std::string> environment;
    if (!crash_at.empty()) environment.push_back("QUERN_CRASH_AT=" + crash_at);
    return ChildProcess({worker, folder.path().string(), std::to_string(seed), mode}, environment);
  };

  quern::Random random(20'261'123);
  std::uint64_t seed = 0;
  int kills = 0;
  const auto reap = [&](ChildProcess& child) {
    child.wait();
    INFO("exit code " << child.exit_code());
    REQUIRE((child.killed() || child.exit_code() == 0));
    kills += child.killed() ? 1 : 0;
    return child.killed();
  };

  // Each named point, at its first and at a later passing, while another process works that is killed at
  // random.
  for (const std::string& point : crash_points()) {
    bool reached = false;
    for (int tries = 0; !reached && tries < 20; ++tries) {
      ChildProcess victim = start(++seed, "add", point + ":" + std::to_string(1 + tries % 2));
      ChildProcess other = start(++seed, "add");
      if (!other.wait_for(std::chrono::milliseconds(random.below(250)))) other.kill();
      reached = reap(victim);
      reap(other);
    }
    INFO("crash point " << point);
    CHECK(reached);
  }
  // And at random moments until it is enough.
  while (kills < 200) {
    ChildProcess one = start(++seed, "add");
    ChildProcess two = start(++seed, "add");
    if (!one.wait_for(std::chrono::milliseconds(random.below(300)))) one.kill();
    if (!two.wait_for(std::chrono::milliseconds(random.below(100)))) two.kill();
    reap(one);
    reap(two);
  }

  ChildProcess last = start(++seed, "finish");
  last.wait();
  REQUIRE(last.exit_code() == 0);

  quern::SqliteStorage storage((folder / "jobs.db").string());
  quern::JobQueue queue(storage);
  std::istringstream acked(quern_test::read_text(folder / "acked.log"));
  std::string kind;
  std::uint64_t id = 0;
  std::size_t jobs = 0;
  std::set<std::string> digests;
  while (acked >> kind >> id) {
    ++jobs;
    const auto job = queue.find(quern::JobId{id});
    INFO("job " << id << " (" << kind << ") was acknowledged");
    REQUIRE(job.has_value());
    CHECK(job->state == quern::JobState::completed);
    CHECK(job->kind == kind);
    if (kind == "digest") digests.insert(std::to_string(id));
  }

  // Runs of one job never overlap, and a run that has ended well enough to be recorded is the last one.
  const auto runs = read_runs(folder / "runs.log");
  for (const auto& [job, epochs] : runs) {
    std::int64_t free_from = 0;
    for (const auto& [epoch, run] : epochs) {
      INFO("job " << job << " epoch " << epoch);
      CHECK(run.begin >= free_from);
      free_from = std::max(run.begin, run.end);
    }
  }

  // Each digest has one notification, delivered once: by the jobs, and by what lies in the outbox.
  std::map<std::string, int> deliveries;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "outbox")) {
    if (entry.path().filename().string().front() == '.') continue;  // what a killed process had not finished
    const auto message = nlohmann::json::parse(quern_test::read_text(entry.path()));
    ++deliveries[message.at("data").at("digest").get<std::string>()];
  }
  std::map<std::string, int> notices;
  quern::JobFilter filter{.kind = "notification", .limit = 10'000};
  for (const auto& job : queue.list(filter).jobs) {
    CHECK(job.state == quern::JobState::completed);
    ++notices[job.digest];
  }
  for (const std::string& digest : digests) {
    INFO("digest " << digest);
    CHECK(deliveries[digest] == 1);
    CHECK(notices[digest] == 1);
    CHECK(storage.get_record(quern::digest::digests_collection, digest).has_value());
  }
  for (const auto& [digest, count] : deliveries) CHECK(count == 1);

  // The record of turns and their jobs changed together, or not at all.
  const auto last_turn = storage.get_record("turns", "last");
  REQUIRE(last_turn.has_value());
  std::set<int> turns;
  quern::JobFilter of_turns{.kind = "turn", .limit = 10'000};
  for (const auto& job : queue.list(of_turns).jobs) CHECK(turns.insert(job.payload.as<int>()).second);
  CHECK(turns.size() == static_cast<std::size_t>(last_turn->as<int>()));
  CHECK(*turns.rbegin() == last_turn->as<int>());

  // Nobody counts rows, so the counters must have kept up through all of it.
  std::map<quern::JobState, std::uint64_t> counted;
  for (const auto& count : queue.count())
    if (count.kind != "noise") counted[count.state] += count.count;
  for (const auto& [state, count] : counted) CHECK(is_terminal(state));
  CHECK(kills >= 200);
  std::printf("kill test: %d kills, %zu acknowledged jobs, %zu digests\n", kills, jobs, digests.size());
}
