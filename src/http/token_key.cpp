#include "quern/http/token_key.hpp"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "http/crypto.hpp"
#include "http/signature.hpp"
#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"

namespace quern::inline v1::http {
namespace {

using nlohmann::json;

constexpr std::size_t most_bytes = std::size_t{1} << 20U;

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string bytes_in(const json& object, const char* name, const std::string& field) {
  auto bytes = detail::from_base64url(text_in(object, name));
  if (!bytes || bytes->empty()) throw InvalidArgument(fmt::format("{}.{}", field, name), "is not base64url");
  return *bytes;
}

/// What a key of this type and curve is for; none: nothing here.
std::optional<TokenAlgorithm> algorithm_for(const json& jwk) {
  const std::string type = text_in(jwk, "kty");
  const std::string curve = text_in(jwk, "crv");
  if (type == "RSA") return TokenAlgorithm::rs256;
  if (type == "EC" && curve == "P-256") return TokenAlgorithm::es256;
  if (type == "OKP" && curve == "Ed25519") return TokenAlgorithm::eddsa;
  if (type == "oct") return TokenAlgorithm::hs256;
  return std::nullopt;
}

bool is_wanted(const json& jwk, TokenAlgorithm algorithm) {
  if (jwk.contains("use") && text_in(jwk, "use") != "sig") return false;
  if (jwk.contains("alg")) return text_in(jwk, "alg") == to_text(algorithm);
  return algorithm != TokenAlgorithm::hs256;
}

TokenKey key_of(const json& jwk, TokenAlgorithm algorithm, const std::string& field) {
  TokenKey key{.kid = text_in(jwk, "kid"), .algorithm = algorithm};
  if (algorithm == TokenAlgorithm::hs256) {
    key.secret = bytes_in(jwk, "k", field);
    return key;
  }
  detail::PublicKey made;
  if (algorithm == TokenAlgorithm::rs256)
    made = detail::make_rsa(bytes_in(jwk, "n", field), bytes_in(jwk, "e", field));
  else if (algorithm == TokenAlgorithm::es256)
    made = detail::make_p256(bytes_in(jwk, "x", field), bytes_in(jwk, "y", field));
  else
    made = detail::make_ed25519(bytes_in(jwk, "x", field));
  if (!made) throw InvalidArgument(field, fmt::format("is no key for {}", to_text(algorithm)));
  key.public_key = detail::write_pem(made);
  return key;
}

}  // namespace

std::string_view to_text(TokenAlgorithm algorithm) noexcept {
  switch (algorithm) {
    case TokenAlgorithm::hs256:
      return "HS256";
    case TokenAlgorithm::rs256:
      return "RS256";
    case TokenAlgorithm::es256:
      return "ES256";
    case TokenAlgorithm::eddsa:
      return "EdDSA";
  }
  return "";
}

std::vector<TokenKey> read_jwks(std::string_view text) {
  JobLimits limits;
  limits.payload_bytes = most_bytes;
  check_json(text, "jwks", limits);
  const json set = json::parse(text);
  const auto keys = set.is_object() ? set.find("keys") : set.end();
  if (!set.is_object() || keys == set.end() || !keys->is_array())
    throw InvalidArgument("jwks.keys", "is not there, or no list");
  std::vector<TokenKey> found;
  for (std::size_t i = 0; i < keys->size(); ++i) {
    const json& jwk = (*keys)[i];
    const std::string field = fmt::format("jwks.keys[{}]", i);
    if (!jwk.is_object()) throw InvalidArgument(field, "is no object");
    const auto algorithm = algorithm_for(jwk);
    if (algorithm && is_wanted(jwk, *algorithm)) found.push_back(key_of(jwk, *algorithm, field));
  }
  if (found.empty())
    throw InvalidArgument("jwks.keys", "has no key to check signatures with RS256, ES256, EdDSA or HS256");
  return found;
}

std::vector<TokenKey> read_token_keys(const std::filesystem::path& file, const std::string& kid) {
  std::ifstream in(file, std::ios::binary);
  std::string text(most_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  const auto fault = [&](std::string_view what) {
    throw InvalidArgument("token_keys", fmt::format("the file {} {}", file.string(), what));
  };
  if (!in.is_open() || in.bad()) fault("can't be read");
  if (text.size() > most_bytes) fault("is larger than 1 MiB");
  if (text.starts_with('{')) return read_jwks(text);
  if (text.starts_with("-----BEGIN")) {
    const detail::PublicKey key = detail::read_pem(text);
    if (!key) fault("has no public key in PEM (\"-----BEGIN PUBLIC KEY-----\")");
    const auto algorithm = detail::algorithm_of(key);
    if (!algorithm) fault("has a key that is neither RSA, nor on P-256, nor Ed25519");
    return {{.kid = kid, .algorithm = *algorithm, .public_key = std::move(text)}};
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) fault("is empty");
  return {{.kid = kid, .algorithm = TokenAlgorithm::hs256, .secret = std::move(text)}};
}

}  // namespace quern::inline v1::http
