#include "quern/http/roles.hpp"

#include "http/support/security.hpp"
#include "quern/core/error.hpp"
#include "quern/http/problem.hpp"
#include "support/catch.hpp"

using namespace quern::http;
using quern_test::root;
using quern_test::SecurityScene;

namespace {

std::string fault_of(const Role& role) {
  try {
    check(role, "role");
  } catch (const quern::InvalidArgument& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("roles come from the program, the configuration and the storage, in this order", "[roles]") {
  SecurityScene s;
  Roles roles(s.storage, {{"support", {"jobs.read", "jobs.manage"}}});
  roles.put({"auditor", {"audit.read"}}, root());
  CHECK(roles.find("admin") == std::vector<std::string>{"*"});
  CHECK(roles.find("support")->size() == 2);
  CHECK(s.roles.find("auditor") == std::vector<std::string>{"audit.read"});
  CHECK_FALSE(roles.find("nobody"));
  CHECK_FALSE(roles.find(""));

  // Whoever may write to the storage can't widen what the program or its configuration says.
  CHECK_THROWS_AS(roles.put({"support", {"*"}}, root()), quern::InvalidArgument);
  CHECK_THROWS_AS(roles.put({"viewer", {"*"}}, root()), quern::InvalidArgument);
  s.storage.put_record({"quern.roles", "support", quern::Payload::json(R"({"permissions":["*"]})")});
  s.storage.put_record({"quern.roles", "viewer", quern::Payload::json(R"({"permissions":["*"]})")});
  CHECK(roles.find("support")->size() == 2);
  CHECK(roles.find("viewer") == built_in_roles()[0].permissions);

  const auto all = roles.list();
  REQUIRE(all.size() == 5);
  CHECK(all[2].role.name == "admin");
  CHECK(all[3].role.name == "auditor");
  CHECK(all[3].origin == RoleInfo::Origin::stored);
  CHECK(all[4].origin == RoleInfo::Origin::configured);
  CHECK(roles.erase("auditor"));
  CHECK_FALSE(roles.erase("auditor"));
}

TEST_CASE("a faulty role is refused, and a permission that there is not is named", "[roles]") {
  CHECK(fault_of({"a", {"jobs.read", "jobs.*", "*"}}).empty());
  CHECK(fault_of({"a", {}}).empty());
  CHECK_THAT(fault_of({"a", {"jobs.read", "jobs.raed"}}),
             Catch::Matchers::ContainsSubstring("role.permissions[1]: \"jobs.raed\" is no permission"));
  for (const char* const faulty :
       {"", "jobs", "jobs.", ".*", "job.*", "*.*", "**", "jobs.read.*", "JOBS.read"})
    CHECK_FALSE(fault_of({"a", {faulty}}).empty());
  CHECK_FALSE(fault_of({"", {}}).empty());
  CHECK_FALSE(fault_of({"Ops", {}}).empty());
  CHECK_FALSE(fault_of({std::string(65, 'a'), {}}).empty());

  SecurityScene s;
  CHECK_THROWS_AS(Roles(s.storage, {{"a", {}}, {"a", {}}}), quern::InvalidArgument);
  CHECK_THROWS_AS(Roles(s.storage, {{"admin", {}}}), quern::InvalidArgument);
  CHECK_THROWS_AS(Roles(s.storage, {{"a", {"x"}}}), quern::InvalidArgument);
}

TEST_CASE("nobody hands on more than they have", "[roles]") {
  const Scope all{.permissions = {"*"}};
  const Scope jobs{.permissions = {"jobs.*"}};
  CHECK(within(jobs, all));
  CHECK_FALSE(within(all, jobs));
  CHECK(within({.permissions = {"jobs.read", "jobs.manage"}}, jobs));
  CHECK(within(
      jobs, {.permissions = {"jobs.create", "jobs.delete", "jobs.manage", "jobs.read", "jobs.read_secret"}}));
  CHECK(within({}, {}));
  CHECK_FALSE(within(jobs, {.permissions = {"*"}, .tenants = {{"a"}}}));
  CHECK(within({.permissions = {"jobs.read"}, .tenants = {{"a"}}},
               {.permissions = {"*"}, .tenants = {{"a", "b"}}}));
  CHECK_FALSE(within({.permissions = {"jobs.read"}, .queues = {{"a", "c"}}},
                     {.permissions = {"*"}, .queues = {{"a"}}}));

  SecurityScene s;
  const Caller helper{.name = "helper", .scope = jobs};
  CHECK_THROWS_AS(s.roles.put({"queues", {"queues.manage"}}, helper), Problem);
  s.roles.put({"mine", {"jobs.manage"}}, helper);
  CHECK(s.roles.find("mine"));
}
