#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/fields.hpp"
#include "quern/http/api_keys.hpp"

namespace quern::inline v1::http::detail {

inline constexpr std::string_view api_key_collection = "quern.keys";
inline constexpr std::string_view api_key_used_collection = "quern.keys.used";

inline constexpr std::string_view api_key_prefix = "quern_";
inline constexpr std::size_t api_key_id_length = 12;
inline constexpr std::size_t api_key_random_bytes = 32;
inline constexpr std::size_t api_key_secret_length = 43;  // of so many bytes in base64url
inline constexpr std::size_t api_key_length =
    api_key_prefix.size() + api_key_id_length + 1 + api_key_secret_length;
/// Of an id, without those that look alike. 32 of them, so that each is as likely.
inline constexpr std::string_view api_key_letters = "abcdefghijkmnpqrstuvwxyz23456789";
static_assert(api_key_letters.size() == 32);

/// A key as it stands in the storage.
struct StoredApiKey {
  std::string name{};
  std::string role{};
  std::vector<std::string> permissions{};
  std::optional<std::vector<std::string>> tenants{};
  std::optional<std::vector<std::string>> queues{};
  std::optional<TimePoint> expires{};
  TimePoint created{};
  std::string created_by{};
  std::string hash{};      ///< SHA-256 of the whole secret, in hexadecimal digits.
  std::string old_hash{};  ///< Of the one before; empty: there is none.
  TimePoint old_until{};   ///< Until when that one counts.
  std::optional<TimePoint> rotated{};
  std::optional<TimePoint> revoked{};
  std::string revoked_by{};

  StoredApiKey() = default;
  explicit StoredApiKey(const NewApiKey& key)
      : name(key.name),
        role(key.role),
        permissions(key.permissions),
        tenants(key.tenants),
        queues(key.queues),
        expires(key.expires) {}

  [[nodiscard]] NewApiKey key() const { return {name, role, permissions, tenants, queues, expires}; }
  [[nodiscard]] bool counts(TimePoint now) const noexcept { return !revoked && (!expires || now < *expires); }
};
QUERN_FIELDS(StoredApiKey, name, role, permissions, tenants, queues, expires, created, created_by, hash,
             old_hash, old_until, rotated, revoked, revoked_by)

/// When it was last used. A record apart, so that noting a use and changing a key are not in each other's way.
struct UsedAt {
  TimePoint at{};
};
QUERN_FIELDS(UsedAt, at)

}  // namespace quern::inline v1::http::detail
