// Reading JSON into structs with QUERN_FIELDS, and how it compares with nlohmann::json.
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/fields_types.hpp"
#include "quern/core/limits.hpp"
#include "quern/core/random.hpp"
#include "support/catch.hpp"

using namespace fields_test;
using quern::InvalidArgument;
using quern::Payload;

namespace {

struct Small {
  int n = 7;
  std::string text = "kept";
  std::vector<std::string> list;
  std::optional<double> d;
  std::uint8_t byte = 0;
};
QUERN_FIELDS(Small, n, text, list, d, byte)

Small read(const std::string& text) { return Payload::json(text).as<Small>(); }

std::string refusal(const std::string& text) {
  try {
    static_cast<void>(read(text));
  } catch (const InvalidArgument& e) {
    CHECK(e.field() == "payload");
    CHECK(std::string(e.what()).find("secret") == std::string::npos);
    return e.what();
  }
  return "";
}

/// The same members for nlohmann::json.
struct Twin {
  std::string text;
  std::int64_t whole = 0;
  std::uint64_t natural = 0;
  double real = 0;
  std::vector<std::string> list;
  std::map<std::string, double> map;
  bool yes = false;
};
struct OurTwin : Twin {};
QUERN_FIELDS(OurTwin, text, whole, natural, real, list, map, yes)
struct TheirTwin : Twin {};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TheirTwin, text, whole, natural, real, list, map, yes)

bool same(const Twin& a, const Twin& b) {
  return a.text == b.text && a.whole == b.whole && a.natural == b.natural && a.real == b.real &&
         std::signbit(a.real) == std::signbit(b.real) && a.list == b.list && a.map == b.map && a.yes == b.yes;
}

class Maker {
 public:
  std::string text() {
    static const std::vector<std::string> pieces{"a",  "plain text ", "\"",   "\\",   "/",    "\n",
                                                 "\t", "\b",          "\f",   "\r",   "\x01", "é",
                                                 "€",  "😀",          "\x7F", "\x1F", "",     "{}[],:"};
    std::string made;
    for (auto left = random_.below(12); left > 0; --left) made += pieces[random_.below(pieces.size())];
    return made;
  }
  double real() {
    switch (random_.below(4)) {
      case 0:
        return static_cast<double>(static_cast<std::int64_t>(random_.below(2'000'001)) - 1'000'000) / 1000;
      case 1:
        return static_cast<double>(random_.below(100));
      case 2:
        return std::ldexp(static_cast<double>(random_.below(1U << 20U)),
                          static_cast<int>(random_.below(120)) - 60);
      default: {
        const std::uint64_t bits = random_.next();
        double value = 0;
        std::memcpy(&value, &bits, sizeof(value));
        return std::isfinite(value) ? value : -0.0;
      }
    }
  }
  Twin twin() {
    Twin made{.text = text(),
              .whole = static_cast<std::int64_t>(random_.next() >> random_.below(64)),
              .natural = random_.next() >> random_.below(64),
              .real = real(),
              .list = {},
              .map = {},
              .yes = random_.below(2) == 0};
    if (random_.below(2) == 0) made.whole = -made.whole;
    for (auto left = random_.below(4); left > 0; --left) made.list.push_back(text());
    for (auto left = random_.below(4); left > 0; --left) made.map[text()] = real();
    return made;
  }

 private:
  quern::Random random_{8};
};

}  // namespace

TEST_CASE("names may come in any order, and with white space", "[fields]") {
  const Small small = read("\n{ \"text\" :\t\"t\" , \"n\":-0,\"list\" : [ \"a\" , \"b\" ],\r\"d\":1e2 } ");
  CHECK(small.n == 0);
  CHECK(small.text == "t");
  CHECK(small.list == std::vector<std::string>{"a", "b"});
  CHECK(small.d == 100.0);
}

TEST_CASE("a name that is not there keeps its default, and an unknown one is skipped", "[fields]") {
  const Small small =
      read(R"({"new": {"deep": [1, -2.5e3, "}", null, true, {"a": "\u00e9\\"}]}, "d": 1, "x": [[], {}]})");
  CHECK(small.n == 7);
  CHECK(small.text == "kept");
  CHECK(small.d == 1.0);
  CHECK(read("{}").text == "kept");
}

TEST_CASE("strings are read with all escapes", "[fields]") {
  CHECK(read(R"({"text":"\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00x"})").text == "\"\\/\b\f\n\r\té€😀x");
  CHECK(read(R"({"t\u0065xt":"by an escaped name"})").text == "by an escaped name");
}

