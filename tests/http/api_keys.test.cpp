#include "quern/http/api_keys.hpp"

#include <set>

#include "http/support/security.hpp"
#include "quern/core/error.hpp"
#include "quern/http/problem.hpp"
#include "quern/testing/storage_proxy.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace quern::http;
using quern_test::root;
using quern_test::SecurityScene;

namespace {

/// The status of the problem that it throws.
template <class Do>
int status_of(const Do& act) {
  try {
    act();
  } catch (const Problem& problem) {
    return problem.status;
  }
  return 0;
}

std::string all_records(quern::StoragePort& storage) {
  std::string all;
  for (const char* const collection : {"quern.keys", "quern.keys.used"})
    for (const quern::Record& record : storage.list_records(collection, "", 1000))
      all += record.key + record.value.text();
  return all;
}

}  // namespace

TEST_CASE("a key lets in whoever has its secret, with what it allows", "[keys]") {
  SecurityScene s;
  const auto issued = s.keys.create({.name = "deploy", .role = "operator", .queues = {{"mail"}}}, root());
  const std::string& secret = issued.secret.reveal();
  CHECK(secret.size() == 62);
  CHECK(secret.starts_with("quern_" + issued.id + "_"));
  CHECK(looks_like_api_key(secret));

  const Authentication found = s.keys.find(secret);
  REQUIRE(found.caller);
  CHECK(found.caller->name == "deploy");
  CHECK(found.caller->via == "key");
  CHECK(found.caller->id == issued.id);
  CHECK(found.caller->scope.may("queues.manage"));
  CHECK_FALSE(found.caller->scope.may("keys.manage"));
  CHECK(found.caller->scope.reaches("", "mail"));
  CHECK_FALSE(found.caller->scope.reaches("", "other"));
}

TEST_CASE("what is not exactly a key's secret lets nobody in", "[keys]") {
  SecurityScene s;
  CHECK_FALSE(s.keys.find("").caller);
  CHECK_FALSE(s.keys.find("admin").caller);
  const std::string secret = s.key("deploy", "admin").secret.reveal();
  for (std::size_t i = 0; i < secret.size(); ++i) {
    std::string other = secret;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    REQUIRE_FALSE(s.keys.find(other).caller);
    REQUIRE_FALSE(s.keys.find(secret.substr(0, i)).caller);
  }
  CHECK_FALSE(s.keys.find(secret + "A").caller);
  CHECK_FALSE(s.keys.find(" " + secret).caller);
  CHECK_FALSE(s.keys.find(secret + '\0').caller);
  CHECK(s.keys.find(secret).caller);
}

TEST_CASE("the storage holds no secret, and no two keys are alike", "[keys]") {
  SecurityScene s;
  std::set<std::string> seen;
  for (int i = 0; i < 50; ++i) {
    const auto issued = s.key("same", "viewer");
    CHECK(seen.insert(issued.id).second);
    CHECK(seen.insert(issued.secret.reveal().substr(19)).second);
    const std::string stored = all_records(s.storage);
    CHECK(stored.find(issued.secret.reveal().substr(19)) == stored.npos);
  }
}

TEST_CASE("a key that is revoked is out at once on every node", "[keys]") {
  SecurityScene s;
  ApiKeys other_node(s.storage, s.roles, s.clock);
  const auto issued = s.key("deploy", "admin");
  const std::string& secret = issued.secret.reveal();
  CHECK(other_node.find(secret).caller);
  CHECK(other_node.revoke(issued.id, root()));
  CHECK_FALSE(other_node.revoke(issued.id, root()));
  CHECK_FALSE(s.keys.find(secret).caller);
  CHECK(s.keys.find(secret).refused == "the key is revoked");
  CHECK(s.keys.find(secret).id == issued.id);
  CHECK(s.keys.get(issued.id)->revoked_by == "root");
  CHECK(status_of([&] { s.keys.revoke("nosuchkey", root()); }) == 404);
  CHECK(status_of([&] { (void)s.keys.rotate(issued.id, 0s, root()); }) == 409);
}

TEST_CASE("an expired key lets nobody in from its instant on", "[keys]") {
  SecurityScene s;
  const auto issued =
      s.keys.create({.name = "brief", .role = "viewer", .expires = s.clock.now() + 1h}, root());
  s.clock.advance(1h - 1us);
  CHECK(s.keys.find(issued.secret.reveal()).caller);
  s.clock.advance(1us);
  CHECK(s.keys.find(issued.secret.reveal()).refused == "the key has expired");
  CHECK_THROWS_AS(s.keys.create({.name = "late", .role = "viewer", .expires = s.clock.now()}, root()),
                  quern::InvalidArgument);
}

