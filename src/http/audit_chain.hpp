#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/fields.hpp"
#include "quern/http/audit_entry.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::http::detail {

inline constexpr std::string_view audit_collection = "quern.audit";
inline constexpr std::string_view audit_state = "quern.audit.state";
inline constexpr std::string_view audit_head = "head";
inline constexpr std::string_view audit_anchor = "anchor";
/// Before the first entry.
inline constexpr std::string_view no_hash =
    "0000000000000000000000000000000000000000000000000000000000000000";
/// The entry about those that were dropped.
inline constexpr std::string_view drop_action = "audit.drop";

/// Where a chain ends, or what stood before its oldest entry.
struct AuditState {
  std::uint64_t number = 0;
  std::string hash{no_hash};
};
QUERN_FIELDS(AuditState, number, hash)

/// The record, with its text as it has to be seen for a change.
struct SeenState {
  AuditState state{};
  std::optional<Payload> seen{};
};
[[nodiscard]] SeenState read_state(StoragePort& storage, std::string_view key);

/// Twenty digits, so that keys sort as their numbers.
[[nodiscard]] std::string audit_key(std::uint64_t number);

/// A record's text for an entry that comes after `before`, which becomes the state after it.
[[nodiscard]] std::string seal(const AuditEntry& entry, std::string_view writer, std::string_view key,
                               AuditState& before);

/// What a record's text has in it.
struct SealedEntry {
  std::string_view canonical;  ///< The entry's text as it was hashed.
  std::string_view hash;
  std::string_view mac;  ///< Empty: there is none.
};
/// Nothing: it is no record's text.
[[nodiscard]] std::optional<SealedEntry> unseal(std::string_view text);
[[nodiscard]] AuditRecord to_record(std::uint64_t number, std::string_view text);

[[nodiscard]] std::string chain_hash(std::string_view before, std::string_view canonical);
/// What is wrong with a record behind one of hash `before`; empty: nothing. Without keys no MAC is looked at.
[[nodiscard]] std::string fault_of(std::uint64_t number, std::string_view text, std::string_view before,
                                   std::span<const std::string> keys);

}  // namespace quern::inline v1::http::detail
