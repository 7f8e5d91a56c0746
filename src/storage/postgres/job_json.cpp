#include "storage/postgres/job_json.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

namespace quern::inline v1::postgres {

Moment moment_of(When when) {
  if (when.immediate()) return {};
  const TimePoint from_zero = when.resolve(from_us(0));
  // One that does not move with the clock is absolute; so is a wait that ends beyond all time.
  if (from_zero == when.resolve(from_us(1))) return {.at = to_us(from_zero)};
  return {.after = to_us(from_zero)};
}

int states_of(const Unique& unique) noexcept {
  return (unique.while_completed ? 1 : 0) | (unique.while_dead ? 2 : 0) | (unique.while_cancelled ? 4 : 0);
}

nlohmann::json job_json(const NewJob& job, int lane) {
  nlohmann::json json{{"id", job.id.value},
                      {"lane", lane},
                      {"priority", job.priority.level},
                      {"max_attempts", job.max_attempts},
                      {"payload", job.payload.text()}};
  const auto put_moment = [&](When when, const char* at, const char* after) {
    const Moment moment = moment_of(when);
    if (moment.at) json[at] = *moment.at;
    if (moment.after) json[after] = *moment.after;
  };
  put_moment(job.run_at, "at", "after");
  if (job.deadline) {
    put_moment(*job.deadline, "deadline_at", "deadline_after");
    if (job.deadline->immediate()) json["deadline_after"] = 0;
  }
  if (job.timeout != Duration::zero()) json["timeout"] = job.timeout.count();
  const auto put_text = [&](const char* name, const std::string& text) {
    if (!text.empty()) json[name] = text;
  };
  put_text("tenant", job.tenant);
  put_text("created_by", job.created_by);
  put_text("digest", job.digest);
  put_text("trace", job.trace);
  if (!job.tags.empty()) json["tags"] = job.tags;
  if (!job.unique.key.empty()) {
    json["key"] = job.unique.key;
    json["period"] = job.unique.period.count();
    json["states"] = states_of(job.unique);
    json["conflict"] = static_cast<int>(job.unique.on_conflict);
  }
  if (!job.parents.empty()) {
    auto& parents = json["parents"];
    for (const JobId parent : job.parents) parents.push_back(parent.value);
  }
  if (job.on_parent_failure != ParentPolicy::cancel) json["policy"] = static_cast<int>(job.on_parent_failure);
  return json;
}

std::string join_tags(const std::vector<std::string>& tags) {
  std::string text;
  for (const std::string& tag : tags) {
    if (!text.empty()) text += '\x1f';
    text += tag;
  }
  return text;
}

std::vector<std::string> split_tags(std::string_view text) {
  std::vector<std::string> tags;
  while (!text.empty()) {
    const auto end = std::min(text.find('\x1f'), text.size());
    tags.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return tags;
}

std::vector<JobId> split_ids(std::string_view text) {
  std::vector<JobId> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    JobId& id = ids.emplace_back();
    at = std::from_chars(at, end, id.value).ptr;
    if (at < end) ++at;  // the comma
  }
  return ids;
}

std::string dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace quern::inline v1::postgres
