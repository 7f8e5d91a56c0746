// Keeps docs/testing.md in step with the example that CI builds and runs.
#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temp_folder.hpp"

namespace {

/// Lines without their indentation; what the page leaves out at the ends is no difference.
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find_first_not_of(' ');
    if (first != std::string::npos) lines.push_back(line.substr(first));
  }
  return lines;
}

bool stands_in(const std::vector<std::string>& block, const std::vector<std::string>& whole) {
  return std::search(whole.begin(), whole.end(), block.begin(), block.end()) != whole.end();
}

}  // namespace

TEST_CASE("each piece of code in docs/testing.md stands in the example that is compiled and run", "[docs]") {
  const std::string root = QUERN_SOURCE_DIR;
  const std::string page = quern_test::read_text(root + "/docs/testing.md");
  const auto example = lines_of(quern_test::read_text(root + "/examples/test_your_jobs.cpp"));
  int blocks = 0;
  const std::string begin = "```cpp\n";
  for (auto at = page.find(begin); at != std::string::npos; at = page.find(begin, at)) {
    at += begin.size();
    const std::string block = page.substr(at, page.find("```", at) - at);
    INFO(block);
    CHECK(stands_in(lines_of(block), example));
    ++blocks;
  }
  CHECK(blocks >= 8);
}
