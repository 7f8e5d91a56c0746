#include "quern/queue/queue_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "quern/core/trace_context.hpp"

namespace quern::inline v1::detail {
namespace {

/// Ids reserved at a time for jobs that come one by one: few at first, since what is left when the process
/// ends is lost, and twice as many each time, so that reserving costs a busy queue nothing.
constexpr std::uint64_t first_block = 16;
constexpr std::uint64_t largest_block = 4096;

/// A payload that is its own unique key stands in an index, so it must be short.
constexpr std::size_t max_key_payload = 2048;

std::string key_by_arguments(const NewJob& job) {
  if (job.payload.text().size() > max_key_payload)
    throw InvalidArgument("unique.by_arguments",
                          fmt::format("the payload is {} bytes long, and at most {} can serve as a key; "
                                      "set unique.key to what makes the job unique",
                                      job.payload.text().size(), max_key_payload));
  return fmt::format("{}:{}", job.kind, job.payload.text());
}

/// What is no trace context is nobody's fault who enqueues.
std::string trace_of_this_thread(Tracer* tracer) {
  if (tracer != nullptr) {
    try {
      if (std::string here = tracer->current(); !here.empty() && TraceContext::from_text(here)) return here;
    } catch (const std::exception&) {  // as Tracer says
    }
  }
  return std::string(current_trace());
}

std::string_view name_of(InsertStatus status) {
  switch (status) {
    case InsertStatus::added:
      return "added";
    case InsertStatus::repeated:
      return "repeated";
    case InsertStatus::duplicate:
      return "duplicate";
    case InsertStatus::replaced:
      return "replaced";
    case InsertStatus::rescheduled:
      return "rescheduled";
    case InsertStatus::queue_full:
      break;
  }
  return "queue_full";
}

}  // namespace

QueueCore::QueueCore(StoragePort& storage, JobQueueConfig config)
    : storage_(storage), events_(storage), id_block_(first_block) {
  set_config(std::move(config));
}

void QueueCore::set_config(JobQueueConfig config) {
  config.validate();
  const std::lock_guard lock(configs_mutex_);
  configs_.push_back(std::make_unique<const JobQueueConfig>(std::move(config)));
  config_.store(configs_.back().get(), std::memory_order_release);
}

void QueueCore::set_tracer(std::shared_ptr<Tracer> tracer) {
  const std::lock_guard lock(configs_mutex_);
  tracer_.store(tracer.get(), std::memory_order_release);
  if (tracer) tracers_.push_back(std::move(tracer));
}

JobId QueueCore::take_ids(std::size_t count) {
  assert(count > 0);
  const std::lock_guard lock(ids_mutex_);
  if (ids_left_ < count) {
    const std::uint64_t block = std::max<std::uint64_t>(count, id_block_);
    id_block_ = std::min(id_block_ * 2, largest_block);
    next_id_ = storage_.reserve_ids(block).value;
    ids_left_ = block;
  }
  const JobId first{next_id_};
  next_id_ += count;
  ids_left_ -= count;
  return first;
}

void QueueCore::prepare(NewJob& job) const {
  fill_in(job);
  check(job, config().limits);
  if (job.unique.by_arguments) job.unique.key = key_by_arguments(job);
}

void QueueCore::fill_in(NewJob& job) const {
  {
    const std::lock_guard lock(defaults_mutex_);
    if (const auto known = defaults_.find(job.kind); known != defaults_.end()) {
      if (job.queue.empty()) job.queue = known->second.queue;
      if (job.max_attempts == 0) job.max_attempts = known->second.max_attempts;
      if (job.timeout == Duration::zero()) job.timeout = known->second.timeout;
    }
  }
  if (job.queue.empty()) job.queue = "default";
  if (job.trace.empty()) job.trace = trace_of_this_thread(tracer());
  if (job.unique.by_arguments && !job.unique.key.empty())
    throw InvalidArgument("unique", "has both a key and by_arguments; give one of them");
}

std::vector<Enqueued> QueueCore::enqueue(std::vector<NewJob> jobs) {
  check_count(jobs);
  for (NewJob& job : jobs) prepare(job);
  return enqueue_prepared(std::move(jobs));
}

void QueueCore::check_count(std::span<const NewJob> jobs) const {
  if (jobs.size() > config().limits.batch)
    throw InvalidArgument("jobs", fmt::format("{} jobs in one call; at most {} are allowed", jobs.size(),
                                              config().limits.batch));
}

std::vector<Enqueued> QueueCore::enqueue_prepared(std::vector<NewJob> jobs) {
  if (jobs.empty()) return {};
  check_count(jobs);
  number(jobs);
  return answers(jobs, insert(jobs));
}

std::optional<std::vector<Enqueued>> QueueCore::enqueue_if(std::vector<NewJob> jobs,
                                                           std::span<const RecordChange> changes) {
  check_count(jobs);
  for (NewJob& job : jobs) prepare(job);
  const JobLimits& limits = config().limits;
  for (const RecordChange& change : changes) {
    check_text(change.collection, "changes.collection", limits.text_bytes);
    check_text(change.key, "changes.key", limits.key_bytes);
    if (change.value) check_json(*change.value, "changes.value", limits);
  }
  number(jobs);
  EnqueueSpans spans(*this, jobs);
  const InsertIfResult answer = timed(observers_, storage_.clock(), StorageCall::insert,
                                      [&] { return storage_.insert_if(jobs, changes); });
  if (!answer.done) {
    spans.end_all("not_as_seen");
    return std::nullopt;
  }
  spans.end(answer.jobs);
  if (!jobs.empty())
    observers_.tell([&](QueueObserver& observer) { observer.on_enqueued(jobs, answer.jobs); });
  return answers(jobs, answer.jobs);
}

void QueueCore::number(std::span<NewJob> jobs) {
  // A batch gets consecutive ids, so that jobs of one lane form one range in the storage.
  const auto unnumbered =
      static_cast<std::size_t>(std::ranges::count_if(jobs, [](const NewJob& job) { return !job.id; }));
  if (unnumbered > 0) {
    JobId next = take_ids(unnumbered);
    for (NewJob& job : jobs) {
      if (job.id) continue;
      job.id = next;
      ++next.value;
    }
  }
}

std::vector<InsertResult> QueueCore::insert(std::span<NewJob> jobs) {
  EnqueueSpans spans(*this, jobs);
  auto results =
      timed(observers_, storage_.clock(), StorageCall::insert, [&] { return storage_.insert(jobs); });
  spans.end(results);
  observers_.tell([&](QueueObserver& observer) { observer.on_enqueued(jobs, results); });
  return results;
}

Enqueued QueueCore::enqueue_one(std::string_view kind, Payload&& payload, const JobDefaults& defaults,
                                JobOptions& options) {
  NewJob job = make_job(kind, std::move(payload), defaults, std::move(options));
  return enqueue_one(job);
}

Enqueued QueueCore::enqueue_one(std::string_view kind, Payload&& payload, const JobDefaults& defaults) {
  NewJob job = make_job(kind, std::move(payload), defaults);
  return enqueue_one(job);
}

Enqueued QueueCore::enqueue_one(NewJob& job) {
  prepare(job);
  if (!job.id) job.id = take_ids(1);
  const std::span<NewJob> one(&job, 1);
  return answer(job, insert(one).front());
}

void QueueCore::set_defaults(std::string_view kind, const JobDefaults& defaults) {
  const std::lock_guard lock(defaults_mutex_);
  defaults_.insert_or_assign(
      std::string(kind), KindDefaults{std::string(defaults.queue), defaults.max_attempts, defaults.timeout});
}

NewJobs::NewJobs(const QueueCore& core, std::string_view kind, const JobDefaults& defaults,
                 const JobOptions& options)
    : core_(core), model_(make_job(kind, Payload(), defaults, options)) {
  core_.fill_in(model_);
  check(model_, core_.config().limits);
}
NewJobs::~NewJobs() = default;

void NewJobs::reserve(std::size_t count) { jobs_.reserve(count); }

void NewJobs::add(Payload&& payload) {
  check_json(payload, "payload", core_.config().limits);
  NewJob& job = jobs_.emplace_back(model_);
  job.payload = std::move(payload);
  if (job.unique.by_arguments) job.unique.key = key_by_arguments(job);
}

std::vector<NewJob> NewJobs::take() && { return std::move(jobs_); }

EnqueueSpans::EnqueueSpans(const QueueCore& core, std::span<NewJob> jobs) : core_(core) {
  if (Tracer* const tracer = core.tracer(); tracer != nullptr) begin(*tracer, jobs);
}

void EnqueueSpans::begin(Tracer& tracer, std::span<NewJob> jobs) {
  spans_.resize(jobs.size());
  const TimePoint now = core_.storage().clock().now();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    NewJob& job = jobs[i];
    try {
      auto span = tracer.start({.kind = SpanKind::producer,
                                .parent = job.trace,
                                .job = job.id,
                                .job_kind = job.kind,
                                .queue = job.queue,
                                .at = now});
      if (span == nullptr) continue;
      std::string trace = span->trace();
      if (!TraceContext::from_text(trace)) continue;
      job.trace = std::move(trace);
      spans_[i] = std::move(span);
    } catch (const std::exception&) {  // as Tracer says
    }
  }
}

