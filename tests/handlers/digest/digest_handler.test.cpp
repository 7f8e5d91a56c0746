// The digest from queue to delivery, over real HTTP to a small server of the tests' own.
#include "quern/handlers/digest/digest_handler.hpp"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "quern/handlers/curl_transport.hpp"
#include "quern/handlers/notify/file_channel.hpp"
#include "quern/handlers/notify/notification_handler.hpp"
#include "quern/handlers/notify/webhook_channel.hpp"
#include "support/catch.hpp"
#include "support/engine.hpp"
#include "support/github_emulation.hpp"
#include "support/http_test_server.hpp"
#include "support/temp_folder.hpp"

using namespace quern_test;
using nlohmann::json;
using quern::JobState;
using quern::digest::DigestJob;
using quern::notify::NotifyJob;

namespace {

/// An engine with the digest's handlers, GitHub with one synthetic repository, and a receiver of webhooks.
struct Office {
  Engine engine;
  TempFolder folder;
  GitHubEmulation github{engine.clock};
  HttpTestServer server{[this](const ServedRequest& request) { return github.answer(request); }};
  std::vector<json> received;
  HttpTestServer receiver{[this](const ServedRequest& request) {
    received.push_back(json::parse(request.body));
    return Reply{.status = 204};
  }};
  quern::CurlTransport http;
  quern::FileArtifactStore artifacts{folder / "artifacts"};
  std::unique_ptr<quern::Processor<quern::testing::StorageProxy, quern::InlineExecutor>> processor;

  explicit Office(GitHubData data = make_github_data(7, 40)) {
    github.add(std::move(data));
    engine.clock.set_wall(quern::parse_rfc3339("2025-01-10T12:00:00Z"));
    auto channels = std::make_shared<quern::notify::ChannelSet>();
    channels->add(quern::notify::FileChannel());
    channels->add(
        quern::notify::WebhookChannel(http, {.allow_private_addresses = true, .allowed_ports = {}}));
    engine.handlers.on<DigestJob>(
        quern::digest::DigestHandler({.records = engine.storage,
                                      .artifacts = artifacts,
                                      .http = http,
                                      .clock = engine.clock,
                                      .github = {.base_url = server.url(), .environment_proxy = false}}));
    engine.handlers.on<NotifyJob>(
        quern::notify::NotificationHandler(
            channels,
            [this](std::string_view owner, std::string_view name) { return artifacts.get(owner, name); },
            engine.clock),
        quern::notify::NotificationHandler::options());
    restart();
  }
  void restart() { processor = engine.processor(); }

  [[nodiscard]] DigestJob job() const {
    return {.repository = "acme/mill",
            .from = quern::parse_rfc3339("2024-05-01"),
            .to = quern::parse_rfc3339("2024-07-01"),
            .recipients = {outbox(), receiver.url() + "/hook"}};
  }
  [[nodiscard]] std::string outbox() const { return "file:" + (folder / "outbox").string(); }
  [[nodiscard]] std::size_t delivered_files() const {
    std::error_code none;
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "outbox", none))
      count += entry.path().filename().string().front() == '.' ? 0U : 1U;
    return count;
  }
  [[nodiscard]] std::vector<quern::Job> notices() {
    return engine.queue.list({.kind = std::string(NotifyJob::kind)}).jobs;
  }
  [[nodiscard]] json written(quern::JobId id) const {
    return json::parse(artifacts.get(to_string(id), "digest.json").value());
  }
};

}  // namespace

