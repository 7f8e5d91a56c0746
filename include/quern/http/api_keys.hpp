#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/core/secret.hpp"
#include "quern/http/access.hpp"
#include "quern/http/authentication.hpp"
#include "quern/http/random_bytes.hpp"
#include "quern/http/roles.hpp"
#include "quern/storage/any_storage.hpp"

namespace quern::inline v1::http {

/// What a key is for.
struct NewApiKey {
  std::string name{};  ///< For people and the audit log, 1 to 128 bytes: "deploy".
  /// A role by its name, looked up at each request; or, where it is empty, `permissions`.
  std::string role{};
  std::vector<std::string> permissions{};
  std::optional<std::vector<std::string>> tenants{};  ///< See Scope.
  std::optional<std::vector<std::string>> queues{};   ///< See Scope.
  std::optional<TimePoint> expires{};                 ///< None: never.
};

/// What can be known of a key; the secret can't.
struct ApiKeyInfo {
  std::string id{};
  NewApiKey key{};
  TimePoint created{};
  std::string created_by{};
  std::optional<TimePoint> rotated{};    ///< When its secret was last changed.
  std::optional<TimePoint> old_until{};  ///< Until when the secret before that one still counts.
  std::optional<TimePoint> revoked{};
  std::string revoked_by{};
  std::optional<TimePoint> last_used{};  ///< To about a minute.
};

/// A key as it is handed out: the only time that its secret can be seen.
struct IssuedApiKey {
  std::string id{};
  Secret secret{};  ///< "quern_ID_43CHARACTERS"
};

/// A key that stands in the environment or the configuration, for a start without any in the storage.
struct ConfiguredApiKey {
  NewApiKey key{};  ///< Its name is its id, too.
  /// The key itself, at least 32 characters; only its hash is kept. Or, where it is empty, `sha256`.
  Secret secret{};
  std::string sha256{};  ///< Of the key, as 64 hexadecimal digits.
};

/// Keys by which programs are known, kept in the storage (collection "quern.keys") for all nodes together.
///
/// Form     "quern_", an id of 12 letters and digits, "_", and 256 random bits in base64url. By the id the record is found; of the rest
///          the storage has a SHA-256, which is enough for what nobody can guess, and compares it in constant time.
/// Fresh    each check reads the record, at the cost of one look-up by its key: who is revoked is out at once, on every node. There is
///          no cache that could say otherwise.
/// Changes  by compare-and-set: what two administrators do at once is done one after the other.
/// None     there is no key until somebody makes one: by `create`, or in the configuration (`configure`).
/// Time     expiry and grace go by the clock that is handed in.
/// Threads  every call may be made from any thread. Any may throw StorageError; one that can't be answered lets nobody in.
class ApiKeys {
 public:
  /// All that is handed in must outlive it.
  ApiKeys(StoragePort& storage, Roles& roles, ClockRef clock = {}, RandomBytes random = &system_random_bytes);
  ApiKeys(const ApiKeys&) = delete;
  ApiKeys& operator=(const ApiKeys&) = delete;
  ~ApiKeys();

  /// Throws InvalidArgument for a faulty name, tenant, queue, role or permission, or an expiry that has passed; Problem (403) where the
  /// key would be allowed more than `by` is. After a StorageError there may be a key that nobody knows the secret of.
  [[nodiscard]] IssuedApiKey create(const NewApiKey& key, const Caller& by);
  /// A new secret for the same key. The one before counts for `grace` more (0 to 30 days), one before that no longer. Throws
  /// InvalidArgument for another grace; Problem 404 where there is no such key, 409 where it is revoked or expired, 403 as `create`.
  [[nodiscard]] IssuedApiKey rotate(std::string_view id, Duration grace, const Caller& by);
  /// From when it returns, the key is refused on every node. False: it was revoked already. Throws Problem 404.
  bool revoke(std::string_view id, const Caller& by);
  /// Forgets a key that is revoked or expired. Throws Problem 404, or 409 where it still counts.
  void erase(std::string_view id);
  /// Up to `limit` stored keys with an id behind `after`, in the order of their ids.
  [[nodiscard]] std::vector<ApiKeyInfo> list(std::string_view after = {}, std::size_t limit = 100);
  /// None: there is no such key in the storage.
  [[nodiscard]] std::optional<ApiKeyInfo> get(std::string_view id);

  /// In the place of all configured keys. Throws InvalidArgument for a faulty one ("keys[0].secret"), and changes nothing then.
  void configure(std::vector<ConfiguredApiKey> keys);

  /// Who has this secret.
  [[nodiscard]] Authentication find(std::string_view secret);

  /// Writes which keys were used since; nothing else does, so that no request waits for it. Asks to be called again in a minute.
  /// After a StorageError the next call tries again.
  NextTick tick();

 private:
  struct Configured {
    NewApiKey key{};
    std::string hash{};
  };
  [[nodiscard]] Authentication find_configured(std::string_view hash);
  [[nodiscard]] std::optional<Caller> caller_of(const NewApiKey& key, std::string_view id);
  [[nodiscard]] Scope scope_of(const NewApiKey& key);
  void check(const NewApiKey& key, std::string_view field);

  StoragePort& storage_;
  Roles& roles_;
  const ClockRef clock_;
  const RandomBytes random_;
  std::mutex mutex_;  // guards what follows
  std::vector<Configured> configured_;
  std::map<std::string, TimePoint, std::less<>> used_;  // not written yet
};

/// Whether a text has the form of a key; tells nothing of whether it is one.
[[nodiscard]] bool looks_like_api_key(std::string_view text) noexcept;

}  // namespace quern::inline v1::http
