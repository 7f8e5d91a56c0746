#include "quern/handlers/notify/webhook_channel.hpp"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/handlers/curl_transport.hpp"
#include "support/catch.hpp"
#include "support/http_test_server.hpp"

using namespace std::chrono_literals;
using namespace quern::notify;
using nlohmann::json;
using quern_test::HttpTestServer;
using quern_test::Reply;
using quern_test::ServedRequest;

namespace {

// The example of Standard Webhooks' documentation; the signature was checked with the openssl program.
const std::string secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const std::string other_secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const std::string message_id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const std::string timestamp = "1614265330";
const std::string body = R"({"test": 2432232314})";
const std::string signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const quern::TimePoint sent_at{std::chrono::seconds(1614265330)};

const Attempt attempt{.now = sent_at + 300ms};

Notification digest() {
  return {.id = "42-ada",
          .topic = "digest.ready",
          .subject = "S",
          .text = "T",
          .html = "<p>T</p>",
          .url = "https://x/",
          .data = R"({"a": 1})"};
}

WebhookOptions for_tests() { return {.allow_private_addresses = true, .allowed_ports = {}}; }

}  // namespace

TEST_CASE("a signature is the one that Standard Webhooks documents", "[webhook]") {
  const std::vector<WebhookSecret> secrets{WebhookSecret(secret)};
  CHECK(secrets[0].sign(message_id, timestamp, body) == signature);
  CHECK(sign_webhook(secrets, message_id, timestamp, body) == signature);
  CHECK(verify_webhook(secrets, message_id, timestamp, signature, body, sent_at));

  SECTION("with two secrets the current one comes first and either is accepted") {
    const std::vector<WebhookSecret> both{WebhookSecret(other_secret), WebhookSecret(secret)};
    const std::string signatures = sign_webhook(both, message_id, timestamp, body);
    CHECK(signatures.ends_with(" " + signature));
    CHECK(verify_webhook(secrets, message_id, timestamp, signatures, body, sent_at));
    CHECK(verify_webhook(both, message_id, timestamp, signature, body, sent_at));
    CHECK(verify_webhook(std::vector{WebhookSecret(other_secret)}, message_id, timestamp, signatures, body,
                         sent_at));
  }
  SECTION("and anything else is not") {
    const auto verify = [&](const std::string& i, const std::string& t, const std::string& s,
                            const std::string& b) { return verify_webhook(secrets, i, t, s, b, sent_at); };
    CHECK_FALSE(verify(message_id + "x", timestamp, signature, body));
    CHECK_FALSE(verify("", timestamp, signature, body));
    CHECK_FALSE(verify(message_id, "1614265331", signature, body));
    CHECK_FALSE(verify(message_id, timestamp, signature, body + " "));
    CHECK_FALSE(verify(message_id, timestamp, "", body));
    CHECK_FALSE(verify(message_id, timestamp, "v1,", body));
    CHECK_FALSE(verify(message_id, timestamp, "v1a" + signature.substr(2), body));
    CHECK_FALSE(verify(message_id, timestamp, signature.substr(3), body));
    CHECK_FALSE(verify(message_id, timestamp, signature.substr(0, signature.size() - 1), body));
    CHECK_FALSE(verify(message_id, timestamp, "V1" + signature.substr(2), body));
    for (const char* time :
         {"", "0x60", "1614265330.0", "+1614265330", " 1614265330", "-1", "1e9", "99999999999999999999"}) {
      const std::string signed_anyway = secrets[0].sign(message_id, time, body);
      CHECK_FALSE(verify(message_id, time, signed_anyway, body));
    }
    CHECK_FALSE(verify_webhook({}, message_id, timestamp, signature, body, sent_at));
    CHECK_FALSE(verify_webhook(std::vector{WebhookSecret(other_secret)}, message_id, timestamp, signature,
                               body, sent_at));
  }
  SECTION("within five minutes and not after") {
    const auto at = [&](quern::Duration offset) {
      return verify_webhook(secrets, message_id, timestamp, signature, body, sent_at + offset);
    };
    CHECK(at(300s));
    CHECK(at(-300s));
    CHECK_FALSE(at(300s + 1us));
    CHECK_FALSE(at(-301s));
  }
  SECTION("among at most sixteen signatures") {
    std::string many;
    for (int i = 0; i < 15; ++i) many += "v1,AAAA ";
    CHECK(verify_webhook(secrets, message_id, timestamp, many + signature, body, sent_at));
    CHECK_FALSE(verify_webhook(secrets, message_id, timestamp, "v1,AAAA " + many + signature, body, sent_at));
  }
}

