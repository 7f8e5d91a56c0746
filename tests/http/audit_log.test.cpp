#include "quern/http/audit_log.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "http/support/security.hpp"
#include "quern/core/error.hpp"
#include "quern/http/gate.hpp"
#include "quern/http/problem.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace quern::http;
using nlohmann::json;

namespace {

const std::string collection = "quern.audit";
const std::string key_text(32, 'k');

std::string key_of(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(20 - digits.size(), '0') + digits;
}

struct AuditScene {
  quern::ManualClock clock;
  quern_test::EngineStorage own{quern::ClockRef(clock)};
  quern::StoragePort& storage = own.storage.port();
  quern::testing::StorageProxy proxy{storage};
  AuditLog log{proxy, {}, clock};

  void add(int count, AuditLog& to) {
    for (int i = 0; i < count; ++i) {
      clock.advance(1s);
      to.add({.who = "ada", .action = "jobs.manage", .object = std::to_string(i), .status = 200});
    }
    to.flush();
  }
  std::string text(std::uint64_t number) { return storage.get_record(collection, key_of(number))->text(); }
  void put(std::uint64_t number, std::string text_of_it) {
    storage.put_record({collection, key_of(number), quern::Payload::json(std::move(text_of_it))});
  }
  std::size_t size() { return storage.list_records(collection, "", 100'000).size(); }
};

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const auto at = text.find(what);
  REQUIRE(at != text.npos);
  return text.replace(at, what.size(), with);
}

}  // namespace

TEST_CASE("entries are numbered without gaps, and listed newest first by pages", "[audit]") {
  AuditScene s;
  s.add(250, s.log);
  const auto newest = s.log.list(0, 100);
  REQUIRE(newest.size() == 100);
  CHECK(newest.front().number == 250);
  CHECK(newest.front().entry.object == "249");
  CHECK(newest.front().entry.at == s.clock.now());
  CHECK(newest.back().number == 151);
  const auto oldest = s.log.list(51, 100);
  REQUIRE(oldest.size() == 50);
  CHECK(oldest.front().number == 50);
  CHECK(oldest.back().number == 1);
  CHECK(s.log.list(1, 100).empty());
  CHECK(s.log.checkpoint() == AuditCheckpoint{250, newest.front().hash});
  CHECK_FALSE(s.log.verify());
  CHECK_THROWS_AS(s.log.list(0, 0), quern::InvalidArgument);
}

TEST_CASE("a chain is verified by anybody who can make a SHA-256", "[audit]") {
  AuditScene s;
  s.add(3, s.log);
  const json record = json::parse(s.text(3));
  CHECK(record["entry"]["who"] == "ada");
  CHECK(record["entry"]["at"] == quern::to_rfc3339(s.clock.now()));
  CHECK(record["mac"] == "");
  std::vector<std::string> lines;
  s.log.export_lines([&](std::string_view line) { lines.emplace_back(line); });
  REQUIRE(lines.size() == 3);
  // As docs/security.md says, with nothing of quern's.
  std::string before(64, '0');
  for (const std::string& line : lines) {
    CHECK(line.find('\n') == std::string::npos);
    const auto end = line.rfind(R"(,"hash":")");
    const std::string text = before + line.substr(9, end - 9);
    std::array<unsigned char, 32> hash{};
    REQUIRE(EVP_Digest(text.data(), text.size(), hash.data(), nullptr, EVP_sha256(), nullptr) == 1);
    before.clear();
    for (const unsigned char byte : hash) before += fmt::format("{:02x}", byte);
    CHECK(line.substr(end + 9, 64) == before);
  }
  CHECK(s.log.checkpoint() == AuditCheckpoint{3, before});
}

TEST_CASE("what was edited, deleted, swapped, inserted or cut off is found, and named", "[audit]") {
  const bool keyed = GENERATE(false, true);
  AuditScene s;
  AuditLog log(s.storage, {.key = keyed ? key_text : ""}, s.clock);
  s.add(600, log);
  REQUIRE_FALSE(log.verify());
  const auto first = [&](std::span<const AuditCheckpoint> known = {}) {
    const auto fault = log.verify(0, 0, known);
    return fault ? fault->number : 0;
  };

  SECTION("an entry is edited") {
    s.put(300, replaced(s.text(300), "ada", "eve"));
    CHECK(first() == 300);
    CHECK_FALSE(log.verify(301, 0));
    CHECK_FALSE(log.verify(0, 299));
    CHECK(log.verify(300, 300));
  }
  SECTION("blanks are put into it") {
    s.put(300, replaced(s.text(300), "{\"version\":1", "{ \"version\":1"));
    CHECK(first() == 300);
  }
  SECTION("an entry is deleted") {
    s.storage.erase_record(collection, key_of(300));
    CHECK(first() == 300);
  }
  SECTION("the oldest entries are deleted") {
    for (std::uint64_t i = 1; i <= 10; ++i) s.storage.erase_record(collection, key_of(i));
    CHECK(first() == 1);
  }
  SECTION("the oldest entries are deleted as if they had been dropped") {
    const std::string hash = log.list(11, 1)[0].hash;
    for (std::uint64_t i = 1; i <= 10; ++i) s.storage.erase_record(collection, key_of(i));
    s.storage.put_record(
        {"quern.audit.state", "anchor", quern::Payload::json(R"({"number":10,"hash":")" + hash + "\"}")});
    CHECK(first() == 10);
  }
  SECTION("two entries are swapped") {
    const std::string other = s.text(301);
    s.put(301, s.text(300));
    s.put(300, other);
    CHECK(first() == 300);
  }
  SECTION("an entry is inserted in the place of another") {
    s.put(300, s.text(299));
    CHECK(first() == 300);
  }
  SECTION("a record that is none stands among them") {
    s.storage.put_record({collection, key_of(300) + "a", quern::Payload::json("{}")});
    CHECK(first() == 301);
  }
  SECTION("an entry is put behind the end") {
    s.put(601, s.text(600));
    CHECK(first() == 601);
  }
  SECTION("the tail is cut off") {
    for (std::uint64_t i = 591; i <= 600; ++i) s.storage.erase_record(collection, key_of(i));
    CHECK(first() == 591);
  }
  SECTION("the tail is cut off together with the record of the end, which a checkpoint shows") {
    const AuditCheckpoint known = log.checkpoint();
    const std::string hash = log.list(591, 1)[0].hash;
    for (std::uint64_t i = 591; i <= 600; ++i) s.storage.erase_record(collection, key_of(i));
    s.storage.put_record(
        {"quern.audit.state", "head", quern::Payload::json(R"({"number":590,"hash":")" + hash + "\"}")});
    CHECK(first() == 0);
    CHECK(first(std::array{known}) == 591);
  }
  SECTION("another chain is put in its place, which a checkpoint shows, or a key") {
    const AuditCheckpoint known{300, log.list(301, 1)[0].hash};
    AuditScene other;
    other.add(600, other.log);
    for (std::uint64_t i = 1; i <= 600; ++i) s.put(i, other.text(i));
    s.storage.put_record(
        {"quern.audit.state", "head", *other.storage.get_record("quern.audit.state", "head")});
    CHECK(first() == (keyed ? 1U : 0U));
    CHECK(first(std::array{known}) == (keyed ? 1U : 300U));
  }
}

