#include "quern/http/token.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "http/support/security.hpp"
#include "http/support/token_signer.hpp"
#include "quern/core/error.hpp"
#include "quern/http/gate.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using namespace std::chrono_literals;
using namespace quern::http;
using nlohmann::json;
using quern_test::base64url;
using quern_test::TokenSigner;

namespace {

const std::string hs_secret = "0123456789abcdef0123456789abcdef";

std::int64_t seconds(quern::TimePoint time) { return quern::to_us(time) / 1'000'000; }

struct TokenScene {
  quern_test::SecurityScene base;
  TokenVerifier verifier;

  explicit TokenScene(TokenOptions more = {})
      : verifier(with_names(std::move(more)), base.roles, base.clock) {}
  static TokenOptions with_names(TokenOptions options) {
    options.issuer = "https://id.example.org";
    options.audience = "quern";
    return options;
  }
  std::int64_t now() { return seconds(base.clock.now()); }
  json claims() {
    return {{"iss", "https://id.example.org"},
            {"aud", "quern"},
            {"sub", "alice"},
            {"exp", now() + 600},
            {"roles", {"viewer"}}};
  }
  json but(const std::string& name, const json& value) {
    json all = claims();
    all[name] = value;
    return all;
  }
  void know(const TokenSigner& signer, TokenAlgorithm algorithm, std::string kid = {}) {
    verifier.set_keys({{.kid = std::move(kid), .algorithm = algorithm, .public_key = signer.pem()}});
  }
  void know_secret() { verifier.set_keys({{.algorithm = TokenAlgorithm::hs256, .secret = hs_secret}}); }
};

}  // namespace

TEST_CASE("a token that is right tells whom it is from and what they may do", "[token]") {
  struct Row {
    std::string alg;
    TokenAlgorithm algorithm;
  };
  TokenScene s;
  for (const auto& [alg, algorithm] :
       {Row{"RS256", TokenAlgorithm::rs256}, Row{"ES256", TokenAlgorithm::es256},
        Row{"EdDSA", TokenAlgorithm::eddsa}}) {
    const TokenSigner signer(alg);
    s.know(signer, algorithm, "k1");
    const Authentication answer =
        s.verifier.verify(signer.token(s.claims(), {{"kid", "k1"}, {"typ", "at+jwt"}}));
    INFO(alg << " " << answer.refused);
    REQUIRE(answer.caller);
    CHECK(answer.caller->name == "alice");
    CHECK(answer.caller->via == "token");
    CHECK(answer.caller->id == "alice");
    CHECK(answer.caller->scope.may("jobs.read"));
    CHECK_FALSE(answer.caller->scope.may("jobs.manage"));
    CHECK(answer.caller->scope.unlimited());
    CHECK_FALSE(s.verifier.verify(TokenSigner(alg).token(s.claims(), {{"kid", "k1"}})).caller);
  }
  s.know_secret();
  CHECK(s.verifier.verify(TokenSigner("HS256", hs_secret).token(s.claims())).caller);
}

TEST_CASE("the signatures of RFC 7515 and RFC 8037 are right", "[token]") {
  TokenScene s;
  const std::string payload =
      ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
  const auto refused = [&](const char* jwk, const std::string& token) {
    s.verifier.set_keys(read_jwks(std::string(R"({"keys":[)") + jwk + "]}"));
    return s.verifier.verify(token).refused;
  };
  // What comes behind the signature tells that it was right: these have no claims that are enough here.
  const std::string no_sub = "token: it has no sub of 1 to 256 bytes";
  const char* const a1 =
      R"({"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})";
  CHECK(refused(a1, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" + payload +
                        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == no_sub);
  const char* const a2 =
      R"({"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})";
  CHECK(
      refused(a2,
              "eyJhbGciOiJSUzI1NiJ9" + payload +
                  "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
                  "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
                  "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
                  "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp"
                  "0igcN_IoypGlUPQGe77Rw") == no_sub);
  const char* const a3 =
      R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
  const std::string es = "eyJhbGciOiJFUzI1NiJ9" + payload;
  CHECK(refused(
            a3,
            es + "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q") ==
        no_sub);
  CHECK(refused(
            a3,
            es + "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1g") ==
        "token: its signature is wrong");
  const char* const okp =
      R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";
  CHECK(refused(okp,
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-"
                "09PGcvMg3AIbQR6dWbhij"
                "cNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg") == "token: its claims can't be read");
}

