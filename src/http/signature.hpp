#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "quern/http/token_key.hpp"

struct evp_pkey_st;

namespace quern::inline v1::http::detail {

struct PublicKeyEnd {
  void operator()(evp_pkey_st* key) const noexcept;
};
using PublicKey = std::unique_ptr<evp_pkey_st, PublicKeyEnd>;

/// Null: it is no public key in PEM.
[[nodiscard]] PublicKey read_pem(std::string_view pem);
/// The PEM of a key; throws Error where OpenSSL fails.
[[nodiscard]] std::string write_pem(const PublicKey& key);
/// Null: it is no key. The numbers as bytes, the most significant one first.
[[nodiscard]] PublicKey make_rsa(std::string_view n, std::string_view e);
[[nodiscard]] PublicKey make_p256(std::string_view x, std::string_view y);
[[nodiscard]] PublicKey make_ed25519(std::string_view x);
/// What it can be for; none: nothing here.
[[nodiscard]] std::optional<TokenAlgorithm> algorithm_of(const PublicKey& key);

/// A key that checks signatures of one algorithm. Concurrent use is safe.
class SignatureKey {
 public:
  /// Throws InvalidArgument, with `field` before what is wrong.
  SignatureKey(const TokenKey& key, std::string_view field);
  SignatureKey(const SignatureKey&) = delete;
  SignatureKey& operator=(const SignatureKey&) = delete;
  ~SignatureKey();

  [[nodiscard]] TokenAlgorithm algorithm() const noexcept { return algorithm_; }
  [[nodiscard]] bool verifies(std::string_view text, std::string_view signature) const;

 private:
  TokenAlgorithm algorithm_;
  std::string secret_;
  PublicKey key_;
};

}  // namespace quern::inline v1::http::detail