TEST_CASE("with a key nobody else can write an entry, and old keys still prove theirs", "[audit]") {
  AuditScene s;
  s.add(10, s.log);
  AuditLog first(s.storage, {.key = key_text, .keyed_from = 11}, s.clock);
  s.add(10, first);
  CHECK_FALSE(first.verify());
  const std::string new_key(40, 'n');
  AuditLog second(s.storage, {.key = new_key, .old_keys = {key_text}, .keyed_from = 11}, s.clock);
  s.add(10, second);
  CHECK_FALSE(second.verify());
  CHECK(first.verify()->number == 21);
  // The same storage without the key: hashes fit, and no MAC does.
  s.add(1, s.log);
  CHECK_FALSE(s.log.verify());
  CHECK(second.verify()->number == 31);
  CHECK(second.verify()->what == "it has no MAC");
  CHECK(AuditLog(s.storage, {.key = key_text}, s.clock).verify()->number == 1);
  CHECK_THROWS_AS(AuditLog(s.storage, {.key = "short"}, s.clock), quern::InvalidArgument);
  CHECK(s.text(20).find(key_text) == std::string::npos);
}

TEST_CASE("two nodes lengthen one chain, whoever comes between", "[audit]") {
  AuditScene s;
  AuditLog other(s.storage, {}, s.clock);
  int between = 0;
  s.proxy.before = [&](std::string_view call) {
    if (call == "insert_if" && between++ < 3) s.add(1, other);
  };
  // Two entries that are alike are two.
  s.log.add({.at = s.clock.now(), .who = "same"});
  other.add({.at = s.clock.now(), .who = "same"});
  s.log.flush();
  other.flush();
  CHECK(s.size() == 5);
  CHECK_FALSE(s.log.verify());
}

