#include "quern/core/secret.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "quern/core/detail/redactor.hpp"
#include "quern/core/payload.hpp"
#include "support/catch.hpp"

using quern::Payload;
using quern::Secret;
using quern::detail::Redactor;

namespace {

struct Door {
  std::string name;
  Secret code;
};
QUERN_FIELDS(Door, name, code)

struct House {
  Secret alarm;
  std::optional<Secret> safe;
  std::vector<Secret> keys;
  std::map<std::string, Secret> rooms;
  std::array<Secret, 1> box;
  Door door;
  std::vector<House> annexes;
  std::string street;
};
QUERN_FIELDS(House, alarm, safe, keys, rooms, box, door, annexes, street)

struct Tree {
  std::vector<Tree> branches;
  int leaves = 0;
};
QUERN_FIELDS(Tree, branches, leaves)

std::string redacted(std::initializer_list<std::string_view> values, std::string_view text) {
  Redactor redactor;
  for (const auto value : values) redactor.add(value);
  return redactor.redact(text);
}

}  // namespace

TEST_CASE("a secret travels in a payload as any string and prints as stars", "[secret]") {
  const Payload payload = Payload::of(Door{"front", "hunter2"});
  CHECK(payload.text() == R"({"name":"front","code":"hunter2"})");
  CHECK(payload.as<Door>().code.reveal() == "hunter2");
  CHECK(Payload::json(R"({"name":"front","code":"hunter2"})").as<Door>().code == Secret("hunter2"));
  std::ostringstream out;
  out << Secret("hunter2") << Secret("") << to_string(Secret("x"));
  CHECK(out.str() == "*********");
  const nlohmann::json json = Secret("hunter2");
  CHECK(json == "hunter2");
  CHECK(json.get<Secret>().reveal() == "hunter2");
  static_assert(!std::is_convertible_v<Secret, std::string> &&
                !std::is_convertible_v<Secret, std::string_view>);
}

TEST_CASE("all secrets of a payload are found wherever they stand in it", "[secret]") {
  CHECK(quern::detail::has_secrets(quern::detail::CodecOf<House>::codec));
  CHECK_FALSE(quern::detail::has_secrets(quern::detail::CodecOf<Tree>::codec));
  House house;
  house.alarm = "alarm-1";
  house.safe = "safe-22";
  house.keys = {"key-333", "key-444"};
  house.rooms["study"] = "room-55";
  house.box[0] = "box-666";
  house.door = {"visible-name", "door-77"};
  house.street = "visible-street";
  House annexe = house;
  annexe.alarm = "annexe-8";
  house.annexes.push_back(annexe);
  Redactor redactor;
  quern::detail::collect_secrets(quern::detail::CodecOf<House>::codec, &house, redactor);
  CHECK(redactor.redact("alarm-1 safe-22 key-333 key-444 room-55 box-666 door-77 annexe-8 study visible-name "
                        "visible-street") ==
        "*** *** *** *** *** *** *** *** study visible-name visible-street");
}

TEST_CASE("a secret is taken out of the middle of a text and every time", "[secret]") {
  CHECK(redacted({"hunter2"}, "login failed for hunter2: xhunter2x") == "login failed for ***: x***x");
  CHECK(redacted({"hunter2"}, "hunter") == "hunter");
  CHECK(redacted({}, "hunter2") == "hunter2");
  CHECK(redacted({""}, "hunter2") == "hunter2");
}

TEST_CASE("secrets that overlap go as a whole", "[secret]") {
  CHECK(redacted({"abcd", "cdef"}, "-abcdef-") == "-***-");
  CHECK(redacted({"abcd", "abcdefgh"}, "abcdefgh abcd") == "*** ***");
  CHECK(redacted({"aaaa"}, "aaaaaa") == "***");
}

TEST_CASE("a secret of one to three bytes is taken out where it is a word by itself", "[secret]") {
  CHECK(redacted({"42"}, "42 (42) pin=42 420 a42 4.42") == "*** (***) pin=*** 420 a42 4.***");
  CHECK(redacted({"é"}, "é né") == "*** né");
}

TEST_CASE("a secret is found as it stands in JSON", "[secret]") {
  CHECK(redacted({"pa\"ss\\w"}, R"({"p":"pa\"ss\\w"})") == R"({"p":"***"})");
}

TEST_CASE("of a secret with several lines each line is taken out that says anything", "[secret]") {
  const std::string key = "-----BEGIN KEY-----\r\nMIIEpAIBAAKCAQEA\nab\n";
  CHECK(redacted({key}, "read MIIEpAIBAAKCAQEA and ab") == "read *** and ab");
  CHECK(redacted({key}, "<" + key + ">") == "<***>");
}