TEST_CASE("a digest of a GitHub repository is written and stored and every recipient is told", "[digest]") {
  Office office;
  const auto id = office.engine.queue.enqueue(office.job()).id;
  office.engine.settle(*office.processor);

  const auto job = office.engine.job(id);
  REQUIRE(job.state == JobState::completed);
  CHECK(job.progress.percent == 100);
  const json digest = office.written(id);
  CHECK(digest.at("schema") == "quern.digest/1");
  CHECK(digest.at("repository").at("full_name") == "acme/mill");
  CHECK_FALSE(digest.at("pull_requests").at("merged").empty());
  CHECK_FALSE(digest.at("commits").at("items").empty());
  CHECK(office.artifacts.get(to_string(id), "digest.md").value().find("acme/mill") != std::string::npos);
  CHECK(office.artifacts.get(to_string(id), "digest.html").value().find("<html") != std::string::npos);

  const auto record = office.engine.storage.get_record(quern::digest::digests_collection, to_string(id));
  REQUIRE(record.has_value());
  const auto kept = record->as<quern::digest::Digest>();
  CHECK(kept.repository == "acme/mill");
  CHECK(kept.files == std::vector<std::string>{"digest.md", "digest.html", "digest.json"});
  CHECK(kept.recipients.size() == 2);

  const auto notices = office.notices();
  REQUIRE(notices.size() == 2);
  for (const auto& notice : notices) {
    CHECK(notice.state == JobState::completed);
    CHECK(notice.digest == to_string(id));
    CHECK(notice.parents == std::vector<quern::JobId>{id});
  }
  CHECK(office.delivered_files() == 1);
  REQUIRE(office.received.size() == 1);
  CHECK(office.received[0].at("data").at("details").at("digest") == to_string(id));
}

TEST_CASE("the next digest of a repository begins where the last one ended", "[digest]") {
  Office office;
  DigestJob job = office.job();
  office.engine.queue.enqueue(job);
  office.engine.settle(*office.processor);
  job.from.reset();
  job.to = quern::parse_rfc3339("2024-09-01");
  const auto next = office.engine.queue.enqueue(job).id;
  office.engine.settle(*office.processor);
  CHECK(office.written(next).at("period").at("from") == "2024-07-01T00:00:00Z");

  // A later look at an earlier period does not turn that back.
  office.engine.queue.enqueue(office.job());
  office.engine.settle(*office.processor);
  job.to = quern::parse_rfc3339("2024-10-01");
  const auto last = office.engine.queue.enqueue(job).id;
  office.engine.settle(*office.processor);
  CHECK(office.written(last).at("period").at("from") == "2024-09-01T00:00:00Z");
}

TEST_CASE("a digest that dies between fetch and end goes on without fetching again and tells everybody once",
          "[digest]") {
  Office office;
  // The storage fails each first finish, after the handler is through: the run's outcome is lost with its
  // process.
  const auto id = office.engine.queue.enqueue(office.job()).id;
  office.engine.storage.before = [](std::string_view call) {
    if (call == "finish") throw quern::StorageError("power cut", true);
  };
  office.engine.settle(*office.processor);
  const std::size_t requests = office.server.log().size();
  CHECK(requests > 0);
  CHECK(office.engine.state(id) == JobState::running);
  CHECK(office.notices().empty());

  office.processor.reset();  // gone, with the outcome that was not recorded
  office.engine.storage.before = nullptr;
  office.restart();
  office.engine.pass(*office.processor, 2min);  // its lease passes, and the job is rescued
  CHECK(office.engine.state(id) == JobState::completed);
  CHECK(office.engine.job(id).attempt == 2);
  CHECK(office.server.log().size() == requests);
  CHECK(office.notices().size() == 2);
  CHECK(office.delivered_files() == 1);
  CHECK(office.received.size() == 1);
}

