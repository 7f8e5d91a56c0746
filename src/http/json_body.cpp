#include "http/json_body.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1::http {

nlohmann::json object_of(const Request& request, bool may_be_empty) {
  if (request.body.empty() && may_be_empty) return nlohmann::json::object();
  JobLimits limits;
  limits.json_depth = most_body_depth;
  limits.payload_bytes = std::numeric_limits<std::size_t>::max();  // the server has bounded it
  try {
    check_json(request.body, "body", limits);
  } catch (const InvalidArgument& error) {
    throw Problem::malformed(error.what());
  }
  auto body = nlohmann::json::parse(request.body);
  if (!body.is_object()) throw Problem::invalid("", "must be an object");
  return body;
}

void expect_no_members(const Request& request) {
  const nlohmann::json body = object_of(request, true);
  std::vector<FieldFault> faults;
  Members(body, "", faults).end();
  throw_if_any(std::move(faults));
}

std::string pointer_part(std::string_view name) {
  std::string part;
  for (const char c : name) {
    if (c == '~')
      part += "~0";
    else if (c == '/')
      part += "~1";
    else
      part += c;
  }
  return part;
}

std::string pointer_to(std::string_view field) {
  std::string pointer;
  std::string part;
  const auto take = [&] {
    if (!part.empty()) pointer.append("/").append(pointer_part(part));
    part.clear();
  };
  for (const char c : field) {
    if (c == '.' || c == '[')
      take();
    else if (c != ']')
      part += c;
  }
  take();
  return pointer;
}

std::string problem_of(const InvalidArgument& error) {
  const std::string_view text = error.what();
  return std::string(text.substr(std::min(text.size(), error.field().size() + 2)));
}

Members::Members(const Json& object, std::string where, std::vector<FieldFault>& faults)
    : object_(object), where_(std::move(where)), faults_(faults) {
  if (!object_.is_object()) faults_.push_back({where_, "must be an object"});
}

const Members::Json* Members::find(const char* name) {
  known_.emplace(name);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string Members::place(std::string_view name) const { return where_ + "/" + pointer_part(name); }

void Members::fault(std::string_view name, std::string detail) {
  faults_.push_back({place(name), std::move(detail)});
}

bool Members::text(const char* name, std::string& to) {
  const Json* const found = find(name);
  if (found == nullptr) return false;
  if (!found->is_string()) {
    fault(name, "must be a text");
    return false;
  }
  to = found->get<std::string>();
  return true;
}

bool Members::flag(const char* name, bool& to) {
  const Json* const found = find(name);
  if (found == nullptr) return false;
  if (!found->is_boolean()) {
    fault(name, "must be true or false");
    return false;
  }
  to = found->get<bool>();
  return true;
}

bool Members::count(const char* name, std::uint64_t& to, std::uint64_t least, std::uint64_t most) {
  const Json* const found = find(name);
  if (found == nullptr) return false;
  const bool is_count =
      found->is_number_integer() && (found->is_number_unsigned() || found->get<std::int64_t>() >= 0);
  const std::uint64_t value = is_count ? found->get<std::uint64_t>() : 0;
  if (!is_count || value < least || value > most) {
    fault(name, fmt::format("must be a whole number from {} to {}", least, most));
    return false;
  }
  to = value;
  return true;
}

bool Members::number(const char* name, int& to, int least, int most) {
  std::uint64_t value = 0;
  if (!count(name, value, static_cast<std::uint64_t>(least), static_cast<std::uint64_t>(most))) return false;
  to = static_cast<int>(value);
  return true;
}

bool Members::duration(const char* name, Duration& to) {
  std::string given;
  if (!text(name, given)) return false;
  try {
    to = parse_duration(given);
    return true;
  } catch (const InvalidArgument&) {
    fault(name, "must be a duration, such as \"250ms\", \"90s\" or \"1h30m\"");
    return false;
  }
}

bool Members::time(const char* name, TimePoint& to) {
  std::string given;
  if (!text(name, given)) return false;
  try {
    to = parse_rfc3339(given);
    return true;
  } catch (const InvalidArgument&) {
    fault(name, "must be a time, such as \"2026-01-31T08:30:00Z\"");
    return false;
  }
}

bool Members::time(const char* name, std::optional<TimePoint>& to) {
  TimePoint given;
  if (!time(name, given)) return false;
  to = given;
  return true;
}

bool Members::texts(const char* name, std::vector<std::string>& to) {
  const Json* const found = array(name);
  if (found == nullptr) return false;
  std::vector<std::string> all;
  for (const Json& one : *found) {
    if (!one.is_string()) {
      fault(name, "must be a list of texts");
      return false;
    }
    all.push_back(one.get<std::string>());
  }
  to = std::move(all);
  return true;
}

bool Members::ids(const char* name, std::vector<JobId>& to) {
  std::vector<std::string> given;
  if (!texts(name, given)) return false;
  std::vector<JobId> all;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto id = parse_job_id(given[i]);
    if (!id) {
      faults_.push_back({fmt::format("{}/{}", place(name), i), "must be a job's id, as a text of digits"});
      return false;
    }
    all.push_back(*id);
  }
  to = std::move(all);
  return true;
}

