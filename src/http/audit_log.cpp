#include "quern/http/audit_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "http/audit_chain.hpp"
#include "http/crypto.hpp"
#include "http/text.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::http {
namespace {

using namespace std::chrono_literals;

constexpr int most_tries = 1000;
constexpr std::size_t most_in_batch = 200;

std::vector<std::string> keys_of(const AuditOptions& options) {
  constexpr std::size_t least = 32;
  std::vector<std::string> keys;
  if (options.key.reveal().empty() && !options.old_keys.empty())
    throw InvalidArgument("audit.key", "is empty, but there are old ones");
  if (!options.key.reveal().empty()) keys.push_back(options.key.reveal());
  for (const Secret& old : options.old_keys) keys.push_back(old.reveal());
  for (const std::string& key : keys)
    if (key.size() < least)
      throw InvalidArgument("audit.key", fmt::format("has less than the {} bytes of its hash", least));
  return keys;
}

/// Credentials go first: of a text that is cut, what is left of one would not be known for one.
std::string fit(const std::string& text) { return detail::one_line(detail::without_credentials(text)); }

void fit(AuditEntry& entry) {
  constexpr std::size_t most_details = 16;
  for (std::string* const text :
       {&entry.who, &entry.via, &entry.id, &entry.peer, &entry.action, &entry.type, &entry.object,
        &entry.queue, &entry.tenant, &entry.reason, &entry.request_id})
    *text = fit(*text);
  std::map<std::string, std::string> details;
  for (const auto& [name, value] : entry.details)
    if (details.size() < most_details) details.emplace(fit(name), fit(value));
  entry.details = std::move(details);
}

}  // namespace

AuditLog::AuditLog(StoragePort& storage, AuditOptions options, ClockRef clock, Logger log,
                   const RandomBytes& random)
    : storage_(storage),
      clock_(clock),
      log_(std::move(log)),
      changes_wait_(options.changes_wait),
      most_waiting_(options.most_waiting),
      refusals_per_minute_(options.refusals_per_minute),
      keep_(options.keep),
      keyed_from_(options.keyed_from),
      keys_(keys_of(options)),
      writer_(detail::to_hex(random(8))),
      minute_(clock_.steady()) {}

AuditLog::~AuditLog() {
  for (std::string& key : keys_) detail::wipe(key);
}

AuditEntry AuditLog::note(std::string_view action, std::map<std::string, std::string> details) const {
  AuditEntry entry{
      .at = clock_.now(), .who = "quern", .via = "self", .action = std::string(action), .type = "audit"};
  entry.details = std::move(details);
  return entry;
}

// With `mutex_` held. False: there is no room.
bool AuditLog::push(AuditEntry entry, bool refusal) {
  if (waiting_.size() >= most_waiting_) {
    ++(refusal ? lost_.refusals : lost_.changes);
    ++lost_ever_;
    return false;
  }
  if (entry.at == TimePoint{}) entry.at = clock_.now();
  fit(entry);
  waiting_.push_back(std::move(entry));
  ++added_;
  return true;
}

void AuditLog::add(AuditEntry entry) {
  const std::lock_guard lock(mutex_);
  (void)push(std::move(entry), false);  // one that is lost is counted
}

void AuditLog::add_refusal(AuditEntry entry) {
  const std::lock_guard lock(mutex_);
  end_minute(clock_.steady());
  if (refusals_ < refusals_per_minute_) {
    ++refusals_;
    (void)push(std::move(entry), true);
    return;
  }
  ++suppressed_[fmt::format("{}", entry.status)];
  ++suppressed_ever_;
}

// With `mutex_` held.
void AuditLog::end_minute(SteadyTime now) {
  if (now - minute_ < 1min) return;
  if (!suppressed_.empty()) {
    std::map<std::string, std::string> details;
    for (const auto& [status, count] : suppressed_) details.emplace(status, fmt::format("{}", count));
    (void)push(note("audit.suppressed", std::move(details)), true);
  }
  suppressed_.clear();
  refusals_ = 0;
  minute_ = now;
}

void AuditLog::write(AuditEntry entry) {
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!push(std::move(entry), false))
      throw StorageError("the audit log has no room for more entries that wait for the storage", true);
    ticket = added_;
  }
  const std::lock_guard writing(writing_);
  write_until(ticket);
}

