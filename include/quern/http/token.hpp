#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/clock.hpp"
#include "quern/http/authentication.hpp"
#include "quern/http/roles.hpp"
#include "quern/http/token_key.hpp"

namespace quern::inline v1::http {

/// What tokens have to say, and what is made of it.
///
/// Claims are named as they stand in the token, or as a JSON pointer (RFC 6901) where they are inside another: "/realm_access/roles".
struct TokenOptions {
  std::string issuer{};                        ///< `iss`, exactly. Must be set.
  std::string audience{};                      ///< `aud`, or one of its list, exactly. Must be set.
  Duration leeway = std::chrono::seconds(30);  ///< By how much clocks may differ; 0 to 60 seconds.
  std::string name_claim = "sub";              ///< What the caller is called; where it is missing, by `sub`.
  std::string roles_claim = "roles";           ///< A text, with blanks between several, or a list of texts.
  /// Which role each of those gives, by the issuer's name; others give none. Empty: they are named as the roles here.
  std::map<std::string, std::string> roles{};
  /// A list of texts, or "*" for all. Empty: tokens are not limited to tenants. Set, but missing in a token: it reaches no job.
  std::string tenants_claim{};
  std::string queues_claim{};  ///< The same for queues.
};

/// Checks JSON Web Tokens (RFC 7519, in the way of RFC 8725), signed by somebody else.
///
/// Form     compact (RFC 7515 7.1), at most 8 KiB, base64url without padding, JSON in which no name stands twice.
/// Key      by `kid`, exactly, among those that were set; it says which algorithm it has to be. `jku`, `x5u`, `jwk` and `x5c` are not looked at. Any
///          `crit` is refused, as is a `typ` that is not of an access token.
/// Order    the signature is checked before anything of the payload is read.
/// Claims   `iss`, `aud`, `exp` and `sub` must be there, `nbf` and `iat` may. Times are numbers up to the year 9999.
/// Deny     roles that there are not give nothing; without a role a caller may do nothing.
/// Threads  every call may be made from any thread.
class TokenVerifier {
 public:
  /// `roles` and the clock must outlive it. It knows no key yet. Throws InvalidArgument ("tokens.issuer") for faulty options.
  TokenVerifier(TokenOptions options, Roles& roles, ClockRef clock = {});
  TokenVerifier(const TokenVerifier&) = delete;
  TokenVerifier& operator=(const TokenVerifier&) = delete;
  ~TokenVerifier();

  /// In the place of all keys: how they are rotated. Throws InvalidArgument ("token_keys[1].public_key") for a faulty key, or where a kid
  /// stands twice, and changes nothing then.
  void set_keys(const std::vector<TokenKey>& keys);

  /// Whom the token is from. May throw StorageError, for roles that are stored.
  [[nodiscard]] Authentication verify(std::string_view token) const;

 private:
  struct KeySet;
  [[nodiscard]] Authentication judge(std::string_view payload) const;

  const TokenOptions options_;
  Roles& roles_;
  const ClockRef clock_;
  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const KeySet> keys_;
};

}  // namespace quern::inline v1::http
