#include "quern/core/log.hpp"

#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "quern/core/secret.hpp"
#include "support/catch.hpp"

using quern::LogField;
using quern::Logger;
using quern::LogLevel;
using quern::LogRecord;

TEST_CASE("a sink gets each message with its fields", "[log]") {
  std::vector<std::string> lines;
  const Logger log = [&](const LogRecord& record) {
    lines.push_back(std::string(to_string(record.level)) + ": " + to_text(record));
  };
  const std::vector<LogField> fields{{"to", "ada"}, {"bytes", 42}, {"ok", true}, {"ratio", 0.5}};
  log_to(log, {.level = LogLevel::warning,
               .message = "sent",
               .job = quern::JobId{12},
               .kind = "mail",
               .queue = "slow",
               .run = 1,
               .attempt = 2,
               .worker = "w-1",
               .node = 3,
               .fields = fields});
  log_to(log, LogLevel::debug, "plain");
  CHECK(lines ==
        std::vector<std::string>{"warning: sent job=12 kind=mail queue=slow attempt=2 worker=w-1 node=3 "
                                 "to=ada bytes=42 ok=true ratio=0.5",
                                 "debug: plain"});
}

TEST_CASE("a sink is told nothing below its level", "[log]") {
  int told = 0;
  const Logger log{[&](const LogRecord&) { ++told; }, LogLevel::warning};
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error})
    log_to(log, level, "x");
  CHECK(told == 2);
  CHECK(log.wants(LogLevel::warning));
  CHECK_FALSE(log.wants(LogLevel::info));
}

TEST_CASE("what a sink throws is dropped", "[log]") {
  const Logger by_exception = [](const LogRecord&) { throw std::runtime_error("disk full"); };
  const Logger by_anything = [](const LogRecord&) { throw 17; };
  CHECK_NOTHROW(log_to(by_exception, LogLevel::error, "x"));
  CHECK_NOTHROW(log_to(by_anything, LogLevel::error, "x"));
}

TEST_CASE("a logger without a sink goes nowhere", "[log]") {
  const Logger none;
  CHECK_FALSE(none);
  CHECK_FALSE(none.wants(LogLevel::error));
  CHECK_NOTHROW(log_to(none, LogLevel::error, "x"));
}

TEST_CASE("a record as JSON is one line that says what is known", "[log]") {
  const std::vector<LogField> fields{{"bytes", 42U}, {"left", -1}, {"ok", false}, {"to", "ada"}};
  const LogRecord record{.level = LogLevel::info,
                         .message = "sent",
                         .job = quern::JobId{12},
                         .kind = "mail",
                         .queue = "slow",
                         .run = 1,
                         .attempt = 2,
                         .worker = "w-1",
                         .node = 3,
                         .fields = fields};
  CHECK(to_json(record, quern::from_us(1'767'225'600'000'000)) ==
        R"({"time":"2026-01-01T00:00:00Z","level":"info","message":"sent","job":"12","kind":"mail",)"
        R"("queue":"slow","run":1,"attempt":2,"worker":"w-1","node":3,)"
        R"("fields":{"bytes":42,"left":-1,"ok":false,"to":"ada"}})");
  CHECK(quern::to_json({.level = LogLevel::error, .message = ""}) == R"({"level":"error","message":""})");
}

TEST_CASE("no text can break out of a line of JSON", "[log]") {
  const std::string evil = "a\"b\\c\nd\te\rf\x01g\x7fh\xC2\x85i\xE2\x80\xA8j\xE2\x80\xA9k\xFFl\xED\xA0\x80m" +
                           std::string(1, '\0') + "n\xC3\xA9";
  const std::vector<LogField> fields{{evil, evil},
                                     {"nan", std::numeric_limits<double>::quiet_NaN()},
                                     {"inf", std::numeric_limits<double>::infinity()}};
  const std::string line = quern::to_json({.message = evil, .kind = evil, .fields = fields});
  for (const char c : line) CHECK((static_cast<unsigned char>(c) >= 0x20 && c != '\x7f'));
  CHECK(line.find("\xC2\x85") == std::string::npos);
  CHECK(line.find("\xE2\x80\xA8") == std::string::npos);
  const auto read = nlohmann::json::parse(line);
  const std::string back = "a\"b\\c\nd\te\rf\x01g\x7fh\xC2\x85i\xE2\x80\xA8j\xE2\x80\xA9k\xEF\xBF\xBDl" +
                           std::string("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDm") + std::string(1, '\0') +
                           "n\xC3\xA9";
  CHECK(read["message"] == back);
  CHECK(read["kind"] == back);
  CHECK(read["fields"][back] == back);
  CHECK(read["fields"]["nan"].is_null());
  CHECK(read["fields"]["inf"].is_null());
}

TEST_CASE("no text can break out of a line of plain text", "[log]") {
  const std::vector<LogField> fields{{"a", "two words"}, {"b", ""}, {"c", "x\"y"}, {"d", "1\n2"}};
  CHECK(quern::to_text({.message = "up\nlevel=\x1b[31m\xFF \"as it is\"", .fields = fields}) ==
        "up\\nlevel=\\x1b[31m\xEF\xBF\xBD \"as it is\" a=\"two words\" b=\"\" c=\"x\\\"y\" d=1\\n2");
}

TEST_CASE("a secret in a field is not shown", "[log]") {
  const quern::Secret password = "correct horse";
  const std::vector<LogField> fields{{"password", password}};
  CHECK(quern::to_text({.message = "in", .fields = fields}) == "in password=***");
}
