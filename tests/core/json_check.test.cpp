// The corpora follow Nicolas Seriot's "Parsing JSON is a minefield".

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/core/random.hpp"
#include "support/catch.hpp"

using namespace quern;

namespace {

std::string refusal(std::string_view text, const JobLimits& limits = {}) {
  try {
    check_json(text, "result", limits);
  } catch (const InvalidArgument& e) {
    CHECK(e.field() == "result");
    return e.what();
  }
  return {};
}

std::string nested(int depth, std::string_view open, std::string_view inside, std::string_view close) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += open;
  text += inside;
  for (int i = 0; i < depth; ++i) text += close;
  return text;
}

}  // namespace

TEST_CASE("good JSON is accepted", "[json]") {
  for (const char* good : {"null",
                           "true",
                           "false",
                           "0",
                           "-0",
                           "-1",
                           "1.5",
                           "1e5",
                           "1E-5",
                           "1.0e+10",
                           "123456789012345678901234567890.0",
                           "1e308",
                           "1e-400",  // becomes 0, which is finite
                           "9223372036854775807",
                           "-9223372036854775808",
                           "18446744073709551615",
                           "\"\"",
                           "\"text\"",
                           R"("\"\\\/\b\f\n\r\t\u00e9")",
                           R"("\ud83d\ude00")",
                           "\"é € 😀 \x7F \xE2\x80\xA8\"",
                           "[]",
                           "{}",
                           "[1, [2, [3]], {\"a\": {}}]",
                           R"({"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]})",
                           R"({"": 1})",
                           " \t\r\n{ \"a\" : 1 } \n",
                           R"({"a": "b", "b": "a"})"}) {
    INFO(good);
    CHECK(refusal(good).empty());
  }
}

TEST_CASE("what is no JSON is refused", "[json]") {
  for (const char* wrong : {"",
                            " ",
                            "nul",
                            "nulll",
                            "True",
                            "NaN",
                            "Infinity",
                            "-Infinity",
                            "undefined",
                            "01",
                            "-01",
                            "+1",
                            "1.",
                            ".5",
                            "1e",
                            "1e+",
                            "0x1",
                            "1_000",
                            "--1",
                            "'a'",
                            "\"a",
                            "a\"",
                            "\"\\x\"",
                            "\"\\u12\"",
                            "\"\\u12G4\"",
                            "\"\n\"",
                            "\"\t\"",
                            "\"\x1F\"",
                            R"("\ud83d")",
                            R"("\ude00")",
                            R"("\ud83d\u0041")",
                            "[",
                            "]",
                            "[1",
                            "[1,]",
                            "[,1]",
                            "[1 2]",
                            "[1]]",
                            "{",
                            "}",
                            "{\"a\"}",
                            "{\"a\":}",
                            "{\"a\":1,}",
                            "{a:1}",
                            "{1:1}",
                            "{\"a\" 1}",
                            "{\"a\":1 \"b\":2}",
                            "{\"a\":1}{}",
                            "1 2",
                            "null null",
                            "[1] // comment",
                            "/* comment */ 1",
                            "[\"a\",\n4\n,1,"}) {
    INFO(wrong);
    const auto message = refusal(wrong);
    CHECK(message.find("is not JSON (at byte ") != std::string::npos);
  }
}

TEST_CASE("the place of a fault is told in bytes", "[json]") {
  CHECK(refusal("[1, 2, x]") == "result: is not JSON (at byte 8)");
  CHECK(refusal("[1, \"a\xFF\"]") == "result: is not UTF-8 (at byte 6)");
  CHECK(refusal(R"({"a": 1, "a": 2})").find("(at byte 12)") != std::string::npos);
}

TEST_CASE("text that is not strict UTF-8 is refused", "[json]") {
  for (const char* wrong : {"\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xE2\x82\"",
                            "\"\xFF\"", "{\"\xFE\": 1}", "[\xC3\xA9]\xC3"}) {
    CHECK(refusal(wrong).find("is not UTF-8") != std::string::npos);
  }
  CHECK(refusal("\xEF\xBB\xBF{}") == "result: begins with a byte order mark (at byte 0)");
  CHECK_FALSE(refusal("\xFF\xFE[\0").empty());
}

