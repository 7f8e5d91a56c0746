#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "http/audit_chain.hpp"
#include "quern/core/error.hpp"
#include "quern/http/audit_log.hpp"

namespace quern::inline v1::http {
namespace {

constexpr std::size_t page = 500;

/// None: it is no entry's key.
std::optional<std::uint64_t> number_of(std::string_view key) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc() || end != key.data() + key.size() || detail::audit_key(number) != key)
    return std::nullopt;
  return number;
}

/// Whether it is the entry about those that were dropped up to `anchor`.
bool tells_of(const AuditRecord& record, const detail::AuditState& anchor) {
  const auto is = [&](const std::string& name, const std::string& value) {
    const auto found = record.entry.details.find(name);
    return found != record.entry.details.end() && found->second == value;
  };
  return record.entry.action == detail::drop_action && is("number", fmt::format("{}", anchor.number)) &&
         is("hash", anchor.hash);
}

}  // namespace

std::string AuditLog::fault_of(std::uint64_t number, std::string_view text, std::string_view before) const {
  const bool keyed = number >= keyed_from_;
  return detail::fault_of(number, text, before, keyed ? std::span(keys_) : std::span<const std::string>());
}

std::vector<AuditRecord> AuditLog::list(std::uint64_t before, std::size_t limit) {
  constexpr std::size_t most = 1000;
  if (limit < 1 || limit > most)
    throw InvalidArgument("limit", fmt::format("is {}, allowed are 1 to {}", limit, most));
  const std::uint64_t end = checkpoint().number;
  const std::uint64_t last = before == 0 || before > end ? end : before - 1;
  // Numbers have no gaps, so the page is known by its first one.
  const std::uint64_t first = last > limit ? last - limit + 1 : 1;
  std::vector<AuditRecord> records;
  for (const Record& record :
       storage_.list_records(detail::audit_collection, detail::audit_key(first - 1), limit)) {
    const auto number = number_of(record.key);
    if (!number || *number > last) break;
    records.push_back(detail::to_record(*number, record.value.text()));
  }
  std::ranges::reverse(records);
  return records;
}

AuditCheckpoint AuditLog::checkpoint() {
  detail::AuditState head = detail::read_state(storage_, detail::audit_head).state;
  return {head.number, std::move(head.hash)};
}

void AuditLog::export_lines(const std::function<void(std::string_view line)>& line, std::uint64_t from) {
  std::string after = detail::audit_key(from == 0 ? 0 : from - 1);
  while (true) {
    const auto records = storage_.list_records(detail::audit_collection, after, page);
    for (const Record& record : records) line(record.value.text());
    if (records.size() < page) return;
    after = records.back().key;
  }
}

std::optional<AuditFault> AuditLog::verify(std::uint64_t from, std::uint64_t to,
                                           std::span<const AuditCheckpoint> known) {
  const AuditCheckpoint end = checkpoint();
  const std::uint64_t last = to == 0 ? end.number : std::min(to, end.number);
  detail::AuditState anchor = detail::read_state(storage_, detail::audit_anchor).state;
  detail::AuditState before = anchor;
  const bool whole = from <= anchor.number + 1 && last == end.number;
  if (from > anchor.number + 1) {
    before.number = from - 1;
    const auto value = storage_.get_record(detail::audit_collection, detail::audit_key(before.number));
    const auto sealed = value ? detail::unseal(value->text()) : std::nullopt;
    if (!sealed) return AuditFault{before.number, "is missing, or not of the form that entries have"};
    before.hash = sealed->hash;
  }
  bool told = anchor.number == 0;
  const auto differs = [&](const detail::AuditState& state) {
    return std::ranges::any_of(known, [&](const AuditCheckpoint& checkpoint) {
      return checkpoint.number == state.number && checkpoint.hash != state.hash;
    });
  };
  if (differs(before)) return AuditFault{before.number, "is not the one that a checkpoint knows"};
  while (before.number < last) {
    const auto records =
        storage_.list_records(detail::audit_collection, detail::audit_key(before.number), page);
    for (const Record& record : records) {
      if (before.number == last) break;
      const std::uint64_t number = before.number + 1;
      if (number_of(record.key) != number) break;
      if (std::string fault = fault_of(number, record.value.text(), before.hash); !fault.empty())
        return AuditFault{number, std::move(fault)};
      const AuditRecord entry = detail::to_record(number, record.value.text());
      told = told || tells_of(entry, anchor);
      before = {number, entry.hash};
      if (differs(before)) return AuditFault{number, "is not the one that a checkpoint knows"};
    }
    const bool all =
        before.number == last || (!records.empty() && records.back().key == detail::audit_key(before.number));
    if (all) continue;
    // Missing, unless it was dropped a moment ago.
    const detail::AuditState dropped = detail::read_state(storage_, detail::audit_anchor).state;
    if (dropped.number <= before.number) return AuditFault{before.number + 1, "is missing"};
    anchor = before = dropped;
    told = true;  // by an entry that is behind the end that was read
  }
  if (last == end.number && before.number == end.number && before.hash != end.hash)
    return AuditFault{end.number, "is not the one at which the chain is said to end"};
  if (last == end.number) {
    const auto beyond = storage_.list_records(detail::audit_collection, detail::audit_key(end.number), 1);
    if (!beyond.empty()) {
      const auto number = number_of(beyond.front().key);
      if (!number || *number > checkpoint().number)
        return AuditFault{end.number + 1, "stands behind the end of the chain"};
    }
  }
  if (whole && !told)
    return AuditFault{anchor.number, "and those before it are gone, and no entry tells of that"};
  for (const AuditCheckpoint& checkpoint : known)
    if (checkpoint.number > end.number)
      return AuditFault{end.number + 1,
                        fmt::format("is missing: a checkpoint knows {} entries", checkpoint.number)};
  return std::nullopt;
}

}  // namespace quern::inline v1::http
