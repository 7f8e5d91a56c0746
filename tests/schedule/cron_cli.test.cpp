// The example quern-cron as people and scripts use it.
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/temp_folder.hpp"

namespace {

using quern_test::TempFolder;

struct Answer {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// Runs the program by a shell's words, with a file as its input.
Answer run(const std::string& arguments, const std::string& input = {}) {
  const TempFolder folder;
  quern_test::write_text(folder / "in", input);
  std::string command = "\"" QUERN_TEST_PROGRAMS_DIR "/quern_cron_cli\" ";
  command += arguments;
  for (const char* stream : {"<in", ">out", "2>err"}) {
    const std::string_view text = stream;
    const std::size_t name = text.find_first_not_of("<>2");
    command.append(" ").append(text.substr(0, name)).append("'");
    command.append((folder / std::string(text.substr(name))).string()).append("'");
  }
  quern_test::ChildProcess shell({"/bin/sh", "-c", command});
  shell.wait();
  return {shell.exit_code(), quern_test::read_text(folder / "out"), quern_test::read_text(folder / "err")};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<nlohmann::json> lines(const std::string& text) {
  std::vector<nlohmann::json> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

}  // namespace

TEST_CASE("quern-cron --jsonl answers one line for each", "[cron]") {
  std::string input;
  std::vector<nlohmann::json> expected;
  std::ifstream file(QUERN_SOURCE_DIR "/tests/schedule/data/next.jsonl");
  for (std::string line; std::getline(file, line);) {
    const auto item = nlohmann::json::parse(line);
    input +=
        nlohmann::json{{"expr", item["expr"]}, {"tz", item["tz"]}, {"from", item["from"]}, {"n", 5}}.dump() +
        "\n";
    expected.push_back({{"next", item["next"]}});
  }
  const Answer answer = run("--jsonl", input);
  CHECK(answer.exit_code == 0);
  CHECK(lines(answer.out) == expected);
}

TEST_CASE("quern-cron --jsonl has defaults, and an error instead of an answer where a line is wrong",
          "[cron]") {
  const Answer answer = run("--jsonl", R"({"expr":"@daily","from":"2025-01-01T00:00:00.5Z"}
{"expr":"0 0 1 1 *","from":"2025-03-01T00:00:00+01:00","n":1}
{"expr":"0 0 0 1 1 * 2001","from":"2025-01-01T00:00:00Z"}
{"expr":"0 25 * * *"}
{"expr":"* * * * *","tz":"No/Where"}
{"expr":"* * * * *","from":"yesterday"}
{"expr":7}
{"expr":"* * * * *","n":-1}
nonsense

{"expr":"H H * * *","name":"nightly report","from":"2025-01-01T00:00:00Z","n":1}
)");
  const auto all = lines(answer.out);
  REQUIRE(all.size() == 11);
  CHECK(all[0]["next"].size() == 5);
  CHECK(all[0]["next"][0] == "2025-01-02T00:00:00Z");
  CHECK(all[1] == nlohmann::json{{"next", {"2026-01-01T00:00:00Z"}}});
  CHECK(all[2] == nlohmann::json{{"next", nlohmann::json::array()}});
  for (std::size_t i = 3; i < 10; ++i) CHECK(all[i].contains("error"));
  CHECK(contains(all[3]["error"], "where a number from 0 to 23 is allowed"));
  CHECK(all[10]["next"].size() == 1);
}

TEST_CASE("quern-cron next marks the zone's shifts", "[cron]") {
  const Answer answer = run("next '30 2 * * *' --zone America/New_York --from 2025-03-08T00:00:00Z -n 2");
  CHECK(answer.exit_code == 0);
  CHECK(answer.out ==
        "30 2 * * *: at 02:30 every day, in New York\n"
        "  Sat 2025-03-08 02:30:00 EST        2025-03-08T07:30:00Z\n"
        "  -- Sun 2025-03-09 02:00:00: the clocks go forward by 1h, from EST to EDT\n"
        "  Sun 2025-03-09 03:00:00 EDT        2025-03-09T07:00:00Z  (its own time is skipped that day)\n");
  const Answer twice =
      run("next '30 1 * * *' --zone America/New_York --from 2025-11-02T00:00:00Z -n 2 --overlap both");
  CHECK(contains(twice.out, "(the first of two times"));
  CHECK(contains(twice.out, "(the second time"));
}

TEST_CASE("quern-cron previous goes back", "[cron]") {
  const Answer answer = run("previous '0 0 0 1 1 * 2024-2025' --from 2026-01-01T00:00:00Z");
  CHECK(answer.exit_code == 0);
  CHECK(contains(answer.out,
                 "2025-01-01T00:00:00Z\n  Mon 2024-01-01 00:00:00 UTC        2024-01-01T00:00:00Z\n  and "
                 "none before that\n"));
}

TEST_CASE("quern-cron explain says it in words and shows the month", "[cron]") {
  const Answer answer = run("explain '0 9 * * MON-FRI' --zone Europe/Berlin --from 2025-03-20T00:00:00Z");
  CHECK(answer.exit_code == 0);
  CHECK(contains(answer.out, "at 09:00 on weekdays, in Berlin"));
  CHECK(contains(answer.out, "March 2025"));
  CHECK(contains(answer.out, "[24]  [25]  [26]  [27]  [28]   29    30 !"));
  CHECK(contains(answer.out, "next:\n  Thu 2025-03-20 09:00:00 CET"));
}

TEST_CASE("quern-cron points at what is wrong", "[cron]") {
  const Answer hour = run("next '0 25 * * *'");
  CHECK(hour.exit_code == 1);
  CHECK(contains(hour.err, "the hour, at character 3: found \"25\""));
  CHECK(contains(hour.err, "  0 25 * * *\n    ^^\n"));
  const Answer zone = run("next '@daily' --zone Europe/Berln");
  CHECK(zone.exit_code == 1);
  CHECK(contains(zone.err, "did you mean Europe/Berlin"));
  CHECK(run("next '@daily' --zone").exit_code == 1);
  CHECK(run("next '@daily' -n 0").exit_code == 1);
  CHECK(run("next '@daily' --gap sometimes").exit_code == 1);
  CHECK(contains(run("").err, "quern-cron next"));
  CHECK(contains(run("--help").out, "quern-cron next"));
}

TEST_CASE("quern-cron says that zone data is missing", "[cron]") {
  const Answer answer = run("next '@daily' --zoneinfo /nonexistent -n 1");
  CHECK(answer.exit_code == 0);
  CHECK(contains(answer.err, "there is no zone data in /nonexistent"));
}
