// What a run says: to the sink, and for its job.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "quern/core/limits.hpp"
#include "quern/work/detail/run_state.hpp"

namespace quern::inline v1::detail {
namespace {

/// Of a kept line; more say no more.
constexpr std::size_t most_fields = 32;

/// What is kept of a line: clean texts, together not much longer than `most`.
JobLogLine line_of(LogLevel level, std::string_view message, std::span<const LogField> fields,
                   std::size_t most) {
  JobLogLine line;
  line.level = level;
  line.message = clean_message(message, most);
  std::size_t left = most - std::min(most, line.message.size());
  const auto take = [&left](std::string_view text) {
    std::string clean = clean_message(text, std::max<std::size_t>(left, 8));
    left -= std::min(left, clean.size());
    return clean;
  };
  for (const LogField& field : fields.first(std::min(fields.size(), most_fields))) {
    if (left == 0) break;
    std::string key = take(field.key());
    line.fields.push_back({std::move(key), take(field.text())});
  }
  return line;
}

}  // namespace

LogRecord about(const RunState& run, LogLevel level, std::string_view message) {
  const Claim& claim = run.claim();
  return {.level = level,
          .message = message,
          .job = claim.ref.id,
          .kind = claim.kind,
          .queue = claim.queue,
          .run = claim.run,
          .attempt = claim.attempt,
          .worker = run.worker,
          .node = claim.ref.node.value,
          .trace = claim.trace};
}

std::optional<LogLevel> RunState::least_logged() const noexcept {
  const LogSetup* const setup = log_setup_.load();
  if (setup == nullptr) return std::nullopt;
  std::optional<LogLevel> least;
  if (setup->sink) least = setup->sink.least();
  if (setup->keep.lines > 0) least = least ? std::min(*least, setup->keep.least) : setup->keep.least;
  return least;
}

void RunState::redacted(std::string_view message, std::span<const LogField> fields,
                        const UseLine& use) const {
  if (redactor_.empty()) return use(message, fields);
  const std::string clean = redactor_.redact(message);
  std::vector<std::pair<std::string, std::string>> texts;
  texts.reserve(fields.size());
  std::vector<LogField> shown;
  for (const LogField& field : fields) {
    const std::string text = field.text();
    const auto& [key, value] = texts.emplace_back(redactor_.redact(field.key()), redactor_.redact(text));
    const bool touched = key != field.key() || value != text;
    shown.push_back(touched ? LogField(key, std::string_view(value)) : field);
  }
  use(clean, shown);
}

void RunState::log(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  const std::optional<LogLevel> least = least_logged();
  if (!least || level < *least) return;
  redacted(message, fields, [&](std::string_view shown, std::span<const LogField> shown_fields) {
    const std::lock_guard lock(sink_mutex_);
    const LogSetup* const setup = log_setup_.load();
    if (setup == nullptr) return;
    LogRecord record = about(*this, level, shown);
    record.trace = trace();
    record.fields = shown_fields;
    record.handler = true;
    log_to(setup->sink, record);
    if (setup->keep.lines == 0 || level < setup->keep.least) return;
    JobLogLine line = line_of(level, shown, shown_fields, setup->keep.line_bytes);
    line.time = setup->clock.now();
    line.run = claim_.run;
    line.attempt = claim_.attempt;
    keep(std::move(line));
  });
}

void RunState::tell(LogLevel level, std::string_view message) {
  const std::lock_guard lock(sink_mutex_);
  if (const LogSetup* const setup = log_setup_.load()) log_to(setup->sink, about(*this, level, message));
}

void RunState::keep(JobLogLine line) {
  const std::lock_guard lock(log_mutex_);
  if (!log_) log_ = std::make_unique<RunLog>(log_setup_.load()->keep);
  log_->add(std::move(line));
  has_log_.store(true, std::memory_order_release);
}

RunCheck RunState::flush_log(RunPort& port, LogFlush when, bool patient) {
  std::unique_lock flushing(flush_mutex_, std::defer_lock);
  if (patient)
    flushing.lock();
  else if (!flushing.try_lock())
    return RunCheck::held;
  std::optional<JobLog> earlier;
  while (true) {
    std::optional<Step> chunk;
    {
      const std::lock_guard lock(log_mutex_);
      if (!log_ || !log_->pending()) {
        has_log_.store(false, std::memory_order_release);
        return RunCheck::held;
      }
      if (earlier) log_->earlier(*std::exchange(earlier, std::nullopt));
      if (log_->knows_earlier()) {
        chunk = log_->next(claim_.ref.epoch, when);
        if (!chunk) return RunCheck::held;
      }
    }
    if (!chunk) {  // a first run has nothing before it
      earlier = claim_.ref.epoch > 1 ? read_log(port.steps(claim_.ref.id)) : JobLog();
      continue;
    }
    const RunCheck check = port.save_step(claim_.ref, *chunk);
    const std::lock_guard lock(log_mutex_);
    if (check == RunCheck::lost) {
      log_->drop();
      return check;
    }
    log_->saved();
  }
}

}  // namespace quern::inline v1::detail