TEST_CASE("many threads write at once, and each finds its entry written when it goes on", "[audit]") {
  AuditScene s;
  AuditLog other(s.storage, {}, s.clock);
  std::atomic<int> transactions = 0;
  s.proxy.before = [&](std::string_view call) { transactions += call == "insert_if" ? 1 : 0; };
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      AuditLog& log = t % 2 == 0 ? s.log : other;
      for (int i = 0; i < 50; ++i) log.write({.who = "t" + std::to_string(t), .object = std::to_string(i)});
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(s.size() == 400);
  CHECK_FALSE(s.log.verify());
  CHECK(s.log.status().waiting == 0);
  CHECK(transactions > 0);
}

TEST_CASE("entries that come together are written together", "[audit]") {
  AuditScene s;
  int transactions = 0;
  s.proxy.before = [&](std::string_view call) { transactions += call == "insert_if" ? 1 : 0; };
  for (int i = 0; i < 200; ++i) s.log.add({.who = "ada"});
  s.log.write({.who = "last"});
  CHECK(transactions == 2);
  CHECK(s.log.list(0, 1)[0].entry.who == "last");
}

TEST_CASE("while the storage is down entries wait, and what finds no room is counted and noted", "[audit]") {
  AuditScene s;
  AuditLog log(s.proxy, {.most_waiting = 5}, s.clock);
  bool down = true;
  s.proxy.before = [&](std::string_view) {
    if (down) throw quern::StorageError("gone", true);
  };
  for (int i = 0; i < 8; ++i) log.add({.who = "ada"});
  log.add_refusal({.status = 401});
  CHECK_THROWS_AS(log.write({.who = "ada"}), quern::StorageError);
  CHECK(log.tick().at == s.clock.now() + 1s);
  CHECK(log.status().waiting == 5);
  CHECK(log.status().lost == 5);
  CHECK(log.status().error == "gone");
  s.clock.advance(1s);
  CHECK(log.tick().at == s.clock.now() + 2s);
  down = false;
  CHECK(log.tick().at == s.clock.now() + 2s);  // not before its time
  CHECK(s.size() == 0);
  s.clock.advance(2s);
  CHECK(log.tick().at == s.clock.now() + 1s);
  CHECK(s.size() == 6);
  const AuditEntry note = log.list(0, 1)[0].entry;
  CHECK(note.action == "audit.lost");
  CHECK(note.details == std::map<std::string, std::string>{{"changes", "4"}, {"refusals", "1"}});
  CHECK(log.status().error.empty());
  CHECK(log.status().waiting == 0);
  CHECK_FALSE(log.verify());
}

TEST_CASE("an answer that got lost doubles nothing, also when others have written since", "[audit]") {
  const bool done = GENERATE(false, true);
  const bool others = GENERATE(false, true);
  AuditScene s;
  AuditLog other(s.storage, {}, s.clock);
  const auto breaks = [](std::string_view call) {
    if (call == "insert_if") throw quern::StorageError("the connection broke", true);
  };
  (done ? s.proxy.after : s.proxy.before) = breaks;
  s.log.add({.who = "ada"});
  s.log.add({.who = "bob"});
  CHECK_THROWS_AS(s.log.flush(), quern::StorageError);
  CHECK(s.size() == (done ? 2U : 0U));
  s.proxy.after = s.proxy.before = nullptr;
  if (others) s.add(3, other);
  s.log.add({.who = "eve"});
  s.log.flush();
  CHECK(s.size() == (others ? 6U : 3U));
  CHECK(s.log.status().waiting == 0);
  CHECK_FALSE(s.log.verify());
}

TEST_CASE("refusals beyond so many a minute are counted into one entry", "[audit]") {
  AuditScene s;
  AuditLog log(s.storage, {.refusals_per_minute = 10}, s.clock);
  for (int i = 0; i < 1000; ++i) log.add_refusal({.status = i % 4 == 0 ? 429 : 401});
  log.add({.who = "ada"});
  (void)log.tick();
  CHECK(s.size() == 11);
  CHECK(log.status().suppressed == 990);
  s.clock.advance(1min);
  (void)log.tick();
  const AuditEntry note = log.list(0, 1)[0].entry;
  CHECK(note.action == "audit.suppressed");
  CHECK(note.details == std::map<std::string, std::string>{{"401", "743"}, {"429", "247"}});
  log.add_refusal({.status = 403});
  (void)log.tick();
  CHECK(log.list(0, 1)[0].entry.status == 403);
}