TEST_CASE("when GitHub asks to wait the job is snoozed and no attempt is lost", "[digest]") {
  Office office;
  SECTION("retry-after goes first") {
    office.server.inject("/pulls", {.status = 429,
                                    .headers = {{"Retry-After", "120"},
                                                {"x-ratelimit-remaining", "0"},
                                                {"x-ratelimit-reset", "9999999999"}}});
  }
  SECTION("else the reset of a limit that is used up") {
    const auto reset = quern::to_us(office.engine.clock.now() + 120s) / 1'000'000;
    office.server.inject(
        "/pulls", {.status = 403,
                   .headers = {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", std::to_string(reset)}},
                   .body = R"({"message": "API rate limit exceeded"})"});
  }
  const auto id = office.engine.queue.enqueue(office.job()).id;
  office.engine.settle(*office.processor);
  auto job = office.engine.job(id);
  CHECK(job.state == JobState::scheduled);
  CHECK(job.attempt == 0);
  CHECK(job.run_at >= office.engine.clock.now() + 119s);
  CHECK(job.run_at <= office.engine.clock.now() + 122s);
  office.engine.pass(*office.processor, 3min);
  job = office.engine.job(id);
  CHECK(job.state == JobState::completed);
  CHECK(job.attempt == 1);
}

TEST_CASE("refusals without a time wait at least a minute and ever longer", "[digest]") {
  Office office;
  office.server.inject(
      "/pulls", {.status = 403, .body = R"({"message": "You have exceeded a secondary rate limit."})"}, 3);
  const auto id = office.engine.queue.enqueue(office.job()).id;
  std::vector<quern::Duration> waits;
  for (int i = 0; i < 3; ++i) {
    office.engine.settle(*office.processor);
    const auto job = office.engine.job(id);
    REQUIRE(job.state == JobState::scheduled);
    waits.push_back(job.run_at - office.engine.clock.now());
    office.engine.clock.advance(waits.back());
  }
  office.engine.settle(*office.processor);
  CHECK(waits[0] >= 60s);
  CHECK(waits[1] > waits[0]);
  CHECK(waits[2] > waits[1]);
  CHECK(office.engine.state(id) == JobState::completed);
}

TEST_CASE("server errors and cut answers are retried", "[digest]") {
  Office office;
  office.server.inject("/issues", {.status = 502, .body = "<html>"});
  office.server.inject("/commits", {.body = "[1, 2, 3, 4]", .fault = Reply::Fault::truncate});
  const auto id = office.engine.queue.enqueue(office.job()).id;
  office.engine.pass(*office.processor, 10min);
  const auto job = office.engine.job(id);
  CHECK(job.state == JobState::completed);
  CHECK(job.attempt == 3);
  CHECK(job.errors.size() == 2);
}

TEST_CASE("an unknown repository and a refused token are discarded with what to check", "[digest]") {
  Office office;
  DigestJob job = office.job();
  SECTION("unknown repository") { job.repository = "acme/nothing"; }
  SECTION("refused token") {
    office.server.inject("/repos/", {.status = 401, .body = R"({"message": "Bad credentials"})"});
  }
  const auto id = office.engine.queue.enqueue(job).id;
  office.engine.settle(*office.processor);
  CHECK(office.engine.state(id) == JobState::dead);
  CHECK(office.engine.job(id).dead_reason == quern::DeadReason::discarded);
  CHECK(office.engine.job(id).attempt == 1);
  CHECK_FALSE(office.engine.job(id).end_message.empty());
  CHECK(office.notices().empty());
}

TEST_CASE("answers are kept between digests and asked for with their ETag", "[digest]") {
  Office office;
  office.engine.queue.enqueue(office.job());
  office.engine.settle(*office.processor);
  office.server.forget_log();
  office.engine.clock.advance(1h);
  office.engine.queue.enqueue(office.job());
  office.engine.settle(*office.processor);
  std::size_t conditional = 0;
  const auto log = office.server.log();
  for (const auto& request : log) conditional += request.header("if-none-match").empty() ? 0U : 1U;
  CHECK_FALSE(log.empty());
  CHECK(conditional == log.size());
}

TEST_CASE("a webhook that is down for a while gets its notification later and the others are not told twice",
          "[digest]") {
  Office office;
  office.receiver.inject("/hook", {.status = 503}, 3);
  const auto id = office.engine.queue.enqueue(office.job()).id;
  office.engine.pass(*office.processor, 24h);
  CHECK(office.engine.state(id) == JobState::completed);
  CHECK(office.received.size() == 1);
  CHECK(office.receiver.log().size() == 4);
  std::set<std::string> ids;
  for (const auto& request : office.receiver.log()) ids.insert(request.header("webhook-id"));
  CHECK(ids.size() == 1);
  CHECK(office.delivered_files() == 1);
}

TEST_CASE("a digest's payload is checked and names what is wrong", "[digest]") {
  Office office;
  const auto refused = [&](const char* payload, const std::string& what) {
    const auto id = office.engine.queue.enqueue("digest", quern::Payload::json(payload)).id;
    office.engine.settle(*office.processor);
    const auto job = office.engine.job(id);
    CHECK(job.state == JobState::dead);
    CHECK(job.dead_reason == quern::DeadReason::undecodable);
    CHECK(job.end_message.find(what) != std::string::npos);
  };
  refused(R"({"repository": "a/b", "repo": 1})", "digest.repo");
  refused(R"({"source": "svn", "repository": "a/b"})", "digest.source");
  refused(R"({})", "digest.repository");
  refused(R"({"repository": "a/b", "from": "yesterday"})", "from");
  refused(R"({"repository": "a/b", "recipients": [7]})", "recipients[0]");
}

TEST_CASE("a period that ends before it begins is discarded", "[digest]") {
  Office office;
  DigestJob job = office.job();
  std::swap(job.from, job.to);
  const auto id = office.engine.queue.enqueue(job).id;
  office.engine.settle(*office.processor);
  CHECK(office.engine.state(id) == JobState::dead);
}

TEST_CASE("the real repository's digest agrees with what is known of it", "[digest][real]") {
  const auto data =
      std::filesystem::path(QUERN_SOURCE_DIR) / ".." / "shared" / "testdata" / "github" / "hub4j-github-api";
  if (!std::filesystem::exists(data / "expected_digest.json")) {
    WARN("no real data beside the source tree (../shared/testdata/github): skipped");
    return;
  }
  Office office(load_github_data(data));
  office.engine.clock.set_wall(quern::parse_rfc3339("2019-12-31T23:59:59Z"));
  DigestJob job = office.job();
  job.repository = "hub4j/github-api";
  job.from = quern::parse_rfc3339("2019-12-01");
  job.to = quern::parse_rfc3339("2020-01-01");
  const auto id = office.engine.queue.enqueue(job).id;
  office.engine.settle(*office.processor);
  REQUIRE(office.engine.state(id) == JobState::completed);
  const json digest = office.written(id);
  std::ifstream file(data / "expected_digest.json");
  const json expected = json::parse(file);
  const auto values = [](const json& list, const char* key) {
    std::set<json> out;
    for (const auto& item : list) out.insert(item.at(key));
    return out;
  };
  const auto same = [&](const json& list, const char* key, const char* name) {
    INFO(name);
    const auto& wanted = expected.at(name);
    CHECK(values(list, key) == std::set<json>(wanted.begin(), wanted.end()));
    CHECK(list.size() == wanted.size());
  };
  same(digest.at("pull_requests").at("opened"), "number", "prs_opened");
  same(digest.at("pull_requests").at("merged"), "number", "prs_merged");
  same(digest.at("pull_requests").at("closed_unmerged"), "number", "prs_closed_unmerged");
  same(digest.at("issues").at("opened"), "number", "issues_opened");
  same(digest.at("issues").at("closed"), "number", "issues_closed");
  same(digest.at("commits").at("items"), "sha", "commits");
  same(digest.at("releases"), "tag", "releases_published");
  CHECK(digest.at("issues").at("open_now") == expected.at("open_issues_now"));
  CHECK(digest.at("pull_requests").at("open_now") == expected.at("open_prs_now"));
}
