// A file of a host that only enqueues. .ci/run prints what it costs to compile.
#include <quern/job_queue.hpp>

struct SendMail {
  static constexpr std::string_view kind = "mail.send";
  int user_id = 0;
  std::string subject;
};
QUERN_FIELDS(SendMail, user_id, subject)

quern::JobId welcome(quern::JobQueue<>& queue, int user) {
  return queue.enqueue(SendMail{user, "Welcome!"}, {.run_at = quern::When::after(std::chrono::minutes(10))});
}