bool Members::json(const char* name, std::string& to) {
  known_.emplace(name);
  if (!object_.is_object()) return false;
  const auto found = object_.find(name);
  if (found == object_.end()) return false;
  to = found->dump();
  return true;
}

const Members::Json* Members::object(const char* name) {
  const Json* const found = find(name);
  if (found == nullptr || found->is_object()) return found;
  fault(name, "must be an object");
  return nullptr;
}

const Members::Json* Members::array(const char* name) {
  const Json* const found = find(name);
  if (found == nullptr || found->is_array()) return found;
  fault(name, "must be a list");
  return nullptr;
}

std::optional<When> Members::when(const char* at, const char* in) {
  TimePoint time_point;
  Duration wait{0};
  const bool has_time = time(at, time_point);
  const bool has_wait = duration(in, wait);
  if (has_time && has_wait) fault(in, fmt::format("can't stand beside \"{}\"", at));
  if (has_wait) return When::after(wait);
  if (has_time) return When::at(time_point);
  return std::nullopt;
}

void Members::required(const char* name) {
  if (find(name) == nullptr) fault(name, "is missing");
}

void Members::end() {
  if (!object_.is_object()) return;
  for (auto member = object_.begin(); member != object_.end(); ++member)
    if (!known_.contains(member.key())) fault(member.key(), "is not known here");
}

void throw_if_any(std::vector<FieldFault> faults) {
  if (!faults.empty()) throw Problem::invalid(std::move(faults));
}

Query::Query(const Request& request) : all_(request.query()) {}

std::string Query::text(std::string_view name) {
  known_.emplace(name);
  std::string value;
  bool there = false;
  for (const Parameter& one : all_) {
    if (one.name != name) continue;
    if (there) fault(name, "stands twice");
    there = true;
    value = one.value;
  }
  return value;
}

std::vector<std::string> Query::list(std::string_view name) {
  known_.emplace(name);
  std::vector<std::string> values;
  for (const Parameter& one : all_) {
    if (one.name != name) continue;
    std::string_view rest = one.value;
    while (!rest.empty()) {
      const std::string_view part = rest.substr(0, std::min(rest.find(','), rest.size()));
      rest.remove_prefix(std::min(part.size() + 1, rest.size()));
      if (!part.empty()) values.emplace_back(part);
    }
  }
  return values;
}

std::uint64_t Query::count(std::string_view name, std::uint64_t otherwise, std::uint64_t least,
                           std::uint64_t most) {
  const std::string given = text(name);
  if (given.empty()) return otherwise;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  if (error == std::errc{} && end == given.data() + given.size() && value >= least && value <= most)
    return value;
  fault(name, fmt::format("must be a whole number from {} to {}", least, most));
  return otherwise;
}

std::optional<TimePoint> Query::time(std::string_view name) {
  const std::string given = text(name);
  if (given.empty()) return std::nullopt;
  try {
    return parse_rfc3339(given);
  } catch (const InvalidArgument&) {
    fault(name, "must be a time, such as 2026-01-31T08:30:00Z");
    return std::nullopt;
  }
}

std::optional<Duration> Query::duration(std::string_view name) {
  const std::string given = text(name);
  if (given.empty()) return std::nullopt;
  try {
    return parse_duration(given);
  } catch (const InvalidArgument&) {
    fault(name, "must be a duration, such as 90s or 1h30m");
    return std::nullopt;
  }
}

JobId Query::id(std::string_view name) {
  const std::string given = text(name);
  if (given.empty()) return {};
  if (const auto id = parse_job_id(given)) return *id;
  fault(name, "must be a job's id");
  return {};
}

void Query::fault(std::string_view name, std::string detail) {
  faults_.push_back({fmt::format("query:{}", name), std::move(detail)});
}

void Query::end() {
  for (const Parameter& one : all_)
    if (!known_.contains(one.name)) fault(one.name, "is not known here");
  throw_if_any(std::move(faults_));
}

}  // namespace quern::inline v1::http
