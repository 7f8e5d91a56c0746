#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "quern/core/error.hpp"
#include "quern/core/limits.hpp"
#include "quern/core/random.hpp"
#include "support/catch.hpp"

using namespace quern;

namespace {

/// Straight from the definition: decodes generously, then asks whether that was the one right way to write
/// it.
bool is_utf8_by_definition(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80             ? 1
                               : (lead & 0xE0) == 0xC0 ? 2
                               : (lead & 0xF0) == 0xE0 ? 3
                               : (lead & 0xF8) == 0xF0 ? 4
                                                       : 0;
    if (length == 0 || at + length > text.size()) return false;
    std::uint32_t code = length == 1 ? lead : lead & (0x7FU >> length);
    for (std::size_t i = 1; i < length; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6U | (next & 0x3FU);
    }
    const std::uint32_t least = length == 1 ? 0 : length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    at += length;
  }
  return true;
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

std::string random_text(Random& random) {
  // Pieces that often come out right, and all the borders.
  static const std::vector<std::string> pieces{"a",
                                               "\n",
                                               "\t",
                                               "\x7F",
                                               "\xC2\x80",
                                               "\xC2\x85",
                                               "é",
                                               "€",
                                               "\xF0\x9F\x98\x80",
                                               "\xEF\xBF\xBD",
                                               "\xED\xA0\x80",
                                               "\xC0\x80",
                                               "\xF4\x90\x80\x80",
                                               "\xE2\x82",
                                               "\xFF",
                                               std::string(1, '\0')};
  std::string text;
  for (std::uint64_t size = random.below(12); size > 0; --size) {
    if (random.below(3) == 0) {
      text += static_cast<char>(random.below(256));
    } else {
      text += pieces[random.below(pieces.size())];
    }
  }
  return text;
}

}  // namespace

TEST_CASE("UTF-8 is judged as its definition says: all of one to three bytes, and the borders of four",
          "[utf8]") {
  const std::vector<int> borders{0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
  int misjudged = 0;
  const auto judge = [&](const std::string& text) {
    if (is_utf8(text) != is_utf8_by_definition(text)) ++misjudged;
  };
  for (int a = 0; a < 256; ++a) {
    judge(bytes({a}));
    for (int b = 0; b < 256; ++b) {
      judge(bytes({a, b}));
      if (a < 0xE0) continue;  // only a long sequence goes on
      for (int c = 0; c < 256; ++c) judge(bytes({a, b, c}));
      for (const int c : borders) {
        for (const int d : borders) judge(bytes({a, b, c, d}));
      }
    }
  }
  CHECK(misjudged == 0);
}

TEST_CASE("the classic wrong sequences are not UTF-8", "[utf8]") {
  for (const auto& wrong :
       {bytes({0xC0, 0x80}), bytes({0xC1, 0xBF}), bytes({0xE0, 0x80, 0x80}), bytes({0xE0, 0x9F, 0xBF}),
        bytes({0xED, 0xA0, 0x80}), bytes({0xED, 0xBF, 0xBF}), bytes({0xF0, 0x80, 0x80, 0x80}),
        bytes({0xF4, 0x90, 0x80, 0x80}), bytes({0xF5, 0x80, 0x80, 0x80}),
        bytes({0xF8, 0x88, 0x80, 0x80, 0x80}), bytes({0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80}), bytes({0x80}),
        bytes({0xFE}), bytes({0xE2, 0x82})}) {
    CHECK_FALSE(is_utf8(wrong));
  }
  CHECK(is_utf8(""));
  CHECK(is_utf8(std::string(3, '\0')));
  CHECK(is_utf8("\xEF\xBF\xBE\xEF\xBF\xBF"));  // noncharacters are characters here
}

TEST_CASE("random bytes are judged as the definition says, and always cleaned", "[utf8]") {
  Random random(5);
  for (int i = 0; i < 100'000; ++i) {
    const std::string text = random_text(random);
    REQUIRE(is_utf8(text) == is_utf8_by_definition(text));

    const std::size_t most = random.below(20);
    const std::string clean = clean_message(text, most);
    REQUIRE(is_utf8_by_definition(clean));
    REQUIRE(clean.size() <= most);
    REQUIRE(clean_message(clean, most) == clean);
    const std::string whole = clean_message(text);
    const auto fits = [](char c) { return static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t'; };
    REQUIRE(std::ranges::all_of(whole, fits));
    REQUIRE(whole.find('\x7F') == std::string::npos);
  }
}

TEST_CASE("a clean message is what it was", "[utf8]") {
  const std::string good = "line one\n\tline two: é € \xF0\x9F\x98\x80";
  CHECK(clean_message(good) == good);
  CHECK(clean_message("").empty());
}

TEST_CASE("each malformed part becomes one replacement character, each control character a space", "[utf8]") {
  const std::string replacement = "\xEF\xBF\xBD";
  CHECK(clean_message("a\xFFz") == "a" + replacement + "z");
  CHECK(clean_message("\xE2\x82z") == replacement + "z");                           // a cut "€"
  CHECK(clean_message("\xC0\x80") == replacement + replacement);                    // overlong
  CHECK(clean_message("\xED\xA0\x80") == replacement + replacement + replacement);  // a surrogate
  CHECK(clean_message("\xF0\x9F\x98") == replacement);
  CHECK(clean_message(std::string("a\0b\x1B[31m\r\n\x7F\xC2\x85", 13)) == "a b [31m \n  ");
}

TEST_CASE("a message that is too long is cut at a whole character and marked", "[utf8]") {
  const std::string mark = "\xE2\x80\xA6";
  CHECK(clean_message("abcdefghij", 10) == "abcdefghij");
  CHECK(clean_message("abcdefghijk", 10) == "abcdefg" + mark);
  CHECK(clean_message("ééééé", 10) == "ééééé");
  CHECK(clean_message("éééééé", 10) == "ééé" + mark);
  CHECK(clean_message("abc", 2).empty());  // not even the mark has room
  CHECK(clean_message("abcd", 3) == mark);
  CHECK(clean_message("abc", 0).empty());
  const std::string large(1U << 20U, 'x');
  CHECK(clean_message(large).size() == max_error_bytes);
}

TEST_CASE("text is refused with the field and the place when it has control characters or is too long",
          "[utf8]") {
  const auto refusal = [](std::string_view text, std::size_t most) -> std::string {
    try {
      check_text(text, "tenant", most);
    } catch (const InvalidArgument& e) {
      CHECK(e.field() == "tenant");
      return e.what();
    }
    return {};
  };
  CHECK(refusal("", 0).empty());
  CHECK(refusal("any ü text 😀 \xE2\x80\xA8", 100).empty());
  CHECK(refusal("éé", 4).empty());
  CHECK(refusal("éé", 3) == "tenant: has 4 bytes, at most 3 are allowed");
  CHECK(refusal("ab\xFF", 10) == "tenant: is not UTF-8: the fault is at byte 2");
  CHECK(refusal("ab\n", 10) == "tenant: contains the control character U+000A at byte 2");
  CHECK(refusal(std::string("a\0b", 3), 10) == "tenant: contains the control character U+0000 at byte 1");
  CHECK(refusal("\x7F", 10).find("U+007F") != std::string::npos);
  CHECK(refusal("\xC2\x9F", 10).find("U+009F") != std::string::npos);
}