TEST_CASE("a value of another type is refused with its path and byte", "[fields]") {
  CHECK(refusal(R"({"n":"secret"})") == "payload: n is not an integer (at byte 5)");
  CHECK(refusal(R"({"n":1.0})") == "payload: n is not an integer (at byte 5)");
  CHECK(refusal(R"({"n":1e3})") == "payload: n is not an integer (at byte 5)");
  CHECK(refusal(R"({"n":null})") == "payload: n is not an integer (at byte 5)");
  CHECK(refusal(R"({"text":["secret"]})") == "payload: text is not a string (at byte 8)");
  CHECK(refusal(R"({"list":{"secret":1}})") == "payload: list is not an array (at byte 8)");
  CHECK(refusal(R"({"list":["a", "b", {}]})") == "payload: list[2] is not a string (at byte 19)");
  CHECK(refusal(R"({"d":true})") == "payload: d is not a number (at byte 5)");
  CHECK(refusal(R"(["secret"])") == "payload: is not an object (at byte 0)");
  CHECK(refusal("null") == "payload: is not an object (at byte 0)");
}

TEST_CASE("a number out of its member's range is refused", "[fields]") {
  CHECK(refusal(R"({"n":2147483648})") == "payload: n is out of range (at byte 5)");
  CHECK(refusal(R"({"n":-2147483649})") == "payload: n is out of range (at byte 5)");
  CHECK(refusal(R"({"n":99999999999999999999999})") == "payload: n is out of range (at byte 5)");
  CHECK(refusal(R"({"byte":256})") == "payload: byte is out of range (at byte 8)");
  CHECK(refusal(R"({"byte":-1})") == "payload: byte is out of range (at byte 8)");
  CHECK(read(R"({"byte":-0})").byte == 0);
  CHECK(read(R"({"n":-2147483648})").n == std::numeric_limits<int>::min());
  for (const char* huge :
       {"1e309", "-1e309", "1e999999999999999999999", "17976931348623159e292", "0.00000001e400"})
    CHECK(refusal(std::string("{\"d\":") + huge + "}") == "payload: d is out of range (at byte 5)");
  CHECK(refusal("{\"d\":" + std::string(400, '9') + "}") == "payload: d is out of range (at byte 5)");
  for (const char* tiny : {"1e-400", "1e-99999999999999999999", "100000000e-400", "0e999999999999999999999"})
    CHECK(read(std::string("{\"d\":") + tiny + "}").d == 0.0);
  CHECK_THROWS_AS(Payload::json(R"({"ratio":3.5e38})").as<Digest>(), InvalidArgument);
  CHECK_THROWS_AS(Payload::json(R"({"period":40000})").as<Digest>(), InvalidArgument);
}

TEST_CASE("an array of fixed size takes exactly as many elements", "[fields]") {
  const auto color = [](const char* text) { return Payload::json(text).as<Digest>().color; };
  CHECK(color(R"({"color":[1,2,3]})") == std::array<std::uint8_t, 3>{1, 2, 3});
  CHECK_THROWS_WITH(color(R"({"color":[1,2]})"),
                    Catch::Matchers::ContainsSubstring("color has too few elements"));
  CHECK_THROWS_WITH(color(R"({"color":[1,2,3,4]})"),
                    Catch::Matchers::ContainsSubstring("color has too many elements"));
}

TEST_CASE("a name that is there twice is refused", "[fields]") {
  CHECK(refusal(R"({"n":1,"text":"","n":1})") == "payload: n is there twice (at byte 17)");
  CHECK(refusal(R"({"text":"","t\u0065xt":""})").find("text is there twice") != std::string::npos);
  CHECK_THROWS_AS(Payload::json(R"({"labels":{"a":[],"a":[]}})").as<Digest>(), InvalidArgument);
}

