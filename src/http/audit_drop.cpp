#include <fmt/format.h>

#include <utility>

#include "http/audit_chain.hpp"
#include "quern/core/error.hpp"
#include "quern/http/audit_log.hpp"

namespace quern::inline v1::http {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_in_batch = 500;

RecordChange change_of(std::string_view collection, std::string_view key, std::optional<Payload> seen,
                       std::optional<Payload> value) {
  return {.collection = std::string(collection),
          .key = std::string(key),
          .seen = std::move(seen),
          .value = std::move(value)};
}

}  // namespace

std::size_t AuditLog::drop(TimePoint time, std::size_t most) {
  if (most < 1 || most > 1000)
    throw InvalidArgument("most", fmt::format("is {}, allowed are 1 to 1000", most));
  const std::lock_guard writing(writing_);
  return drop_batch(time, most);
}

// With `writing_` held.
std::size_t AuditLog::drop_batch(TimePoint time, std::size_t most) {
  constexpr int most_tries = 1000;
  for (int tries = 0; tries < most_tries; ++tries) {
    const detail::SeenState head = detail::read_state(storage_, detail::audit_head);
    const detail::SeenState anchor = detail::read_state(storage_, detail::audit_anchor);
    detail::AuditState oldest = anchor.state;
    std::vector<RecordChange> changes;
    for (const Record& record :
         storage_.list_records(detail::audit_collection, detail::audit_key(oldest.number), most)) {
      const std::uint64_t number = oldest.number + 1;
      const std::string& text = record.value.text();
      // What was tampered with stays, so that it is found.
      if (record.key != detail::audit_key(number) || !fault_of(number, text, oldest.hash).empty()) {
        log_to(log_, LogLevel::warning,
               fmt::format(
                   "entry {} of the audit log is not as it was written, so nothing from it on is dropped",
                   number));
        break;
      }
      const AuditRecord entry = detail::to_record(number, text);
      if (entry.entry.at >= time) break;
      oldest = {number, entry.hash};
      changes.push_back(change_of(detail::audit_collection, record.key, record.value, std::nullopt));
    }
    const std::size_t count = changes.size();
    if (count == 0) return 0;

    detail::AuditState end = head.state;
    const AuditEntry told = note(detail::drop_action, {{"number", fmt::format("{}", oldest.number)},
                                                       {"hash", oldest.hash},
                                                       {"count", fmt::format("{}", count)}});
    std::string text = detail::seal(told, fmt::format("{}-drop-{}", writer_, oldest.number),
                                    keys_.empty() ? std::string() : keys_.front(), end);
    changes.push_back(change_of(detail::audit_collection, detail::audit_key(end.number), std::nullopt,
                                Payload::json(std::move(text))));
    changes.push_back(change_of(detail::audit_state, detail::audit_head, head.seen, Payload::of(end)));
    changes.push_back(change_of(detail::audit_state, detail::audit_anchor, anchor.seen, Payload::of(oldest)));
    if (storage_.insert_if({}, changes).done) return count;
  }
  throw StorageError(
      fmt::format("old entries of the audit log could not be dropped: others wrote at each of {} tries",
                  most_tries),
      true);
}

// With `writing_` held. A few at a time, so that nobody waits long for it.
void AuditLog::drop_old(SteadyTime now) {
  if (keep_ <= Duration::zero() || now < next_drop_) return;
  const bool more = drop_batch(clock_.now() - keep_, most_in_batch) == most_in_batch;
  next_drop_ = now + (more ? Duration(1s) : Duration(1h));
}

}  // namespace quern::inline v1::http
