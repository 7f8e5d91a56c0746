#include "quern/work/job_context.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "quern/work/detail/run_state.hpp"

namespace quern::inline v1 {

namespace detail {

void check_step_name(std::string_view name) {
  if (name.starts_with(reserved_steps))
    throw InvalidArgument(
        "step", fmt::format("the name \"{}\" begins with \"{}\", which quern keeps for itself", name,
                            reserved_steps));
}

void RunState::rest() {
  claim_.payload = Payload();
  trace_.clear();
  if (stop_.stop_possible()) stop_ = std::stop_source(std::nostopstate);
  reason_.store(StopReason::none, std::memory_order_relaxed);
  given_up_.store(false, std::memory_order_relaxed);
  report_.reset();
  reported_.store(false, std::memory_order_relaxed);
  reported_percent_ = 0;
  redactor_.clear();
  log_.reset();
  has_log_.store(false, std::memory_order_relaxed);
  steps_.reset();
  step_names_.clear();
  jobs_.clear();
  records_.clear();
}

void RunState::begin(Claim&& claim) {
  // One job is mostly like the one before: names that are the same stay, and what few jobs have is not there.
  const auto take = [](auto& mine, auto& its) {
    if (mine != its) mine = std::move(its);
  };
  take(claim_.kind, claim.kind);
  take(claim_.queue, claim.queue);
  take(claim_.tenant, claim.tenant);
  take(claim_.tags, claim.tags);
  take(claim_.created_by, claim.created_by);
  take(claim_.digest, claim.digest);
  take(claim_.trace, claim.trace);
  take(claim_.parents, claim.parents);
  claim_.ref = claim.ref;
  claim_.payload = std::move(claim.payload);
  claim_.priority = claim.priority;
  claim_.run = claim.run;
  claim_.attempt = claim.attempt;
  claim_.max_attempts = claim.max_attempts;
  claim_.timeout = claim.timeout;
  claim_.run_at = claim.run_at;
  claim_.created_at = claim.created_at;
  claim_.claimed_at = claim.claimed_at;
}

std::stop_token RunState::stop_token() {
  const std::lock_guard lock(stop_mutex_);
  if (!stop_.stop_possible()) {
    stop_ = std::stop_source();
    if (stop_requested()) stop_.request_stop();
  }
  return stop_.get_token();
}

void RunState::request_stop(StopReason reason) noexcept {
  StopReason none = StopReason::none;
  reason_.compare_exchange_strong(none, reason, std::memory_order_acq_rel);
  std::stop_source source(std::nostopstate);
  {
    const std::lock_guard lock(stop_mutex_);
    source = stop_;
  }
  source.request_stop();  // not under the lock: callbacks may ask for a token
}

void RunState::report(int percent, std::string_view message) {
  const std::lock_guard lock(progress_mutex_);
  reported_percent_ = std::max(reported_percent_, std::clamp(percent, 0, 100));
  report_ = Progress{reported_percent_, clean_message(redactor_.redact(message), 1024)};
  reported_.store(true, std::memory_order_release);
}

std::optional<Progress> RunState::fetch_report() {
  if (!reported_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(progress_mutex_);
  reported_.store(false, std::memory_order_relaxed);
  return std::exchange(report_, std::nullopt);
}

std::optional<Payload> RunState::find_step(std::string_view name) {
  // A first attempt can have steps too: a snooze and a hand-back give their attempt back.
  if (!steps_) {
    steps_ = claim_.ref.epoch > 1 ? with_port([&](RunPort& port) { return port.steps(claim_.ref.id); })
                                  : std::vector<Step>{};
    std::erase_if(*steps_, is_log_step);
  }
  const auto found = std::ranges::find(*steps_, name, &Step::name);
  if (found == steps_->end()) return std::nullopt;
  return found->value;
}

void RunState::begin_step(std::string_view name) {
  check_step_name(name);
  if (!step_names_.emplace(name).second)
    throw InvalidArgument(
        "step", fmt::format("the name \"{}\" is used twice in one run; each step needs its own", name));
}

void RunState::save_step(std::string_view name, Payload value) {
  Step step{std::string(name), std::move(value)};
  const RunCheck check = with_port([&](RunPort& port) {
    check_text(step.name, "step", port.limits().text_bytes);
    check_json(step.value, "step." + step.name, port.limits());
    return port.save_step(claim_.ref, step);
  });
  if (check == RunCheck::lost)
    throw RunLost(fmt::format("job {} is no longer run by this worker; step \"{}\" was not kept",
                              to_string(claim_.ref.id), name));
  steps_->push_back(std::move(step));
}

JobId RunState::then(NewJob job) {
  if (job.created_by.empty()) job.created_by = "job:" + to_string(claim_.ref.id);
  if (job.tenant.empty()) job.tenant = claim_.tenant;
  if (job.digest.empty()) job.digest = claim_.digest;
  if (job.trace.empty()) job.trace = trace();
  with_port([&](RunPort& port) { port.number(job); });
  jobs_.push_back(std::move(job));
  return jobs_.back().id;
}

void RunState::then(Record record) {
  with_port([&](RunPort& port) {
    check_text(record.collection, "record.collection", port.limits().text_bytes);
    check_text(record.key, "record.key", port.limits().key_bytes);
    check_json(record.value, "record.value", port.limits());
  });
  records_.push_back(std::move(record));
}

}  // namespace detail

const Claim& JobContext::job() const noexcept { return state_->claim(); }
const std::string& JobContext::trace() const noexcept { return state_->trace(); }
std::stop_token JobContext::stop_token() const { return state_->stop_token(); }
bool JobContext::stop_requested() const noexcept { return state_->stop_requested(); }
StopReason JobContext::stop_reason() const noexcept { return state_->stop_reason(); }
void JobContext::log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  state_->log(level, message, {fields.begin(), fields.end()});
}
void JobContext::secret(std::string_view value) { state_->redactor().add(value); }
void JobContext::progress(int percent, std::string_view message) { state_->report(percent, message); }
JobId JobContext::then(NewJob job) { return state_->then(std::move(job)); }
void JobContext::then(Record record) { state_->then(std::move(record)); }
std::optional<Payload> JobContext::find_step(std::string_view name) { return state_->find_step(name); }
void JobContext::begin_step(std::string_view name) { state_->begin_step(name); }
void JobContext::save_step(std::string_view name, Payload value) {
  state_->save_step(name, std::move(value));
}

}  // namespace quern::inline v1