TEST_CASE("a secret of another form is refused without being shown", "[webhook]") {
  for (const std::string bad :
       {"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_",
        "whsec_c2hvcnQ=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
        "whsec_MfKQ 9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}) {
    INFO(bad);
    try {
      const WebhookSecret accepted(bad);
      FAIL("accepted");
    } catch (const quern::InvalidArgument& error) {
      CHECK(std::string(error.what()).find("MfKQ") == std::string::npos);
    }
  }
  CHECK_THROWS_AS(WebhookSecret(fmt::format("whsec_{:A>88}", "")), quern::InvalidArgument);  // 66 bytes
}

TEST_CASE("a webhook is posted with what a receiver needs", "[webhook]") {
  HttpTestServer server([](const ServedRequest&) { return Reply{.status = 204}; });
  quern::CurlTransport transport;
  auto options = for_tests();
  options.secrets = [](std::string_view url) {
    CHECK(url.ends_with("/hook?key=k"));
    return std::vector<WebhookSecret>{WebhookSecret(secret)};
  };
  WebhookChannel channel(transport, options);
  CHECK(channel.deliver(server.url() + "/hook?key=k", digest(), attempt).outcome == Outcome::delivered);
  Attempt later = attempt;
  later.now += 60s;
  CHECK(channel.deliver(server.url() + "/hook?key=k", digest(), later).outcome == Outcome::delivered);

  const auto log = server.log();
  REQUIRE(log.size() == 2);
  CHECK(log[0].method == "POST");
  CHECK(log[0].header("content-type") == "application/json");
  CHECK(log[0].header("webhook-id") == "42-ada");
  CHECK(log[1].header("webhook-id") == "42-ada");
  CHECK(log[0].header("webhook-timestamp") == "1614265330");
  CHECK(log[1].header("webhook-timestamp") == "1614265390");
  CHECK(log[0].body == log[1].body);
  for (const auto& request : log)
    CHECK(verify_webhook(std::vector{WebhookSecret(secret)}, request.header("webhook-id"),
                         request.header("webhook-timestamp"), request.header("webhook-signature"),
                         request.body, later.now));
  const json content = json::parse(log[0].body);
  CHECK(content ==
        json{{"type", "digest.ready"},
             {"id", "42-ada"},
             {"data", {{"subject", "S"}, {"text", "T"}, {"url", "https://x/"}, {"details", {{"a", 1}}}}}});

  SECTION("without a secret there is no signature") {
    WebhookChannel plain(transport, for_tests());
    static_cast<void>(plain.deliver(server.url() + "/", digest(), attempt));
    CHECK_FALSE(server.log().back().headers.contains("webhook-signature"));
  }
}

TEST_CASE("an answer decides what becomes of a delivery", "[webhook]") {
  HttpTestServer server([](const ServedRequest&) { return Reply{}; });
  HttpTestServer elsewhere([](const ServedRequest&) { return Reply{}; });
  quern::CurlTransport transport;
  auto options = for_tests();
  options.timeout = 100ms;
  WebhookChannel channel(transport, options);
  const auto after = [&](Reply reply) {
    server.inject("/", std::move(reply));
    const auto delivery = channel.deliver(server.url() + "/secret-path", digest(), attempt);
    CHECK(delivery.detail.find("secret-path") == std::string::npos);
    return delivery;
  };
  for (const int status : {200, 201, 202, 204, 299})
    CHECK(after({.status = status}).outcome == Outcome::delivered);
  for (const int status : {408, 425, 429, 500, 502, 503, 504})
    CHECK(after({.status = status}).outcome == Outcome::retry);
  for (const int status : {400, 401, 403, 404, 405, 409, 413, 422}) {
    CHECK(after({.status = status}).outcome == Outcome::permanent);
    CHECK_FALSE(after({.status = status}).gone);
  }
  CHECK(after({.status = 410}).outcome == Outcome::permanent);
  CHECK(after({.status = 410}).gone);
  for (const int status : {301, 302, 303, 307, 308})
    CHECK(after({.status = status, .headers = {{"Location", elsewhere.url()}}}).outcome ==
          Outcome::permanent);
  CHECK(elsewhere.log().empty());

  CHECK(after({.status = 429, .headers = {{"Retry-After", "30"}}}).wait == 30s);
  CHECK(after({.status = 503, .headers = {{"Retry-After", "86400"}}}).wait == 1h);
  CHECK(after({.status = 503, .headers = {{"Retry-After", "Thu, 25 Feb 2021 15:03:10 GMT"}}}).wait ==
        60s - 300ms);
  CHECK(after({.status = 503, .headers = {{"Retry-After", "soon"}}}).wait == 0s);

  CHECK(after({.fault = Reply::Fault::drop}).outcome == Outcome::retry);
  CHECK(after({.fault = Reply::Fault::hang}).outcome == Outcome::retry);
  CHECK(after({.body = "1234", .fault = Reply::Fault::truncate}).outcome == Outcome::retry);
  // A success is one however much the receiver has to say.
  CHECK(after({.body = std::string(1 << 20, 'x')}).outcome == Outcome::delivered);
}

TEST_CASE("a webhook reaches the public network only unless it is told otherwise", "[webhook]") {
  HttpTestServer server([](const ServedRequest&) { return Reply{}; });
  quern::CurlTransport transport;
  WebhookOptions options;
  options.allowed_ports = {};
  WebhookChannel channel(transport, options);
  const std::string port = std::to_string(server.port());
  for (const std::string host :
       {"127.0.0.1", "localhost", "[::1]", "0", "169.254.169.254", "10.0.0.1", "[::ffff:7f00:1]"}) {
    INFO(host);
    const auto delivery = channel.deliver("http://" + host + ":" + port + "/", digest(), attempt);
    CHECK(delivery.outcome == Outcome::permanent);
    CHECK(delivery.detail.find("not a public one") != std::string::npos);
  }
  CHECK(server.log().empty());
}

TEST_CASE("a URL that is not allowed is refused before anything is sent", "[webhook]") {
  HttpTestServer server([](const ServedRequest&) { return Reply{}; });
  quern::CurlTransport transport;
  auto options = for_tests();
  options.allowed_ports = {443};
  options.allow_http = false;
  WebhookChannel strict(transport, options);
  const std::string host = "127.0.0.1:" + std::to_string(server.port());
  CHECK(strict.deliver("http://" + host, digest(), attempt).detail ==
        "webhook at 127.0.0.1: only https is allowed");
  CHECK(strict.deliver("https://" + host, digest(), attempt).outcome == Outcome::permanent);
  WebhookChannel channel(transport, for_tests());
  for (const std::string& url : {"http://user:pw@" + host, std::string("ftp://x"), std::string("https:"),
                                 std::string(""), "http://" + host + "/\r\nX: y"})
    CHECK(channel.deliver(url, digest(), attempt).outcome == Outcome::permanent);
  CHECK(server.log().empty());

  options.timeout = 31s;
  CHECK_THROWS_AS(WebhookChannel(transport, options), quern::InvalidArgument);
}