TEST_CASE("after a rotation the old secret counts for the grace, and the one before it no longer", "[keys]") {
  SecurityScene s;
  const auto first = s.key("deploy", "viewer");
  const auto second = s.keys.rotate(first.id, 1h, root());
  CHECK(second.id == first.id);
  CHECK(s.keys.find(first.secret.reveal()).caller);
  CHECK(s.keys.find(second.secret.reveal()).caller);
  CHECK(s.keys.get(first.id)->old_until == s.clock.now() + 1h);

  const auto third = s.keys.rotate(first.id, 1h, root());
  CHECK_FALSE(s.keys.find(first.secret.reveal()).caller);
  CHECK(s.keys.find(second.secret.reveal()).caller);
  s.clock.advance(1h);
  CHECK_FALSE(s.keys.find(second.secret.reveal()).caller);
  CHECK(s.keys.find(third.secret.reveal()).caller);

  const auto fourth = s.keys.rotate(first.id, 0s, root());
  CHECK_FALSE(s.keys.find(third.secret.reveal()).caller);
  CHECK(s.keys.find(fourth.secret.reveal()).caller);
  CHECK_THROWS_AS(s.keys.rotate(first.id, 31 * 24h, root()), quern::InvalidArgument);
  CHECK_THROWS_AS(s.keys.rotate(first.id, -1s, root()), quern::InvalidArgument);
}

TEST_CASE("nobody makes a key that is allowed more than they are", "[keys]") {
  SecurityScene s;
  const Caller helper{.name = "helper",
                      .scope = {.permissions = {"keys.manage", "jobs.*"}, .tenants = {{"a", "b"}}}};
  const auto make = [&](NewApiKey key) { return status_of([&] { (void)s.keys.create(key, helper); }); };
  CHECK(make({.name = "k", .role = "admin", .tenants = {{"a"}}}) == 403);
  CHECK(make({.name = "k", .permissions = {"jobs.read"}}) == 403);
  CHECK(make({.name = "k", .permissions = {"jobs.read"}, .tenants = {{"c"}}}) == 403);
  CHECK(make({.name = "k", .permissions = {"jobs.read"}, .tenants = {{"a"}}}) == 0);
  const auto strong = s.key("strong", "admin");
  CHECK(status_of([&] { (void)s.keys.rotate(strong.id, 0s, helper); }) == 403);
  CHECK(s.keys.find(strong.secret.reveal()).caller);
}

TEST_CASE("a faulty key is refused with what is wrong", "[keys]") {
  SecurityScene s;
  const auto field = [&](const NewApiKey& key) -> std::string {
    try {
      (void)s.keys.create(key, root());
    } catch (const quern::InvalidArgument& e) {
      return e.field();
    }
    return "";
  };
  CHECK(field({.name = "", .role = "viewer"}) == "key.name");
  CHECK(field({.name = "a\nb", .role = "viewer"}) == "key.name");
  CHECK(field({.name = "k", .role = "nobody"}) == "key.role");
  CHECK(field({.name = "k", .role = "viewer", .permissions = {"jobs.read"}}) == "key.role");
  CHECK(field({.name = "k", .permissions = {"jobs.read", "jobs.fly"}}) == "key.permissions[1]");
  CHECK(field({.name = "k", .role = "viewer", .tenants = {{"a", "b\x01"}}}) == "key.tenants[1]");
  CHECK(s.keys.list().empty());
}

TEST_CASE("two who change a key at once both change it", "[keys]") {
  SecurityScene s;
  const auto issued = s.key("deploy", "viewer");
  quern::testing::StorageProxy proxy(s.storage);
  ApiKeys slow(proxy, s.roles, s.clock);
  bool once = true;
  // Between what the first has read and what it writes, the second revokes.
  proxy.before = [&](std::string_view call) {
    if (call == "insert_if" && std::exchange(once, false)) s.keys.revoke(issued.id, root());
  };
  CHECK(status_of([&] { (void)slow.rotate(issued.id, 1h, root()); }) == 409);
  CHECK(s.keys.get(issued.id)->revoked);
}

TEST_CASE("a storage that does not answer lets nobody in", "[keys]") {
  SecurityScene s;
  const auto issued = s.key("deploy", "viewer");
  quern::testing::StorageProxy proxy(s.storage);
  ApiKeys keys(proxy, s.roles, s.clock);
  proxy.before = [](std::string_view) { throw quern::StorageError("gone", true); };
  CHECK_THROWS_AS(keys.find(issued.secret.reveal()), quern::StorageError);
}

