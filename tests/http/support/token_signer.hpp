#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace quern_test {

inline std::string base64url(std::string_view bytes) {
  // OpenSSL's own, so that the tests do not take quern's word for it.
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

/// A key pair that is made anew, and signs as an issuer of tokens does.
class TokenSigner {
 public:
  /// "RS256" (of 2048 bits, or 1024 by `bits`), "ES256", "ES384" (P-384), "EdDSA", or "HS256" with a secret.
  explicit TokenSigner(std::string alg, std::string secret = {}, std::size_t bits = 2048)
      : alg_(std::move(alg)), secret_(std::move(secret)) {
    if (alg_ == "RS256") key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits));
    if (alg_ == "ES256") key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    if (alg_ == "ES384") key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
    if (alg_ == "EdDSA") key_.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    if (!key_ && alg_ != "HS256") throw std::runtime_error("no key for " + alg_);
  }

  [[nodiscard]] std::string pem(bool of_private = false) const {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
    if (of_private)
      PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    else
      PEM_write_bio_PUBKEY(bio.get(), key_.get());
    const char* data = nullptr;
    const long length = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<std::size_t>(length)};
  }

  [[nodiscard]] std::string token(const nlohmann::json& claims, nlohmann::json header = {}) const {
    if (!header.contains("alg")) header["alg"] = alg_;
    return token_of(header.dump(), claims.dump());
  }
  /// Of texts as they are, whether JSON or not.
  [[nodiscard]] std::string token_of(std::string_view header, std::string_view claims) const {
    const std::string text = base64url(header) + "." + base64url(claims);
    return text + "." + base64url(sign(text));
  }
  /// Raw, as tokens have it.
  [[nodiscard]] std::string sign(std::string_view text) const {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    std::string out(1024, '\0');
    auto* to = reinterpret_cast<unsigned char*>(out.data());
    if (alg_ == "HS256") {
      unsigned length = 0;
      HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), bytes, text.size(), to, &length);
      return out.substr(0, length);
    }
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    std::size_t length = out.size();
    if (EVP_DigestSignInit(context.get(), nullptr, alg_ == "EdDSA" ? nullptr : EVP_sha256(), nullptr,
                           key_.get()) != 1 ||
        EVP_DigestSign(context.get(), to, &length, bytes, text.size()) != 1)
      throw std::runtime_error("can't sign");
    out.resize(length);
    return alg_.starts_with("ES") ? raw(out) : out;
  }

 private:
  /// The two numbers of a DER signature, one behind the other.
  static std::string raw(const std::string& der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), &ECDSA_SIG_free);
    const bool wide =
        BN_num_bytes(ECDSA_SIG_get0_r(pair.get())) > 32 || BN_num_bytes(ECDSA_SIG_get0_s(pair.get())) > 32;
    const int width = wide ? 48 : 32;
    std::string both(2 * static_cast<std::size_t>(width), '\0');
    auto* to = reinterpret_cast<unsigned char*>(both.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), to, width);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), to + width, width);
    return both;
  }

  struct End {
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
  };
  std::string alg_;
  std::string secret_;
  std::unique_ptr<EVP_PKEY, End> key_;
};

}  // namespace quern_test