TEST_CASE("a token that somebody has tampered with is refused", "[token]") {
  TokenScene s;
  const TokenSigner rsa("RS256");
  s.know(rsa, TokenAlgorithm::rs256);
  const std::string good = rsa.token(s.claims());
  REQUIRE(s.verifier.verify(good).caller);
  const std::string header = good.substr(0, good.find('.'));
  const std::string body = good.substr(header.size() + 1, good.rfind('.') - header.size() - 1);
  const std::string signature = good.substr(good.rfind('.') + 1);
  const auto with_alg = [&](const json& alg) {
    return base64url(json{{"alg", alg}}.dump()) + "." + body + ".";
  };

  std::vector<std::string> attacks;
  for (const char* const none : {"none", "None", "NONE", "nOnE", "none ", ""}) {
    attacks.push_back(with_alg(none));
    attacks.push_back(with_alg(none) + signature);
  }
  for (const char* const other : {"RS384", "RS512", "PS256", "HS256", "ES256", "EdDSA", "rs256", "RS256\n"})
    attacks.push_back(with_alg(other) + signature);
  for (const json& odd : {json(nullptr), json(1), json::array({"RS256"}), json::object()})
    attacks.push_back(with_alg(odd) + signature);
  attacks.push_back(base64url("{}") + "." + body + "." + signature);
  // The public key as the secret of an HMAC.
  for (const std::string& secret : {rsa.pem(), rsa.pem().substr(0, rsa.pem().size() - 1)})
    attacks.push_back(TokenSigner("HS256", secret).token(s.claims()));
  // Cut off, padded, with something before, behind and in between.
  for (std::size_t i = 0; i < good.size(); i += 7) attacks.push_back(good.substr(0, i));
  attacks.push_back(good + "=");
  attacks.push_back(good + "==");
  attacks.push_back(header + "=." + body + "." + signature);
  attacks.push_back(header + "." + body + "=." + signature);
  attacks.push_back(good + "A");
  attacks.push_back(good + "AAAA");
  attacks.push_back(good + ".");
  attacks.push_back(good + "." + signature);
  attacks.push_back(good + " ");
  attacks.push_back(good + "\n");
  attacks.push_back(" " + good);
  attacks.push_back("." + good);
  attacks.push_back(header + ".." + signature);
  attacks.push_back("." + body + "." + signature);
  attacks.push_back(header + "." + body + ".");
  attacks.push_back("");
  attacks.push_back("..");
  attacks.push_back("a.b.c");
  std::string other = signature;
  other[0] = other[0] == 'A' ? 'B' : 'A';
  attacks.push_back(header + "." + body + "." + other);
  attacks.push_back(header + "." + base64url(s.but("roles", "admin").dump()) + "." + signature);
  std::string standard = signature;
  for (char& c : standard) c = c == '-' ? '+' : c == '_' ? '/' : c;
  if (standard != signature) attacks.push_back(header + "." + body + "." + standard);
  for (const std::string& attack : attacks) {
    INFO(attack);
    const Authentication answer = s.verifier.verify(attack);
    REQUIRE_FALSE(answer.caller);
    REQUIRE_FALSE(answer.refused.empty());
  }
}

