#pragma once

#include <exception>
#include <nlohmann/json.hpp>
#include <quern/cron.hpp>
#include <string>

/// Answers questions about cron expressions as JSON, one object a line.
namespace cron_jsonl {

inline nlohmann::json next_of(const nlohmann::json& question, const quern::ZoneDatabase& zones,
                              quern::TimePoint now) {
  if (!question.is_object() || !question.contains("expr"))
    throw quern::InvalidArgument(
        "question",
        "has to be an object with \"expr\"; \"tz\", \"from\", \"n\" and \"name\" may be left out");
  const auto expression = quern::CronExpression::parse(question.at("expr").get<std::string>(),
                                                       question.value("name", std::string()));
  const quern::CronSchedule schedule(expression, zones.find(question.value("tz", std::string("UTC"))));
  const auto from =
      question.contains("from") ? quern::parse_rfc3339(question.at("from").get<std::string>()) : now;
  const auto count = question.value("n", std::int64_t{5});
  constexpr std::int64_t most = 100'000;
  if (count < 0 || count > most) throw quern::InvalidArgument("n", "has to be a number from 0 to 100000");

  nlohmann::json answer = {{"next", nlohmann::json::array()}};
  std::optional<quern::TimePoint> at = from;
  for (std::int64_t i = 0; i < count; ++i) {
    at = schedule.next(*at);
    if (!at) break;
    answer["next"].push_back(quern::to_rfc3339(*at));
  }
  return answer;
}

/// {"expr","tz","from","n"} becomes {"next":[...]} or {"error":"..."}. `now` stands in where there is no "from".
inline std::string answer(const std::string& line, const quern::ZoneDatabase& zones, quern::TimePoint now) {
  nlohmann::json answer;
  try {
    answer = next_of(nlohmann::json::parse(line), zones, now);
  } catch (const std::exception& e) {
    answer = {{"error", e.what()}};
  }
  return answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace cron_jsonl
