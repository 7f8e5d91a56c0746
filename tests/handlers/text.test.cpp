#include "quern/handlers/detail/text.hpp"

#include <string>

#include "support/catch.hpp"

using quern::detail::clean_line;
using quern::detail::clean_text;
using quern::detail::escape_html;
using quern::detail::escape_markdown;

TEST_CASE("cleaned text is one line of valid UTF-8", "[text]") {
  CHECK(clean_line("  a \t\r\n b  ") == "a b");
  CHECK(clean_line("gr\xC3\xBC\xC3\x9F") == "gr\xC3\xBC\xC3\x9F");
  CHECK(clean_line("\x1B[31mred\x1B[0m") == "[31mred [0m");
  CHECK(clean_line(std::string("nul\0byte", 8)) == "nul byte");
  CHECK(clean_line("line\xE2\x80\xA8separator") == "line separator");
  CHECK(clean_line("\xEF\xBB\xBF"
                   "bom") == "bom");
  CHECK(clean_line("invoice\xE2\x80\xAE"
                   "fdp.exe") == "invoicefdp.exe");

  SECTION("what is not UTF-8 is replaced") {
    const std::string bad = "\xEF\xBF\xBD";
    CHECK(clean_line("a\xFF"
                     "b") == "a" + bad + "b");
    CHECK(clean_line("\xC0\xAF") == bad + bad);              // overlong
    CHECK(clean_line("\xED\xA0\x80") == bad + bad + bad);    // a surrogate
    CHECK(clean_line("\xF5\x80\x80\x80").starts_with(bad));  // beyond Unicode
    CHECK(clean_line("cut \xE2\x82") == "cut " + bad + bad);
  }
  SECTION("long text is cut between characters") {
    CHECK(clean_line("abcdefgh", 8) == "abcdefgh");
    CHECK(clean_line("abcdefghi", 8) == "abcde\xE2\x80\xA6");
    const std::string cut = clean_line(std::string(100, 'x') + "\xC3\xBC\xC3\xBC\xC3\xBC", 104);
    CHECK(cut.size() <= 104);
    CHECK(cut.ends_with("\xE2\x80\xA6"));
    CHECK(clean_line(cut, 104) == cut);
  }
  SECTION("several lines stay several lines where that is wanted") {
    CHECK(clean_text("a\n\tb\x07\n", 100) == "a\n\tb");
  }
}

TEST_CASE("no text gets out of HTML", "[text]") {
  CHECK(escape_html("<img src=x onerror=\"a('b')\">&amp;") ==
        "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;amp;");
}

TEST_CASE("Markdown shows a title as it is", "[text]") {
  SECTION("ordinary titles need no escape") {
    for (const char* title : {"Bump maven-source-plugin from 3.2.0 to 3.2.1",
                              "feat: add snake_case names (#12)", "Fix C++ build, finally!", "R&D at 9:30"}) {
      INFO(title);
      const std::string out = escape_markdown(title);
      CHECK(out == title);
    }
  }
  SECTION("markup loses its meaning") {
    CHECK(escape_markdown("[a](https://x)") == "\\[a\\](https\\://x)");
    CHECK(escape_markdown("**b** _c_ `d` ~e~ $f$") == "\\*\\*b\\*\\* \\_c\\_ \\`d\\` \\~e\\~ \\$f\\$");
    CHECK(escape_markdown("<b>") == "\\<b\\>");
    CHECK(escape_markdown("a | b") == "a \\| b");
    CHECK(escape_markdown("\\[x]") == "\\\\\\[x\\]");
    CHECK(escape_markdown("&lt;script&#62;") == "\\&lt;script\\&#62;");
    CHECK(escape_markdown("www.evil.example") == "www\\.evil.example");
    CHECK(escape_markdown("mailto:x") == "mailto\\:x");
  }
  SECTION("nobody is mentioned") { CHECK(escape_markdown("cc @octocat") == "cc @\xE2\x80\x8Boctocat"); }
}