TEST_CASE("the NUL character is refused in every disguise", "[json]") {
  CHECK(refusal(R"("\u0000")").find("NUL character") != std::string::npos);
  CHECK(refusal(R"({"a\u0000b": 1})").find("NUL character") != std::string::npos);
  CHECK(refusal(R"([["x", "y\u0000"]])").find("NUL character") != std::string::npos);
  CHECK(refusal(std::string("1\0", 2)).find("NUL byte") != std::string::npos);
  CHECK(refusal(std::string("{}\0{}", 5)).find("NUL byte") != std::string::npos);
  CHECK(refusal(std::string("\"a\0\"", 4)).find("NUL byte") != std::string::npos);
  CHECK(refusal(std::string(1, '\0')).find("NUL byte") != std::string::npos);
  CHECK(refusal(R"("\\u0000")").empty());  // a backslash and five characters
}

TEST_CASE("an object with a name twice is refused, at any depth and however it is written", "[json]") {
  for (const char* wrong :
       {R"({"a": 1, "a": 1})", R"({"a": 1, "b": {}, "a": 2})", R"([{"x": {"a": 1, "a": 2}}])",
        R"({"\u0061": 1, "a": 2})", R"({"": 1, "": 2})", R"({"b": {"b": 1}, "b": 2})"}) {
    INFO(wrong);
    CHECK(refusal(wrong).find("the same name twice") != std::string::npos);
  }
}

TEST_CASE("numbers that would lose their value are refused", "[json]") {
  for (const char* wrong : {"18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
                            "[1, -99999999999999999999]"}) {
    INFO(wrong);
    CHECK(refusal(wrong).find("does not fit into 64 bits") != std::string::npos);
  }
  for (const char* wrong : {"1e309", "-1e309", "[1e999999999999]", "1.8e308"}) {
    INFO(wrong);
    CHECK(refusal(wrong).find("too large for a double") != std::string::npos);
  }
}

TEST_CASE("nesting is bounded and costs no stack", "[json]") {
  CHECK(refusal(nested(64, "[", "", "]")).empty());
  CHECK(refusal(nested(65, "[", "", "]")).find("nested deeper than the 64 levels") != std::string::npos);
  CHECK(refusal(nested(63, "{\"a\":", "[]", "}")).empty());
  CHECK_FALSE(refusal(nested(64, "{\"a\":", "[]", "}")).empty());
  CHECK(refusal(nested(500'000, "[", "", "]")).find("nested deeper") != std::string::npos);
  CHECK(refusal(std::string(1'000'000, '[')).find("nested deeper") != std::string::npos);
  JobLimits flat;
  flat.json_depth = 1;
  CHECK(refusal("[1]", flat).empty());
  CHECK_FALSE(refusal("[[1]]", flat).empty());
  flat.json_depth = 0;
  CHECK(refusal("1", flat).empty());
  CHECK_FALSE(refusal("[]", flat).empty());
  JobLimits deep;
  deep.json_depth = 1000;
  CHECK(refusal(nested(1000, "[", "", "]"), deep).empty());
}

TEST_CASE("the size is bounded", "[json]") {
  JobLimits limits;
  limits.payload_bytes = 4;
  CHECK(refusal("null", limits).empty());
  CHECK(refusal("false", limits) == "result: has 5 bytes, at most 4 are allowed");
}

TEST_CASE("what is accepted can be parsed, after any change of a byte", "[json]") {
  const std::string good =
      R"({"repository": "a/b", "since": "2026-01-01", "n": [1, -2.5e3, true, null, {"deep": ["é", "\u00e9"]}]})";
  REQUIRE(refusal(good).empty());
  Random random(6);
  const std::string alphabet = "{}[]\",:.-+eE0123456789 \\untrfabx\x01\x7F\x80\xC3\xFF";
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const auto at = random.below(text.size());
      if (random.below(4) == 0) {
        text.erase(at, 1 + random.below(4));
      } else {
        text[at] = alphabet[random.below(alphabet.size())];
      }
      if (text.empty()) text.push_back('0');
    }
    if (refusal(text).empty()) {
      ++accepted;
      REQUIRE(is_utf8(text));
      REQUIRE_NOTHROW(nlohmann::json::parse(text));
    }
  }
  CHECK(accepted > 100);
}
