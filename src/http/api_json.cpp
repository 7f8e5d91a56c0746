#include <algorithm>

#include "http/api_context.hpp"
#include "quern/core/detail/redactor.hpp"
#include "quern/core/log.hpp"
#include "quern/queue/job_log.hpp"
#include "quern/queue/why_not_running.hpp"

namespace quern::inline v1::http {
namespace {

std::string_view to_text(AttemptFault fault) {
  switch (fault) {
    case AttemptFault::timeout:
      return "timeout";
    case AttemptFault::crash:
      return "crash";
    case AttemptFault::error:
      break;
  }
  return "error";
}

std::string_view to_text(ParentPolicy policy) {
  switch (policy) {
    case ParentPolicy::run:
      return "run";
    case ParentPolicy::stay_blocked:
      return "stay_blocked";
    case ParentPolicy::cancel:
      break;
  }
  return "cancel";
}

Json json_of(const AttemptError& error) {
  Json json;
  json["attempt"] = error.attempt;
  json["at"] = to_rfc3339(error.at);
  json["fault"] = to_text(error.fault);
  json["message"] = error.message;
  return json;
}

Json json_of(const std::vector<JobId>& ids) {
  Json json = Json::array();
  for (const JobId id : ids) json.push_back(to_string(id));
  return json;
}

Json json_of(const JobLog& log) {
  Json lines = Json::array();
  for (const JobLogLine& line : log.lines) {
    Json& one = lines.emplace_back();
    one["at"] = to_rfc3339(line.time);
    one["level"] = to_string(line.level);
    one["run"] = line.run;
    one["attempt"] = line.attempt;
    one["message"] = line.message;
    Json fields = Json::object();
    for (const LoggedField& field : line.fields) fields[field.key] = field.value;
    one["fields"] = std::move(fields);
    if (line.dropped > 0) one["dropped"] = line.dropped;
  }
  Json json;
  json["lines"] = std::move(lines);
  json["dropped"] = log.dropped;
  return json;
}

Json json_of(const WhyNotRunning& why) {
  Json json;
  json["reason"] = to_string(why.reason);
  json["text"] = why.text;
  if (why.until != TimePoint{}) json["until"] = to_rfc3339(why.until);
  if (!why.parents.empty()) json["parents"] = json_of(why.parents);
  if (why.since) json["since"] = to_rfc3339(*why.since);
  if (!why.limit.empty()) json["limit"] = why.limit;
  return json;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool contains(std::string_view text, std::string_view name) {
  return std::ranges::search(text, name, [](char a, char b) { return lower(a) == lower(b); }).begin() !=
         text.end();
}

bool names_a_secret(std::string_view name, const std::vector<std::string>& secrets) {
  return std::ranges::any_of(secrets, [&](const std::string& secret) { return contains(name, secret); });
}

// Not recursive beyond the depth that a payload may have.
void hide(Json& json, const std::vector<std::string>& secrets) {
  if (json.is_object()) {
    for (auto member = json.begin(); member != json.end(); ++member) {
      if (names_a_secret(member.key(), secrets) && !member.value().is_null())
        member.value() = "***";
      else
        hide(member.value(), secrets);
    }
  } else if (json.is_array()) {
    for (Json& one : json) hide(one, secrets);
  }
}

/// A job that names none has those of its kind here, or of the configuration; on another node that may be otherwise.
int most_attempts(const ApiContext& api, const Job& job) {
  if (job.max_attempts > 0) return job.max_attempts;
  const HandlerRegistry::Entry* const entry = api.host.handlers().find(job.kind);
  if (entry != nullptr && entry->options.max_attempts > 0) return entry->options.max_attempts;
  return api.host.queue().config().default_max_retries + 1;
}

}  // namespace

std::string without_secrets(const ApiContext& api, const std::string& kind, const std::string& text) {
  std::string shown = text;
  const HandlerRegistry::Entry* const entry = api.host.handlers().find(kind);
  if (entry != nullptr && entry->secrets != nullptr) {
    try {
      quern::detail::Redactor redactor;
      entry->secrets(Payload::json(text), redactor);
      shown = redactor.redact(shown);
    } catch (const InvalidArgument&) {
      // It is no payload of that kind, so what is secret in it is not known.
      return R"("***")";
    }
  }
  if (!names_a_secret(shown, api.options.secret_names)) return shown;
  Json json = Json::parse(shown);
  hide(json, api.options.secret_names);
  return json.dump();
}

bool has_secrets(const ApiContext& api, const Job& job) {
  const auto hides = [&](const Payload& payload) {
    return without_secrets(api, job.kind, payload.text()) != payload.text();
  };
  return hides(job.payload) || (job.result && hides(*job.result));
}

Json summary_of(const ApiContext& api, const Job& job) {
  Json json;
  json["id"] = to_string(job.id);
  json["kind"] = job.kind;
  json["queue"] = job.queue;
  json["state"] = to_string(job.state);
  json["priority"] = job.priority.level;
  if (!job.tenant.empty()) json["tenant"] = job.tenant;
  json["tags"] = job.tags;
  if (!job.unique_key.empty()) json["unique_key"] = job.unique_key;
  if (!job.created_by.empty()) json["created_by"] = job.created_by;
  if (!job.digest.empty()) json["digest"] = job.digest;
  json["run"] = job.run;
  json["attempt"] = job.attempt;
  json["max_attempts"] = most_attempts(api, job);
  json["cancel_requested"] = job.cancel_requested;
  json["created_at"] = to_rfc3339(job.created_at);
  json["run_at"] = to_rfc3339(job.run_at);
  if (job.deadline) json["deadline"] = to_rfc3339(*job.deadline);
  if (job.started_at) json["started_at"] = to_rfc3339(*job.started_at);
  if (job.finished_at) json["finished_at"] = to_rfc3339(*job.finished_at);
  if (job.timeout != Duration::zero()) json["timeout"] = quern::to_text(job.timeout);
  if (job.node != 0) json["node"] = std::to_string(job.node);
  if (job.progress != Progress{}) {
    json["progress"]["percent"] = job.progress.percent;
    json["progress"]["message"] = job.progress.message;
  }
  if (job.dead_reason != DeadReason::none) json["dead_reason"] = to_string(job.dead_reason);
  if (!job.end_message.empty()) json["end_message"] = job.end_message;
  if (!job.errors.empty()) json["last_error"] = json_of(job.errors.back());
  return json;
}

std::string details_of(const ApiContext& api, const Job& job, bool show_secrets) {
  Json json = summary_of(api, job);
  Json errors = Json::array();
  for (const AttemptError& error : job.errors) errors.push_back(json_of(error));
  json["errors"] = std::move(errors);
  json["parents"] = json_of(job.parents);
  json["on_parent_failure"] = to_text(job.on_parent_failure);
  json["epoch"] = job.epoch;
  json["crashes"] = job.crashes;
  json["snoozes"] = job.snoozes;
  if (!job.trace.empty()) json["trace"] = job.trace;
  json["log"] = json_of(quern::detail::read_log(api.storage().steps(job.id)));
  if (const auto why = why_not_running(api.storage(), job.id)) json["why_not_running"] = json_of(*why);

  // Payloads stand there as they are: a number that a double can't hold exactly stays as it was written.
  const auto shown = [&](const Payload& payload) {
    return show_secrets ? payload.text() : without_secrets(api, job.kind, payload.text());
  };
  std::string text = json.dump();
  text.pop_back();
  text += ",\"payload\":";
  text += shown(job.payload);
  if (job.result) {
    text += ",\"result\":";
    text += shown(*job.result);
  }
  text += '}';
  return text;
}

}  // namespace quern::inline v1::http
