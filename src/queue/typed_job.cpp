#include "quern/queue/typed_job.hpp"

namespace quern::inline v1 {

NewJob make_job(std::string_view kind, Payload payload, const JobDefaults& defaults) {
  NewJob made{.kind = std::string(kind), .payload = std::move(payload), .queue = std::string(defaults.queue)};
  made.priority = defaults.priority.value_or(Priority::normal);
  made.max_attempts = defaults.max_attempts;
  made.timeout = defaults.timeout;
  return made;
}

NewJob make_job(std::string_view kind, Payload payload, const JobDefaults& defaults, JobOptions options) {
  NewJob made = make_job(kind, std::move(payload), defaults);
  if (!options.queue.empty()) made.queue = std::move(options.queue);
  if (options.priority) made.priority = *options.priority;
  made.run_at = options.run_at;
  made.deadline = options.deadline;
  if (options.max_attempts != 0) made.max_attempts = options.max_attempts;
  if (options.timeout != Duration::zero()) made.timeout = options.timeout;
  made.tenant = std::move(options.tenant);
  made.tags = std::move(options.tags);
  made.unique = std::move(options.unique);
  made.parents = std::move(options.parents);
  made.on_parent_failure = options.on_parent_failure;
  made.created_by = std::move(options.created_by);
  made.digest = std::move(options.digest);
  made.trace = std::move(options.trace);
  return made;
}

}  // namespace quern::inline v1