EnqueueSpans::~EnqueueSpans() {
  if (spans_.empty()) return;
  const TimePoint now = core_.storage().clock().now();
  for (const auto& span : spans_)
    if (span != nullptr)
      span->end({.at = now, .failed = true, .outcome = "failed", .message = "the insert failed"});
}

void EnqueueSpans::end_all(std::string_view outcome) noexcept {
  if (spans_.empty()) return;
  const TimePoint now = core_.storage().clock().now();
  for (const auto& span : spans_)
    if (span != nullptr) span->end({.at = now, .outcome = outcome});
  spans_.clear();
}

void EnqueueSpans::end(std::span<const InsertResult> results) noexcept {
  if (spans_.empty()) return;
  const TimePoint now = core_.storage().clock().now();
  for (std::size_t i = 0; i < spans_.size() && i < results.size(); ++i) {
    const InsertStatus status = results[i].status;
    if (spans_[i] != nullptr)
      spans_[i]->end({.at = now,
                      .failed = status == InsertStatus::queue_full,
                      .outcome = name_of(status),
                      .message = status == InsertStatus::queue_full ? "the queue is full" : ""});
  }
  spans_.clear();
}

void check_priority(Priority priority) {
  if (priority.level < Priority::most_urgent || priority.level > Priority::least_urgent)
    throw InvalidArgument("priority", fmt::format("is {}; allowed are {} to {}", priority.level,
                                                  Priority::most_urgent, Priority::least_urgent));
}

void check_queue_name(std::string_view queue, const JobLimits& limits) {
  check_text(queue, "queue", limits.name_bytes);
  if (queue.empty()) throw InvalidArgument("queue", "is empty");
}

Enqueued answer(const NewJob& job, const InsertResult& result) {
  const bool added = result.status == InsertStatus::added || result.status == InsertStatus::repeated ||
                     result.status == InsertStatus::replaced;
  return {added ? job.id : result.holder, result.status};
}

std::vector<Enqueued> answers(std::span<const NewJob> jobs, std::span<const InsertResult> results) {
  assert(jobs.size() == results.size());
  std::vector<Enqueued> out;
  out.reserve(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) out.push_back(answer(jobs[i], results[i]));
  return out;
}

}  // namespace quern::inline v1::detail
