#include "quern/http/api_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "http/api_key_record.hpp"
#include "http/crypto.hpp"
#include "http/record_edit.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/http/problem.hpp"

namespace quern::inline v1::http {
namespace {

using detail::StoredApiKey;

constexpr std::string_view collection = detail::api_key_collection;
constexpr std::string_view used_collection = detail::api_key_used_collection;

void check_names(const std::optional<std::vector<std::string>>& names, std::string_view field) {
  constexpr std::size_t most = 1000;
  if (!names) return;
  if (names->size() > most)
    throw InvalidArgument(std::string(field),
                          fmt::format("are {}, at most {} are allowed", names->size(), most));
  for (std::size_t i = 0; i < names->size(); ++i)
    check_text((*names)[i], fmt::format("{}[{}]", field, i), JobLimits{}.text_bytes);
}

Problem no_such_key() { return Problem::not_found("there is no such key"); }
Problem too_much() {
  return {.status = 403, .name = "forbidden", .detail = "nobody can give more than they have"};
}

ApiKeyInfo info_of(std::string id, StoredApiKey stored, TimePoint now) {
  ApiKeyInfo info{.id = std::move(id), .key = stored.key()};
  info.created = stored.created;
  info.created_by = std::move(stored.created_by);
  info.rotated = stored.rotated;
  if (!stored.old_hash.empty() && now < stored.old_until) info.old_until = stored.old_until;
  info.revoked = stored.revoked;
  info.revoked_by = std::move(stored.revoked_by);
  return info;
}

/// An id and a secret for it, of which the hash is to be kept.
IssuedApiKey issue(std::string id, const RandomBytes& random, std::string& hash) {
  std::string bytes = random(detail::api_key_random_bytes);
  std::string secret = fmt::format("{}{}_{}", detail::api_key_prefix, id, detail::to_base64url(bytes));
  detail::wipe(bytes);
  hash = detail::to_hex(detail::sha256(secret));
  return {std::move(id), Secret(std::move(secret))};
}

std::string new_id(const RandomBytes& random) {
  std::string id;
  for (const char byte : random(detail::api_key_id_length))
    id += detail::api_key_letters[static_cast<unsigned char>(byte) % 32];
  return id;
}

}  // namespace

ApiKeys::ApiKeys(StoragePort& storage, Roles& roles, ClockRef clock, RandomBytes random)
    : storage_(storage), roles_(roles), clock_(clock), random_(std::move(random)) {}
ApiKeys::~ApiKeys() = default;

void ApiKeys::check(const NewApiKey& key, std::string_view field) {
  const auto at = [&](std::string_view name) { return fmt::format("{}.{}", field, name); };
  constexpr std::size_t most_name = 128;
  if (key.name.empty()) throw InvalidArgument(at("name"), "is empty");
  check_text(key.name, at("name"), most_name);
  if (!key.role.empty() && !key.permissions.empty())
    throw InvalidArgument(at("role"), "stands beside permissions; a key has one or the other");
  if (key.role.empty()) check_permissions(key.permissions, at("permissions"));
  if (!key.role.empty() && !roles_.find(key.role))
    throw InvalidArgument(at("role"),
                          fmt::format("\"{}\" is no role that there is", clean_message(key.role, 64)));
  check_names(key.tenants, at("tenants"));
  check_names(key.queues, at("queues"));
  if (key.expires && *key.expires <= clock_.now()) throw InvalidArgument(at("expires"), "has passed");
}

Scope ApiKeys::scope_of(const NewApiKey& key) {
  Scope scope{.permissions = key.permissions, .tenants = key.tenants, .queues = key.queues};
  // A role that has gone leaves a caller who may do nothing.
  if (!key.role.empty()) scope.permissions = roles_.find(key.role).value_or(std::vector<std::string>());
  return scope;
}

std::optional<Caller> ApiKeys::caller_of(const NewApiKey& key, std::string_view id) {
  return Caller{.name = key.name, .via = "key", .id = std::string(id), .scope = scope_of(key)};
}

IssuedApiKey ApiKeys::create(const NewApiKey& key, const Caller& by) {
  check(key, "key");
  if (!within(scope_of(key), by.scope)) throw too_much();
  StoredApiKey stored(key);
  stored.created = clock_.now();
  stored.created_by = by.name;
  // 60 random bits meet sooner or later only where a test sees to it.
  for (int tries = 0; tries < 10; ++tries) {
    IssuedApiKey issued = issue(new_id(random_), random_, stored.hash);
    const bool added = detail::edit_record<StoredApiKey>(storage_, collection, issued.id,
                                                         [&](std::optional<StoredApiKey>& there) {
                                                           if (there) return false;
                                                           there = stored;
                                                           return true;
                                                         });
    if (added) return issued;
  }
  throw Error("no id for a key could be found that is not taken: the source of random bytes repeats itself");
}

IssuedApiKey ApiKeys::rotate(std::string_view id, Duration grace, const Caller& by) {
  constexpr Duration most = std::chrono::hours(24 * 30);
  if (grace < Duration::zero() || grace > most)
    throw InvalidArgument(
        "grace", fmt::format("is {}, allowed are 0s to {}", quern::to_text(grace), quern::to_text(most)));
  std::string hash;
  IssuedApiKey issued = issue(std::string(id), random_, hash);
  detail::edit_record<StoredApiKey>(storage_, collection, id, [&](std::optional<StoredApiKey>& key) {
    const TimePoint now = clock_.now();
    if (!key) throw no_such_key();
    if (!key->counts(now)) throw Problem::conflict("the key is revoked or expired");
    if (!within(scope_of(key->key()), by.scope)) throw too_much();
    key->old_hash = grace > Duration::zero() ? key->hash : std::string();
    key->old_until = now + grace;
    key->hash = hash;
    key->rotated = now;
    return true;
  });
  return issued;
}

bool ApiKeys::revoke(std::string_view id, const Caller& by) {
  return detail::edit_record<StoredApiKey>(storage_, collection, id, [&](std::optional<StoredApiKey>& key) {
    if (!key) throw no_such_key();
    if (key->revoked) return false;
    key->revoked = clock_.now();
    key->revoked_by = by.name;
    return true;
  });
}

void ApiKeys::erase(std::string_view id) {
  detail::edit_record<StoredApiKey>(storage_, collection, id, [&](std::optional<StoredApiKey>& key) {
    if (!key) throw no_such_key();
    if (key->counts(clock_.now())) throw Problem::conflict("the key still counts; revoke it first");
    key.reset();
    return true;
  });
  storage_.erase_record(used_collection, id);
}

std::optional<ApiKeyInfo> ApiKeys::get(std::string_view id) {
  const auto value = storage_.get_record(collection, id);
  if (!value) return std::nullopt;
  auto stored = detail::read_record<StoredApiKey>(*value, collection, id);
  ApiKeyInfo info = info_of(std::string(id), std::move(stored), clock_.now());
  if (const auto used = storage_.get_record(used_collection, id))
    info.last_used = detail::read_record<detail::UsedAt>(*used, used_collection, id).at;
  return info;
}

std::vector<ApiKeyInfo> ApiKeys::list(std::string_view after, std::size_t limit) {
  std::vector<ApiKeyInfo> all;
  for (const Record& record : storage_.list_records(collection, after, limit)) {
    // One that has gone meanwhile is not listed.
    if (auto info = get(record.key)) all.push_back(std::move(*info));
  }
  return all;
}

}  // namespace quern::inline v1::http
