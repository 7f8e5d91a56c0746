// The counts as an operator checks them: quern-recount on a file.

#include <string>
#include <vector>

#include "storage/sqlite_fixture.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"

namespace {

using quern_test::RawDb;
using quern_test::TempFolder;

struct Answer {
  int exit_code = 0;
  std::string text;
};

Answer run(const TempFolder& folder, const std::string& arguments) {
  const std::string output = (folder / "output").string();
  quern_test::ChildProcess shell(
      {"/bin/sh", "-c",
       "\"" QUERN_TEST_PROGRAMS_DIR "/quern_recount\" " + arguments + " >'" + output + "' 2>&1"});
  shell.wait();
  return {shell.exit_code(), quern_test::read_text(output)};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("I26 quern-recount says that all counts are right, or which are wrong", "[storage][sqlite]") {
  const TempFolder folder;
  const std::string path = (folder / "jobs.db").string();
  quern::SqliteStorage storage(path);
  std::vector<quern::NewJob> jobs(5);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].id = storage.reserve_ids(1);
    jobs[i].kind = "mail.send";
    jobs[i].queue = "mail";
  }
  storage.insert(jobs);
  storage.cancel(std::vector{jobs[4].id}, "test");

  Answer answer = run(folder, "'sqlite:" + path + "'");
  CHECK(answer.exit_code == 0);
  CHECK(contains(answer.text, "all counts are right"));

  RawDb(path).run("UPDATE quern_totals SET n = n + 3 WHERE state = 3");  // ready
  RawDb(path).run("DELETE FROM quern_totals WHERE state = 7");           // cancelled
  using quern::CountFault;
  CHECK(storage.recount() ==
        std::vector<CountFault>{{"mail", "mail.send", quern::JobState::ready, 7, 4},
                                {"mail", "mail.send", quern::JobState::cancelled, 0, 1}});
  answer = run(folder, "'sqlite:" + path + "'");
  INFO(answer.text);
  CHECK(answer.exit_code == 1);
  CHECK(contains(answer.text, "ready                 7            4"));
  CHECK(contains(answer.text, "cancelled             0            1"));
}

TEST_CASE("quern-recount makes no file and explains itself", "[storage][sqlite]") {
  const TempFolder folder;
  const std::string path = (folder / "none.db").string();
  Answer answer = run(folder, "'sqlite:" + path + "'");
  CHECK(answer.exit_code == 2);
  CHECK(contains(answer.text, path));
  CHECK_FALSE(std::filesystem::exists(path));
  answer = run(folder, "");
  CHECK(answer.exit_code == 2);
  CHECK(contains(answer.text, "quern-recount ADDRESS"));
  CHECK(run(folder, "--help").exit_code == 0);
  CHECK(run(folder, "'nonsense:'").exit_code == 2);
}
