#include "schedule/cron_describe.hpp"

#include "schedule/cron_words.hpp"

namespace quern::inline v1::detail {

std::string describe_cron(const CronFields& fields) { return describe_time(fields) + describe_dates(fields); }

std::string describe_zone(std::string_view name) {
  // "Etc/GMT+5" means nothing without its first half.
  if (name == "Etc/UTC") return "UTC";
  if (name.starts_with("Etc/")) return std::string(name);
  std::string text(name.substr(name.rfind('/') + 1));
  for (char& c : text)
    if (c == '_') c = ' ';
  return text;
}

}  // namespace quern::inline v1::detail
