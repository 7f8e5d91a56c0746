#include <set>
#include <sstream>
#include <string>

#include "quern/storage/memory_storage.hpp"
#include "quern/testing/storage_conformance.hpp"
#include "storage/forwarding_storage.hpp"
#include "support/catch.hpp"

using namespace quern;

namespace {

/// Says that every claim was for another node.
class WrongNode final : public quern_test::ForwardingStorage {
 public:
  using ForwardingStorage::ForwardingStorage;
  std::vector<Claim> claim(const ClaimRequest& request) override {
    auto claims = inner_.claim(request);
    for (Claim& claim : claims) claim.ref.node.value += 1000;
    return claims;
  }
};

class WrongFixture final : public testing::StorageFixture {
 public:
  StoragePort& store() override { return wrong_; }

 private:
  StorageAdapter<MemoryStorage> inner_{ClockRef(clock())};
  WrongNode wrong_{inner_};
};

}  // namespace

TEST_CASE("each invariant that a storage must hold is a named case of the suite", "[storage][conformance]") {
  std::set<std::string> named;
  std::set<std::string> names;
  for (const auto& c : testing::storage_conformance_cases()) {
    INFO(c.name);
    CHECK(names.insert(c.name).second);
    CHECK(c.name.starts_with(c.invariants));
    CHECK(static_cast<bool>(c.run));
    std::istringstream numbers(c.invariants);
    for (std::string number; numbers >> number;) named.insert(number);
  }
  for (const char* invariant : {"I01", "I02", "I03", "I04", "I06", "I07", "I08", "I09", "I10", "I11", "I12",
                                "I13", "I17", "I18", "I21", "I22", "I24", "I32", "I33"}) {
    INFO(invariant);
    CHECK(named.contains(invariant));
  }
}

TEST_CASE("a failed case tells the place, the expression and both values", "[storage][conformance]") {
  for (const auto& c : testing::storage_conformance_cases()) {
    if (!c.name.starts_with("I03 each claim raises the epoch")) continue;
    WrongFixture fixture;
    try {
      c.run(fixture);
      FAIL("passed");
    } catch (const testing::ConformanceFailure& e) {
      const std::string message = e.what();
      INFO(message);
      CHECK(message.find("conformance_claim.cpp:") != std::string::npos);
      CHECK(message.find("claim.ref.node == s.node: got node 1001, expected node 1") != std::string::npos);
    }
    return;
  }
  FAIL("the case has another name now");
}