TEST_CASE("a header that asks for other keys or for what is not known is refused, or not looked at",
          "[token]") {
  TokenScene s;
  const TokenSigner good("ES256");
  const TokenSigner evil("ES256");
  s.know(good, TokenAlgorithm::es256, "k1");
  const auto passes = [&](const TokenSigner& signer, json header) {
    return s.verifier.verify(signer.token(s.claims(), std::move(header))).caller.has_value();
  };
  CHECK(passes(good, {{"kid", "k1"}}));
  for (const char* const kid : {"", "K1", "k1 ", "k", "k1\n", "../../dev/null", "/etc/passwd", "file:///k1",
                                "k1' OR '1'='1", "https://evil.example.org/k1", "*"})
    CHECK_FALSE(passes(good, {{"kid", kid}}));
  CHECK_FALSE(passes(good, json::object()));
  CHECK_FALSE(passes(good, {{"kid", 1}}));
  CHECK_FALSE(passes(good, {{"kid", nullptr}}));
  CHECK_FALSE(passes(good, {{"kid", {"k1"}}}));
  for (const char* const name : {"jku", "x5u", "jwk", "x5c"}) {
    CHECK(passes(good, {{"kid", "k1"}, {name, "https://evil.example.org/keys"}}));
    CHECK_FALSE(passes(evil, {{"kid", "k1"}, {name, evil.pem()}}));
  }
  for (const json& crit :
       {json::array({"exp"}), json::array({"b64"}), json::array(), json(nullptr), json("x")})
    CHECK_FALSE(passes(good, {{"kid", "k1"}, {"crit", crit}}));
  for (const json& typ : {json("logout+jwt"), json("secevent+jwt"), json(""), json(1)})
    CHECK_FALSE(passes(good, {{"kid", "k1"}, {"typ", typ}}));
  CHECK(passes(good, {{"kid", "k1"}, {"typ", "jwt"}}));
}

TEST_CASE("a signature of ES256 has two numbers of 32 bytes, and neither is zero", "[token]") {
  TokenScene s;
  const TokenSigner signer("ES256");
  s.know(signer, TokenAlgorithm::es256);
  const std::string text = base64url(R"({"alg":"ES256"})") + "." + base64url(s.claims().dump());
  const std::string raw = signer.sign(text);
  const auto passes = [&](const std::string& signature) {
    return s.verifier.verify(text + "." + base64url(signature)).caller.has_value();
  };
  REQUIRE(passes(raw));
  CHECK_FALSE(passes(std::string(64, '\0')));
  CHECK_FALSE(passes(std::string(32, '\0') + raw.substr(32)));
  CHECK_FALSE(passes(raw.substr(0, 32) + std::string(32, '\0')));
  CHECK_FALSE(passes(std::string(64, '\xFF')));
  CHECK_FALSE(passes(raw.substr(0, 63)));
  CHECK_FALSE(passes(raw + '\0'));
  CHECK_FALSE(passes('\0' + raw.substr(0, 32) + '\0' + raw.substr(32)));
  CHECK_FALSE(passes(""));
  // A DER signature, as other protocols have it.
  CHECK_FALSE(passes("\x30\x44\x02\x20" + raw.substr(0, 32) + "\x02\x20" + raw.substr(32)));
}