TEST_CASE("the oldest entries are dropped so that the rest still verifies", "[audit]") {
  AuditScene s;
  AuditLog log(s.storage, {.key = key_text}, s.clock);
  const quern::TimePoint start = s.clock.now();
  s.add(100, log);
  const AuditCheckpoint old = log.checkpoint();
  CHECK(log.drop(start) == 0);
  CHECK(log.drop(start + 40s, 20) == 20);
  CHECK(log.drop(start + 40s) == 19);
  CHECK(log.drop(start + 40s) == 0);
  CHECK(s.size() == 63);
  CHECK_FALSE(log.verify(0, 0, std::array{old}));
  CHECK(log.list(60, 100).size() == 20);
  CHECK(log.list(0, 1)[0].entry.action == "audit.drop");

  // All of them, and once more when only the entries about that are left.
  s.clock.advance(24h);
  CHECK(log.drop(s.clock.now()) == 63);
  CHECK(s.size() == 1);
  CHECK_FALSE(log.verify(0, 0, std::array{old}));
  s.add(1, log);
  CHECK_FALSE(log.verify());
  CHECK(log.checkpoint().number == 104);

  // What was tampered with is not dropped.
  s.put(104, replaced(s.text(104), "ada", "eve"));
  s.clock.advance(1h);
  CHECK(log.drop(s.clock.now()) == 1);
  CHECK(log.verify()->number == 104);
}

TEST_CASE("the tick drops what is older than it is to be kept", "[audit]") {
  AuditScene s;
  AuditLog log(s.storage, {.keep = 24h}, s.clock);
  s.add(3, log);
  (void)log.tick();
  CHECK(s.size() == 3);
  s.clock.advance(25h);
  (void)log.tick();
  CHECK(s.size() == 1);
  CHECK_FALSE(log.verify());
}

