#include "http/signature.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <climits>
#include <vector>

#include "http/crypto.hpp"
#include "quern/core/error.hpp"

namespace quern::inline v1::http::detail {
namespace {

template <auto End>
struct Ends {
  template <class T>
  void operator()(T* object) const noexcept {
    End(object);
  }
};
using Bio = std::unique_ptr<BIO, Ends<BIO_free>>;
using Number = std::unique_ptr<BIGNUM, Ends<BN_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Ends<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Ends<OSSL_PARAM_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Ends<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Ends<EVP_MD_CTX_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, Ends<ECDSA_SIG_free>>;

constexpr std::size_t ed25519_bytes = 32;
constexpr std::size_t p256_bytes = 32;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Number number_of(std::string_view bytes) {
  constexpr std::size_t most = 2048;  // an RSA key of 16,384 bits, far more than anybody uses
  if (bytes.empty() || bytes.size() > most) return nullptr;
  return Number(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

PublicKey make_key(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    ERR_clear_error();
  return PublicKey(key);
}

/// The two numbers of 32 bytes each, as the sequence of two integers that OpenSSL reads (RFC 7518 3.4, RFC 3279 2.2.3).
std::string der_of(std::string_view signature) {
  if (signature.size() != 2 * p256_bytes) return {};
  Number r(BN_bin2bn(bytes_of(signature), p256_bytes, nullptr));
  Number s(BN_bin2bn(bytes_of(signature) + p256_bytes, p256_bytes, nullptr));
  const EcSignature pair(ECDSA_SIG_new());
  // Zero is in no signature, and was taken for one elsewhere (CVE-2022-21449).
  if (!pair || !r || !s || BN_is_zero(r.get()) || BN_is_zero(s.get())) return {};
  if (ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();
  (void)s.release();
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(pair.get(), &der);
  if (length <= 0) return {};
  std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return text;
}

bool verifies_with(EVP_PKEY* key, const EVP_MD* digest, std::string_view text, std::string_view signature) {
  const DigestContext context(EVP_MD_CTX_new());
  if (!context) throw Error("OpenSSL has no memory for a signature");
  const bool right =
      !signature.empty() && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(text), text.size()) ==
          1;
  if (!right) ERR_clear_error();
  return right;
}

}  // namespace

void PublicKeyEnd::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

PublicKey read_pem(std::string_view pem) {
  if (pem.size() > INT_MAX) return nullptr;
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // Never asks for a passphrase: public keys have none.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  PublicKey key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!key) ERR_clear_error();
  return key;
}

std::string write_pem(const PublicKey& key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), key.get()) != 1)
    throw Error("OpenSSL can't write a public key");
  const char* data = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(length)};
}

PublicKey make_rsa(std::string_view n, std::string_view e) {
  const Number modulus = number_of(n);
  const Number exponent = number_of(e);
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!modulus || !exponent || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return nullptr;
  return make_key("RSA", builder.get());
}

PublicKey make_p256(std::string_view x, std::string_view y) {
  if (x.size() != p256_bytes || y.size() != p256_bytes) return nullptr;
  std::string point = "\x04";  // not compressed (SEC 1, 2.3.3)
  point += x;
  point += y;
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) !=
          1)
    return nullptr;
  return make_key("EC", builder.get());
}

PublicKey make_ed25519(std::string_view x) {
  if (x.size() != ed25519_bytes) return nullptr;
  return PublicKey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size()));
}

std::optional<TokenAlgorithm> algorithm_of(const PublicKey& key) {
  switch (EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA:
      return TokenAlgorithm::rs256;
    case EVP_PKEY_ED25519:
      return TokenAlgorithm::eddsa;
    case EVP_PKEY_EC: {
      std::string name(64, '\0');
      std::size_t length = 0;
      if (EVP_PKEY_get_group_name(key.get(), name.data(), name.size(), &length) != 1) return std::nullopt;
      name.resize(length);
      if (name != "prime256v1" && name != "P-256") return std::nullopt;
      return TokenAlgorithm::es256;
    }
    default:
      return std::nullopt;
  }
}

SignatureKey::SignatureKey(const TokenKey& key, std::string_view field) : algorithm_(key.algorithm) {
  const auto fault = [&](std::string_view name, const std::string& what) {
    throw InvalidArgument(fmt::format("{}.{}", field, name), what);
  };
  if (algorithm_ == TokenAlgorithm::hs256) {
    constexpr std::size_t least = 32;
    if (!key.public_key.empty()) fault("public_key", "is set, but HS256 has a secret");
    const std::string& secret = key.secret.reveal();
    if (secret.size() < least)
      fault("secret", fmt::format("has less than the {} bytes that HS256 needs", least));
    // Everybody may have a public key, and could then sign.
    if (secret.find("-----BEGIN") != std::string::npos)
      fault("secret", "is PEM, which is no secret for HS256");
    secret_ = secret;
    return;
  }
  constexpr int least_bits = 2048;
  if (!key.secret.reveal().empty()) fault("secret", "is set, but only HS256 has one");
  key_ = read_pem(key.public_key);
  if (!key_) fault("public_key", "is no public key in PEM (\"-----BEGIN PUBLIC KEY-----\")");
  if (algorithm_of(key_) != algorithm_)
    fault("public_key", fmt::format("is no key for {}", to_text(algorithm_)));
  if (algorithm_ == TokenAlgorithm::rs256 && EVP_PKEY_get_bits(key_.get()) < least_bits)
    fault("public_key", fmt::format("has less than {} bits", least_bits));
}

SignatureKey::~SignatureKey() { wipe(secret_); }

bool SignatureKey::verifies(std::string_view text, std::string_view signature) const {
  switch (algorithm_) {
    case TokenAlgorithm::hs256:
      return same_secret(hmac_sha256(secret_, text), signature);
    case TokenAlgorithm::rs256:
      return verifies_with(key_.get(), EVP_sha256(), text, signature);
    case TokenAlgorithm::es256:
      return verifies_with(key_.get(), EVP_sha256(), text, der_of(signature));
    case TokenAlgorithm::eddsa:
      return verifies_with(key_.get(), nullptr, text, signature);
  }
  return false;
}

}  // namespace quern::inline v1::http::detail