TEST_CASE("text that is no JSON is refused, also where it is skipped", "[fields]") {
  for (const char* wrong : {"",
                            " ",
                            "{",
                            "}",
                            "{}x",
                            "{}{}",
                            "{\"n\"}",
                            "{\"n\":}",
                            "{\"n\":1,}",
                            "{,}",
                            "{n:1}",
                            "{\"n\" 1}",
                            "{\"n\":01}",
                            "{\"n\":-}",
                            "{\"n\":+1}",
                            "{\"n\":1 2}",
                            "{\"d\":1.}",
                            "{\"d\":.5}",
                            "{\"d\":1e}",
                            "{\"d\":NaN}",
                            "{\"d\":nulll}",
                            "{\"d\":Infinity}",
                            "{\"text\":\"",
                            "{\"text\":\"\n\"}",
                            "{\"text\":\"\\x\"}",
                            "{\"text\":\"\\u12G4\"}",
                            "{\"text\":\"\\u12",
                            "{\"text\":\"\\",
                            "{\"text\":\"\\ud83d\"}",
                            "{\"text\":\"\\ude00\"}",
                            "{\"text\":\"\\ud83d\\u0041\"}",
                            "{\"list\":[",
                            "{\"list\":[\"a\",]}",
                            "{\"list\":[\"a\" \"b\"]}",
                            "{\"x\":[1,]}",
                            "{\"x\":tru}",
                            "{\"x\":01}",
                            "{\"x\":{1:1}}",
                            "{\"x\":\"\\q\"}",
                            "{\"x\":}",
                            "{\"x\":'a'}",
                            "{\"x\":[1}",
                            "\xEF\xBB\xBF{}"}) {
    INFO(wrong);
    CHECK(refusal(wrong).find("is not JSON (at byte ") != std::string::npos);
  }
  CHECK(refusal("{\"x\":\"\xFF\"}") == "payload: is not UTF-8 (at byte 6)");
  CHECK(refusal(R"({"text":"\u0000"})").find("NUL character") != std::string::npos);
  CHECK_FALSE(refusal(std::string("{}\0", 3)).empty());
}

TEST_CASE("what is skipped is nested up to 64 deep, and deeper costs no stack", "[fields]") {
  const auto nested = [](std::size_t depth) {
    return "{\"x\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  CHECK(refusal(nested(63)).empty());
  CHECK(refusal(nested(64)).find("nested deeper than the 64 levels") != std::string::npos);
  CHECK(refusal(nested(1'000'000)).find("nested deeper than the 64 levels") != std::string::npos);
}

TEST_CASE("what we write, nlohmann::json reads, and what it writes, we read", "[fields]") {
  Maker maker;
  int same_texts = 0;
  constexpr int rounds = 3000;
  for (int i = 0; i < rounds; ++i) {
    const Twin twin = maker.twin();
    const std::string ours = Payload::of(OurTwin{twin}).text();
    quern::check_json(ours, "ours", {});
    REQUIRE(quern::detail::packed_facts(Payload::of(OurTwin{twin}).bytes()).max_json_bytes >= ours.size());
    REQUIRE(same(nlohmann::json::parse(ours).get<TheirTwin>(), twin));
    REQUIRE(same(rewritten(OurTwin{twin}), twin));
    REQUIRE(same(repacked(OurTwin{twin}), twin));
    REQUIRE(same(Payload::json(nlohmann::json(TheirTwin{twin}).dump()).as<OurTwin>(), twin));
    // Theirs in our order. Its doubles now and then have a digit more than they need.
    if (nlohmann::ordered_json::parse(ours).dump() == ours) ++same_texts;
  }
  CHECK(same_texts > rounds * 95 / 100);
}

TEST_CASE("doubles are written as nlohmann::json writes them", "[fields]") {
  for (const double value : {0.0,
                             -0.0,
                             1.0,
                             -1.0,
                             0.1,
                             100.0,
                             123456.789,
                             1e14,
                             1e15,
                             123456789012345.0,
                             1e16,
                             1.5e15,
                             1.5e16,
                             0.001,
                             0.0001,
                             0.00012345,
                             0.00001,
                             1e-7,
                             1e22,

                             1e100,
                             5e-324,
                             1.7976931348623157e308,
                             2.2250738585072014e-308,
                             1.0 / 3}) {
    Recipient recipient;
    recipient.share = value;
    const std::string text = Payload::of(recipient).text();
    CHECK(text == R"({"address":"","name":null,"share":)" + nlohmann::json(value).dump() + "}");
  }
}

TEST_CASE("no change of a text makes the reader crash, and what it accepts is JSON", "[fields]") {
  const std::string good = Payload::of(digest()).text();
  for (std::size_t size = 0; size < good.size(); ++size)
    CHECK_THROWS_AS(Payload::json(good.substr(0, size)).as<Digest>(), InvalidArgument);

  quern::Random random(9);
  const std::string alphabet = "{}[]\",:.-+eE0123456789 \\untrfabx\x01\x7F\x80\xC3\xFF";
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const auto at = random.below(text.size());
      if (random.below(4) == 0)
        text.erase(at, 1 + random.below(4));
      else
        text[at] = alphabet[random.below(alphabet.size())];
    }
    try {
      static_cast<void>(Payload::json(text).as<Digest>());
    } catch (const InvalidArgument&) {
      continue;
    }
    ++accepted;
    try {
      const bool object = nlohmann::json::parse(text).is_object();
      REQUIRE(object);
    } catch (const nlohmann::json::out_of_range&) {
      continue;  // a number that is skipped may be too large for a double
    }
  }
  CHECK(accepted > 100);
}
