#include "quern/spdlog.hpp"

#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "support/catch.hpp"

namespace {

struct Logged {
  std::ostringstream out;
  std::shared_ptr<spdlog::logger> logger =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));

  Logged() { logger->set_pattern("%l: %v"); }
};

}  // namespace

TEST_CASE("spdlog gets the message with its fields, at the level that it had", "[log]") {
  Logged to;
  to.logger->set_level(spdlog::level::trace);
  const quern::Logger log = quern::spdlog_logger(to.logger);
  const quern::LogField bytes("bytes", 42);
  log({.level = quern::LogLevel::info,
       .message = "sent {} 100%",
       .job = quern::JobId{12},
       .kind = "mail",
       .attempt = 2,
       .fields = std::span(&bytes, 1)});
  log_to(log, quern::LogLevel::debug, "one");
  log_to(log, quern::LogLevel::warning, "two");
  log_to(log, quern::LogLevel::error, "three\nlines");
  CHECK(to.out.str() ==
        "info: sent {} 100% job=12 kind=mail attempt=2 bytes=42\n"
        "debug: one\nwarning: two\nerror: three\\nlines\n");
}

TEST_CASE("what is below the level of the spdlog logger or of the adapter is not written", "[log]") {
  Logged to;
  to.logger->set_level(spdlog::level::warn);
  const quern::Logger log = quern::spdlog_logger(to.logger);
  log_to(log, quern::LogLevel::info, "low");
  log_to(log, quern::LogLevel::warning, "high");
  to.logger->set_level(spdlog::level::trace);
  const quern::Logger errors = quern::spdlog_logger(to.logger, quern::LogLevel::error);
  CHECK_FALSE(errors.wants(quern::LogLevel::warning));
  log_to(errors, quern::LogLevel::warning, "not asked");
  log_to(errors, quern::LogLevel::error, "asked");
  CHECK(to.out.str() == "warning: high\nerror: asked\n");
}

TEST_CASE("without a spdlog logger nothing is logged", "[log]") {
  CHECK_FALSE(quern::spdlog_logger(nullptr));
}
