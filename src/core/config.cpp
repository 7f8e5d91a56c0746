#include "quern/core/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "core/setting_values.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1 {
namespace {

using Json = nlohmann::json;
using detail::Range;

constexpr Duration day = std::chrono::hours(24);
constexpr Range<Duration> wait_range{RetryPolicy::minimum, RetryPolicy::longest};
constexpr Range<Duration> retention_range{Duration::zero(), 36'500 * day};

/// The one list of all settings: `visit(path, member, range)` for each. Config is JobQueueConfig or const.
template <class Config, class Visit>
void for_each_setting(Config& config, const Visit& visit) {
  visit("maxConcurrentJobs", config.max_concurrent_jobs, Range<int>{1, 100'000});
  visit("retryDelay", config.retry_delay, wait_range);
  visit("maxRetryDelay", config.max_retry_delay, wait_range);
  visit("retryBackoffFactor", config.retry_backoff_factor, Range<double>{1, 100});
  visit("defaultMaxRetries", config.default_max_retries, Range<int>{0, 999'999});
  visit("jobTimeout", config.job_timeout, wait_range);
  visit("cleanupInterval", config.cleanup_interval, wait_range);
  visit("persistenceInterval", config.persistence_interval, wait_range);
  visit("enableMetrics", config.enable_metrics, Range<bool>{false, true});
  visit("retention.completed", config.retention.completed, retention_range);
  visit("retention.cancelled", config.retention.cancelled, retention_range);
  visit("retention.dead", config.retention.dead, retention_range);
  visit("limits.payloadBytes", config.limits.payload_bytes, Range<std::size_t>{1, std::size_t{512} << 20U});
  visit("limits.jsonDepth", config.limits.json_depth, Range<int>{1, 1'000});
}

// The one setting that is no single value, and so is not in that list.
constexpr const char* kinds_path = "retention.kinds";

/// The same for a kind's own retention: `visit(name, member)`.
template <class Config, class Visit>
void for_each_duration(Config& kind, const Visit& visit) {
  visit("completed", kind.completed);
  visit("cancelled", kind.cancelled);
  visit("dead", kind.dead);
}

/// What a fault calls a kind: a kind may hold dots. `name` is what it calls the setting.
std::string kind_name(const std::string& name, const std::string& kind) {
  constexpr std::size_t longest_shown = 64;
  return fmt::format("{}[\"{}\"]", name, clean_message(kind, longest_shown));
}

/// Gathers what is wrong; `name_of` says what a fault calls a setting (its path, or its variable).
class Faults {
 public:
  void add(const std::string& name, const std::string& problem) {
    names_.insert(name);
    lines_.push_back(name + ": " + problem);
  }
  [[nodiscard]] bool has(const std::string& name) const { return names_.contains(name); }
  void throw_if_any() {
    if (!lines_.empty()) throw ConfigError(std::move(lines_));
  }

 private:
  std::set<std::string> names_;
  std::vector<std::string> lines_;
};

void check_kinds(const std::map<std::string, KindRetention>& kinds, const std::string& name, Faults& faults) {
  for (const auto& [kind, keep] : kinds) {
    const std::string path = kind_name(name, kind);
    if (kind.empty()) faults.add(path, "must not be empty");
    try {
      check_text(kind, "kind", JobLimits{}.name_bytes);
    } catch (const InvalidArgument& e) {
      faults.add(path, std::string(e.what()).substr(std::string_view("kind: ").size()));
    }
    for_each_duration(keep, [&](const char* field, const std::optional<Duration>& value) {
      if (!value) return;
      if (const auto problem = detail::out_of(*value, retention_range); !problem.empty())
        faults.add(path + '.' + field, problem);
    });
  }
}

/// Range checks of everything, and those between settings. `name_of(path)` is what a fault calls a setting.
template <class NameOf>
void check_settings(const JobQueueConfig& config, const NameOf& name_of, Faults& faults) {
  for_each_setting(config, [&](const char* path, const auto& value, const auto& range) {
    if (faults.has(name_of(path))) return;  // it has no value yet
    if (const auto problem = detail::out_of(value, range); !problem.empty())
      faults.add(name_of(path), problem);
  });
  check_kinds(config.retention.kinds, name_of(kinds_path), faults);
  const auto delay = name_of("retryDelay");
  const auto ceiling = name_of("maxRetryDelay");
  if (!faults.has(delay) && !faults.has(ceiling) && config.retry_delay > config.max_retry_delay) {
    faults.add(delay, fmt::format("is {}, which is more than {} ({})", to_text(config.retry_delay), ceiling,
                                  to_text(config.max_retry_delay)));
  }
}

/// Reads what stands under the name, kind by kind.
void read_kinds(const Json& json, const std::string& name, std::map<std::string, KindRetention>& kinds,
                Faults& faults) {
  if (!json.is_object()) return faults.add(name, "must be an object, with the kinds as its names");
  kinds.clear();
  for (const auto& [kind, durations] : json.items()) {
    const std::string path = kind_name(name, kind);
    KindRetention& keep = kinds[kind];
    if (!durations.is_object()) {
      faults.add(path, "must be an object");
      continue;
    }
    std::size_t known = 0;
    for_each_duration(keep, [&](const char* field, std::optional<Duration>& value) {
      const auto found = durations.find(field);
      if (found == durations.end()) return;
      ++known;
      Duration read_value{};
      if (const auto problem = detail::read_setting(*found, read_value); !problem.empty()) {
        faults.add(path + '.' + field, problem);
      } else {
        value = read_value;
      }
    });
    if (known == durations.size()) continue;
    const KindRetention names;
    for (const auto& [field, ignored] : durations.items()) {
      bool is_known = false;
      for_each_duration(names, [&](const char* one, const auto&) { is_known = is_known || field == one; });
      if (!is_known)
        faults.add(kind_name(path, field), "is not known, there are completed, cancelled and dead");
    }
  }
}

const std::vector<std::string>& all_paths() {
  static const std::vector<std::string> paths = [] {
    std::vector<std::string> all;
    const JobQueueConfig config;
    for_each_setting(config, [&](const char* path, const auto&, const auto&) { all.emplace_back(path); });
    all.emplace_back(kinds_path);
    return all;
  }();
  return paths;
}

/// Finds the names that no setting has, in the object and in those that it contains.
void check_names(const Json& object, const std::string& prefix, Faults& faults) {
  constexpr std::size_t longest_shown = 64;
  for (const auto& [name, value] : object.items()) {
    const std::string path = prefix + name;
    const bool dotted = name.find('.') != std::string::npos;  // "retention.dead" as one name is not that path
    if (!dotted && std::ranges::find(all_paths(), path) != all_paths().end()) continue;
    const bool group =
        std::ranges::any_of(all_paths(), [&](const auto& p) { return p.starts_with(path + '.'); });
    if (!group) {
      const auto text = clean_message(path, longest_shown);
      faults.add(text,
                 fmt::format("is not known; did you mean {}?", detail::nearest_name(text, all_paths())));
    } else if (value.is_object()) {
      check_names(value, path + '.', faults);
    } else {
      faults.add(path, "must be an object");
    }
  }
}

/// The value at a path such as "retention.dead"; null where there is none.
const Json* find_path(const Json& object, std::string_view path) {
  const Json* at = &object;
  while (true) {
    const auto dot = path.find('.');
    if (!at->is_object()) return nullptr;
    const auto found = at->find(std::string(path.substr(0, dot)));
    if (found == at->end()) return nullptr;
    at = &*found;
    if (dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
}

}  // namespace

RetryPolicy JobQueueConfig::retry_policy() const {
  return RetryPolicy::exponential(retry_delay, max_retry_delay, retry_backoff_factor);
}

void JobQueueConfig::validate() const {
  Faults faults;
  check_settings(*this, [](const char* path) { return std::string(path); }, faults);
  faults.throw_if_any();
}

std::string to_json(const JobQueueConfig& config) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for_each_setting(config, [&](std::string_view path, const auto& value, const auto&) {
    const auto dot = path.find('.');
    auto& group = dot == std::string_view::npos ? json : json[std::string(path.substr(0, dot))];
    auto& place = group[std::string(path.substr(dot == std::string_view::npos ? 0 : dot + 1))];
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Duration>)
      place = to_text(value);
    else
      place = value;
  });
  auto& kinds = json["retention"]["kinds"] = nlohmann::ordered_json::object();
  for (const auto& [kind, keep] : config.retention.kinds) {
    auto& place = kinds[kind] = nlohmann::ordered_json::object();
    for_each_duration(keep, [&](const char* name, const std::optional<Duration>& value) {
      if (value) place[name] = to_text(*value);
    });
  }
  return json.dump();
}

JobQueueConfig JobQueueConfig::from_json(std::string_view text) {
  Faults faults;
  try {
    check_json(text, "configuration", JobLimits{});
  } catch (const InvalidArgument& e) {
    throw ConfigError({e.what()});
  }
  const Json json = Json::parse(text);
  if (!json.is_object()) throw ConfigError({"configuration: must be a JSON object"});

  JobQueueConfig config;
  check_names(json, "", faults);
  for_each_setting(config, [&](const char* path, auto& value, const auto&) {
    const Json* const found = find_path(json, path);
    if (found == nullptr) return;
    if (const auto problem = detail::read_setting(*found, value); !problem.empty()) faults.add(path, problem);
  });
  if (const Json* const kinds = find_path(json, kinds_path))
    read_kinds(*kinds, kinds_path, config.retention.kinds, faults);
  check_settings(config, [](const char* path) { return std::string(path); }, faults);
  faults.throw_if_any();
  return config;
}

JobQueueConfig JobQueueConfig::from_environment(JobQueueConfig base) {
  return from_environment(std::move(base), [](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): read at start
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

JobQueueConfig JobQueueConfig::from_environment(JobQueueConfig base, const Lookup& get) {
  Faults faults;
  std::set<std::string> given;
  for_each_setting(base, [&](const char* path, auto& value, const auto&) {
    const auto variable = detail::variable_of(path);
    const auto text = get(variable);
    if (!text || text->empty()) return;  // container tools pass a variable without a value as an empty one
    given.insert(path);
    if (const auto problem = detail::read_setting(detail::json_of_variable(*text), value); !problem.empty())
      faults.add(variable, problem);
  });
  const auto kinds_variable = detail::variable_of(kinds_path);
  if (const auto text = get(kinds_variable); text && !text->empty()) {
    given.insert(kinds_path);
    try {
      check_json(*text, kinds_variable, JobLimits{});
      read_kinds(Json::parse(*text), kinds_variable, base.retention.kinds, faults);
    } catch (const InvalidArgument& e) {
      faults.add(kinds_variable, std::string(e.what()).substr(kinds_variable.size() + 2));
    }
  }
  const auto name_of = [&](const char* path) {
    return given.contains(path) ? detail::variable_of(path) : path;
  };
  check_settings(base, name_of, faults);
  faults.throw_if_any();
  return base;
}

}  // namespace quern::inline v1
