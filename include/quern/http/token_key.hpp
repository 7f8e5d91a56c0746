#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "quern/core/secret.hpp"

namespace quern::inline v1::http {

/// How tokens may be signed (RFC 7518 3.1, RFC 8037 3.1). There is no other way, and none without a signature.
enum class TokenAlgorithm : std::uint8_t {
  hs256,  ///< HMAC with SHA-256: who checks tokens can also make them.
  rs256,  ///< RSA, PKCS #1 1.5, with SHA-256.
  es256,  ///< ECDSA on P-256 with SHA-256.
  eddsa,  ///< Ed25519.
};

/// "HS256", "RS256", "ES256", "EdDSA".
[[nodiscard]] std::string_view to_text(TokenAlgorithm algorithm) noexcept;

/// What tokens are checked with. A key is for one algorithm, whatever a token says.
struct TokenKey {
  std::string kid{};  ///< As tokens name it, exactly; empty: for those that name none.
  TokenAlgorithm algorithm = TokenAlgorithm::rs256;
  Secret secret{};           ///< HS256: at least 32 bytes (RFC 7518 3.2).
  std::string public_key{};  ///< The others: PEM, "-----BEGIN PUBLIC KEY-----". RSA with at least 2048 bits.
};

/// The keys of a JSON Web Key Set (RFC 7517 5). Left out are those for something else: of another type, curve, `alg` or `use`. A key's
/// algorithm follows from its type; `oct` has to name HS256. Throws InvalidArgument ("jwks.keys[1].n") for what is no such set, a faulty key,
/// or where none is left.
[[nodiscard]] std::vector<TokenKey> read_jwks(std::string_view json);

/// A key or keys from a file of at most 1 MiB: a key set where it begins with '{', a public key where it begins with "-----BEGIN"; else a
/// secret for HS256, without the end of its last line. `kid` is for a file that does not say it. Throws InvalidArgument ("token_keys") for a
/// file that can't be read or has no such thing in it.
[[nodiscard]] std::vector<TokenKey> read_token_keys(const std::filesystem::path& file,
                                                    const std::string& kid = {});

}  // namespace quern::inline v1::http
