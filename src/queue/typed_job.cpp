#include "quern/queue/typed_job.hpp"

namespace quern::inline v1 {

NewJob make_job(std::string_view kind, Payload payload, const JobDefaults& defaults, JobOptions options) {
  NewJob made;
  made.kind = kind;
  made.payload = std::move(payload);
  made.queue = options.queue.empty() ? std::string(defaults.queue) : std::move(options.queue);
  made.priority = options.priority.value_or(defaults.priority.value_or(Priority::normal));
  made.run_at = options.run_at;
  made.deadline = options.deadline;
  made.max_attempts = options.max_attempts != 0 ? options.max_attempts : defaults.max_attempts;
  made.timeout = options.timeout != Duration::zero() ? options.timeout : defaults.timeout;
  made.tenant = std::move(options.tenant);
  made.tags = std::move(options.tags);
  made.unique = std::move(options.unique);
  made.parents = std::move(options.parents);
  made.on_parent_failure = options.on_parent_failure;
  made.created_by = std::move(options.created_by);
  made.digest = std::move(options.digest);
  return made;
}

}  // namespace quern::inline v1