TEST_CASE("claims are exact, and times are numbers within what can be", "[token]") {
  TokenScene s;
  s.know_secret();
  const TokenSigner signer("HS256", hs_secret);
  const auto passes = [&](const json& claims) {
    return s.verifier.verify(signer.token(claims)).caller.has_value();
  };
  const auto without = [&](const char* name) {
    json claims = s.claims();
    claims.erase(name);
    return claims;
  };
  REQUIRE(passes(s.claims()));
  for (const char* const name : {"iss", "aud", "exp", "sub"}) CHECK_FALSE(passes(without(name)));

  const std::int64_t now = s.now();
  CHECK(passes(s.but("exp", now - 29)));  // 30 s for clocks that differ
  CHECK_FALSE(passes(s.but("exp", now - 30)));
  CHECK(passes(s.but("exp", static_cast<double>(now) + 0.5)));
  for (const json& exp :
       {json(std::to_string(now + 600)), json(1e300), json(-1), json(-1e300), json(nullptr), json(true),
        json::array({now + 600}), json(253'402'300'800), json(0),
        json(std::numeric_limits<std::int64_t>::max()), json(std::numeric_limits<std::uint64_t>::max())})
    CHECK_FALSE(passes(s.but("exp", exp)));
  for (const char* const name : {"nbf", "iat"}) {
    CHECK(passes(s.but(name, now + 30)));
    CHECK_FALSE(passes(s.but(name, now + 31)));
    for (const json& odd : {json("0"), json(1e300), json(-1), json(nullptr)})
      CHECK_FALSE(passes(s.but(name, odd)));
  }

  CHECK(passes(s.but("aud", {"other", "quern"})));
  for (const json& aud : {json("Quern"), json("quern "), json(""), json::array(), json::array({"other"}),
                          json::array({"quern", 1}), json::array({json::array({"quern"})}),
                          json{{"quern", true}}, json(nullptr)})
    CHECK_FALSE(passes(s.but("aud", aud)));
  for (const json& iss : {json("https://id.example.org/"), json("https://ID.example.org"),
                          json::array({"https://id.example.org"})})
    CHECK_FALSE(passes(s.but("iss", iss)));
  for (const json& sub : {json(""), json(1), json(std::string(257, 's'))})
    CHECK_FALSE(passes(s.but("sub", sub)));
}

TEST_CASE("no name stands twice, at no depth, and a token is not larger than 8 KiB", "[token]") {
  TokenScene s;
  s.know_secret();
  const TokenSigner signer("HS256", hs_secret);
  const std::string header = R"({"alg":"HS256"})";
  const std::string claims = s.claims().dump();
  const auto passes = [&](const std::string& of_header, const std::string& of_claims) {
    return s.verifier.verify(signer.token_of(of_header, of_claims)).caller.has_value();
  };
  const auto with = [&](const std::string& more) {
    return claims.substr(0, claims.size() - 1) + "," + more + "}";
  };
  REQUIRE(passes(header, claims));
  REQUIRE(passes(header, with(R"("more":{"a":1})")));
  CHECK_FALSE(passes(R"({"alg":"none","alg":"HS256"})", claims));
  CHECK_FALSE(passes(R"({"alg":"HS256","\u0061lg":"HS256"})", claims));
  CHECK_FALSE(passes(header, with(R"("exp":99999999999)")));
  CHECK_FALSE(passes(header, with(R"("more":{"a":1,"a":1})")));
  CHECK_FALSE(passes(header, with(R"("more":[{"b":{"a":1,"a":2}}])")));
  CHECK_FALSE(passes(header, with("\"more\":\"\xFF\"")));
  CHECK_FALSE(passes(header, with(R"("more":"\u0000")")));
  CHECK_FALSE(passes(header, with("\"more\":" + std::string(100, '[') + std::string(100, ']'))));
  CHECK_FALSE(passes(header, claims + "{}"));
  CHECK_FALSE(passes(header, "[" + claims + "]"));
  CHECK_FALSE(passes(header, ""));
  CHECK_FALSE(passes("\xEF\xBB\xBF" + header, claims));
  CHECK(passes(header, with("\"more\":\"" + std::string(5'000, 'x') + "\"")));
  CHECK_FALSE(passes(header, with("\"more\":\"" + std::string(9 * 1024, 'x') + "\"")));
}

TEST_CASE("nothing of a payload is read before its signature is right", "[token]") {
  TokenScene s;
  s.know_secret();
  const std::string forged =
      TokenSigner("HS256", std::string(32, 'x')).token_of(R"({"alg":"HS256"})", "not JSON");
  CHECK(s.verifier.verify(forged).refused == "token: its signature is wrong");
  const Authentication expired = s.verifier.verify(TokenSigner("HS256", hs_secret).token(s.but("exp", 1)));
  CHECK(expired.refused == "token: it has expired");
  CHECK(expired.id == "alice");
  CHECK(s.verifier.verify(TokenSigner("HS256", std::string(32, 'x')).token(s.claims())).id.empty());
}

TEST_CASE("claims give roles, tenants and queues, and what is missing gives nothing", "[token]") {
  TokenOptions options;
  options.name_claim = "email";
  options.roles_claim = "/realm_access/roles";
  options.roles = {{"quern-ops", "operator"}, {"quern-own", "own"}, {"quern-gone", "gone"}};
  options.tenants_claim = "tenants";
  options.queues_claim = "queues";
  TokenScene s(options);
  s.know_secret();
  s.base.roles.put({"own", {"audit.read"}}, quern_test::root());
  const TokenSigner signer("HS256", hs_secret);
  const auto caller = [&](const json& more) {
    json claims = s.claims();
    claims.update(more);
    const Authentication answer = s.verifier.verify(signer.token(claims));
    REQUIRE(answer.caller);
    return *answer.caller;
  };
  const auto roles = [](const json& list) { return json{{"realm_access", {{"roles", list}}}}; };

  const Caller bare = caller(json::object());
  CHECK(bare.name == "alice");
  CHECK(bare.scope.permissions.empty());  // `roles` is not where they stand
  CHECK_FALSE(bare.scope.reaches("", ""));
  CHECK(caller({{"email", "alice@example.org"}}).name == "alice@example.org");
  CHECK(caller({{"email", "a\nb\x1b"}}).name == "a b ");

  CHECK(caller(roles({"quern-ops", "x"})).scope.may("jobs.manage"));
  CHECK(caller(roles("x quern-ops")).scope.may("jobs.manage"));
  const Caller both = caller(roles({"quern-own", "quern-ops"}));
  CHECK(both.scope.may("audit.read"));
  CHECK(both.scope.may("jobs.manage"));
  CHECK_FALSE(both.scope.may("keys.manage"));
  for (const json& nothing :
       {json({"admin"}), json("admin"), json({"quern-gone"}), json(1), json({"quern-ops", 1}), json(nullptr)})
    CHECK(caller(roles(nothing)).scope.permissions.empty());
  CHECK(caller({{"realm_access", "quern-ops"}}).scope.permissions.empty());

  const Caller limited = caller({{"tenants", {"a", "b"}}, {"queues", "*"}});
  CHECK(limited.scope.reaches("a", "any"));
  CHECK_FALSE(limited.scope.reaches("c", "any"));
  CHECK_FALSE(caller({{"tenants", "a"}, {"queues", "*"}}).scope.reaches("a", "any"));
  CHECK_FALSE(caller({{"tenants", {"*"}}, {"queues", "*"}}).scope.reaches("a", "any"));
}

TEST_CASE("keys are rotated, and a faulty one changes nothing", "[token]") {
  TokenScene s;
  const TokenSigner old_key("EdDSA");
  const TokenSigner new_key("EdDSA");
  const auto of = [](const TokenSigner& signer, std::string kid) {
    return TokenKey{.kid = std::move(kid), .algorithm = TokenAlgorithm::eddsa, .public_key = signer.pem()};
  };
  const auto passes = [&](const TokenSigner& signer, const char* kid) {
    return s.verifier.verify(signer.token(s.claims(), {{"kid", kid}})).caller.has_value();
  };
  CHECK_FALSE(passes(old_key, "1"));
  s.verifier.set_keys({of(old_key, "1")});
  CHECK(passes(old_key, "1"));
  s.verifier.set_keys({of(old_key, "1"), of(new_key, "2")});
  CHECK(passes(old_key, "1"));
  CHECK(passes(new_key, "2"));
  CHECK_FALSE(passes(new_key, "1"));
  s.verifier.set_keys({of(new_key, "2")});
  CHECK_FALSE(passes(old_key, "1"));

  const auto refused = [&](TokenKey key) {
    CHECK_THROWS_AS(s.verifier.set_keys({std::move(key)}), quern::InvalidArgument);
    CHECK(passes(new_key, "2"));
  };
  refused({.algorithm = TokenAlgorithm::hs256, .secret = std::string(31, 'x')});
  refused({.algorithm = TokenAlgorithm::hs256, .secret = new_key.pem()});
  refused({.algorithm = TokenAlgorithm::hs256, .secret = hs_secret, .public_key = new_key.pem()});
  refused({.algorithm = TokenAlgorithm::rs256, .public_key = new_key.pem()});
  refused({.algorithm = TokenAlgorithm::rs256, .public_key = TokenSigner("RS256", "", 1024).pem()});
  refused({.algorithm = TokenAlgorithm::es256, .public_key = TokenSigner("ES384").pem()});
  refused({.algorithm = TokenAlgorithm::eddsa, .public_key = new_key.pem(true)});
  refused({.algorithm = TokenAlgorithm::eddsa, .public_key = "x"});
  refused({.algorithm = TokenAlgorithm::eddsa});
  CHECK_THROWS_AS(s.verifier.set_keys({of(new_key, "1"), of(old_key, "1")}), quern::InvalidArgument);
  try {
    s.verifier.set_keys({{.algorithm = TokenAlgorithm::hs256, .secret = "too short"}});
  } catch (const quern::InvalidArgument& e) {
    CHECK(std::string(e.what()).find("too short") == std::string::npos);
  }
}

TEST_CASE("keys come from files: a set, a public key or a secret", "[token]") {
  const quern_test::TempFolder folder;
  const auto read = [&](std::string_view text) {
    const auto file = folder / "key";
    std::ofstream(file, std::ios::binary) << text;
    return read_token_keys(file, "k");
  };
  CHECK(read(TokenSigner("RS256").pem())[0].algorithm == TokenAlgorithm::rs256);
  CHECK(read(TokenSigner("ES256").pem())[0].algorithm == TokenAlgorithm::es256);
  CHECK(read(TokenSigner("EdDSA").pem())[0].kid == "k");
  CHECK(read(hs_secret + "\r\n")[0].secret.reveal() == hs_secret);
  const auto set = read(R"({"keys":[
    {"kty":"RSA","alg":"RS512","kid":"other-hash","n":"AQAB","e":"AQAB"},
    {"kty":"RSA","use":"enc","kid":"to-encrypt","n":"AQAB","e":"AQAB"},
    {"kty":"EC","crv":"P-384","kid":"other-curve"}, {"kty":"new"}, {"kty":"oct","kid":"any-hmac","k":"AAAA"},
    {"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"ours","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})");
  REQUIRE(set.size() == 1);
  CHECK(set[0].kid == "ours");

  for (const char* const faulty :
       {"", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "{\"keys\":[1]}", "{\"keys\":[],\"keys\":[]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
        // A point that is not on the curve.
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
        "\"y\":"
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"A=\",\"e\":\"AQAB\"}]}",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"})
    CHECK_THROWS_AS(read(faulty), quern::InvalidArgument);
  CHECK_THROWS_AS(read(TokenSigner("ES384").pem()), quern::InvalidArgument);
  CHECK_THROWS_AS(read(TokenSigner("EdDSA").pem(true)), quern::InvalidArgument);
  CHECK_THROWS_AS(read(std::string((1U << 20U) + 1, 'x')), quern::InvalidArgument);
  CHECK_THROWS_AS(read_token_keys(folder / "nowhere"), quern::InvalidArgument);
}

TEST_CASE("options that would let anybody's tokens in are refused", "[token]") {
  quern_test::SecurityScene s;
  const auto make = [&](TokenOptions options) { TokenVerifier(std::move(options), s.roles, s.clock); };
  CHECK_NOTHROW(make({.issuer = "i", .audience = "a"}));
  CHECK_THROWS_AS(make({.audience = "a"}), quern::InvalidArgument);
  CHECK_THROWS_AS(make({.issuer = "i"}), quern::InvalidArgument);
  CHECK_THROWS_AS(make({.issuer = "i", .audience = "a", .leeway = 61s}), quern::InvalidArgument);
  CHECK_THROWS_AS(make({.issuer = "i", .audience = "a", .leeway = -1s}), quern::InvalidArgument);
  CHECK_THROWS_AS(make({.issuer = "i", .audience = "a", .roles_claim = "/a~2"}), quern::InvalidArgument);
}

TEST_CASE("a gate takes tokens beside keys", "[token][gate]") {
  TokenScene s;
  const TokenSigner signer("ES256");
  s.know(signer, TokenAlgorithm::es256);
  Gate gate(
      {}, [&](std::string_view secret) { return s.base.keys.find(secret); },
      [&](std::string_view token) { return s.verifier.verify(token); });
  const Route read{.pattern = "/x", .permission = "jobs.read"};
  const Route manage{.method = Method::post, .pattern = "/x", .permission = "jobs.manage"};
  const auto status = [&](const std::string& secret, const Route& route) {
    Request request{
        .method = route.method, .target = "/x", .headers = {{"Authorization", "Bearer " + secret}}};
    const auto refused = gate.check(request, &route);
    return refused ? refused->status : 200;
  };
  CHECK(status(signer.token(s.claims()), read) == 200);
  CHECK(status(signer.token(s.claims()), manage) == 403);
  CHECK(status(signer.token(s.but("roles", "operator")), manage) == 200);
  CHECK(status(signer.token(s.but("exp", 1)), read) == 401);
  CHECK(status(s.base.key("k", "viewer").secret.reveal(), read) == 200);
}