void AuditLog::flush() {
  const std::lock_guard writing(writing_);
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    ticket = added_;
  }
  write_until(ticket);
}

// With `writing_` held. Who waited for it finds that another has written theirs along.
void AuditLog::write_until(std::uint64_t ticket) {
  const auto is_written = [&] {
    const std::lock_guard lock(mutex_);
    // What was lost has no ticket, and is noted once there is room.
    return written_ >= ticket && lost_.changes + lost_.refusals == 0;
  };
  try {
    while (!is_written() || !batch_.empty()) write_batch();
  } catch (const StorageError& e) {
    const std::lock_guard lock(mutex_);
    error_ = e.what();
    throw;
  }
}

void AuditLog::take_batch() {
  if (!batch_.empty()) return;
  const std::lock_guard lock(mutex_);
  sent_.clear();
  batch_end_ = written_;
  while (!waiting_.empty() && batch_.size() < most_in_batch) {
    batch_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    ++batch_end_;
  }
  if (lost_.changes + lost_.refusals > 0) {
    batch_.push_back(note("audit.lost", {{"changes", fmt::format("{}", lost_.changes)},
                                         {"refusals", fmt::format("{}", lost_.refusals)}}));
    lost_ = {};
  }
}

// An answer that got lost leaves open what became of the batch; its first record tells, since no two are alike.
bool AuditLog::was_written() {
  return std::ranges::any_of(sent_, [&](const auto& sent) {
    const auto there = storage_.get_record(detail::audit_collection, sent.first);
    return there && there->text() == sent.second;
  });
}

void AuditLog::batch_done() {
  const std::lock_guard lock(mutex_);
  sequence_ += batch_.size();
  written_ = batch_end_;
  batch_.clear();
  sent_.clear();
  error_.clear();
}

void AuditLog::write_batch() {
  take_batch();
  if (batch_.empty()) return;
  const std::string key = keys_.empty() ? std::string() : keys_.front();
  for (int tries = 0; tries < most_tries; ++tries) {
    const detail::SeenState head = detail::read_state(storage_, detail::audit_head);
    if (was_written()) return batch_done();
    detail::AuditState state = head.state;
    std::vector<RecordChange> changes;
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      std::string text =
          detail::seal(batch_[i], fmt::format("{}-{}", writer_, sequence_ + i + 1), key, state);
      if (i == 0) sent_[detail::audit_key(state.number)] = text;
      changes.push_back({.collection = std::string(detail::audit_collection),
                         .key = detail::audit_key(state.number),
                         .value = Payload::json(std::move(text))});
    }
    changes.push_back({.collection = std::string(detail::audit_state),
                       .key = std::string(detail::audit_head),
                       .seen = head.seen,
                       .value = Payload::of(state)});
    if (storage_.insert_if({}, changes).done) return batch_done();
  }
  throw StorageError(
      fmt::format("the audit log could not be lengthened: others did at each of {} tries", most_tries), true);
}

NextTick AuditLog::tick() {
  const SteadyTime now = clock_.steady();
  const std::lock_guard writing(writing_);
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    end_minute(now);
    ticket = added_;
  }
  constexpr Duration interval = 1s;
  if (now < next_try_) return {clock_.now() + (next_try_ - now)};
  try {
    write_until(ticket);
    drop_old(now);
    if (backoff_ > Duration::zero()) log_to(log_, LogLevel::info, "the audit log is written again");
    backoff_ = Duration::zero();
    return {clock_.now() + interval};
  } catch (const StorageError& e) {
    if (backoff_ == Duration::zero())
      log_to(log_, LogLevel::error,
             fmt::format("the audit log can't be written, its entries wait: {}", e.what()));
    backoff_ = std::clamp<Duration>(backoff_ * 2, 1s, 30s);
    next_try_ = now + backoff_;
    return {clock_.now() + backoff_};
  }
}

AuditStatus AuditLog::status() const {
  const std::lock_guard lock(mutex_);
  return {.waiting = static_cast<std::size_t>(added_ - written_),
          .lost = lost_ever_,
          .suppressed = suppressed_ever_,
          .error = error_};
}

}  // namespace quern::inline v1::http