TEST_CASE("a role that has gone leaves a key that may do nothing", "[keys]") {
  SecurityScene s;
  s.roles.put({"reader", {"jobs.read"}}, root());
  const auto issued = s.key("deploy", "reader");
  CHECK(s.keys.find(issued.secret.reveal()).caller->scope.may("jobs.read"));
  s.roles.put({"reader", {"queues.read"}}, root());
  CHECK(s.keys.find(issued.secret.reveal()).caller->scope.may("queues.read"));
  CHECK(s.roles.erase("reader"));
  CHECK(s.keys.find(issued.secret.reveal()).caller->scope.permissions.empty());
}

TEST_CASE("when a key was last used is written by the tick, never by a request", "[keys]") {
  SecurityScene s;
  const auto issued = s.key("deploy", "viewer");
  quern::testing::StorageProxy proxy(s.storage);
  ApiKeys keys(proxy, s.roles, s.clock);
  int writes = 0;
  bool down = false;
  proxy.before = [&](std::string_view call) {
    if (call == "put_record" || call == "insert_if") ++writes;
    if (down) throw quern::StorageError("gone", true);
  };
  for (int i = 0; i < 100; ++i) CHECK(keys.find(issued.secret.reveal()).caller);
  CHECK(writes == 0);
  CHECK_FALSE(keys.get(issued.id)->last_used);
  down = true;
  CHECK_THROWS_AS(keys.tick(), quern::StorageError);
  down = false;
  writes = 0;
  CHECK(keys.tick().at == s.clock.now() + 1min);
  CHECK(writes == 1);
  CHECK(keys.get(issued.id)->last_used == s.clock.now());
  (void)keys.tick();
  CHECK(writes == 1);
}

TEST_CASE("a configured key counts without the storage, by its secret or its hash", "[keys]") {
  SecurityScene s;
  const std::string secret = "0123456789abcdef0123456789abcdef";
  s.keys.configure({{.key = {.name = "boot", .role = "admin"}, .secret = secret}});
  REQUIRE(s.keys.find(secret).caller);
  CHECK(s.keys.find(secret).caller->id == "boot");
  CHECK_FALSE(s.keys.find(secret + "0").caller);
  CHECK(all_records(s.storage).empty());

  // SHA-256 of "abc", FIPS 180-2 B.1. Too short for a secret, which its hash can't tell.
  s.keys.configure({{.key = {.name = "hashed", .role = "viewer", .expires = s.clock.now() + 1h},
                     .sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}});
  CHECK(s.keys.find("abc").caller);
  CHECK_FALSE(s.keys.find(secret).caller);
  s.clock.advance(1h);
  CHECK_FALSE(s.keys.find("abc").caller);

  CHECK_THROWS_AS(s.keys.configure({{.key = {.name = "a", .role = "admin"}, .secret = "short"}}),
                  quern::InvalidArgument);
  CHECK_THROWS_AS(s.keys.configure({{.key = {.name = "a", .role = "admin"}}}), quern::InvalidArgument);
  CHECK_THROWS_AS(s.keys.configure({{.key = {.name = "a", .role = "admin"}, .sha256 = "BA78"}}),
                  quern::InvalidArgument);
}

TEST_CASE("keys are listed by pages without their secrets, and forgotten when they no longer count",
          "[keys]") {
  SecurityScene s;
  std::set<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.insert(s.key("k" + std::to_string(i), "viewer").id);
  const auto first = s.keys.list("", 3);
  REQUIRE(first.size() == 3);
  const auto rest = s.keys.list(first.back().id, 3);
  REQUIRE(rest.size() == 2);
  CHECK(first[0].id == *ids.begin());
  CHECK(first[0].created_by == "root");

  CHECK(status_of([&] { s.keys.erase(first[0].id); }) == 409);
  s.keys.revoke(first[0].id, root());
  s.keys.erase(first[0].id);
  CHECK_FALSE(s.keys.get(first[0].id));
  CHECK(status_of([&] { s.keys.erase(first[0].id); }) == 404);
}

TEST_CASE("random bytes that repeat themselves end in an error, not in somebody else's key", "[keys]") {
  SecurityScene s;
  ApiKeys keys(s.storage, s.roles, s.clock, [](std::size_t count) { return std::string(count, 'x'); });
  (void)keys.create({.name = "first", .role = "viewer"}, root());
  CHECK_THROWS_AS(keys.create({.name = "second", .role = "viewer"}, root()), quern::Error);
  CHECK(keys.list().size() == 1);
}
