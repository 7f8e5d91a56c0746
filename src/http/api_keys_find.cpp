#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "http/api_key_record.hpp"
#include "http/crypto.hpp"
#include "http/record_edit.hpp"
#include "quern/core/error.hpp"
#include "quern/http/api_keys.hpp"

namespace quern::inline v1::http {
namespace {

constexpr std::string_view collection = detail::api_key_collection;

std::string_view id_in(std::string_view secret) noexcept {
  return secret.substr(detail::api_key_prefix.size(), detail::api_key_id_length);
}

bool is_sha256_hex(std::string_view text) noexcept {
  constexpr std::size_t digits = 64;
  return text.size() == digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

bool looks_like_api_key(std::string_view text) noexcept {
  return text.size() == detail::api_key_length && text.starts_with(detail::api_key_prefix) &&
         text[detail::api_key_prefix.size() + detail::api_key_id_length] == '_' &&
         std::ranges::all_of(
             id_in(text), [](char c) { return detail::api_key_letters.find(c) != std::string_view::npos; });
}

void ApiKeys::configure(std::vector<ConfiguredApiKey> keys) {
  constexpr std::size_t least_length = 32;
  std::vector<Configured> configured;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ConfiguredApiKey& given = keys[i];
    const std::string field = fmt::format("keys[{}]", i);
    check(given.key, field);
    if (given.secret.reveal().empty() == given.sha256.empty())
      throw InvalidArgument(field, "has neither secret nor sha256, or both");
    std::string hash = given.sha256;
    if (hash.empty()) {
      if (given.secret.reveal().size() < least_length)
        throw InvalidArgument(
            field + ".secret",
            fmt::format("is shorter than the {} characters that make a key hard to guess", least_length));
      hash = detail::to_hex(detail::sha256(given.secret.reveal()));
    }
    if (!is_sha256_hex(hash))
      throw InvalidArgument(field + ".sha256", "is not 64 hexadecimal digits in lower case");
    configured.push_back({std::move(given.key), std::move(hash)});
  }
  const std::lock_guard lock(mutex_);
  configured_ = std::move(configured);
}

Authentication ApiKeys::find_configured(std::string_view hash) {
  std::optional<NewApiKey> match;
  {
    const std::lock_guard lock(mutex_);
    for (const Configured& one : configured_)  // all of them, whichever it is
      if (detail::same_secret(one.hash, hash)) match = one.key;
  }
  if (!match) return {.refused = "there is no such key"};
  if (match->expires && clock_.now() >= *match->expires)
    return {.refused = "the key has expired", .id = match->name};
  return {.caller = caller_of(*match, match->name), .id = match->name};
}

Authentication ApiKeys::find(std::string_view secret) {
  const std::string hash = detail::to_hex(detail::sha256(secret));
  if (!looks_like_api_key(secret)) return find_configured(hash);
  const std::string id(id_in(secret));
  const auto value = storage_.get_record(collection, id);
  if (!value) return find_configured(hash);
  const auto key = detail::read_record<detail::StoredApiKey>(*value, collection, id);
  const TimePoint now = clock_.now();
  // Both, whatever the first says.
  const bool is_new = detail::same_secret(key.hash, hash);
  const bool is_old = detail::same_secret(key.old_hash, hash);
  if (!is_new && !is_old) return {.refused = "the key's secret is wrong", .id = id};
  if (key.revoked) return {.refused = "the key is revoked", .id = id};
  if (key.expires && now >= *key.expires) return {.refused = "the key has expired", .id = id};
  if (!is_new && now >= key.old_until)
    return {.refused = "the key was rotated, and the time of the old secret is over", .id = id};
  {
    const std::lock_guard lock(mutex_);
    used_[id] = now;
  }
  return {.caller = caller_of(key.key(), id), .id = id};
}

NextTick ApiKeys::tick() {
  constexpr Duration interval = std::chrono::minutes(1);
  std::map<std::string, TimePoint, std::less<>> used;
  {
    const std::lock_guard lock(mutex_);
    used.swap(used_);
  }
  try {
    for (auto one = used.begin(); one != used.end(); one = used.erase(one)) {
      // The last to write is right to about a minute, whichever node that is.
      storage_.put_record({std::string(detail::api_key_used_collection), one->first,
                           Payload::of(detail::UsedAt{one->second})});
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    used_.merge(used);  // what was used again meanwhile stays as it is
    throw;
  }
  return {clock_.now() + interval};
}

}  // namespace quern::inline v1::http
