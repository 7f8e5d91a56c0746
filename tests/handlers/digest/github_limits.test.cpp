#include <chrono>
#include <string>

#include "quern/core/clock.hpp"
#include "quern/handlers/digest/github_client.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace quern::digest;

namespace {

// Answers every request in the same way.
class Always final : public quern::HttpTransport {
 public:
  explicit Always(quern::HttpResponse response) : response_(std::move(response)) {}
  quern::HttpResponse perform(const quern::HttpRequest&) override { return response_; }

 private:
  quern::HttpResponse response_;
};

const quern::ManualClock the_clock(quern::parse_rfc3339("2025-01-10T12:00:00Z"));

// How long the client says to wait after such an answer; nothing when it is another kind of error.
std::optional<quern::Duration> wait_after(int status, quern::HttpHeaders headers,
                                          std::string message = "Forbidden", int earlier_refusals = 0) {
  Always transport(
      {.status = status, .headers = std::move(headers), .body = R"({"message": ")" + message + "\"}"});
  GitHubClient client(transport, the_clock, {.token = "t"});
  try {
    static_cast<void>(
        client.fetch({.repository = "a/b",
                      .period = {quern::parse_rfc3339("2024-01-01"), quern::parse_rfc3339("2024-02-01")},
                      .earlier_refusals = earlier_refusals}));
  } catch (const RateLimited& limited) {
    return limited.wait();
  } catch (const GitHubError& error) {
    CHECK_FALSE(error.transient());
    CHECK(error.status() == status);
    return std::nullopt;
  }
  FAIL("the fetch succeeded");
  return std::nullopt;
}

std::string seconds_from_now(std::int64_t seconds) {
  return std::to_string(quern::to_us(the_clock.now()) / 1'000'000 + seconds);
}

}  // namespace

TEST_CASE("retry-after comes first", "[github]") {
  for (const int status : {403, 429}) {
    CHECK(wait_after(status, {{"Retry-After", "17"}}) == 17s);
    CHECK(wait_after(status, {{"retry-after", "17"},
                              {"X-RateLimit-Remaining", "0"},
                              {"X-RateLimit-Reset", seconds_from_now(900)}}) == 17s);
    CHECK(wait_after(status, {{"Retry-After", "Fri, 10 Jan 2025 12:02:00 GMT"}}) == 120s);
  }
  SECTION("and is never under a second nor over a day") {
    CHECK(wait_after(429, {{"Retry-After", "0"}}) == 1s);
    CHECK(wait_after(429, {{"Retry-After", "Fri, 10 Jan 2025 11:00:00 GMT"}}) == 1s);
    CHECK(wait_after(429, {{"Retry-After", "99999999999999999999999"}}) == 24h);
  }
  SECTION("and counts for nothing when it is neither seconds nor a date") {
    for (const char* value : {"soon", "-5", "1.5", "", "1e3"}) {
      INFO(value);
      CHECK(wait_after(429, {{"Retry-After", value}}) == 60s);
    }
  }
}

TEST_CASE("a used-up limit is waited for until it is reset", "[github]") {
  for (const int status : {403, 429}) {
    CHECK(wait_after(status,
                     {{"X-RateLimit-Remaining", "0"}, {"X-RateLimit-Reset", seconds_from_now(900)}}) == 900s);
    CHECK(wait_after(status, {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", seconds_from_now(0)}}) ==
          1s);
    CHECK(wait_after(status,
                     {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", seconds_from_now(-100)}}) == 1s);
    CHECK(wait_after(status,
                     {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "99999999999999999999"}}) == 24h);
  }
  SECTION("and without a readable time as for any other limit") {
    CHECK(wait_after(403, {{"x-ratelimit-remaining", "0"}}) == 60s);
    CHECK(wait_after(403, {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "tomorrow"}}) == 60s);
  }
}

TEST_CASE("a limit without a time is waited for a minute and then longer", "[github]") {
  const std::string secondary = "You have exceeded a secondary rate limit. Please wait a few minutes.";
  CHECK(wait_after(403, {}, secondary) == 60s);
  CHECK(wait_after(429, {}) == 60s);
  // There is something left of the hourly limit: its reset says nothing about this one.
  CHECK(wait_after(403, {{"x-ratelimit-remaining", "100"}, {"x-ratelimit-reset", seconds_from_now(5)}},
                   secondary) == 60s);
  CHECK(wait_after(403, {}, secondary, 1) == 120s);
  CHECK(wait_after(403, {}, secondary, 3) == 480s);
  CHECK(wait_after(403, {}, secondary, 6) == 1h);
  CHECK(wait_after(403, {}, secondary, 1'000'000) == 1h);
  CHECK(wait_after(403, {}, "You have triggered an abuse detection mechanism.") == 60s);
  CHECK(wait_after(403, {}, "API rate limit exceeded for 127.0.0.1.") == 60s);
}

TEST_CASE("a refusal that waiting does not cure is no rate limit", "[github]") {
  CHECK_FALSE(wait_after(403, {}, "Resource not accessible by personal access token"));
  CHECK_FALSE(wait_after(403,
                         {{"x-ratelimit-remaining", "4999"}, {"x-ratelimit-reset", seconds_from_now(900)}},
                         "Must have admin rights to Repository."));
  CHECK_FALSE(wait_after(403, {}, "Repository access blocked"));
  CHECK_FALSE(wait_after(401, {{"x-ratelimit-remaining", "0"}}, "Bad credentials"));
  CHECK_FALSE(wait_after(404, {{"retry-after", "5"}}, "Not Found"));

  Always transport(
      {.status = 403, .body = "Request forbidden by administrative rules. Please make sure ..."});
  GitHubClient client(transport, the_clock, {});
  CHECK_THROWS_AS(
      client.fetch({.repository = "a/b",
                    .period = {quern::parse_rfc3339("2024-01-01"), quern::parse_rfc3339("2024-02-01")}}),
      GitHubError);
}
