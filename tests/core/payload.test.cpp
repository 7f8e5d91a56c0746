#include "quern/core/payload.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/catch.hpp"

using quern::InvalidArgument;
using quern::Payload;

namespace {

struct Sample {
  std::string repository;
  int user_id = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Sample, repository, user_id)

}  // namespace

TEST_CASE("a payload keeps its text byte for byte", "[payload]") {
  CHECK(Payload().text() == "null");
  const std::string text = R"({"b": 1.0,  "a": 2})";
  CHECK(Payload::json(text).text() == text);
  CHECK(Payload::json("1") == Payload::json("1"));
  CHECK_FALSE(Payload::json("1") == Payload::json("1.0"));
}

TEST_CASE("values and structs go into a payload and come back", "[payload]") {
  CHECK(Payload::of(42).as<int>() == 42);
  CHECK(Payload::of(std::vector{1, 2, 3}).text() == "[1,2,3]");
  const auto sample = Payload::of(Sample{"a/b", 7}).as<Sample>();
  CHECK(sample.repository == "a/b");
  CHECK(sample.user_id == 7);
}

TEST_CASE("what cannot be encoded or decoded is refused without its contents", "[payload]") {
  CHECK_THROWS_AS(Payload::of(std::string("\xFF")), InvalidArgument);
  for (const char* wrong :
       {"{}", "[1]", "\"secret\"", "{\"repository\": 5, \"user_id\": \"secret\"}", "not json secret"}) {
    try {
      static_cast<void>(Payload::json(wrong).as<Sample>());
      FAIL("was accepted");
    } catch (const InvalidArgument& e) {
      CHECK(e.field() == "payload");
    }
  }
}
