#include "http/audit_chain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "http/crypto.hpp"
#include "http/record_edit.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::http::detail {
namespace {

constexpr std::string_view opening = R"({"entry":)";
constexpr std::string_view before_hash = R"(,"hash":")";
constexpr std::string_view before_mac = R"(","mac":")";
constexpr std::string_view closing = R"("})";

/// An entry as it is written and hashed. What is added later comes at the end, with a new version.
struct StoredEntry {
  int version = 1;
  std::uint64_t number = 0;
  std::string at{};
  std::string writer{};
  std::string who{};
  std::string via{};
  std::string id{};
  std::string peer{};
  std::string action{};
  std::string type{};
  std::string object{};
  std::string queue{};
  std::string tenant{};
  int status = 0;
  std::string reason{};
  std::string request_id{};
  std::map<std::string, std::string> details{};
};
QUERN_FIELDS(StoredEntry, version, number, at, writer, who, via, id, peer, action, type, object, queue,
             tenant, status, reason, request_id, details)

StoredEntry read(std::string_view canonical) {
  return Payload::json(std::string(canonical)).as<StoredEntry>();
}

/// Takes `end` off; false: it is not there.
bool take_end(std::string_view& text, std::string_view end) {
  if (!text.ends_with(end)) return false;
  text.remove_suffix(end.size());
  return true;
}

/// Takes hexadecimal digits off, as many as a SHA-256 has or none.
std::string_view take_digits(std::string_view& text) {
  if (text.size() < no_hash.size()) return {};
  const std::string_view digits = text.substr(text.size() - no_hash.size());
  const bool hex =
      std::ranges::all_of(digits, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!hex) return {};
  text.remove_suffix(digits.size());
  return digits;
}

}  // namespace

SeenState read_state(StoragePort& storage, std::string_view key) {
  SeenState found;
  found.seen =
      storage.get_record(audit_state, key);  // not within braces: g++ 12 frees members twice when that throws
  if (found.seen) found.state = read_record<AuditState>(*found.seen, audit_state, key);
  return found;
}

std::string audit_key(std::uint64_t number) { return fmt::format("{:020}", number); }

std::string chain_hash(std::string_view before, std::string_view canonical) {
  std::string both(before);
  both += canonical;
  return to_hex(sha256(both));
}

std::string seal(const AuditEntry& entry, std::string_view writer, std::string_view key, AuditState& before) {
  StoredEntry stored{.number = before.number + 1, .at = to_rfc3339(entry.at), .writer = std::string(writer)};
  stored.who = entry.who;
  stored.via = entry.via;
  stored.id = entry.id;
  stored.peer = entry.peer;
  stored.action = entry.action;
  stored.type = entry.type;
  stored.object = entry.object;
  stored.queue = entry.queue;
  stored.tenant = entry.tenant;
  stored.status = entry.status;
  stored.reason = entry.reason;
  stored.request_id = entry.request_id;
  stored.details = entry.details;
  const Payload payload = Payload::of(stored);
  before.number = stored.number;
  before.hash = chain_hash(before.hash, payload.text());
  const std::string mac = key.empty() ? std::string() : to_hex(hmac_sha256(key, before.hash));
  return fmt::format("{}{}{}{}{}{}{}", opening, payload.text(), before_hash, before.hash, before_mac, mac,
                     closing);
}

std::optional<SealedEntry> unseal(std::string_view text) {
  if (!text.starts_with(opening)) return std::nullopt;
  text.remove_prefix(opening.size());
  SealedEntry sealed;
  if (!take_end(text, closing)) return std::nullopt;
  sealed.mac = take_digits(text);
  if (!take_end(text, before_mac)) return std::nullopt;
  sealed.hash = take_digits(text);
  if (sealed.hash.empty() || !take_end(text, before_hash)) return std::nullopt;
  sealed.canonical = text;
  return sealed;
}

AuditRecord to_record(std::uint64_t number, std::string_view text) {
  AuditRecord record{.number = number};
  const auto sealed = unseal(text);
  if (!sealed) {
    record.fault = "it is not of the form that entries have";
    return record;
  }
  try {
    StoredEntry stored = read(sealed->canonical);
    record.hash = sealed->hash;
    record.writer = std::move(stored.writer);
    AuditEntry& entry = record.entry;
    entry.at = parse_rfc3339(stored.at);
    entry.who = std::move(stored.who);
    entry.via = std::move(stored.via);
    entry.id = std::move(stored.id);
    entry.peer = std::move(stored.peer);
    entry.action = std::move(stored.action);
    entry.type = std::move(stored.type);
    entry.object = std::move(stored.object);
    entry.queue = std::move(stored.queue);
    entry.tenant = std::move(stored.tenant);
    entry.status = stored.status;
    entry.reason = std::move(stored.reason);
    entry.request_id = std::move(stored.request_id);
    entry.details = std::move(stored.details);
  } catch (const InvalidArgument& e) {
    record.fault = fmt::format("its entry can't be read: {}", e.what());
  }
  return record;
}

std::string fault_of(std::uint64_t number, std::string_view text, std::string_view before,
                     std::span<const std::string> keys) {
  const auto sealed = unseal(text);
  if (!sealed) return "it is not of the form that entries have";
  // Before anything is made of the entry: what is not proven is not read.
  if (!same_secret(chain_hash(before, sealed->canonical), sealed->hash))
    return "its hash does not follow from it and the one before: one of the two was changed";
  const bool proven = keys.empty() || std::ranges::any_of(keys, [&](const std::string& key) {
                        return same_secret(to_hex(hmac_sha256(key, sealed->hash)), sealed->mac);
                      });
  if (!proven)
    return sealed->mac.empty() ? "it has no MAC"
                               : "its MAC is of none of the keys: it was made by somebody else";
  try {
    if (read(sealed->canonical).number != number) return "it is another entry, that was put there";
  } catch (const InvalidArgument& e) {
    return fmt::format("its entry can't be read: {}", e.what());
  }
  return {};
}

}  // namespace quern::inline v1::http::detail