TEST_CASE("an entry is made fit for a line, and has no more than is allowed", "[audit]") {
  AuditScene s;
  AuditEntry entry{.who = std::string("a\r\nb\x1b[31m\0c", 11), .peer = "\xFF"};
  entry.object = "x\xE2\x80\xA8y\xE2\x80\xAEz\t\xE2\x82\xAC";  // a line separator, a turn to the left, a euro
  entry.reason = std::string(10'000, 'r');
  for (int i = 0; i < 100; ++i) entry.details.emplace(std::to_string(i), "\n");
  s.log.add(entry);
  s.log.flush();
  const std::string text = s.text(1);
  CHECK(text.size() < 2'000);
  CHECK(text.find("\\n") == text.npos);
  const AuditEntry stored = s.log.list()[0].entry;
  CHECK(stored.who == "a  b [31m c");
  CHECK(stored.peer == "\xEF\xBF\xBD");
  CHECK(stored.object == "x\xEF\xBF\xBDy\xEF\xBF\xBDz \xE2\x82\xAC");
  CHECK(stored.details.size() == 16);
  CHECK_FALSE(s.log.verify());
}

TEST_CASE("a credential that was put where none belongs does not stand in the log", "[audit]") {
  quern_test::SecurityScene scene;
  const auto issued = scene.key("deploy", "viewer");
  const std::string& key = issued.secret.reveal();
  const std::string token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
  AuditScene s;
  AuditEntry entry{.who = key,
                   .object = "a/" + key + "/" + key + "/" + token + "/b",
                   .reason = std::string(250, 'x') + key};
  entry.details = {{"path", "/api/keys/" + key}, {token, token}};
  s.log.add(entry);
  s.log.flush();
  const std::string text = s.text(1);
  CHECK(text.find(key.substr(19, 6)) == text.npos);
  CHECK(text.find("c2ln") == text.npos);
  const AuditEntry stored = s.log.list()[0].entry;
  const std::string shown = "quern_" + issued.id + "_***";
  CHECK(stored.object == "a/" + shown + "/" + shown + "/***/b");
  CHECK(stored.details.at("path") == "/api/keys/" + shown);
  CHECK(stored.details.at("***") == "***");
}

TEST_CASE("a gate notes every change and every refusal, and no secret", "[audit][gate]") {
  const bool wait = GENERATE(false, true);
  quern_test::SecurityScene s;
  quern::testing::StorageProxy proxy(s.storage);
  AuditLog log(proxy, {.changes_wait = wait}, s.clock);
  Gate gate({}, [&](std::string_view secret) { return s.keys.find(secret); });
  gate.set_audit(&log);
  Router router;
  router.set_gate([&](Request& request, const Route* route) { return gate.check(request, route); });
  router.set_after([&](const Request& request, const Route* route, Response& response) {
    gate.finish(request, route, response);
  });
  int handled = 0;
  const auto handler = [&](const Request&) -> Response {
    if (++handled == 2) throw Problem::conflict("it runs");
    return {.status = 200};
  };
  router.add({.pattern = "/jobs/:id", .permission = "jobs.read", .handler = handler});
  router.add({.method = Method::post,
              .pattern = "/jobs/:id/cancel",
              .permission = "jobs.manage",
              .handler = handler});
  router.add({.method = Method::post, .pattern = "/search", .permission = "jobs.read", .handler = handler});
  router.add(
      {.method = Method::put,
       .pattern = "/keys",
       .permission = "jobs.manage",
       .handler = [](const Request&) -> Response { throw Problem{.status = 403, .name = "forbidden"}; }});
  const auto issued = s.key("deploy", "operator");
  const auto viewer = s.key("look", "viewer");
  const auto ask = [&](Method method, std::string target, std::string secret) {
    Request request{.method = method, .target = std::move(target), .headers = {{"X-Request-Id", "r-1"}}};
    if (!secret.empty()) request.headers.add("X-API-Key", std::move(secret));
    request.peer = "192.0.2.1";
    return router.handle(request).status;
  };
  CHECK(ask(Method::get, "/jobs/17", issued.secret.reveal()) == 200);
  CHECK(ask(Method::post, "/jobs/17/cancel", issued.secret.reveal()) == 409);
  CHECK(ask(Method::post, "/jobs/17/cancel?note=hidden", issued.secret.reveal()) == 200);
  CHECK(ask(Method::post, "/jobs/17/cancel", viewer.secret.reveal()) == 403);
  CHECK(ask(Method::get, "/jobs/17", "") == 401);
  CHECK(ask(Method::get, "/secret/x?token=not-to-be-seen", "") == 400);
  CHECK(ask(Method::put, "/keys", issued.secret.reveal()) == 403);
  CHECK(ask(Method::post, "/search", issued.secret.reveal()) == 200);
  CHECK(ask(Method::get, "/jobs/17", issued.secret.reveal() + "x") == 401);
  log.flush();

  std::vector<AuditRecord> records = log.list();
  std::ranges::reverse(records);
  std::vector<int> statuses;
  for (const AuditRecord& record : records) statuses.push_back(record.entry.status);
  CHECK(statuses == (wait ? std::vector<int>{0, 409, 0, 200, 403, 401, 400, 0, 403, 401}
                          : std::vector<int>{409, 200, 403, 401, 400, 403, 401}));
  const AuditEntry& change = records[wait ? 3 : 1].entry;
  CHECK(change.who == "deploy");
  CHECK(change.via == "key");
  CHECK(change.id == issued.id);
  CHECK(change.peer == "192.0.2.1");
  CHECK(change.action == "jobs.manage");
  CHECK(change.type == "jobs");
  CHECK(change.object == "17");
  CHECK(change.request_id == "r-1");
  CHECK(change.details.at("method") == "POST");
  const AuditEntry& refused = records[wait ? 4 : 2].entry;
  CHECK(refused.who == "look");
  CHECK(refused.reason == "not allowed: jobs.manage");
  CHECK(records.back().entry.reason == "there is no such key");
  log.export_lines([&](std::string_view line) {
    for (const std::string& secret :
         {issued.secret.reveal().substr(19), std::string("hidden"), std::string("not-to-be-seen")})
      CHECK(line.find(secret) == line.npos);
  });
  CHECK_FALSE(log.verify());

  proxy.before = [](std::string_view) { throw quern::StorageError("gone", true); };
  handled = 10;
  CHECK(ask(Method::post, "/jobs/17/cancel", issued.secret.reveal()) == (wait ? 503 : 200));
  CHECK(handled == (wait ? 10 : 11));
  CHECK(ask(Method::get, "/jobs/17", issued.secret.reveal()) == 200);
}
