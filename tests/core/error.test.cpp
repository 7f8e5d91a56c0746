#include "quern/core/error.hpp"

#include "support/catch.hpp"

using namespace quern;

TEST_CASE("an error of a configuration says all its faults, one a line", "[error]") {
  const ConfigError error({"a: is wrong", "b.c: is missing"});
  CHECK(std::string(error.what()) == "a: is wrong\nb.c: is missing");
  CHECK(error.faults().size() == 2);
  CHECK(std::string(ConfigError({"a: x"}).what()) == "a: x");
}

TEST_CASE("an invalid argument names its field", "[error]") {
  const InvalidArgument error("tags[2]", "is empty");
  CHECK(std::string(error.what()) == "tags[2]: is empty");
  CHECK(error.field() == "tags[2]");
}

TEST_CASE("every error of quern is an Error", "[error]") {
  CHECK_THROWS_AS(throw InvalidArgument("a", "b"), Error);
  CHECK_THROWS_AS(throw ConfigError({"a"}), Error);
  CHECK_THROWS_AS(throw StorageError("a", true), Error);
  CHECK_THROWS_AS(throw RunLost("a"), Error);
  CHECK(StorageError("a", true).transient());
  CHECK_FALSE(StorageError("a", false).transient());
}
